"""What foreign checkpoints call a decoder's tensors: one table, with the words of each format filled in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmbench.nn.decoder import Decoder
from mmbench.nn.tensor_names import Joined


@dataclass(frozen=True)
class TextNames:
    """The words of one format; by default Llama's."""

    embedding: str = "embed_tokens"
    """The token embedding."""
    positions: str = ""
    """The learned position embedding."""
    layers: str = "layers"
    """The list of blocks; what follows stands below one of them."""
    attention_norm: str = "input_layernorm"
    query_key_value: tuple[str, ...] = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    """Three matrices, or one in which queries, keys and values go head by head."""
    output: str = "self_attn.o_proj"
    query_norm: str = ""
    key_norm: str = ""
    feed_forward_norm: str = "post_attention_layernorm"
    gate: str = "mlp.gate_proj"
    """Of a dense feed-forward, or of the shared experts."""
    up: str = "mlp.up_proj"
    down: str = "mlp.down_proj"
    router: str = ""
    """Of a mixture of experts."""
    experts: tuple[str, str] = ("", "")
    """The routed experts' two tensors, as they lie in `mmbench.nn.mixture_of_experts.Experts`."""
    norm: str = "norm"
    """The last norm, beside the list of blocks."""


def decoder_names(
    config: Decoder.Config,
    words: TextNames,
    prefix_ours: str = "",
    prefix_theirs: str = "",
    head: str = "lm_head.weight",
    layers: Sequence[int] | None = None,
) -> Iterator[Joined]:
    """Each tensor of a decoder, and where it lies in a checkpoint.

    Args:
        config: the decoder's.
        words: of the format.
        prefix_ours: in front of all our names, with its dot.
        prefix_theirs: in front of all of theirs, with its dot, but for the head.
        head: the whole name of the vocabulary projection, where it is not the embedding.
        layers: the number that each block has in the checkpoint, where blocks of another kind stand between them.
    """
    yield Joined(f"{prefix_ours}embedding.weight", (f"{prefix_theirs}{words.embedding}.weight",))
    if config.max_positions:
        yield Joined(f"{prefix_ours}position_embedding.weight", (f"{prefix_theirs}{words.positions}.weight",))
    for block, layer in enumerate(range(config.depth) if layers is None else layers):
        ours, theirs = f"{prefix_ours}blocks.{block}.", f"{prefix_theirs}{words.layers}.{layer}."
        yield from _norm(config, f"{ours}attention_norm", f"{theirs}{words.attention_norm}")
        yield from _attention(config, words, f"{ours}attention.", theirs)
        yield from _norm(config, f"{ours}feed_forward_norm", f"{theirs}{words.feed_forward_norm}")
        yield from _feed_forward(config, words, f"{ours}feed_forward.", theirs)
    yield from _norm(config, f"{prefix_ours}norm", f"{prefix_theirs}{words.norm}")
    if not config.tie_embeddings:
        yield Joined(f"{prefix_ours}head.weight", (head,))


def _attention(config: Decoder.Config, words: TextNames, ours: str, theirs: str) -> Iterator[Joined]:
    head_dim = config.head_dim or 0
    queries, keys = config.num_heads * head_dim, config.num_kv_heads * head_dim
    names = tuple(f"{theirs}{name}" for name in words.query_key_value)
    if len(names) == 1:
        for kind in ("weight", "bias")[: 1 + config.qkv_bias]:
            interleaved = (config.num_heads, 3)
            yield Joined(f"{ours}query_key_value.{kind}", (f"{names[0]}.{kind}",), interleaved=interleaved)
    else:
        yield from _linear(f"{ours}query_key_value", names, (queries, keys, keys), config.qkv_bias)
    yield from _linear(f"{ours}output", (f"{theirs}{words.output}",), (), config.output_bias)
    if config.qk_norm is not None:
        for name, word in (("query_norm", words.query_norm), ("key_norm", words.key_norm)):
            for kind in ("weight", "bias")[: 1 + (config.qk_norm == "layer")]:
                yield Joined(f"{ours}{name}.{kind}", (f"{theirs}{word}.{kind}",))


def _feed_forward(config: Decoder.Config, words: TextNames, ours: str, theirs: str) -> Iterator[Joined]:
    inner, experts = config.feed_forward_width, config.experts
    if experts.num_experts:
        yield Joined(f"{ours}router.weight", (f"{theirs}{words.router}",))
        yield Joined(f"{ours}experts.gate_up", (f"{theirs}{words.experts[0]}",))
        yield Joined(f"{ours}experts.down", (f"{theirs}{words.experts[1]}",))
        if not experts.num_shared:
            return
        inner, ours = experts.num_shared * experts.width, f"{ours}shared."
    gate, up, down = (f"{theirs}{word}" for word in (words.gate, words.up, words.down))
    if config.gated:
        yield from _linear(f"{ours}gate_up", (gate, up), (inner, inner), config.feed_forward_bias)
    else:
        yield from _linear(f"{ours}up", (up,), (), config.feed_forward_bias)
    yield from _linear(f"{ours}down", (down,), (), config.feed_forward_bias)


def _linear(ours: str, theirs: tuple[str, ...], sizes: tuple[int, ...], bias: bool) -> Iterator[Joined]:
    for kind in ("weight", "bias")[: 1 + bias]:
        yield Joined(f"{ours}.{kind}", tuple(f"{name}.{kind}" for name in theirs), sizes)


def _norm(config: Decoder.Config, ours: str, theirs: str) -> Iterator[Joined]:
    yield from _linear(ours, (theirs,), (), bias=config.norm == "layer" and config.norm_bias)
