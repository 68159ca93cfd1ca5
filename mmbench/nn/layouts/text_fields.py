"""The fields of a ``config.json`` that the text models of Hugging Face have in common, read and written."""

from collections.abc import Mapping
from typing import Any

from mmbench.config.errors import UserError
from mmbench.nn.decoder import Decoder
from mmbench.nn.feed_forward import Activation
from mmbench.nn.rotary import RopeScaling

_SIZES = {
    "vocab_size": "vocab_size",
    "width": "hidden_size",
    "depth": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "feed_forward_width": "intermediate_size",
}
"""Fields of ``Decoder.Config`` that every text model states, and what ``config.json`` calls them."""

_ACTIVATIONS: dict[str, Activation] = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "relu2": "relu2",
    "linear": "linear",
}


def read_sizes(content: Mapping[str, Any], norm_eps: str = "rms_norm_eps") -> dict[str, Any]:
    """The sizes, as arguments of ``Decoder.Config``; keys that older files leave out mean what they meant then.

    Raises:
        UserError: one is missing.
    """
    absent = [theirs for theirs in _SIZES.values() if content.get(theirs) is None]
    if absent:
        raise UserError(f"config.json lacks {', '.join(absent)}: give the folder of a whole checkpoint")
    sizes = {ours: content[theirs] for ours, theirs in _SIZES.items()}
    return sizes | {
        "num_kv_heads": content.get("num_key_value_heads") or content["num_attention_heads"],
        "head_dim": content.get("head_dim"),
        "norm_eps": content.get(norm_eps, 1e-6 if norm_eps == "rms_norm_eps" else 1e-5),
        "tie_embeddings": bool(content.get("tie_word_embeddings", False)),
    }


def write_sizes(config: Decoder.Config, norm_eps: str = "rms_norm_eps") -> dict[str, Any]:
    """What `read_sizes` reads."""
    content = {theirs: getattr(config, ours) for ours, theirs in _SIZES.items()}
    return content | {
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        norm_eps: config.norm_eps,
        "tie_word_embeddings": config.tie_embeddings,
    }


def read_rope(content: Mapping[str, Any], theta: float = 10000.0, share: float | None = None) -> dict[str, Any]:
    """The rotary positions, as arguments of ``Decoder.Config``: from ``rope_parameters``, or from the older
    ``rope_theta`` and ``rope_scaling``.

    Args:
        content: of ``config.json``.
        theta: the base, where none is stated.
        share: of a head's dimensions that turn, where none is stated; None: all turn, whatever is stated, as in
            models that do not know of shares.

    Raises:
        UserError: they are scaled in a way that the decoder does not know.
    """
    rope = {**(content.get("rope_scaling") or {}), **(content.get("rope_parameters") or {})}
    kind = rope.get("rope_type", rope.get("type", "default"))
    scaling = None
    if kind == "linear":
        scaling = RopeScaling("linear", rope["factor"])
    elif kind == "llama3":
        scaling = RopeScaling(
            "llama3",
            rope["factor"],
            rope["low_freq_factor"],
            rope["high_freq_factor"],
            rope["original_max_position_embeddings"],
        )
    elif kind not in ("default", "mrope"):
        raise UserError(
            f"config.json has rope_scaling {kind!r}, but only 'default', 'linear' and 'llama3' is supported: "
            "choose another checkpoint"
        )
    stated = rope.get("partial_rotary_factor", content.get("partial_rotary_factor", share))
    return {
        "rope_theta": rope.get("rope_theta") or content.get("rope_theta") or theta,
        "rope_scaling": scaling,
        "rotary_share": 1.0 if share is None else stated,
        "mrope_sections": rope.get("mrope_section"),
    }


def write_rope(config: Decoder.Config) -> dict[str, Any]:
    """What `read_rope` reads, in the older form, which all versions of transformers read."""
    scaling = config.rope_scaling
    rope: dict[str, Any] = {}
    if scaling is not None:
        rope = {"rope_type": scaling.kind, "factor": scaling.factor}
        if scaling.kind == "llama3":
            rope["low_freq_factor"] = scaling.low_frequency_factor
            rope["high_freq_factor"] = scaling.high_frequency_factor
            rope["original_max_position_embeddings"] = scaling.original_max_positions
    if config.mrope_sections is not None:
        rope = {"rope_type": "default", **rope, "mrope_section": config.mrope_sections}
    return {"rope_theta": config.rope_theta, "rope_scaling": rope or None}


def read_activation(content: Mapping[str, Any], default: str = "silu") -> Activation:
    """The activation function.

    Raises:
        UserError: the decoder does not have it.
    """
    name = content.get("hidden_act") or default
    if name not in _ACTIVATIONS:
        raise UserError(
            f"config.json has hidden_act {name!r}, but only {', '.join(_ACTIVATIONS)} is supported: "
            "choose another checkpoint"
        )
    return _ACTIVATIONS[name]


def write_activation(config: Decoder.Config) -> dict[str, Any]:
    """What `read_activation` reads."""
    return {"hidden_act": activation_name(config.activation)}


def activation_name(activation: Activation) -> str:
    """What Hugging Face calls one of our activations."""
    return next(theirs for theirs, ours in _ACTIVATIONS.items() if ours == activation)


def refuse(content: Mapping[str, Any], key: str, only: Any) -> None:
    """Raise the error for a field that asks for something else than the only thing there is.

    Raises:
        UserError: it does.
    """
    given = content.get(key, only)
    if given != only:
        raise UserError(f"config.json has {key} {given!r}, but only {only!r} is supported: choose another checkpoint")
