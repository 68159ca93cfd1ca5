"""Whole checkpoints of small random models of transformers: imported, they compute what those compute, and go back."""

import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from torch.nn import functional

from mmbench.config.errors import UserError
from mmbench.data.batch import Role
from mmbench.families.dual import Dual
from mmbench.families.seeing_decoder import SeeingDecoder
from mmbench.families.trunk import PlainRows
from mmbench.interchange.exporting import export_checkpoint
from mmbench.interchange.foreign import build_foreign
from mmbench.interchange.importing import WEIGHTS, import_checkpoint, read_folder
from mmbench.nn.checkpoint_files import read_tensors

BOS, EOS, IMAGE = 1, 2, 5
TEXTS = [[30, 31, 40, 77, 21], [50], [60, 99, 100], [33, 34, 35, 36, 37, 38, 39, 90]]
"""Token ids of several lengths."""
TEXT = {
    "vocab_size": 120,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": BOS,
    "eos_token_id": EOS,
    "pad_token_id": None,
}
VISION = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
"""Sizes of a small language model and a small tower."""

Inputs = Callable[[Tensor, Sequence[int], list[int]], dict[str, Any]]
"""Pixels as the encoder gets them ``[3, H, W]``, their size, and a text, to what the model of transformers takes."""


def scrambled(model: nn.Module) -> Any:
    """The model with weights so large that every part of it matters."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                parameter.copy_(noise * (0.2 if "embed" in name else 1.2 / parameter.shape[-1] ** 0.5))
            elif parameter.numel() > 1:
                parameter.copy_(noise * 0.2 + (parameter.mean() > 0.5))
    return model.eval()


def write_tokenizer(folder: Path, eos: int = EOS, **tokens: int) -> None:
    """A ``tokenizer.json`` of words, with special tokens at the ids that are asked for."""
    special = {"<unk>": 0, "<s>": BOS, "</s>": eos, "<image>": IMAGE} | tokens
    names = {number: token for token, number in special.items()}
    vocabulary = {names.get(number, f"word{number}"): number for number in range(TEXT["vocab_size"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    tokenizer.save(str(folder / "tokenizer.json"))


@dataclass
class Both:
    """A model of transformers, and what was imported of it."""

    model: Any
    theirs: Path
    """Its folder."""
    ours: Path
    """The imported one."""
    eos: int

    def opened(self) -> Any:
        """The imported system."""
        return open_imported(self.ours, self.eos)

    @functools.cached_property
    def family(self) -> Any:
        """The imported system, opened once."""
        return self.opened()

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All that the checkpoint holds."""
        return read_tensors(self.theirs)


def both(model: nn.Module, folder: Path, eos: int = EOS, **tokens: int) -> Both:
    """Save a model, scrambled, with a tokenizer, and import it."""
    theirs, ours = folder / "theirs", folder / "ours"
    scrambled(model).save_pretrained(theirs)
    write_tokenizer(theirs, eos, **tokens)
    import_checkpoint(theirs, ours)
    return Both(model, theirs, ours, eos)


def open_imported(folder: Path, eos: int = EOS) -> Any:
    """An imported folder as the family that it holds."""
    family = build_foreign(read_folder(folder), BOS, eos)
    family.fill(load_file(folder / WEIGHTS))
    return family.eval()


