"""Hugging Face's ``clip``: two towers, their projections and the temperature, as a dual encoder holds them."""

from collections.abc import Iterator
from typing import Any

from mmbench.nn.layouts import clip_text, clip_vision
from mmbench.nn.layouts.two_towers import TwoTowers
from mmbench.nn.layouts.vision import module_names
from mmbench.nn.tensor_names import Joined


def names(towers: TwoTowers, prefix_ours: str = "", prefix_theirs: str = "") -> Iterator[Joined]:
    """All tensors; ours are ``encoder``, ``decoder`` and ``heads``. The prefixes end with a dot if not empty."""
    yield from clip_vision.names(towers.encoder, f"{prefix_ours}encoder.", f"{prefix_theirs}vision_model.")
    yield from clip_text.names(towers.decoder, f"{prefix_ours}decoder.", f"{prefix_theirs}text_model.")
    head = f"{prefix_ours}heads.contrastive."
    yield from module_names(f"{head}image_projection", f"{prefix_theirs}visual_projection", bias=False)
    yield from module_names(f"{head}text_projection", f"{prefix_theirs}text_projection", bias=False)
    yield Joined(f"{head}log_scale", (f"{prefix_theirs}logit_scale",), reshape=(), shape=(1,))


def read_config(content: dict[str, Any]) -> TwoTowers:
    """The sizes in a ``config.json`` of type ``clip``.

    Raises:
        UserError, ValueError: there is something in it that we do not have.
    """
    return TwoTowers(
        encoder=clip_vision.read_config(content.get("vision_config") or {}),
        decoder=clip_text.read_config(clip_text.DEFAULTS["clip_text_model"] | (content.get("text_config") or {})),
        embed_dim=content.get("projection_dim", 512),
    )


def write_config(towers: TwoTowers) -> dict[str, Any]:
    """What `read_config` reads.

    Raises:
        UserError, ValueError: there is something in it that Hugging Face's model does not have.
    """
    return {
        "model_type": "clip",
        "projection_dim": towers.embed_dim,
        "vision_config": clip_vision.write_config(towers.encoder),
        "text_config": clip_text.write_config(towers.decoder),
    }
