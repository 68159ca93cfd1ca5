"""What each mechanism passes between two streams, and what not."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from mmbench.families.fusion.mechanisms import MECHANISMS, build_mechanism
from mmbench.families.fusion.mechanisms.attention import CrossModalAttention
from mmbench.families.fusion.mechanisms.concat import Concat
from mmbench.families.fusion.mechanisms.gated import Gated
from mmbench.families.fusion.mechanisms.graph import Graph
from mmbench.families.fusion.mechanisms.mechanism import Mechanism
from mmbench.families.fusion.mechanisms.memory import Memory
from mmbench.families.fusion.streams import Streams
from mmbench.nn.pooling import mean_over

WIDTH, HEADS = 16, 2


@pytest.fixture
def streams() -> Streams:
    """Three pairs: five image tokens and four words, of which some are padding."""
    torch.manual_seed(0)
    text_mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]).bool()
    image_mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 1], [1, 1, 0, 0, 0]]).bool()
    return Streams(torch.randn(3, 5, WIDTH), image_mask, torch.randn(3, 4, WIDTH), text_mask)


def mechanism_of(name: str) -> Mechanism:
    torch.manual_seed(1)
    return build_mechanism(name, WIDTH, HEADS, {})


@pytest.mark.parametrize("name", MECHANISMS)
def test_padding_passes_nothing_on(name: str, streams: Streams) -> None:
    mechanism = mechanism_of(name)
    before = mechanism(streams)
    after = mechanism(
        streams.replaced(
            torch.where(streams.image_mask[..., None], streams.image, 7.0),
            torch.where(streams.text_mask[..., None], streams.text, -7.0),
        )
    )
    torch.testing.assert_close(after[0][streams.image_mask], before[0][streams.image_mask])
    torch.testing.assert_close(after[1][streams.text_mask], before[1][streams.text_mask])


@pytest.mark.parametrize("name", MECHANISMS)
def test_each_stream_learns_of_the_other(name: str, streams: Streams) -> None:
    mechanism = mechanism_of(name)
    to_image, to_text = mechanism(streams)
    assert to_image.shape == streams.image.shape
    assert to_text.shape == streams.text.shape
    of_another_text = mechanism(streams.replaced(streams.image, streams.text.flip(2)))[0]
    assert bool(((of_another_text - to_image)[streams.image_mask].abs().amax(dim=-1) > 1e-5).all())
    of_another_image = mechanism(streams.replaced(streams.image.flip(2), streams.text))[1]
    assert bool(((of_another_image - to_text)[streams.text_mask].abs().amax(dim=-1) > 1e-5).all())


@pytest.mark.parametrize("name", MECHANISMS)
def test_a_stream_without_tokens_passes_nothing_on(name: str, streams: Streams) -> None:
    """And gives no NaN, neither forward nor backward."""
    mechanism = mechanism_of(name)
    blank = replace(streams, image=streams.image.clone().requires_grad_())
    blank.image_mask = torch.zeros_like(streams.image_mask)
    without = mechanism(blank)[1]
    of_another = mechanism(replace(blank, image=blank.image.flip(2)))[1]
    assert torch.equal(without, of_another)
    without.sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in mechanism.parameters() if p.grad is not None)
    fewer = Streams(blank.image[:, :1], blank.image_mask[:, :1], blank.text, blank.text_mask)
    torch.testing.assert_close(mechanism(fewer)[1], without)


def test_concat_finds_both_modalities_and_attention_the_other_alone(streams: Streams) -> None:
    """What the last word is tells the first something in one sequence, and nothing where words look at the image."""
    changed = streams.replaced(streams.image, streams.text.clone())
    changed.text[0, 3] += 1
    concat, attention = mechanism_of("concat"), mechanism_of("attention")
    assert isinstance(concat, Concat)
    assert isinstance(attention, CrossModalAttention)
    assert not torch.allclose(concat(changed)[1][0, 0], concat(streams)[1][0, 0])
    assert torch.equal(attention(changed)[1][0, 0], attention(streams)[1][0, 0])


def test_attention_by_hand(streams: Streams) -> None:
    """Softmax over the real image tokens, head by head."""
    mechanism = mechanism_of("attention")
    assert isinstance(mechanism, CrossModalAttention)
    attention = mechanism.text_to_image
    found = mechanism(streams)[1]
    for pair, word in ((0, 3), (1, 1), (2, 0)):
        real = streams.image[pair][streams.image_mask[pair]]
        query = attention.query(streams.text[pair, word])
        keys, values = attention.key_value(real).chunk(2, dim=-1)
        heads = []
        for head in range(HEADS):
            part = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
            weights = (keys[:, part] @ query[part] / math.sqrt(WIDTH / HEADS)).softmax(dim=0)
            heads.append(weights @ values[:, part])
        torch.testing.assert_close(attention.output(torch.cat(heads)), found[pair, word])


def test_gates_lie_between_0_and_1_and_come_from_both_streams(streams: Streams) -> None:
    mechanism = mechanism_of("gated")
    assert isinstance(mechanism, Gated)
    unit, of_image = mechanism.text_unit, mean_over(streams.image, streams.image_mask)[:, None]
    gates = unit.gates(streams.text, of_image)
    assert gates.shape == streams.text.shape
    assert bool(((gates > 0) & (gates < 1)).all())
    assert bool((unit.gates(streams.text, of_image + 1) != gates).any(dim=-1).all())
    assert bool((unit.gates(streams.text + 1, of_image) != gates).any(dim=-1).all())
    own, other = torch.tanh(unit.own(streams.text)), torch.tanh(unit.other(of_image))
    torch.testing.assert_close(mechanism(streams)[1], unit.output(gates * own + (1 - gates) * other))


@pytest.mark.parametrize("neighbours", [1, 2, 9])
def test_message_passing_equals_a_loop_over_nodes_and_edges(streams: Streams, neighbours: int) -> None:
    torch.manual_seed(1)
    graph = build_mechanism("graph", WIDTH, HEADS, {"neighbours": neighbours})
    assert isinstance(graph, Graph)
    heard = graph(streams)[1]
    for pair in range(3):
        others = streams.image[pair][streams.image_mask[pair]]
        for word in streams.text_mask[pair].nonzero()[:, 0].tolist():
            node = streams.text[pair, word]
            nearness = [(graph.target(node) @ graph.source(other)).item() for other in others]
            nearest = sorted(range(len(others)), key=lambda j: -nearness[j])[:neighbours]
            edges = [node, *(others[j] for j in nearest)]
            messages = [graph.source(edge).view(HEADS, -1) for edge in edges]
            target = graph.target(node).view(HEADS, -1)
            heads = []
            for head in range(HEADS):
                scores = [graph.attention[head] @ F.leaky_relu(target[head] + m[head], 0.2) for m in messages]
                weights = torch.stack(scores).softmax(dim=0)
                heads.append(sum(w * m[head] for w, m in zip(weights, messages, strict=True)))
            torch.testing.assert_close(graph.output(torch.cat(heads)), heard[pair, word], atol=1e-5, rtol=1e-4)


def test_memory_passes_everything_through_its_slots(streams: Streams) -> None:
    """Of a single slot every token reads the same; each hop changes what the slots hold."""
    torch.manual_seed(1)
    one = build_mechanism("memory", WIDTH, HEADS, {"slots": 1})
    to_image, to_text = one(streams)
    torch.testing.assert_close(to_image, to_image[:, :1].expand_as(to_image))
    torch.testing.assert_close(to_text, to_image[:, :1].expand_as(to_text))
    memory = mechanism_of("memory")
    assert isinstance(memory, Memory)
    two_hops = memory(streams)[1]
    assert not torch.allclose(two_hops, two_hops[:, :1].expand_as(two_hops)), "several slots are told apart"
    memory.hops = 1
    assert not torch.allclose(memory(streams)[1], two_hops)
