"""Hugging Face's ``siglip``: two towers, the image's pooling head, the text's projection, temperature and bias."""

from collections.abc import Iterator
from typing import Any

from mmbench.nn.layouts import clip_text, siglip_vision
from mmbench.nn.layouts.two_towers import TwoTowers
from mmbench.nn.layouts.vision import module_names
from mmbench.nn.tensor_names import Joined

NORM_EPS = 1e-6
"""What the norm of an `AttentionPool` adds to the variance."""


def names(towers: TwoTowers, prefix_ours: str = "", prefix_theirs: str = "") -> Iterator[Joined]:
    """All tensors; ours are ``encoder``, ``decoder`` and ``heads``. The prefixes end with a dot if not empty."""
    vision, text = f"{prefix_theirs}vision_model.", f"{prefix_theirs}text_model."
    yield from siglip_vision.names(towers.encoder, f"{prefix_ours}encoder.", vision)
    yield from pool_names(towers.embed_dim, f"{prefix_ours}heads.image_pool.attention.", f"{vision}head.")
    yield from clip_text.names(towers.decoder, f"{prefix_ours}decoder.", text)
    head = f"{prefix_ours}heads.contrastive."
    yield from module_names(f"{head}text_projection", f"{text}head")
    yield Joined(f"{head}log_scale", (f"{prefix_theirs}logit_scale",))
    yield Joined(f"{head}bias", (f"{prefix_theirs}logit_bias",))


def pool_names(dim: int, prefix_ours: str = "", prefix_theirs: str = "head.") -> Iterator[Joined]:
    """The tensors of the pooling head, which is an `AttentionPool` of tokens of width ``dim``."""
    yield Joined(f"{prefix_ours}query", (f"{prefix_theirs}probe",), reshape=(1, 1, dim), shape=(dim,))
    for kind in ("weight", "bias"):
        yield Joined(f"{prefix_ours}query_key_value.{kind}", (f"{prefix_theirs}attention.in_proj_{kind}",))
    yield from module_names(f"{prefix_ours}output", f"{prefix_theirs}attention.out_proj")
    yield from module_names(f"{prefix_ours}norm", f"{prefix_theirs}layernorm")
    yield from module_names(f"{prefix_ours}feed_forward.up", f"{prefix_theirs}mlp.fc1")
    yield from module_names(f"{prefix_ours}feed_forward.down", f"{prefix_theirs}mlp.fc2")


def read_config(content: dict[str, Any]) -> TwoTowers:
    """The sizes in a ``config.json`` of type ``siglip``.

    Raises:
        UserError, ValueError: there is something in it that we do not have.
    """
    text = clip_text.DEFAULTS["siglip_text_model"] | (content.get("text_config") or {})
    encoder, decoder = siglip_vision.read_config(content.get("vision_config") or {}), clip_text.read_config(text)
    embed_dim = int(encoder.options["embed_dim"])
    if encoder.options["norm_eps"] != NORM_EPS or encoder.options["act_layer"] != "gelu_tanh":
        raise ValueError(
            f"the pooling head has norms with {encoder.options['norm_eps']} and the activation "
            f"{encoder.options['act_layer']}: only {NORM_EPS} and gelu_tanh can be read"
        )
    projected = text.get("projection_size") or decoder.width
    if projected != embed_dim:
        raise ValueError(f"texts are projected to a width of {projected}, but images have a width of {embed_dim}")
    return TwoTowers(encoder, decoder, embed_dim)


def write_config(towers: TwoTowers) -> dict[str, Any]:
    """What `read_config` reads.

    Raises:
        UserError, ValueError: there is something in it that Hugging Face's model does not have.
    """
    return {
        "model_type": "siglip",
        "vision_config": siglip_vision.write_config(towers.encoder),
        "text_config": clip_text.write_config(towers.decoder, "siglip_text_model")
        | {"projection_size": towers.embed_dim},
    }
