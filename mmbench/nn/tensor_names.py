"""One table for both directions between our tensors' names and those of a foreign checkpoint."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Joined:
    """One of our tensors = theirs joined along dimension 0."""

    ours: str
    """Our tensor's name."""
    theirs: tuple[str, ...]
    """The names of theirs, in the order in which ours joins them."""
    sizes: tuple[int, ...] = ()
    """Rows of each of theirs; empty where it is one tensor."""
    reshape: tuple[int, ...] | None = None
    """The shape of each of theirs where it only differs from ours (the kernel of a convolution against a linear
    layer's matrix, a number without dimension); None: the same. Ours is then the matrix of as many rows, unless
    ``shape`` says otherwise."""
    shape: tuple[int, ...] = ()
    """Our shape, where ``reshape`` is given and ours is not that matrix."""
    interleaved: tuple[int, int] | None = None
    """(groups, parts) where their rows go group by group and in each part by part, and ours part by part and in each
    group by group: queries, keys and values stored head by head are ``(num_heads, 3)``."""


def to_ours(tensors: dict[str, Tensor], names: Iterable[Joined]) -> dict[str, Tensor]:
    """Our state from a checkpoint's tensors; what is used is taken out of ``tensors``.

    Raises:
        KeyError: a tensor is not there, or has another shape than the table says; the message names it.
    """
    return {name.ours: _joined(tensors, name) for name in names}


def to_theirs(state: Mapping[str, Tensor], names: Iterable[Joined]) -> dict[str, Tensor]:
    """A checkpoint's tensors from our state; what the table does not name is left out.

    Raises:
        KeyError: a tensor of the table is not in our state; the message names it.
    """
    tensors: dict[str, Tensor] = {}
    for name in names:
        if name.ours not in state:
            raise KeyError(f"our state has no tensor {name.ours}")
        ours = state[name.ours]
        if name.interleaved is not None:
            groups, parts = name.interleaved
            ours = _swapped(ours, parts, groups)
        pieces = torch.split(ours, list(name.sizes)) if name.sizes else (ours,)
        shaped = (piece.reshape(name.reshape) if name.reshape is not None else piece for piece in pieces)
        tensors |= {theirs: piece.contiguous() for theirs, piece in zip(name.theirs, shaped, strict=True)}
    return tensors


def _joined(tensors: dict[str, Tensor], name: Joined) -> Tensor:
    absent = [theirs for theirs in name.theirs if theirs not in tensors]
    if absent:
        raise KeyError(f"the checkpoint has no tensor {absent[0]}")
    pieces = [tensors.pop(theirs) for theirs in name.theirs]
    # The rows are counted one by one: a key matrix too large by as much as the value matrix is too small would fit.
    for theirs, piece, rows in zip(name.theirs, pieces, name.sizes, strict=False):
        if len(piece) != rows:
            raise KeyError(f"{theirs} has {len(piece)} rows instead of {rows}")
    if name.reshape and not name.shape:
        pieces = [piece.reshape(len(piece), -1) for piece in pieces]
    try:
        joined = torch.cat(pieces) if len(pieces) > 1 else pieces[0]
        if name.shape:
            joined = joined.reshape(name.shape)
    except RuntimeError as error:
        shapes = ", ".join(str(tuple(piece.shape)) for piece in pieces)
        raise KeyError(f"{name.theirs[0]} and what belongs to it cannot be joined: the shapes are {shapes}") from error
    return joined if name.interleaved is None else _swapped(joined, *name.interleaved)


def _swapped(tensor: Tensor, outer: int, inner: int) -> Tensor:
    """Rows ordered (outer, inner, rest) put in the order (inner, outer, rest)."""
    return tensor.reshape(outer, inner, -1, *tensor.shape[1:]).transpose(0, 1).reshape(tensor.shape)
