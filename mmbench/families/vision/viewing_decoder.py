"""What the families have in common whose language model gets views of an image through an encoder and a connector."""

from torch import Tensor, nn

from mmbench.families.seeing_decoder import SeeingDecoder
from mmbench.families.sight import Sight
from mmbench.families.trunk import Between
from mmbench.families.vision.connecting import size_step
from mmbench.families.vision.gated import attend_between, gates_of
from mmbench.families.vision.look import Look, LookOptions, look, mean_tokens, tokens_an_image
from mmbench.nn.connectors import Connector


class ViewingDecoder(SeeingDecoder):
    """views of the image -> encoder -> connector -> decoder; subclasses say which way the tokens take into it."""

    config: LookOptions
    connector: Connector

    @property
    def size_step(self) -> int:
        """Views, and what the connector joins of them, divide into patches."""
        return size_step(self.config, self.encoder, self.connector)

    def looks(self, images: Tensor, sizes: Tensor | None = None) -> list[Look]:
        """What the encoder makes of the views; arguments as `see`."""
        return look(self.encoder, images, sizes, self.config)

    def num_image_tokens(self, images: Tensor, sizes: Tensor | None = None) -> int:
        """Of all views."""
        return tokens_an_image(self.looks(images, sizes))

    def image_features(self, images: Tensor, sizes: Tensor | None = None) -> Tensor:
        """The mean of the encoder's tokens."""
        return mean_tokens(self.looks(images, sizes), len(images))


class GatedDecoder(ViewingDecoder):
    """A decoder with gated layers between its blocks, which look at the image."""

    cross_attention: nn.ModuleDict

    def between(self, sight: Sight, sees_image: Tensor, num_prefix: int) -> Between | None:
        """The gated layer before a block, where it has one."""
        return attend_between(self.cross_attention, sight, sees_image, num_prefix)

    def parts(self) -> dict[str, nn.Module]:
        """The common parts, the gated layers, and the gates alone.

        A gate is one number for a whole layer, which wants a learning rate of its own.
        """
        gates = gates_of(self.cross_attention)
        return {**super().parts(), "cross_attention": self.cross_attention, "gates": gates}