def pictures(num: int, side: int) -> Tensor:
    """uint8 ``[num, 3, side, side]``."""
    return torch.randint(0, 256, (num, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def sized_pictures(sizes: Sequence[Sequence[int]], side: int) -> tuple[Tensor, Tensor]:
    """Pictures of several sizes, each in the top left corner of its canvas, and their sizes."""
    images = pictures(len(sizes), side)
    for image, (height, width) in zip(images, sizes, strict=True):
        image[:, height:] = 0
        image[:, :, width:] = 0
    return images, torch.tensor(sizes)


@torch.no_grad()
def largest_difference_of_logits(
    family: SeeingDecoder, model: Any, inputs: Inputs, images: Tensor, sizes: Tensor | None = None
) -> float:
    """Ours of a whole batch, theirs one by one, of every token of the texts."""
    texts = [TEXTS[number % len(TEXTS)] for number in range(len(images))]
    rows = PlainRows.of(texts, Role.CAPTION, Role.PAD, images.device)
    ours = family.decoder.logits(family.read(rows, family.see(images, sizes)))
    largest = 0.0
    for row, prepared, text in zip(ours, _prepared(family, inputs, images, sizes, texts), texts, strict=True):
        theirs = model(**prepared).logits[0, -len(text) :]
        assert theirs.std() > 0.3, "logits all alike could not tell a mistake"
        largest = max(largest, float((row[: len(text)] - theirs).abs().max()))
    return largest


@torch.no_grad()
def check_generation(
    family: SeeingDecoder, model: Any, inputs: Inputs, images: Tensor, sizes: Tensor | None = None, tokens: int = 20
) -> None:
    """The same tokens, greedily, of a batch and of each picture alone; no token ends a text."""
    texts = [TEXTS[number % len(TEXTS)] for number in range(len(images))]
    expected = []
    for prepared in _prepared(family, inputs, images, sizes, texts):
        found = model.generate(
            **prepared, max_new_tokens=tokens, do_sample=False, eos_token_id=None, pad_token_id=0, use_cache=True
        )
        expected.append(found[0, prepared["input_ids"].shape[1] :].tolist())
    assert all(len(one) == tokens for one in expected)
    assert len({token for one in expected for token in one}) > 5, "the texts must not be all alike"
    end, family.eos_id = family.eos_id, -1
    try:
        sight = family.see(images, sizes)
        assert family.generate(sight, texts, tokens) == expected
        for number, text in enumerate(texts):
            of_one = slice(number, number + 1)
            alone = family.see(images[of_one], None if sizes is None else sizes[of_one])
            assert family.generate(alone, [text], tokens) == [expected[number]]
    finally:
        family.eos_id = end


def check_round_trip(both: Both, same: Callable[[Any, Any], float]) -> None:
    """Exported, it is what it was, tensor by tensor; and what was changed here is changed there.

    Args:
        both: the model and what was imported.
        same: the largest difference between a family and a model of transformers.
    """
    back = both.ours.with_name("back")
    export_checkpoint(both.ours, back)
    before, after = _named_alike(both.tensors), _named_alike(read_tensors(back))
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert same(both.family, type(both.model).from_pretrained(back).eval()) < 1e-4

    tuned = both.opened()
    name = next(name for name in tuned.state_dict() if name.endswith("blocks.1.attention.output.weight"))
    with torch.no_grad():
        tuned.get_parameter(name).mul_(-1.0)
    target = both.ours.with_name("tuned")
    export_checkpoint(both.ours, target, tuned.state_dict())
    model = type(both.model).from_pretrained(target).eval()
    assert same(tuned, model) < 1e-4
    assert same(both.family, model) > 0.05
    after = _named_alike(read_tensors(target))
    assert len([name for name, tensor in before.items() if not torch.equal(tensor, after[name])]) == 1


@torch.no_grad()
def largest_difference_of_dual(
    family: Dual, model: Any, ids: Tensor, images: Tensor, texts: list[list[int]], rest: int = 0
) -> float:
    """Of the embeddings and of the logits in both directions.

    Theirs get ``ids``, framed and padded, and pictures with ``rest`` more pixels at the right and below.
    """
    pixels = functional.pad(family.encoder.normalise(images), (0, rest, 0, rest))
    found = model(input_ids=ids, pixel_values=pixels)
    image, text = family.embed_images(images), family.embed_texts(texts)
    logits = family.heads.contrastive.similarity(image, text)
    pairs = [
        (image, found.image_embeds),
        (text, found.text_embeds),
        (logits, found.logits_per_image),
        (logits.T, found.logits_per_text),
    ]
    assert found.logits_per_image.std() > 0.01
    return max(float((ours - theirs).abs().max()) for ours, theirs in pairs)


def changed_copy(both: Both, target: Path, content: dict[str, Any] | None = None, **tensors: Tensor | None) -> Path:
    """The checkpoint's folder again, with other settings, and with other tensors; None: without that one."""
    target.mkdir()
    config = json.loads((both.theirs / "config.json").read_text()) | (content or {})
    (target / "config.json").write_text(json.dumps(config))
    (target / "tokenizer.json").write_bytes((both.theirs / "tokenizer.json").read_bytes())
    whole = {name: tensor for name, tensor in {**both.tensors, **tensors}.items() if tensor is not None}
    save_file(whole, target / "model.safetensors")
    return target


def refused(source: Path) -> str:
    """The one sentence with which an import is refused; nothing is left behind."""
    target = source.with_name(f"{source.name}-imported")
    with pytest.raises(UserError) as found:
        import_checkpoint(source, target)
    assert not target.exists() and not list(source.parent.glob(f".{target.name}*"))
    return str(found.value)


def _named_alike(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Files of transformers 5 leave a part of the names out that older ones, and the published ones, have."""
    return {name.replace("vision_tower.vision_model.", "vision_tower."): tensor for name, tensor in tensors.items()}


def _prepared(
    family: SeeingDecoder, inputs: Inputs, images: Tensor, sizes: Tensor | None, texts: list[list[int]]
) -> list[dict[str, Any]]:
    pixels = family.encoder.normalise(images)
    whole = [list(images.shape[2:])] * len(images) if sizes is None else sizes.tolist()
    return [
        inputs(each[:, :height, :width], (height, width), text)
        for each, (height, width), text in zip(pixels, whole, texts, strict=True)
    ]
