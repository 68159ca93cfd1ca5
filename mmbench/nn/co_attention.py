"""Co-attention: two streams that look at each other in every block (ViLBERT, arXiv 1908.02265; LXMERT, 1908.07490)."""

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor, nn

from mmbench.config.errors import UserError, unknown_name
from mmbench.nn.attention import attend
from mmbench.nn.feed_forward import FeedForward

Directions = Literal["both", "text", "image"]
"""Who looks at the other: both streams, the text alone, or the image alone."""


class CoAttentionBlock(nn.Module):
    """Each stream attends to the other, then to itself, then goes through its feed-forward (LXMERT's order).

    A norm stands behind each addition, as in BERT. Both streams look at the other's state from before the block.
    """

    @dataclass
    class Config:
        """Sizes of a block.

        Raises:
            UserError: the sizes do not fit together.
        """

        width: int
        """Width of both streams."""
        num_heads: int
        """Heads of every attention; divides ``width``."""
        feed_forward_width: int
        """Inner width of the feed-forwards."""
        shared_directions: bool = False
        """Whether one cross-attention serves both directions (LXMERT's code); otherwise each has its own (ViLBERT)."""
        directions: Directions = "both"
        """Which stream looks at the other."""
        norm_eps: float = 1e-12
        """Added to the variance in the norms."""

        def __post_init__(self) -> None:
            if self.width < 1 or self.num_heads < 1 or self.width % self.num_heads:
                raise UserError(f"width {self.width} must be a multiple of num_heads {self.num_heads}: change either")
            if self.feed_forward_width < 1:
                raise UserError(f"feed_forward_width is {self.feed_forward_width}; it must be at least 1")
            if self.directions not in get_args(Directions):
                raise unknown_name("directions", self.directions, get_args(Directions))
            if self.shared_directions and self.directions != "both":
                raise UserError(
                    f"shared_directions is true, but directions is '{self.directions}': one direction shares nothing"
                )

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.shared_directions = config.shared_directions
        self.text_cross = None if config.directions == "image" else Attention(config)
        self.image_cross = None if config.directions == "text" or config.shared_directions else Attention(config)
        self.text_self, self.image_self = Attention(config), Attention(config)
        self.text_feed_forward, self.image_feed_forward = NormedFeedForward(config), NormedFeedForward(config)

    def forward(
        self, text: Tensor, image: Tensor, text_mask: Tensor | None = None, image_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Both streams after the block.

        Args:
            text: ``[B, L, D]``.
            image: ``[B, N, D]``.
            text_mask: bool ``[B, L]``, True where a text token is real; None: all are.
            image_mask: bool ``[B, N]``, the same of the image.

        Returns:
            text ``[B, L, D]`` and image ``[B, N, D]``.
        """
        image_cross = self.text_cross if self.shared_directions else self.image_cross
        seen_text = text if self.text_cross is None else self.text_cross(text, image, image_mask)
        seen_image = image if image_cross is None else image_cross(image, text, text_mask)
        return (
            self.text_feed_forward(self.text_self(seen_text, seen_text, text_mask)),
            self.image_feed_forward(self.image_self(seen_image, seen_image, image_mask)),
        )


class Attention(nn.Module):
    """``norm(x + attention(x, context))``."""

    def __init__(self, config: CoAttentionBlock.Config) -> None:
        super().__init__()
        self.num_heads, self.head_dim = config.num_heads, config.width // config.num_heads
        self.query = _linear(config.width, config.width)
        self.key_value = _linear(config.width, 2 * config.width)
        self.output = _linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width, eps=config.norm_eps)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        """``[B, L, D]``; a row whose context holds nothing real (``mask [B, K]`` all False) gets ``norm(x)``."""
        batch, length, width = x.shape
        q = self.query(x).unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)
        k, v = self.key_value(context).unflatten(-1, (2, self.num_heads, self.head_dim)).permute(2, 0, 3, 1, 4)
        attended = attend(q, k, v, None if mask is None else mask[:, None, None].expand(-1, 1, length, -1))
        update = self.output(attended.transpose(1, 2).reshape(batch, length, width))
        if mask is not None:
            update = update * mask.any(dim=1)[:, None, None]
        out: Tensor = self.norm(x + update)
        return out


class NormedFeedForward(FeedForward):
    """``norm(x + down(gelu(up(x))))``."""

    def __init__(self, config: CoAttentionBlock.Config) -> None:
        super().__init__(config.width, config.feed_forward_width, gated=False, activation="gelu", bias=True)
        self.norm = nn.LayerNorm(config.width, eps=config.norm_eps)
        _initialise(self.up)
        _initialise(self.down)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, L, D]`` to ``[B, L, D]``."""
        out: Tensor = self.norm(x + super().forward(x))
        return out


def _linear(in_dim: int, out_dim: int) -> nn.Linear:
    linear = nn.Linear(in_dim, out_dim)
    _initialise(linear)
    return linear


def _initialise(linear: nn.Linear) -> None:
    """As BERT does."""
    nn.init.normal_(linear.weight, 0, 0.02)
    nn.init.zeros_(linear.bias)
