"""Gated cross-attention layers of ``mllama`` and ``idefics``: two vocabularies for one `GatedCrossAttention`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmbench.nn.cross_attention import KINDS, Unreached
from mmbench.nn.layouts.text_fields import refuse
from mmbench.nn.tensor_names import Joined


@dataclass(frozen=True)
class GatedSizes:
    """The arguments of a `GatedCrossAttention`."""

    width: int
    """Of the decoder."""
    num_heads: int
    num_kv_heads: int
    context_dim: int
    """Width of the image tokens."""
    feed_forward_width: int
    norm_eps: float
    head_dim: int
    qk_norm: bool
    unreached: Unreached
    vector_gates: bool = False
    """A gate for each entry of the width."""


def mllama_names(sizes: GatedSizes, prefix_ours: str = "", prefix_theirs: str = "") -> Iterator[Joined]:
    """The table of one layer of ``mllama``, which is ``layers.N`` among those of the text model."""
    ours, theirs = prefix_ours, prefix_theirs
    yield Joined(f"{ours}attention_gate", (f"{theirs}cross_attn_attn_gate",))
    yield Joined(f"{ours}feed_forward_gate", (f"{theirs}cross_attn_mlp_gate",))
    yield from _common_names(sizes, ours, theirs, "q_norm", "k_norm")


def idefics_names(sizes: GatedSizes, prefix_ours: str = "", prefix_theirs: str = "") -> Iterator[Joined]:
    """The table of one layer of ``idefics``, which is ``gated_cross_attn_layers.N``."""
    ours, theirs = prefix_ours, prefix_theirs
    for gate, alpha in (("attention_gate", "alpha_cross_attn"), ("feed_forward_gate", "alpha_dense")):
        if sizes.vector_gates:
            yield Joined(f"{ours}{gate}", (f"{theirs}{alpha}",), reshape=(1, 1, sizes.width), shape=(sizes.width,))
        else:
            yield Joined(f"{ours}{gate}", (f"{theirs}{alpha}",))
    yield from _common_names(sizes, ours, theirs, "q_layer_norm", "k_layer_norm")


def read_mllama_config(content: Mapping[str, Any]) -> GatedSizes:
    """The sizes in a ``text_config`` of ``mllama``.

    Raises:
        UserError: the activation is not SiLU.
    """
    refuse(content, "hidden_act", "silu")
    return GatedSizes(
        width=content["hidden_size"],
        num_heads=content["num_attention_heads"],
        num_kv_heads=content.get("num_key_value_heads") or content["num_attention_heads"],
        context_dim=content["hidden_size"],
        feed_forward_width=content["intermediate_size"],
        norm_eps=content.get("rms_norm_eps", 1e-5),
        head_dim=content["hidden_size"] // content["num_attention_heads"],
        qk_norm=True,
        unreached=KINDS["mllama"]["unreached"],
    )


def read_idefics_config(content: Mapping[str, Any]) -> GatedSizes:
    """The sizes in the ``config.json`` of ``idefics``.

    Raises:
        UserError: the activation is not SiLU.
    """
    refuse(content, "hidden_act", "silu")
    return GatedSizes(
        width=content["hidden_size"],
        num_heads=content["num_attention_heads"],
        num_kv_heads=content["num_attention_heads"],
        context_dim=(content.get("vision_config") or {}).get("embed_dim", 768),
        feed_forward_width=content["intermediate_size"],
        norm_eps=content.get("rms_norm_eps", 1e-6),
        head_dim=content["hidden_size"] // content["num_attention_heads"],
        qk_norm=content.get("qk_layer_norms", False),
        unreached=KINDS["idefics"]["unreached"],
        vector_gates=content.get("alpha_type", "float") == "vector",
    )


def _common_names(sizes: GatedSizes, ours: str, theirs: str, query_norm: str, key_norm: str) -> Iterator[Joined]:
    attention = f"{theirs}cross_attn."
    key_value = (f"{attention}k_proj.weight", f"{attention}v_proj.weight")
    yield Joined(f"{ours}attention_norm.weight", (f"{theirs}input_layernorm.weight",))
    yield Joined(f"{ours}query.weight", (f"{attention}q_proj.weight",))
    yield Joined(f"{ours}key_value.weight", key_value, (sizes.num_kv_heads * sizes.head_dim,) * 2)
    yield Joined(f"{ours}output.weight", (f"{attention}o_proj.weight",))
    if sizes.qk_norm:
        yield Joined(f"{ours}query_norm.weight", (f"{attention}{query_norm}.weight",))
        yield Joined(f"{ours}key_norm.weight", (f"{attention}{key_norm}.weight",))
    yield Joined(f"{ours}feed_forward_norm.weight", (f"{theirs}post_attention_layernorm.weight",))
    gate_up = (f"{theirs}mlp.gate_proj.weight", f"{theirs}mlp.up_proj.weight")
    yield Joined(f"{ours}feed_forward.gate_up.weight", gate_up, (sizes.feed_forward_width,) * 2)
    yield Joined(f"{ours}feed_forward.down.weight", (f"{theirs}mlp.down_proj.weight",))
