"""Image encoders: Vision Transformers of timm and image towers of open_clip, by name, as patch tokens of one form."""

import logging
import sys
import warnings
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from mmbench.config.errors import UserError, unknown_name
from mmbench.config.model import EncoderSettings
from mmbench.nn.attention import Kernel, attention_kernel

NOT_LOADED = ("contrastive", "random")
"""Values of ``EncoderSettings.weights`` for which the encoder is built random; contrastive weights are loaded later."""


def build_encoder(settings: EncoderSettings, image_size: int) -> "ImageEncoder":
    """The encoder that the settings name, for square images of ``image_size`` pixels.

    ``weights`` ``contrastive`` and ``random`` both give random weights; ``pretrained`` the library's own; a path loads
    that file (timm: the model's; open_clip: the whole CLIP model's). open_clip takes one of its tags too.

    Raises:
        UserError: the name is unknown or no Vision Transformer, an option does not exist, the image does not divide
            into patches, or the weights cannot be had.
    """
    build = {"timm": _build_timm, "open_clip": _build_open_clip}
    if settings.library not in build:
        raise unknown_name("encoder library", settings.library, build)
    encoder = build[settings.library](settings, image_size)
    if image_size % encoder.patch_size:
        raise UserError(
            f"images of {image_size} pixels do not divide into the {encoder.patch_size}-pixel patches of encoder "
            f"'{settings.name}': choose an image_size that is a multiple of {encoder.patch_size}, or another patch_size"
        )
    return encoder


