"""Image towers of open_clip."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from mmbench.config.errors import UserError, unknown_name
from mmbench.config.model import EncoderSettings
from mmbench.nn.image_encoder import (
    NOT_LOADED,
    ImageEncoder,
    kept,
    local_file,
    no_transformer,
    no_weights,
    not_built,
    resized_positions,
    unknown_model,
)
from mmbench.nn.timm_encoder import TimmEncoder


def build_open_clip(settings: EncoderSettings, image_size: int) -> ImageEncoder:
    """The image tower of an open_clip model; the options change its ``vision_cfg``.

    Raises:
        UserError: as `build_encoder`.
    """
    import open_clip
    import timm

    config = open_clip.get_model_config(settings.name)
    if config is None:
        raise unknown_model("open_clip", settings.name, open_clip.list_models())
    allowed = "a tower with patch tokens: ViT-* without attention pooling (ViT-B-32, ViT-L-14), or ViT-*-SigLIP"
    vision = {**config["vision_cfg"], "image_size": image_size, **settings.options}
    towers: dict[str, Any] = {"vision_cfg": vision}
    if settings.weights in NOT_LOADED:  # the text tower is dropped: make it small, and nothing of it from the hub
        towers["text_cfg"] = {"context_length": 8, "vocab_size": 8, "width": 64, "heads": 1, "layers": 1}
    if "timm_model_name" in vision:
        vision["timm_model_pretrained"] = False
    elif vision.get("attentional_pool") or isinstance(vision["layers"], list):  # list: the stages of a ResNet
        raise no_transformer(settings, allowed)
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
        raise not_built(settings, error) from error
    except UserError:
        raise
    except Exception as error:
        # Hub, network and file problems: a different class from each library, one remedy for all.
        raise no_weights(settings, error) from error
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
    raise no_transformer(settings, allowed)


class OpenClipEncoder(ImageEncoder):
    """open_clip's own Vision Transformer: the tokens after the last norm, before the projection to the joint space.

    Its attention is ``nn.MultiheadAttention`` and always uses torch's fused kernel.
    """

    def __init__(self, visual: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        tower = cast(Any, visual)
        depth = len(tower.transformer.resblocks)
        super().__init__(int(tower.conv1.out_channels), int(tower.conv1.kernel_size[0]), depth, mean, std)
        tower.proj = None  # the projection would be a parameter without gradient
        self.visual = visual

    @property
    def num_class_tokens(self) -> int:
        """See `ImageEncoder.num_class_tokens`."""
        return 1

    def forward(self, images: Tensor) -> Tensor:
        """``[B, 3, H, W]`` to ``[B, N, dim]``."""
        return self.final_norm(self.features(images, [self._num_blocks])[0])

    def features(self, images: Tensor, layers: Sequence[int], class_token: bool = False) -> list[Tensor]:
        """See `ImageEncoder.features`."""
        numbers = self._layer_numbers(layers, self._num_blocks)
        transformer = cast(Any, self.visual).transformer
        outputs = [self._embed(images)]
        # Older versions of open_clip run their blocks with the batch in the second place.
        axes = (0, 1) if getattr(transformer, "batch_first", False) else (1, 0)
        tokens = outputs[0].movedim((0, 1), axes)
        for block in transformer.resblocks[: max(numbers, default=0)]:
            tokens = block(tokens)
            outputs.append(tokens.movedim(axes, (0, 1)))
        return [outputs[number][:, 0 if class_token else 1 :] for number in numbers]

    def final_norm(self, tokens: Tensor) -> Tensor:
        """See `ImageEncoder.final_norm`."""
        normed: Tensor = cast(Any, self.visual).ln_post(tokens)
        return normed

    def keep_layers(self, num: int) -> None:
        """See `ImageEncoder.keep_layers`."""
        visual = cast(Any, self.visual)
        visual.transformer.resblocks = kept(visual.transformer.resblocks, num)
        visual.ln_post = nn.Identity()

    @property
    def _num_blocks(self) -> int:
        return len(cast(Any, self.visual).transformer.resblocks)

    def _embed(self, images: Tensor) -> Tensor:
        """Patches behind the class token, with their positions: what enters the first block ``[B, 1 + N, dim]``."""
        visual = cast(Any, self.visual)
        patches: Tensor = visual.conv1(images)
        grid = (patches.shape[2], patches.shape[3])
        positions = visual.positional_embedding
        if grid != tuple(visual.grid_size):
            positions = resized_positions(positions, visual.grid_size, grid)
        of_class = visual.class_embedding.to(patches.dtype).expand(len(images), 1, -1)
        tokens = torch.cat((of_class, patches.flatten(2).mT), dim=1) + positions.to(patches.dtype)
        embedded: Tensor = visual.ln_pre(visual.patch_dropout(tokens))
        return embedded


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
    return str(local_file(settings))
