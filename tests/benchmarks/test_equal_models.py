"""Both sides of the benchmark against Hugging Face do the same work."""

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from benchmarks.equal_models import PAIRS, SHAPES, Model
from mmbench.nn.attention import attention_kernel, set_attention_kernel


@pytest.fixture(autouse=True)
def _restored_kernel() -> Iterator[None]:
    before = attention_kernel()
    yield
    set_attention_kernel(before)


@pytest.mark.parametrize("pair", PAIRS)
def test_both_sides_learn_and_write_as_much(pair: str) -> None:
    pytest.importorskip("transformers")
    shape = replace(SHAPES["T"], train_batch=2)
    models: list[Model] = [build(shape, torch.device("cpu")) for build in PAIRS[pair]]
    heads = sum(parameter.numel() for parameter in models[0].module.heads.parameters())  # type: ignore[operator, union-attr]
    ours, theirs = (sum(parameter.numel() for parameter in model.module.parameters()) for model in models)
    assert ours - heads == pytest.approx(theirs, rel=0.01)
    for model in models:
        for way in model.ways(training=True):
            assert model.step(way) == pytest.approx(math.log(shape.vocab_size), rel=0.05), way
            assert model.bytes_for_backward(way) > 0
        for way in model.ways(training=False):
            texts = model.generation(way, batch=2, num_tokens=3)()
            assert [len(text) for text in texts] == [3, 3], way
