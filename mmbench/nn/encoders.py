"""Image encoders by name: Transformers of timm, image towers of open_clip and our own, as patch tokens of one form."""

from mmbench.config.errors import UserError, unknown_name
from mmbench.config.model import EncoderSettings
from mmbench.nn.image_encoder import ImageEncoder
from mmbench.nn.native_models import build_native
from mmbench.nn.open_clip_encoder import build_open_clip
from mmbench.nn.timm_encoder import build_timm

__all__ = ["ImageEncoder", "build_encoder"]


def build_encoder(settings: EncoderSettings, image_size: int) -> ImageEncoder:
    """The encoder that the settings name, for square images of ``image_size`` pixels.

    ``weights`` ``contrastive`` and ``random`` both give random weights; ``pretrained`` the library's own; a path loads
    that file (timm and native: the model's; open_clip: the whole CLIP model's). open_clip takes one of its tags too.

    Raises:
        UserError: the name is unknown or no Vision Transformer, an option does not exist, the image does not divide
            into patches, or the weights cannot be had.
    """
    build = {"timm": build_timm, "open_clip": build_open_clip, "native": build_native}
    if settings.library not in build:
        raise unknown_name("encoder library", settings.library, build)
    encoder = build[settings.library](settings, image_size)
    if image_size % encoder.patch_size:
        raise UserError(
            f"images of {image_size} pixels do not divide into the {encoder.patch_size}-pixel patches of encoder "
            f"'{settings.name}': choose an image_size that is a multiple of {encoder.patch_size}, or another patch_size"
        )
    return encoder
