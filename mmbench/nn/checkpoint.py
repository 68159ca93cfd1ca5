"""Checkpoint folders of the Llama type, as Hugging Face lays them out: read into a `Decoder`, and written from one."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from mmbench.config.errors import UserError
from mmbench.nn.decoder import Decoder

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"


def load_llama(folder_or_hub_name: str | Path, dtype: torch.dtype = torch.float32) -> Decoder:
    """The decoder in a folder with ``config.json`` and ``model.safetensors`` (one file, or shards with an index).

    A name that is no folder is looked up on the Hugging Face hub, or in its local cache.

    Args:
        folder_or_hub_name: for instance ``/data/SmolLM2-135M`` or ``HuggingFaceTB/SmolLM2-135M``.
        dtype: of the parameters.

    Raises:
        UserError: the folder cannot be had, is incomplete, or holds a model that is not of the Llama type.
    """
    folder = _folder(str(folder_or_hub_name))
    config = read_llama_config(folder)
    with torch.device("meta"):  # no memory and no random numbers for weights that are replaced at once
        decoder = Decoder(config)
    try:
        state = {name: tensor.to(dtype) for name, tensor in _from_llama_names(_read_tensors(folder), config).items()}
        decoder.load_state_dict(state, assign=True)
    except (KeyError, RuntimeError) as error:
        detail = " ".join(str(error).split())[:300]
        raise UserError(
            f"the weights in '{folder}' do not fit its {CONFIG}: {detail}; fetch the folder anew"
        ) from error
    return decoder.requires_grad_(True)


def save_llama(decoder: Decoder, folder: str | Path) -> None:
    """Write ``config.json`` and ``model.safetensors``, which `load_llama` and ``LlamaForCausalLM`` read."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = decoder.config
    written = {ours: value for ours, value in asdict(config).items() if ours in _FIELDS}
    content: dict[str, Any] = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu"}
    content |= {_FIELDS[ours]: value for ours, value in written.items()}
    content |= {"attention_bias": False, "mlp_bias": False, "rope_scaling": None, "torch_dtype": "float32"}
    (folder / CONFIG).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    save_file(_to_llama_names(decoder.state_dict(), config), folder / WEIGHTS, metadata={"format": "pt"})


def read_llama_config(folder: Path) -> Decoder.Config:
    """The sizes in a folder's ``config.json``.

    Raises:
        UserError: it is missing or malformed, or asks for something that this decoder does not do.
    """
    path = folder / CONFIG
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"'{folder}' has no {CONFIG}: give the folder of a Llama-type checkpoint") from None
    except ValueError as error:
        raise UserError(f"'{path}' is no JSON ({error}): fetch the folder anew") from error
    rope = content.get("rope_parameters") or {}
    scaling = content.get("rope_scaling") or rope
    allowed: dict[str, tuple[Any, Any]] = {  # what is asked for, and the only thing there is
        "model_type": (content.get("model_type"), "llama"),
        "hidden_act": (content.get("hidden_act", "silu"), "silu"),
        "attention_bias": (content.get("attention_bias", False), False),
        "mlp_bias": (content.get("mlp_bias", False), False),
        "rope_scaling": (scaling.get("rope_type", scaling.get("type", "default")), "default"),
    }
    for key, (given, only) in allowed.items():
        if given != only:
            raise UserError(
                f"'{path}' has {key} {given!r}, but only {only!r} is supported: choose another Llama-type checkpoint"
            )
    # Keys that configurations of older versions leave out, with the values those versions meant.
    defaults = {
        "num_key_value_heads": content.get("num_attention_heads"),
        "rope_theta": rope.get("rope_theta", 10000.0),
        "rms_norm_eps": 1e-6,
        "tie_word_embeddings": False,
        "head_dim": None,
    }
    stated = {**defaults, **{key: value for key, value in content.items() if value is not None}}
    values: dict[str, Any] = {ours: stated.get(theirs) for ours, theirs in _FIELDS.items()}
    absent = [_FIELDS[ours] for ours, value in values.items() if value is None and ours != "head_dim"]
    if absent:
        raise UserError(f"'{path}' lacks {', '.join(absent)}: give the folder of a Llama-type checkpoint")
    return Decoder.Config(**values)


