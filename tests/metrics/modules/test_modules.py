"""The torchmetrics classes: batches, processes and a sampler's padding change nothing; text needs no torch."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmbench.metrics import CiderD, CrossModalRecall, ExactMatch, RougeL, cider_d
from tests.metrics.modules import two_processes
from tests.metrics.modules.two_processes import METRICS, SHARES_OF_FIRST, add, examples, make

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("kind", METRICS)
def test_batches_and_repeats_change_nothing(kind: type) -> None:
    whole, parts = make(kind), make(kind)
    add(whole, examples())
    shuffled = random.Random(1).sample(examples(), 23)
    for start in range(0, 23, 4):
        add(parts, shuffled[start : start + 4])
    add(parts, shuffled[:3])  # what a distributed sampler repeats
    assert parts.compute() == whole.compute()


def test_ids_are_put_in_order() -> None:
    """The single letter at the end of caption 1 looks at caption 2, whichever came first."""
    metric = RougeL()
    metric.update([2], ["A dog sat"], [["A dog sat"]])
    metric.update([1], ["it reads k"], [["it reads K."]])
    assert metric.compute() == {"rouge_l": 1.0}


def test_class_equals_function() -> None:
    metric = CiderD()
    add(metric, examples())
    expected = cider_d({i: texts for i, _, texts in examples()}, {i: text for i, text, _ in examples()})
    assert metric.per_example() == expected
    assert metric.compute() == {"cider_d": pytest.approx(sum(expected.values()) / 23, abs=1e-15)}
    metric.reset()
    with pytest.raises(ValueError, match="no samples"):
        metric.compute()


def test_repeats_are_counted_and_contradictions_refused() -> None:
    metric = ExactMatch()
    metric.update([1, 1], ["a b", "a b"], [["a b"], ["a b"]])
    assert metric.compute() == {"exact_match": 1.0}
    assert metric.num_duplicates == 1
    metric.update([1], ["c"], [["a b"]])
    with pytest.raises(ValueError, match="1 has two different predictions"):
        metric.compute()


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="1 ids, 2 predictions"):
        CiderD().update([1], ["a", "b"], [["a"]])
    with pytest.raises(TypeError, match="prediction of 1 is of type NoneType"):
        CiderD().update([1], [None], [["a"]])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="an id is of type float"):
        CiderD().update([1.5], ["a"], [["a"]])  # type: ignore[list-item]
    recall = CrossModalRecall()
    recall.update([1], torch.ones(1, 2), [5], torch.ones(1, 2), [3])
    with pytest.raises(ValueError, match="1 captions belong to unknown images, such as caption 5 to image 3"):
        recall.compute()
    recall.update([1], -torch.ones(1, 2), [5], torch.ones(1, 2), [3])
    with pytest.raises(ValueError, match="image 1 was added with two different embeddings"):
        recall.compute()


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which two processes leave their results, and the names of the modules they loaded."""
    folder = tmp_path_factory.mktemp("together")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(two_processes.__file__)), str(folder)]
    subprocess.run(command, env=environment, check=True, timeout=300)
    return folder


def test_two_processes_equal_one(together: Path) -> None:
    """Unequal shares, two examples in both, and one process with nothing at all."""
    first, second = (torch.load(together / f"results{rank}.pt") for rank in range(2))
    for kind in METRICS:
        alone = make(kind)
        add(alone, examples())
        for share in SHARES_OF_FIRST:
            assert first[share, kind.__name__] == second[share, kind.__name__] == alone.compute()


def loaded_by(imports: str, suspects: tuple[str, ...]) -> str:
    code = f"import sys; {imports}; print([name for name in {suspects} if name in sys.modules])"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def test_text_metrics_load_without_torch() -> None:
    names = "from mmbench.metrics import cider_d, bleu, rouge_l, vqa_accuracy, consensus_caption, meteor, spice"
    assert loaded_by(f"{names}; cider_d({{1: ['a b']}}, {{1: 'a'}})", ("torch", "lightning", "pandas", "scipy")) == "[]"


def test_classes_load_without_lightning(together: Path) -> None:
    loaded = {name.partition(".")[0] for name in torch.load(together / "loaded.pt")}
    assert "torchmetrics" in loaded
    assert not loaded & {"lightning", "timm", "open_clip", "pycocoevalcap"}
