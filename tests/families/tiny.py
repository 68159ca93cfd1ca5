"""Tiny parts, and what tests of families do to them."""

from collections.abc import Callable
from dataclasses import replace

import torch

from mmbench.config.load import load_settings
from mmbench.config.model import EncoderSettings, LanguageModelSettings, SystemSettings
from mmbench.config.settings import Settings
from mmbench.config.system import objective_weights, own_settings
from mmbench.data.batch import Batch
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.prompts import CAPTION_PROMPT
from mmbench.families.family import Family, SharedParts
from mmbench.families.registry import build_family
from mmbench.nn.decoder import Decoder
from mmbench.nn.encoders import build_encoder

IMAGE_SIZE = 48
ENCODER = EncoderSettings(
    options={
        "patch_size": 12,
        "embed_dim": 24,
        "depth": 4,
        "num_heads": 2,
        "class_token": False,
        "global_pool": "avg",
    },
    weights="random",
)
LANGUAGE_MODEL = LanguageModelSettings(
    weights="random", width=64, depth=4, num_heads=2, num_kv_heads=1, feed_forward_width=64
)
QUESTIONS = ("what colour is the circle?", "how many?", "is there a large red square left of the small blue triangle?")
"""Questions of three lengths."""
Build = Callable[..., Family]


def shared_parts(settings: Settings, datamodule: MultimodalDataModule) -> SharedParts:
    """Parts with weights large enough for what they read to matter; the same at every call."""
    torch.manual_seed(0)
    encoder = build_encoder(settings.encoder, settings.image_size)
    tokenizer = datamodule.tokenizer
    decoder = Decoder(Decoder.Config.from_settings(settings.language_model, tokenizer.vocab_size))
    with torch.no_grad():
        for parameter in decoder.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    return SharedParts(
        encoder,
        decoder,
        tokenizer.bos_id,
        tokenizer.eos_id,
        tokenizer.pad_id,
        settings.image_size,
        datamodule.answers,
        tokenizer.encode(CAPTION_PROMPT),
    )


def built(
    system: SystemSettings, settings: Settings, datamodule: MultimodalDataModule, open_gates: bool = False
) -> Family:
    """A system on its own copy of always the same parts."""
    shared = shared_parts(own_settings(settings, system), datamodule)
    family = build_family(system, shared, {**objective_weights(settings, system), "contrastive": 0.2})
    family.training_settings = settings.training
    if open_gates:
        open_all_gates(family)
    return family


def system_of(preset: str) -> SystemSettings:
    """The settings of a preset."""
    return load_settings([preset]).systems[preset]


def open_all_gates(family: Family) -> None:
    """Gates start at 0; what lies behind them only shows once they are open."""
    with torch.no_grad():
        for name, parameter in family.named_parameters():
            if name.endswith("gate"):
                parameter.fill_(0.7)


def rows_of(batch: Batch, rows: slice) -> Batch:
    """Some rows of a batch, as one of a step's micro-batches: the totals stay those of the step."""
    tensors = {name: value[rows] for name, value in vars(batch).items() if isinstance(value, torch.Tensor)}
    return replace(batch, **tensors)
