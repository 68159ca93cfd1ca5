"""What ``clip`` and ``siglip`` checkpoints of Hugging Face hold: two towers and a space between them."""

from dataclasses import dataclass

from mmbench.config.model import EncoderSettings
from mmbench.nn.decoder import Decoder


@dataclass(frozen=True)
class TwoTowers:
    """The sizes of a dual encoder."""

    encoder: EncoderSettings
    """The image tower."""
    decoder: Decoder.Config
    """The text tower."""
    embed_dim: int
    """Width of the common space."""
