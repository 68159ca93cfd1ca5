"""Ours and Hugging Face's models of the same shape, with random weights, behind one interface that can be timed."""

import contextlib
import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmbench.config.model import EncoderSettings, SystemSettings
from mmbench.data.batch import IGNORED, Batch, Role, Totals
from mmbench.families.family import SharedParts
from mmbench.families.registry import build_family
from mmbench.families.seeing_decoder import SeeingDecoder
from mmbench.nn.attention import set_attention_kernel
from mmbench.nn.decoder import Decoder
from mmbench.nn.encoders import build_encoder

BOS, EOS, FIRST_WORD = 1, 2, 10
"""Ids: those below the first word are special, and no text holds them."""


@dataclass(frozen=True)
class Shape:
    """What is equal on both sides."""

    image_size: int
    """Side of an image in pixels."""
    patch_size: int
    """Side of a patch."""
    encoder_width: int
    encoder_depth: int
    encoder_heads: int
    width: int
    """Of the decoder."""
    depth: int
    heads: int
    kv_heads: int
    feed_forward_width: int
    vocab_size: int
    cross_every: int
    """A layer of cross-attention stands before every so many blocks."""
    text_tokens: int
    """Tokens of a training text, after <bos> and the image."""
    prompt_tokens: int
    """How many of them are not supervised; also what generation continues."""
    train_batch: int
    """Images of a training step, one text each."""

    @property
    def image_tokens(self) -> int:
        """Patches of an image."""
        return (self.image_size // self.patch_size) ** 2

    @property
    def cross_blocks(self) -> list[int]:
        """The blocks with a layer of cross-attention before them: not the first, for mllama counts tokens there."""
        return list(range(self.cross_every - 1, self.depth, self.cross_every))


SHAPES = {
    "T": Shape(64, 8, 128, 4, 4, 192, 4, 6, 2, 512, 2048, 2, 32, 8, 64),
    "S": Shape(224, 16, 384, 12, 6, 576, 30, 9, 3, 1536, 49152, 5, 64, 16, 4),
}
"""T: minutes on two cores. S: an encoder like ViT-S/16 and a decoder like SmolLM2-135M."""


@dataclass(frozen=True)
class Way:
    """A setting in which a model can run."""

    attention: str
    """``sdpa``, or matmul, softmax, matmul: ``plain`` here, ``eager`` there."""
    precision: str
    """``fp32``; ``autocast``: bfloat16 where PyTorch's autocast has it; ``bf16``: the weights are bfloat16, too."""

    def __str__(self) -> str:
        return f"{self.attention} {self.precision}"


@dataclass
class Texts:
    """What both sides read: images and one text for each."""

    images: Tensor
    """uint8 ``[B, 3, S, S]``."""
    words: Tensor
    """int64 ``[B, T]``."""

    @classmethod
    def of(cls, shape: Shape, batch: int, num_tokens: int, device: torch.device) -> "Texts":
        """Random ones, the same at every call."""
        generator = torch.Generator().manual_seed(batch)
        side = shape.image_size
        images = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8, generator=generator)
        words = torch.randint(FIRST_WORD, shape.vocab_size, (batch, num_tokens), generator=generator)
        return cls(images.to(device), words.to(device))


