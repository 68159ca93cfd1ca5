"""Checks of connectors' options that more than one kind needs."""

from typing import Any

from mmbench.config.errors import UserError


def check_positive(config: Any, *names: str) -> None:
    """Raise a `UserError` where one of the options is given and is no positive number."""
    for name in names:
        value = getattr(config, name)
        if value is not None and value < 1:
            raise UserError(f"option '{name}' is {value}; it must be at least 1")


def width_of_head(width: int, num_heads: int, head_dim: int | None, what: str) -> int:
    """The width of each head, which is ``width / num_heads`` where none is given.

    Args:
        width: what the heads divide.
        num_heads: how many there are.
        head_dim: the option of that name.
        what: names ``width`` in the error.

    Raises:
        UserError: the heads do not divide the width.
    """
    if head_dim is not None:
        return head_dim
    if width % num_heads:
        raise UserError(
            f"option 'num_heads' is {num_heads}, which does not divide {what}, {width}: change it, or give 'head_dim'"
        )
    return width // num_heads
