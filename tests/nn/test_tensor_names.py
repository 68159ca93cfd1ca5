"""The table of names: both directions, and what it says of tensors that are not there."""

import pytest
import torch
from torch import Tensor

from mmbench.nn.tensor_names import Joined, to_ours, to_theirs

TABLE = [
    Joined("norm", ("ln",)),
    Joined("qkv", ("q", "k", "v"), (4, 2, 2)),
    Joined("patches.weight", ("conv.weight",), reshape=(6, 3, 2, 2)),
    Joined("class_token", ("cls",), reshape=(5,), shape=(1, 1, 5)),
    Joined("fused", ("heads",), interleaved=(2, 3)),
    Joined("both", ("both_a", "both_b"), (2, 1), reshape=(-1, 1, 4)),
    Joined("scale", ("temperature",), reshape=(), shape=(1,)),
]


def _theirs() -> dict[str, Tensor]:
    shapes = {"ln": (8,), "q": (4, 8), "k": (2, 8), "v": (2, 8), "conv.weight": (6, 3, 2, 2), "cls": (5,)}
    more = {"temperature": (), "heads": (12, 7), "both_a": (2, 1, 4), "both_b": (1, 1, 4)}
    torch.manual_seed(0)
    return {name: torch.randn(shape) for name, shape in (shapes | more).items()}


def test_there_and_back_is_the_same() -> None:
    theirs = _theirs()
    again = to_theirs(to_ours(dict(theirs), TABLE), TABLE)
    assert again.keys() == theirs.keys()
    assert all(torch.equal(again[name], theirs[name]) for name in theirs)


def test_what_ours_is() -> None:
    theirs = _theirs()
    ours = to_ours(dict(theirs), TABLE)
    assert torch.equal(ours["qkv"], torch.cat([theirs["q"], theirs["k"], theirs["v"]]))
    assert torch.equal(ours["patches.weight"], theirs["conv.weight"].flatten(1))
    assert torch.equal(ours["class_token"][0, 0], theirs["cls"])
    assert torch.equal(ours["both"], torch.cat([theirs["both_a"], theirs["both_b"]])[:, 0])


def test_interleaved_heads_become_queries_then_keys_then_values() -> None:
    """Head by head (2 heads, 2 wide): q q k k v v; ours has all queries first."""
    rows = [f"{part}{head}" for head in range(2) for part in "qkv" for _ in range(2)]
    ours = to_ours({"heads": torch.arange(12)}, [TABLE[4]])["fused"]
    assert [rows[i] for i in ours] == ["q0", "q0", "q1", "q1", "k0", "k0", "k1", "k1", "v0", "v0", "v1", "v1"]


def test_takes_out_what_it_uses() -> None:
    theirs = {**_theirs(), "other": torch.zeros(1)}
    to_ours(theirs, TABLE)
    assert list(theirs) == ["other"]


def test_names_what_is_missing_or_has_other_rows() -> None:
    theirs = _theirs()
    del theirs["k"]
    with pytest.raises(KeyError, match="no tensor k"):
        to_ours(theirs, TABLE)
    theirs = {**_theirs(), "k": torch.zeros(3, 8), "v": torch.zeros(1, 8)}
    with pytest.raises(KeyError, match="k has 3 rows instead of 2"):
        to_ours(theirs, TABLE)
    with pytest.raises(KeyError, match="no tensor norm"):
        to_theirs({}, TABLE)
