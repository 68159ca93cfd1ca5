"""Vision Transformers of timm."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from mmbench.config.errors import UserError
from mmbench.config.model import EncoderSettings
from mmbench.nn.attention import Kernel, attention_kernel
from mmbench.nn.image_encoder import (
    NOT_LOADED,
    ImageEncoder,
    kept,
    local_file,
    no_transformer,
    no_weights,
    not_built,
    unknown_model,
)


def build_timm(settings: EncoderSettings, image_size: int) -> ImageEncoder:
    """A Vision Transformer of timm; the options are keyword arguments of its constructor.

    One option is ours, since a norm cannot be written in YAML: ``norm_eps``, what layer norms add to the variance.

    Raises:
        UserError: as `build_encoder`.
    """
    import timm

    if ":" not in settings.name and not timm.is_model(settings.name.split(".")[0]):
        raise unknown_model("timm", settings.name, timm.list_models())
    own_file = None if settings.weights in (*NOT_LOADED, "pretrained") else local_file(settings)
    options = {"img_size": image_size, **settings.options}
    if "norm_eps" in options:
        options["norm_layer"] = partial(nn.LayerNorm, eps=options.pop("norm_eps"))
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
            raise no_transformer(settings, "a Vision Transformer of timm, for instance vit_tiny_patch16_224") from error
        raise not_built(settings, error) from error
    except Exception as error:
        # Hub, network and file problems: a different class from each library, one remedy for all.
        raise no_weights(settings, error) from error
    if not hasattr(model, "num_prefix_tokens") or not hasattr(model, "patch_embed"):
        raise no_transformer(settings, "a Vision Transformer of timm, for instance vit_tiny_patch16_224")
    if own_file is not None:
        _load_timm(model, own_file, settings)
    return TimmEncoder(model, *_normalisation(model))


class TimmEncoder(ImageEncoder):
    """A Vision Transformer of timm, whose attention follows the kernel switch."""

    def __init__(self, model: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        timm_model = cast(Any, model)
        patch_size = int(timm_model.patch_embed.patch_size[0])
        super().__init__(int(timm_model.num_features), patch_size, len(timm_model.blocks), mean, std)
        timm_model.reset_classifier(0, "")  # a pooling head would have parameters that never get a gradient
        self.model = model
        self._switched = [module for module in model.modules() if hasattr(module, "fused_attn")]
        self._kernel: Kernel | None = None

    @property
    def num_class_tokens(self) -> int:
        """See `ImageEncoder.num_class_tokens`; registers count."""
        return int(cast(Any, self.model).num_prefix_tokens)

    def forward(self, images: Tensor) -> Tensor:
        """``[B, 3, H, W]`` to ``[B, N, dim]``."""
        self._follow_kernel()
        model = cast(Any, self.model)
        tokens = model.forward_features(images)[:, model.num_prefix_tokens :]
        # Models that average their tokens have their last norm after the pooling instead of before it.
        normed: Tensor = model.fc_norm(tokens) if hasattr(model, "fc_norm") else tokens
        return normed

    def features(self, images: Tensor, layers: Sequence[int], class_token: bool = False) -> list[Tensor]:
        """See `ImageEncoder.features`."""
        self._follow_kernel()
        model = cast(Any, self.model)
        numbers = self._layer_numbers(layers, len(model.blocks))
        found: dict[int, Tensor] = {}
        # What enters the first block is the one thing that timm has no name for.
        hook = model.blocks[0].register_forward_pre_hook(lambda _, inputs: found.update({0: inputs[0]}))
        try:
            blocks = sorted({max(number, 1) - 1 for number in numbers})
            outputs = model.forward_intermediates(
                images,
                indices=blocks,
                return_prefix_tokens=True,
                stop_early=True,
                output_fmt="NLC",
                intermediates_only=True,
            )
        finally:
            hook.remove()
        for block, output in zip(blocks, outputs, strict=True):
            found[block + 1] = torch.cat((output[1], output[0]), dim=1) if isinstance(output, tuple) else output
        num_dropped = 0 if class_token else int(model.num_prefix_tokens)
        return [found[number][:, num_dropped:] for number in numbers]

    def final_norm(self, tokens: Tensor) -> Tensor:
        """See `ImageEncoder.final_norm`."""
        model = cast(Any, self.model)
        normed: Tensor = model.norm(tokens)
        return model.fc_norm(normed) if hasattr(model, "fc_norm") else normed

    def keep_layers(self, num: int) -> None:
        """See `ImageEncoder.keep_layers`."""
        model = cast(Any, self.model)
        model.blocks = kept(model.blocks, num)
        for norm in ("norm", "fc_norm"):
            if hasattr(model, norm):
                setattr(model, norm, nn.Identity())

    def _follow_kernel(self) -> None:
        if self._kernel != attention_kernel():
            self._kernel = attention_kernel()
            for module in self._switched:
                cast(Any, module).fused_attn = self._kernel == "sdpa"


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
        raise no_weights(settings, error) from error
    if missing:
        raise UserError(
            f"checkpoint '{path}' does not fit encoder '{settings.name}' with options {settings.options}: it lacks "
            f"{len(missing)} of its tensors, first '{missing[0]}'; give the options it was trained with"
        )


def _normalisation(model: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(model.pretrained_cfg["mean"]), tuple(model.pretrained_cfg["std"])
