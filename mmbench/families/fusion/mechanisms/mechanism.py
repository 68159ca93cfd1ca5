"""What every mechanism of fusion is."""

from dataclasses import dataclass

from torch import Tensor, nn

from mmbench.families.fusion.streams import Streams
from mmbench.nn.attention import attend


class Mechanism(nn.Module):
    """Takes both streams in, gives what is to be added to each."""

    @dataclass
    class Config:
        """The mechanism's own options."""

    def __init__(self, width: int, num_heads: int, config: Config) -> None:
        super().__init__()

    def forward(self, streams: Streams) -> tuple[Tensor, Tensor]:
        """What the image's tokens ``[G, N, D]`` and the text's ``[G, L, D]`` learn of each other.

        A stream without a real token adds nothing to the other.
        """
        raise NotImplementedError(f"{type(self).__name__} must say what the streams learn of each other")


class Attention(nn.Module):
    """Multi-head attention of some tokens to others, which may be none."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """What ``x [G, L, D]`` finds in ``context [G, K, D]``, as ``[G, L, D]``.

        Args:
            mask: bool ``[G, K]``, True where the context is real; where none of it is, 0 is found. None: all is.
        """
        num, length, width = x.shape
        q = self.query(x).view(num, length, self.num_heads, -1).transpose(1, 2)
        k, v = self.key_value(context).view(num, context.shape[1], 2, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        found = attend(q, k, v, None if mask is None else mask[:, None, None].expand(-1, 1, length, -1))
        update: Tensor = self.output(found.transpose(1, 2).reshape(num, length, width))
        return update if mask is None else update * mask.any(dim=1)[:, None, None]
