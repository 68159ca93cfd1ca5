"""Gated layers between blocks: which blocks have one, and who reaches what of the image."""

import pytest
import torch
from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.families.sight import Sight
from mmbench.families.vision.gated import GatedOptions, attend_between, gated_layers, gates_of, keys_values, reach_of
from mmbench.families.vision.rows import in_rows
from mmbench.nn.cross_attention import ContextMask
from mmbench.nn.decoder import Decoder

DECODER = Decoder.Config(8, width=16, depth=8, num_heads=2, num_kv_heads=1, feed_forward_width=16)


def opened(options: GatedOptions | None = None) -> nn.ModuleDict:
    """Layers with open gates, that read tokens of width 6."""
    torch.manual_seed(0)
    layers = gated_layers(options or GatedOptions(every=4), DECODER, 6)
    with torch.no_grad():
        for gate in gates_of(layers):
            gate.fill_(1.0)
    return layers


@pytest.mark.parametrize(
    ("every", "first", "blocks"), [(4, 0, ["0", "4"]), (4, 3, ["3", "7"]), (3, 0, ["0", "3", "6"]), (8, 7, ["7"])]
)
def test_a_layer_before_every_so_many_blocks(every: int, first: int, blocks: list[str]) -> None:
    assert list(gated_layers(GatedOptions(every=every, first=first), DECODER, 6)) == blocks


def test_options_of_a_layer() -> None:
    plain = gated_layers(GatedOptions(feed_forward=False), DECODER, 6)["0"]
    normed = gated_layers(GatedOptions(qk_norm=True, feed_forward_width=5), DECODER, 6)["0"]
    assert len(gates_of(nn.ModuleDict({"0": plain}))) == 1
    assert plain.query_norm is None
    assert isinstance(normed.query_norm, nn.RMSNorm)
    assert normed.feed_forward.down.in_features == 5  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (GatedOptions(every=9), "'every' is 9; it must be from 1 to 8, for the decoder has a depth of 8"),
        (GatedOptions(first=8), "'first' is 8; it must be from 0 to 7"),
        (GatedOptions(feed_forward_width=0), "'feed_forward_width' is 0"),
        (GatedOptions(feed_forward=False, feed_forward_width=8), "the gated layers have no feed-forward"),
    ],
)
def test_wrong_options(options: GatedOptions, message: str) -> None:
    with pytest.raises(UserError, match=message):
        gated_layers(options, DECODER, 6)


def test_padding_of_the_context_is_not_seen() -> None:
    layers, hidden, context = opened(), torch.randn(1, 5, 16), torch.randn(1, 4, 6)
    sees = torch.tensor([[False, False, True, True, True]])
    mask = torch.tensor([[True, True, False, False]])
    padded = Sight(contexts=keys_values(layers, context), context_mask=mask)
    short = Sight(contexts=keys_values(layers, context[:, :2]))
    torch.testing.assert_close(acted(layers, padded, sees, hidden, 2), acted(layers, short, sees, hidden, 2))
    torch.testing.assert_close(acted(layers, padded, sees, hidden, 0), acted(layers, short, sees, hidden, 0))


def test_a_tag_reaches_its_tile_and_text_reaches_all() -> None:
    layers, hidden = opened(), torch.randn(1, 5, 16)
    tiles = torch.randn(2, 3, 6)  # two tiles of three tokens
    sight = of_tiles(layers, tiles)
    sees = torch.tensor([[False, False, False, True, False]])  # <bos>, two tags, a text that sees, one that does not
    before = acted(layers, sight, sees, hidden, 3)
    assert torch.equal(before[0, [0, 4]], hidden[0, [0, 4]])
    changed = tiles.clone()
    changed[1] = torch.randn(3, 6)
    after = acted(layers, of_tiles(layers, changed), sees, hidden, 3)
    assert [bool((before[0, place] == after[0, place]).all()) for place in range(5)] == [True, True, False, False, True]
    alone = Sight(contexts=keys_values(layers, tiles[:1]))
    only_tag = torch.tensor([[False, True, False, False, False]])
    torch.testing.assert_close(before[0, 1], acted(layers, alone, only_tag, hidden, 0)[0, 1])


def test_published_layers_act_on_what_reaches_nothing() -> None:
    """In ``idefics``, <bos> goes through the feed-forward; other text that does not see the image stays as it is."""
    layers, hidden = opened(GatedOptions(every=4, gated="idefics")), torch.randn(1, 3, 16)
    sight = Sight(contexts=keys_values(layers, torch.randn(1, 4, 6)))
    after = acted(layers, sight, torch.tensor([[False, True, False]]), hidden, 1)
    layer = layers["0"]
    fed = hidden + layer.feed_forward(layer.feed_forward_norm(hidden)) * torch.tanh(layer.feed_forward_gate)  # type: ignore[operator,arg-type]
    torch.testing.assert_close(after[0, 0], fed[0, 0])
    assert torch.equal(after[0, 2], hidden[0, 2])


def test_the_mask_is_made_once_for_all_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    layers, hidden = opened(), torch.randn(1, 4, 16)
    made: list[Tensor] = []
    original = ContextMask.of.__func__  # type: ignore[attr-defined]

    def counted(cls: type[ContextMask], mask: Tensor, dtype: torch.dtype) -> ContextMask:
        made.append(mask)
        result: ContextMask = original(cls, mask, dtype)
        return result

    monkeypatch.setattr(ContextMask, "of", classmethod(counted))
    between = attend_between(layers, of_tiles(layers, torch.randn(2, 3, 6)), torch.ones(1, 4, dtype=torch.bool), 3)
    assert between is not None
    assert between(1, hidden) is hidden
    assert not torch.equal(between(0, hidden), between(4, hidden))
    assert len(made) == 1


def acted(layers: nn.ModuleDict, sight: Sight, sees: Tensor, hidden: Tensor, num_prefix: int) -> Tensor:
    """What the layer before block 0 makes of hidden states."""
    between = attend_between(layers, sight, sees, num_prefix)
    assert between is not None
    return between(0, hidden)


def of_tiles(layers: nn.ModuleDict, tiles: Tensor) -> Sight:
    """One image of two tiles, with a tag for each in the prefix."""
    images = [0, 0]
    tags, context = in_rows([torch.zeros(2, 1, 16)], [images], 1), in_rows([tiles], [images], 1)
    reach = reach_of(tags.columns[0], context, images, 2)
    return Sight(prefix=tags.values, contexts=keys_values(layers, context.values), prefix_reach=reach)
