"""Language models in checkpoint folders, as Hugging Face lays them out: read into a `Decoder`, and written from one."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from mmbench.config.errors import UserError
from mmbench.config.hub import checkpoint_folder
from mmbench.nn.checkpoint_files import CONFIG, PATTERNS, read_config_file, read_tensors, write_checkpoint
from mmbench.nn.decoder import Decoder
from mmbench.nn.layouts import aria_text, llama, persimmon
from mmbench.nn.tensor_names import Joined, to_ours, to_theirs


@dataclass(frozen=True)
class Layout:
    """How one kind of language model lies in its files."""

    names: Callable[[Decoder.Config], Iterable[Joined]]
    read_config: Callable[[Mapping[str, Any]], Decoder.Config]
    write_config: Callable[[Decoder.Config], dict[str, Any]]


_LLAMA = Layout(llama.names, llama.read_config, llama.write_config)
LAYOUTS = {
    "llama": _LLAMA,
    "qwen2": _LLAMA,
    "mistral": _LLAMA,
    "aria_text": Layout(aria_text.names, aria_text.read_config, aria_text.write_config),
    "persimmon": Layout(persimmon.names, persimmon.read_config, persimmon.write_config),
}
"""The language models that can be read, by the ``model_type`` of their ``config.json``."""


def load_language_model(
    folder_or_hub_name: str | Path, offline: bool = False, dtype: torch.dtype = torch.float32
) -> Decoder:
    """The decoder in a folder with ``config.json`` and ``model.safetensors`` (one file, or shards with an index).

    A name that is no folder is looked up on the Hugging Face hub, or in its local cache.

    Args:
        folder_or_hub_name: for instance ``/data/SmolLM2-135M`` or ``HuggingFaceTB/SmolLM2-135M``.
        offline: never use the network; so does the environment variable ``HF_HUB_OFFLINE``.
        dtype: of the parameters.

    Raises:
        UserError: the folder cannot be had, is incomplete, or holds a model of another kind.
    """
    folder = checkpoint_folder(str(folder_or_hub_name), PATTERNS, "language_model.weights", offline)
    config, layout = _read_config(folder)
    with torch.device("meta"):  # no memory and no random numbers for weights that are replaced at once
        decoder = Decoder(config)
    try:
        tensors = read_tensors(folder)
        state = {name: tensor.to(dtype) for name, tensor in to_ours(tensors, layout.names(config)).items()}
        # Old files carry the rotary tables; files of tied models may carry the embedding once more, as the head.
        rest = [name for name in tensors if not name.endswith("rotary_emb.inv_freq") and name != "lm_head.weight"]
        if rest:
            raise KeyError(f"{len(rest)} tensors are left over, first {rest[0]}")
        decoder.load_state_dict(state, assign=True)
    except (KeyError, RuntimeError) as error:
        detail = " ".join(str(error).split())[:300]
        raise UserError(
            f"the weights in '{folder}' do not fit its {CONFIG}: {detail}; fetch the folder anew"
        ) from error
    return decoder.requires_grad_(True)


def save_language_model(decoder: Decoder, folder: str | Path) -> None:
    """Write ``config.json`` and ``model.safetensors``, which `load_language_model` and transformers read.

    The type is the one that fits: Llama, Qwen2 (biases of queries, keys and values), Mistral (a sliding window), the
    text model of Aria (experts) or Persimmon (LayerNorms). Sections of M-RoPE are kept beside, and matter to images
    alone: a text model of transformers does not know them, and reads text the same.

    Raises:
        UserError: no type has all that the decoder has.
    """
    config = decoder.config
    if config.experts.num_experts:
        config = replace(config, feed_forward_width=config.experts.width)  # else it means nothing
    layout = LAYOUTS["aria_text" if config.experts.num_experts else "persimmon" if config.norm == "layer" else "llama"]
    content = layout.write_config(config)
    kept = layout.read_config(content)
    lost = [name for name in (f.name for f in fields(config)) if getattr(kept, name) != getattr(config, name)]
    if lost:
        raise UserError(
            f"a checkpoint of the type {content['model_type']!r} does not hold {lost[0]} "
            f"{getattr(config, lost[0])!r} of this decoder: save its state_dict instead"
        )
    content["torch_dtype"] = str(decoder.embedding.weight.dtype).removeprefix("torch.")
    write_checkpoint(Path(folder), content, to_theirs(decoder.state_dict(), layout.names(config)))


def _read_config(folder: Path) -> tuple[Decoder.Config, Layout]:
    content = read_config_file(folder)
    kind = content.get("model_type")
    if kind not in LAYOUTS:
        raise UserError(
            f"'{folder / CONFIG}' has model_type {kind!r}, but only {', '.join(LAYOUTS)} is supported: "
            "choose another checkpoint"
        )
    if content.get("quantization_config"):
        raise UserError(f"'{folder}' holds quantised weights: choose the checkpoint from which they were made")
    try:
        return LAYOUTS[kind].read_config(content), LAYOUTS[kind]
    except UserError as error:
        raise UserError(f"in '{folder}' {error}") from error
