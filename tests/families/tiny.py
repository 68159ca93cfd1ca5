"""Tiny parts, and what tests of families do to them."""

from collections.abc import Callable
from dataclasses import replace

import torch

from mmbench.config.model import EncoderSettings
from mmbench.config.settings import Settings
from mmbench.data.batch import Batch
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.family import Family, SharedParts
from mmbench.nn.decoder import Decoder
from mmbench.nn.encoders import build_encoder

IMAGE_SIZE = 32
ENCODER = EncoderSettings(
    options={
        "patch_size": 8,
        "embed_dim": 24,
        "depth": 2,
        "num_heads": 2,
        "class_token": False,
        "global_pool": "avg",
    },
    weights="random",
)
Build = Callable[..., Family]


def shared_parts(settings: Settings, datamodule: MultimodalDataModule) -> SharedParts:
    """Parts with weights large enough for what they read to matter; the same at every call."""
    torch.manual_seed(0)
    encoder = build_encoder(settings.encoder, settings.image_size)
    tokenizer = datamodule.tokenizer
    config = Decoder.Config(tokenizer.vocab_size, width=32, depth=2, num_heads=4, num_kv_heads=2, feed_forward_width=64)
    decoder = Decoder(config)
    with torch.no_grad():
        for parameter in decoder.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    return SharedParts(encoder, decoder, tokenizer.bos_id, tokenizer.eos_id)


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