class Model(ABC):
    """One side of a comparison."""

    kernels: tuple[str, str]
    """Names of its two ways to attend."""

    def __init__(self, module: nn.Module, shape: Shape, device: torch.device) -> None:
        self.module = module.to(device)
        self.shape, self.device = shape, device
        self.optimizer = torch.optim.AdamW(self.module.parameters(), lr=1e-5, fused=True)
        self._bf16: nn.Module | None = None

    def ways(self, training: bool) -> list[Way]:
        """All that are tried."""
        precisions = ["fp32", "autocast"] if training else ["fp32", "autocast", "bf16"]
        return [Way(attention, precision) for attention in self.kernels for precision in precisions]

    def step(self, way: Way) -> float:
        """One training step; the loss."""
        self.module.train()
        self._switch(self.module, way.attention)
        with self._autocast(way):
            loss = self._loss(self.module)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def bytes_for_backward(self, way: Way) -> int:
        """What one forward pass keeps for the backward pass, without the parameters."""
        self.module.train()
        self._switch(self.module, way.attention)
        own = {parameter.untyped_storage().data_ptr() for parameter in self.module.parameters()}
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), self._autocast(way):
            loss = self._loss(self.module)
        del loss
        return sum(kept.values())

    def generation(self, way: Way, batch: int, num_tokens: int) -> Callable[[], list[list[int]]]:
        """What generates greedily exactly ``num_tokens`` for each image; encoding the images is part of it."""
        texts = Texts.of(self.shape, batch, self.shape.prompt_tokens, self.device)
        module = self._of(way)

        def generate() -> list[list[int]]:
            module.eval()
            self._switch(module, way.attention)
            with torch.inference_mode(), self._autocast(way):
                return self._generate(module, texts, num_tokens)

        return generate

    @abstractmethod
    def _switch(self, module: nn.Module, attention: str) -> None: ...

    @abstractmethod
    def _loss(self, module: Any) -> Tensor: ...

    @abstractmethod
    def _generate(self, module: Any, texts: Texts, num_tokens: int) -> list[list[int]]: ...

    def _of(self, way: Way) -> nn.Module:
        if way.precision != "bf16":
            return self.module
        if self._bf16 is None:
            self._bf16 = copy.deepcopy(self.module).to(torch.bfloat16).requires_grad_(False)
        return self._bf16

    @contextlib.contextmanager
    def _autocast(self, way: Way) -> Iterator[None]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=way.precision == "autocast"):
            yield


class Ours(Model):
    """A family with a decoder."""

    kernels = ("sdpa", "plain")

    def __init__(self, name: str, shape: Shape, device: torch.device) -> None:
        super().__init__(_family(name, shape), shape, device)
        texts = Texts.of(shape, shape.train_batch, shape.text_tokens, device)
        supervised = torch.arange(shape.text_tokens, device=device).expand_as(texts.words) >= shape.prompt_tokens
        labels = texts.words.masked_fill(~supervised, IGNORED).roll(-1, dims=1)
        num_rows = shape.train_batch
        tokens = int(supervised.sum())
        self.batch = Batch(
            images=texts.images,
            sizes=torch.full((num_rows, 2), shape.image_size, device=device),
            token_ids=texts.words,
            segments=torch.ones_like(texts.words),
            positions=torch.arange(shape.text_tokens, device=device).expand_as(texts.words).contiguous(),
            roles=torch.full_like(texts.words, Role.CAPTION),
            labels=labels,
            classes=torch.full_like(labels, IGNORED),
            sample_ids=[str(row) for row in range(num_rows)],
            totals=Totals(caption_tokens=tokens, samples=num_rows, rows=num_rows, tokens=texts.words.numel()),
        )

    def _switch(self, module: nn.Module, attention: str) -> None:
        set_attention_kernel(attention)  # type: ignore[arg-type]

    def _loss(self, module: SeeingDecoder) -> Tensor:
        return module.total(module.loss(self.batch), self.batch.totals)

    def _generate(self, module: SeeingDecoder, texts: Texts, num_tokens: int) -> list[list[int]]:
        module.eos_id = -1  # No token ends a text.
        return module.generate(module.see(texts.images), texts.words.tolist(), num_tokens)

    @contextlib.contextmanager
    def _autocast(self, way: Way) -> Iterator[None]:
        # Images come as bytes and are made floats inside, so that bfloat16 weights need autocast, too.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=way.precision != "fp32"):
            yield


