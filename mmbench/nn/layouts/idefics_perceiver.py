"""The Perceiver resampler of Idefics, the open Flamingo, as a ``perceiver`` connector."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmbench.config.errors import UserError
from mmbench.nn.connectors.perceiver import PerceiverConnector
from mmbench.nn.tensor_names import Joined

_DEFAULTS = {
    "resampler_n_latents": 64,
    "resampler_depth": 6,
    "resampler_n_heads": 16,
    "resampler_head_dim": 96,
    "qk_layer_norms_perceiver": False,
}
"""What a ``perceiver_config`` leaves out means this."""

_FIELDS = {
    "num_latents": "resampler_n_latents",
    "depth": "resampler_depth",
    "num_heads": "resampler_n_heads",
    "head_dim": "resampler_head_dim",
    "qk_norm": "qk_layer_norms_perceiver",
}
"""Options of ours and what the configuration calls them."""


def names(config: PerceiverConnector.Config, prefix_ours: str = "", prefix_theirs: str = "") -> Iterator[Joined]:
    """The table of names, for options as `read_config` gives them; the prefixes end with a dot if not empty."""
    assert config.head_dim is not None
    inner_dim = config.num_heads * config.head_dim
    yield Joined(f"{prefix_ours}latents", (f"{prefix_theirs}latents",))
    for layer in range(config.depth):
        ours, theirs = f"{prefix_ours}layers.{layer}.", f"{prefix_theirs}blocks.{layer}."
        norms = {"context_norm": "0.context_layer_norm", "latent_norm": "0.latents_layer_norm"}
        if config.qk_norm:
            norms |= {"query_norm": "0.q_layer_norm", "key_norm": "0.k_layer_norm"}
        yield from _norms(norms | {"feed_forward_norm": "1.ln"}, ours, theirs)
        yield Joined(f"{ours}query.weight", (f"{theirs}0.q_proj.weight",))
        key_value = (f"{theirs}0.k_proj.weight", f"{theirs}0.v_proj.weight")
        yield Joined(f"{ours}key_value.weight", key_value, (inner_dim, inner_dim))
        yield Joined(f"{ours}output.weight", (f"{theirs}0.output_proj.weight",))
        yield Joined(f"{ours}feed_forward.up.weight", (f"{theirs}1.fc.weight",))
        yield Joined(f"{ours}feed_forward.down.weight", (f"{theirs}1.c_proj.weight",))
    yield from _norms({"norm": "layer_norm"}, prefix_ours, prefix_theirs)


def read_config(content: Mapping[str, Any]) -> PerceiverConnector.Config | None:
    """The options in the ``config.json`` of ``idefics``; None where it has no resampler."""
    if not content.get("use_resampler", False):
        return None
    perceiver = {**_DEFAULTS, **(content.get("perceiver_config") or {})}
    options = {ours: perceiver[theirs] for ours, theirs in _FIELDS.items()}
    return PerceiverConnector.Config(activation="relu", **options)


def write_config(config: PerceiverConnector.Config | None) -> dict[str, Any]:
    """What `read_config` reads.

    Raises:
        UserError: Idefics' resampler is never like that.
    """
    if config is None:
        return {"use_resampler": False}
    if config.activation != "relu" or config.hidden_width is not None or config.head_dim is None:
        raise UserError(
            "only a perceiver with activation 'relu', the option 'head_dim' and without 'hidden_width' can be written "
            "as idefics"
        )
    perceiver = {theirs: getattr(config, ours) for ours, theirs in _FIELDS.items()}
    return {"use_resampler": True, "perceiver_config": {"use_resampler": True, **perceiver}}


def _norms(pairs: Mapping[str, str], prefix_ours: str, prefix_theirs: str) -> Iterator[Joined]:
    for ours, theirs in pairs.items():
        for kind in ("weight", "bias"):
            yield Joined(f"{prefix_ours}{ours}.{kind}", (f"{prefix_theirs}{theirs}.{kind}",))
