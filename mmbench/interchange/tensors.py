"""Moving tensors between a checkpoint and a family's state, so that none is lost and none is forgotten."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from mmbench.config.errors import UserError
from mmbench.families.family import Family
from mmbench.interchange.foreign import Foreign
from mmbench.nn.tensor_names import Joined, to_ours, to_theirs

_COUNTED = (".position_ids", ".inv_freq")
"""Ends of the names of tensors that only count, which older files hold."""


@dataclass
class Moved:
    """A checkpoint's tensors, sorted."""

    state: dict[str, Tensor]
    """Of the family, under our names; nothing of what the checkpoint does not have."""
    kept: dict[str, Tensor]
    """Those that the family does without, under their own names."""


def move_in(tensors: dict[str, Tensor], foreign: Foreign, family: Family) -> Moved:
    """Sort a checkpoint's tensors.

    Raises:
        UserError: one is missing, left over or of another shape.
    """
    own = family.state_dict()
    used = [name for name in foreign.names if name.ours in own]
    tensors = {
        _renamed(name, foreign.aliases): tensor
        for name, tensor in tensors.items()
        if not (name.endswith(_COUNTED) or (foreign.ignored and name.startswith(foreign.ignored)))
    }
    try:
        state = to_ours(tensors, used)
    except KeyError as error:
        raise UserError(
            f"the checkpoint does not fit its config.json: {error.args[0]}; fetch the folder anew"
        ) from None
    spare = {theirs for name in foreign.names if name.ours not in own for theirs in name.theirs}
    left_over = sorted(set(tensors) - spare)
    if left_over:
        raise UserError(
            f"{len(left_over)} tensors of the checkpoint have no place in the system, first '{left_over[0]}': it has "
            "parts that its config.json does not tell of"
        )
    may_lack = tuple(f"{part}." for part in family.may_be_new)
    absent = [name for name in own if name not in state and not name.startswith(may_lack)]
    wrong = [name for name in state if state[name].shape != own[name].shape]
    if absent or wrong:
        name = (absent or wrong)[0]
        shape = "no such tensor" if absent else f"the shape {tuple(state[name].shape)}"
        raise UserError(
            f"the checkpoint does not fit its config.json: the system's '{name}' has the shape "
            f"{tuple(own[name].shape)}, and the checkpoint {shape}; fetch the folder anew"
        )
    return Moved(state, tensors)


def move_out(state: Mapping[str, Tensor], kept: Mapping[str, Tensor], foreign: Foreign) -> dict[str, Tensor]:
    """The checkpoint's tensors from a family's state and from what was kept beside it."""
    used: list[Joined] = [name for name in foreign.names if name.ours in state]
    theirs = {name: tensor.detach().cpu().contiguous() for name, tensor in to_theirs(state, used).items()}
    return theirs | dict(kept)


def _renamed(name: str, aliases: Mapping[str, str]) -> str:
    """The name with the longest beginning that is an alias replaced."""
    found = max((alias for alias in aliases if name.startswith(alias)), key=len, default="")
    return aliases[found] + name.removeprefix(found) if found else name