class Llava(Model):
    """Hugging Face's ``llava``; its encoder is SigLIP's, which has no class token."""

    kernels = ("sdpa", "eager")

    def __init__(self, shape: Shape, device: torch.device) -> None:
        from transformers import LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, SiglipVisionConfig

        config = LlavaConfig(
            vision_config=SiglipVisionConfig(
                **_vision(shape), num_attention_heads=shape.encoder_heads, hidden_act="gelu", vision_use_head=False
            ),
            text_config=LlamaConfig(**_text(shape), tie_word_embeddings=True),
            image_token_index=shape.vocab_size - 1,
            image_seq_length=shape.image_tokens,
            vision_feature_layer=-1,
            vision_feature_select_strategy="full",
        )
        super().__init__(_endless(LlavaForConditionalGeneration(config)), shape, device)
        self.inputs = self._inputs(Texts.of(shape, shape.train_batch, shape.text_tokens, device))
        self.inputs["labels"] = _labels(self.inputs["input_ids"], 1 + shape.image_tokens + shape.prompt_tokens)

    def _switch(self, module: Any, attention: str) -> None:
        _attend_by(module, attention)

    def _loss(self, module: Any) -> Tensor:
        return module(**self.inputs).loss

    def _generate(self, module: Any, texts: Texts, num_tokens: int) -> list[list[int]]:
        return _continued(module, self._inputs(texts), num_tokens)

    def _inputs(self, texts: Texts) -> dict[str, Tensor]:
        """As the processor gives them: <bos>, a placeholder for each image token, the text."""
        before = texts.words.new_full((len(texts.words), 1 + self.shape.image_tokens), self.shape.vocab_size - 1)
        before[:, 0] = BOS
        ids = torch.cat([before, texts.words], dim=1)
        return {"pixel_values": _pixels(texts), "input_ids": ids, "attention_mask": torch.ones_like(ids)}


class Mllama(Model):
    """Hugging Face's ``mllama`` with images of one tile and no global layers in its encoder.

    Its encoder has a class token, which stays among the image tokens, and pads the patches to a multiple of 8; at least
    one layer's output is joined to the last one's; embedding and vocabulary projection are two matrices.
    """

    kernels = ("sdpa", "eager")

    def __init__(self, shape: Shape, device: torch.device) -> None:
        from transformers import MllamaConfig, MllamaForConditionalGeneration
        from transformers.models.mllama.configuration_mllama import MllamaTextConfig, MllamaVisionConfig

        # Their layers of cross-attention count among the decoder's: each stands before the block that follows it.
        crossing = [block + number for number, block in enumerate(shape.cross_blocks)]
        text = {**_text(shape), "num_hidden_layers": shape.depth + len(crossing)}
        config = MllamaConfig(
            vision_config=MllamaVisionConfig(
                **_vision(shape),
                attention_heads=shape.encoder_heads,
                num_global_layers=0,
                vision_output_dim=2 * shape.encoder_width,
                intermediate_layers_indices=[_joined_layer(shape) - 1],
                supported_aspect_ratios=[[1, 1]],
                max_num_tiles=1,
            ),
            text_config=MllamaTextConfig(
                **text, cross_attention_layers=crossing, tie_word_embeddings=False, pad_token_id=0
            ),
            image_token_index=shape.vocab_size,
        )
        super().__init__(_endless(MllamaForConditionalGeneration(config)), shape, device)
        self.inputs = self._inputs(Texts.of(shape, shape.train_batch, shape.text_tokens, device))
        self.inputs["labels"] = _labels(self.inputs["input_ids"], 1 + shape.prompt_tokens)

    def _switch(self, module: Any, attention: str) -> None:
        _attend_by(module, attention)

    def _loss(self, module: Any) -> Tensor:
        return module(**self.inputs).loss

    def _generate(self, module: Any, texts: Texts, num_tokens: int) -> list[list[int]]:
        return _continued(module, self._inputs(texts), num_tokens)

    def _inputs(self, texts: Texts) -> dict[str, Tensor]:
        """As the processor gives them: <bos>, which sees no image, and the text, which sees it all."""
        ids = torch.cat([texts.words.new_full((len(texts.words), 1), BOS), texts.words], dim=1)
        sees = torch.ones(*ids.shape, 1, 1, dtype=torch.int64, device=ids.device)
        sees[:, 0] = 0
        one = ids.new_ones(len(ids), 1)
        return {
            "pixel_values": _pixels(texts)[:, None, None],
            "aspect_ratio_ids": one,
            "aspect_ratio_mask": one[..., None],
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "cross_attention_mask": sees,
        }