class ImageEncoder(nn.Module):
    """Normalised images ``[B, 3, H, W]`` to patch tokens ``[B, N, dim]``, row by row, without class tokens.

    Height and width may differ from those it was built for: positions are then interpolated.
    """

    mean: Tensor
    """Mean of each channel ``[3, 1, 1]``, for pixels in 0..1, as the weights expect."""
    std: Tensor
    """Standard deviation of each channel ``[3, 1, 1]``."""

    def __init__(self, dim: int, patch_size: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.dim = dim
        """Width of a token."""
        self.patch_size = patch_size
        """Side of a patch in pixels."""
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def normalise(self, images: Tensor) -> Tensor:
        """Pixels as stored, uint8 ``[B, 3, H, W]``, to floats as the weights expect them."""
        return (images.float() / 255 - self.mean) / self.std

    def num_tokens(self, image_size: int) -> int:
        """Tokens of a square image with a side of so many pixels."""
        return (image_size // self.patch_size) ** 2


class TimmEncoder(ImageEncoder):
    """A Vision Transformer of timm, whose attention follows the kernel switch."""

    def __init__(self, model: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        patch_embed = cast(Any, model.patch_embed)
        super().__init__(int(cast(Any, model).num_features), int(patch_embed.patch_size[0]), mean, std)
        cast(Any, model).reset_classifier(0, "")  # a pooling head would have parameters that never get a gradient
        self.model = model
        self._switched = [module for module in model.modules() if hasattr(module, "fused_attn")]
        self._kernel: Kernel | None = None

    def forward(self, images: Tensor) -> Tensor:
        """``[B, 3, H, W]`` to ``[B, N, dim]``."""
        if self._kernel != attention_kernel():
            self._kernel = attention_kernel()
            for module in self._switched:
                cast(Any, module).fused_attn = self._kernel == "sdpa"
        model = cast(Any, self.model)
        tokens = model.forward_features(images)[:, model.num_prefix_tokens :]
        # Models that average their tokens have their last norm after the pooling instead of before it.
        normed: Tensor = model.fc_norm(tokens) if hasattr(model, "fc_norm") else tokens
        return normed


class OpenClipEncoder(ImageEncoder):
    """open_clip's own Vision Transformer: the tokens after the last norm, before the projection to the joint space.

    Its attention is ``nn.MultiheadAttention`` and always uses torch's fused kernel.
    """

    def __init__(self, visual: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        tower = cast(Any, visual)
        super().__init__(int(tower.conv1.out_channels), int(tower.conv1.kernel_size[0]), mean, std)
        tower.proj = None  # the projection would be a parameter without gradient
        tower.output_tokens = True
        self.visual = visual
        self._norm_after_pool = bool(getattr(tower, "final_ln_after_pool", False))

    def forward(self, images: Tensor) -> Tensor:
        """``[B, 3, H, W]`` to ``[B, N, dim]``."""
        grid = (images.shape[2] // self.patch_size, images.shape[3] // self.patch_size)
        visual = cast(Any, self.visual)
        if grid == tuple(visual.grid_size):
            tokens = visual(images)[1]
        else:
            resized = {"positional_embedding": self._positions(grid)}
            tokens = cast(Any, functional_call(self.visual, resized, (images,)))[1]
        normed: Tensor = visual.ln_post(tokens) if self._norm_after_pool else tokens
        return normed

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        """Position embeddings ``[1 + N, dim]`` of another grid, by bicubic interpolation."""
        visual = cast(Any, self.visual)
        of_class, of_patches = visual.positional_embedding[:1], visual.positional_embedding[1:]
        square = of_patches.T.reshape(1, self.dim, *visual.grid_size)
        resized = F.interpolate(square, size=grid, mode="bicubic", antialias=True, align_corners=False)
        return torch.cat((of_class, resized.flatten(2)[0].T))


def _build_timm(settings: EncoderSettings, image_size: int) -> ImageEncoder:
    import timm

    if ":" not in settings.name and not timm.is_model(settings.name.split(".")[0]):
        raise _unknown_model("timm", settings.name, timm.list_models())
    own_file = None if settings.weights in (*NOT_LOADED, "pretrained") else _local_file(settings)
    options = {"img_size": image_size, **settings.options}
    try:
        model = timm.create_model(
            settings.name,
            pretrained=settings.weights == "pretrained",
            num_classes=0,
            dynamic_img_size=True,
            **options,
        )
    except (TypeError, AssertionError, ValueError, AttributeError) as error:
        if "dynamic_img_size" in str(error):
            raise _no_transformer(
                settings, "a Vision Transformer of timm, for instance vit_tiny_patch16_224"
            ) from error
        raise _not_built(settings, error) from error
    except Exception as error:
        # Hub, network and file problems: a different class from each library, one remedy for all.
        raise _no_weights(settings, error) from error
    if not hasattr(model, "num_prefix_tokens") or not hasattr(model, "patch_embed"):
        raise _no_transformer(settings, "a Vision Transformer of timm, for instance vit_tiny_patch16_224")
    if own_file is not None:
        _load_timm(model, own_file, settings)
    return TimmEncoder(model, *_normalisation(model))


def _normalisation(model: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(model.pretrained_cfg["mean"]), tuple(model.pretrained_cfg["std"])


def _load_timm(model: nn.Module, path: Path, settings: EncoderSettings) -> None:
    """Fill a timm model from a file; anything it lacks is an error, where timm itself would leave it random."""
    import timm

    # Each of timm's model files that knows foreign or older layouts has a function of this name to translate them.
    translate = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    try:
        state = timm.models.load_state_dict(str(path))
        state = translate(state, model) if translate else state
        missing = model.load_state_dict(state, strict=False).missing_keys
    except Exception as error:
        # A file of another kind, a damaged one, or one of other sizes: each reader has its own exception for that.
        raise _no_weights(settings, error) from error
    if missing:
        raise UserError(
            f"checkpoint '{path}' does not fit encoder '{settings.name}' with options {settings.options}: it lacks "
            f"{len(missing)} of its tensors, first '{missing[0]}'; give the options it was trained with"
        )


def _build_open_clip(settings: EncoderSettings, image_size: int) -> ImageEncoder:
    import open_clip
    import timm

    config = open_clip.get_model_config(settings.name)
    if config is None:
        raise _unknown_model("open_clip", settings.name, open_clip.list_models())
    allowed = "a tower with patch tokens: ViT-* without attention pooling (ViT-B-32, ViT-L-14), or ViT-*-SigLIP"
    vision = {**config["vision_cfg"], "image_size": image_size, **settings.options}
    towers: dict[str, Any] = {"vision_cfg": vision}
    if settings.weights in NOT_LOADED:  # the text tower is dropped: make it small, and nothing of it from the hub
        towers["text_cfg"] = {"context_length": 8, "vocab_size": 8, "width": 64, "heads": 1, "layers": 1}
    if "timm_model_name" in vision:
        vision["timm_model_pretrained"] = False
    elif vision.get("attentional_pool") or isinstance(vision["layers"], list):  # list: the stages of a ResNet
        raise _no_transformer(settings, allowed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the text tower, which is dropped
            model = open_clip.create_model(
                settings.name,
                pretrained=_open_clip_weights(settings),
                force_image_size=image_size,
                pretrained_hf=False,
                **towers,
            )
    except (TypeError, AssertionError) as error:
        raise _not_built(settings, error) from error
    except UserError:
        raise
    except Exception as error:
        # Hub, network and file problems: a different class from each library, one remedy for all.
        raise _no_weights(settings, error) from error
    visual = model.visual
    mean, std = visual.preprocess_cfg["mean"], visual.preprocess_cfg["std"]
    if "timm_model_name" not in vision:
        return OpenClipEncoder(visual, mean, std)
    if hasattr(visual.trunk, "num_prefix_tokens"):
        # The same trunk again, made for any image size; pooling heads stay behind.
        trunk = timm.create_model(
            vision["timm_model_name"],
            num_classes=0,
            global_pool=vision.get("timm_pool", "avg"),  # decides where the last norm is
            img_size=image_size,
            dynamic_img_size=True,
        )
        missing = trunk.load_state_dict(visual.trunk.state_dict(), strict=False).missing_keys
        if not missing:
            return TimmEncoder(trunk, mean, std)
    raise _no_transformer(settings, allowed)


def _open_clip_weights(settings: EncoderSettings) -> str | None:
    """What open_clip calls ``pretrained``: nothing, a tag, or a file."""
    import open_clip

    if settings.weights in NOT_LOADED:
        return None
    tags: list[str] = open_clip.list_pretrained_tags_by_model(settings.name)
    if settings.weights == "pretrained":
        if not tags:
            raise UserError(f"open_clip has no weights for '{settings.name}': set encoder.weights to a local file")
        return tags[0]
    if settings.weights in tags:
        return settings.weights
    if not Path(settings.weights).suffix:
        raise unknown_name(f"weights of {settings.name}", settings.weights, [*NOT_LOADED, "pretrained", *tags, "PATH"])
    return str(_local_file(settings))


def _local_file(settings: EncoderSettings) -> Path:
    path = Path(settings.weights).expanduser()
    if not path.is_file():
        raise UserError(
            f"encoder.weights is '{settings.weights}', but there is no such file: give 'contrastive', 'random', "
            "'pretrained' or the path of a checkpoint"
        )
    return path


def _unknown_model(library: str, name: str, known: list[str]) -> UserError:
    """Names the nearest models only, by their common beginning: the libraries know hundreds."""

    def distance(other: str) -> tuple[int, int, str]:
        common = next(
            (i for i, (a, b) in enumerate(zip(name, other, strict=False)) if a != b), min(len(name), len(other))
        )
        return -common, len(other), other

    nearest = sorted(known, key=distance)[:3]
    return UserError(
        f"{library} has no model '{name}': the nearest of its {len(known)} are {', '.join(nearest)}; "
        f"{library}.list_models() lists all"
    )


def _no_transformer(settings: EncoderSettings, allowed: str) -> UserError:
    return UserError(f"encoder '{settings.name}' of {settings.library} does not give patch tokens: choose {allowed}")


def _not_built(settings: EncoderSettings, error: Exception) -> UserError:
    return UserError(
        f"encoder '{settings.name}' of {settings.library} cannot be built with options {settings.options}: "
        f"{_in_one_line(error)}; allowed are the keyword arguments of the library's constructor"
    )


def _no_weights(settings: EncoderSettings, error: Exception) -> UserError:
    logging.getLogger(__name__).debug("loading the encoder failed", exc_info=error)
    return UserError(
        f"weights '{settings.weights}' of encoder '{settings.name}' could not be loaded ({_in_one_line(error)}): "
        "set encoder.weights to the path of a local checkpoint that fits the options, or to 'contrastive'"
    )


def _in_one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300].removesuffix(": ")