_FIELDS = {
    "vocab_size": "vocab_size",
    "width": "hidden_size",
    "depth": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "num_kv_heads": "num_key_value_heads",
    "feed_forward_width": "intermediate_size",
    "rope_theta": "rope_theta",
    "norm_eps": "rms_norm_eps",
    "tie_embeddings": "tie_word_embeddings",
    "head_dim": "head_dim",
}
"""Fields of ``Decoder.Config`` and what ``config.json`` calls them."""


def _names(config: Decoder.Config) -> Iterator[tuple[str, list[str], list[int]]]:
    """Each of our tensors, those of the checkpoint that it joins along dimension 0, and their sizes ([-1]: all)."""
    head_dim = config.head_dim or 0
    query, key_value, inner = config.num_heads * head_dim, config.num_kv_heads * head_dim, config.feed_forward_width
    yield "embedding.weight", ["model.embed_tokens.weight"], [-1]
    for i in range(config.depth):
        ours, theirs = f"blocks.{i}", f"model.layers.{i}"
        yield f"{ours}.attention_norm.weight", [f"{theirs}.input_layernorm.weight"], [-1]
        yield (
            f"{ours}.attention.query_key_value.weight",
            [f"{theirs}.self_attn.{part}_proj.weight" for part in "qkv"],
            [query, key_value, key_value],
        )
        yield f"{ours}.attention.output.weight", [f"{theirs}.self_attn.o_proj.weight"], [-1]
        yield f"{ours}.feed_forward_norm.weight", [f"{theirs}.post_attention_layernorm.weight"], [-1]
        gate_up = [f"{theirs}.mlp.gate_proj.weight", f"{theirs}.mlp.up_proj.weight"]
        yield f"{ours}.feed_forward.gate_up.weight", gate_up, [inner, inner]
        yield f"{ours}.feed_forward.down.weight", [f"{theirs}.mlp.down_proj.weight"], [-1]
    yield "norm.weight", ["model.norm.weight"], [-1]
    if not config.tie_embeddings:
        yield "head.weight", ["lm_head.weight"], [-1]


def _from_llama_names(tensors: dict[str, Tensor], config: Decoder.Config) -> dict[str, Tensor]:
    state = {ours: torch.cat([tensors.pop(name) for name in theirs]) for ours, theirs, _ in _names(config)}
    # Old files carry the rotary tables; files of tied models may carry the embedding once more, as the head.
    rest = [name for name in tensors if not name.endswith("rotary_emb.inv_freq") and name != "lm_head.weight"]
    if rest:
        raise KeyError(f"{len(rest)} tensors are left over, first {rest[0]}")
    return state


def _to_llama_names(state: dict[str, Tensor], config: Decoder.Config) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for ours, theirs, sizes in _names(config):
        parts = [state[ours]] if sizes == [-1] else torch.split(state[ours], sizes)
        tensors |= {name: part.detach().cpu().contiguous() for name, part in zip(theirs, parts, strict=True)}
    return tensors


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    files = [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        files = [folder / name for name in sorted(set(index["weight_map"].values()))]
    tensors: dict[str, Tensor] = {}
    for file in files:
        if not file.is_file():
            raise UserError(f"'{folder}' has no {file.name}: the weights must be {WEIGHTS} or shards with {INDEX}")
        try:
            with safe_open(file, framework="pt") as opened:
                tensors |= {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no mapping)
        except Exception as error:
            # safetensors raises a class of its own, which it does not export under a stable name.
            raise UserError(f"'{file}' cannot be read ({error}): fetch the file anew") from error
    return tensors


def _folder(name: str) -> Path:
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    how = "give the folder of a Llama-type checkpoint (config.json and model.safetensors)"
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise UserError(f"language_model.weights is '{name}', but there is no such folder: {how}")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors"]))
    except Exception as error:
        # Network, permission and naming problems have a class each; the remedy is the same.
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise UserError(f"'{name}' is no folder, and could not be had from the hub ({reason}): {how}") from error