PAIRS: dict[str, tuple[Callable[[Shape, torch.device], Model], Callable[[Shape, torch.device], Model]]] = {
    "unified / llava": (lambda shape, device: Ours("unified", shape, device), Llava),
    "crossattn / mllama": (lambda shape, device: Ours("crossattn", shape, device), Mllama),
}
"""Name -> ours and theirs."""


def _family(name: str, shape: Shape) -> SeeingDecoder:
    """Of the options that make it what the other side is."""
    crossing = name == "crossattn"
    encoder = {
        "patch_size": shape.patch_size,
        "embed_dim": shape.encoder_width,
        "depth": shape.encoder_depth,
        "num_heads": shape.encoder_heads,
        "class_token": False,
        "global_pool": "avg",
    }
    decoder = Decoder.Config(
        vocab_size=shape.vocab_size,
        width=shape.width,
        depth=shape.depth,
        num_heads=shape.heads,
        num_kv_heads=shape.kv_heads,
        feed_forward_width=shape.feed_forward_width,
        tie_embeddings=not crossing,
        extra_embeddings=8 if crossing else 0,
    )
    settings = EncoderSettings("timm", "vit_tiny_patch16_224", encoder, weights="random")
    shared = SharedParts(build_encoder(settings, shape.image_size), Decoder(decoder), BOS, EOS, 0, shape.image_size)
    options: dict[str, Any] = {"connector": "mlp", "connector_width": shape.width}
    if crossing:
        joined = {"layers": [_joined_layer(shape)], "with_last": True, "connector": "linear"}
        options = {"every": shape.cross_every, "first": shape.cross_blocks[0], "gated": "mllama", **joined}
    family = build_family(SystemSettings(family=name, options=options), shared, {})
    assert isinstance(family, SeeingDecoder)
    return family


def _joined_layer(shape: Shape) -> int:
    """Whose output mllama's encoder joins to the last one's."""
    return shape.encoder_depth // 2


def _vision(shape: Shape) -> dict[str, int]:
    return {
        "hidden_size": shape.encoder_width,
        "intermediate_size": 4 * shape.encoder_width,
        "num_hidden_layers": shape.encoder_depth,
        "image_size": shape.image_size,
        "patch_size": shape.patch_size,
    }


def _text(shape: Shape) -> dict[str, int]:
    return {
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.width,
        "intermediate_size": shape.feed_forward_width,
        "num_hidden_layers": shape.depth,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
    }


def _attend_by(module: Any, attention: str) -> None:
    if module.config._attn_implementation != attention:
        module.set_attn_implementation(attention)


def _endless(model: Any) -> Any:
    """The model, whose texts no token ends."""
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return model


def _continued(module: Any, inputs: dict[str, Tensor], num_tokens: int) -> list[list[int]]:
    pixels = inputs.pop("pixel_values").to(module.dtype)
    ids = module.generate(pixel_values=pixels, **inputs, max_new_tokens=num_tokens, do_sample=False)
    new: list[list[int]] = ids[:, inputs["input_ids"].shape[1] :].tolist()
    return new


def _pixels(texts: Texts) -> Tensor:
    return (texts.images.float() / 255 - 0.5) / 0.5


def _labels(ids: Tensor, num_unsupervised: int) -> Tensor:
    """Theirs stand where the token itself stands: the model shifts them."""
    labels = ids.clone()
    labels[:, :num_unsupervised] = IGNORED
    return labels
