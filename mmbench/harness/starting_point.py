"""The common starting point of all systems: made once, kept by content hash, loaded by every cell."""

import contextlib
import copy
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mmbench.config.budget import Budget
from mmbench.config.data import RowSettings
from mmbench.config.errors import UserError
from mmbench.config.model import LanguageModelSettings, StageSettings, SystemSettings
from mmbench.config.settings import Settings
from mmbench.config.system import objective_weights, own_settings
from mmbench.config.whole_file import whole_file
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.prompts import CAPTION_PROMPT
from mmbench.families.family import Family, SharedParts
from mmbench.families.registry import build_family
from mmbench.families.starting_point import ContrastivePretraining, TextPretraining
from mmbench.families.trainee import Trainee
from mmbench.harness.meter import Meter
from mmbench.harness.run_files import CellFiles, read_json
from mmbench.harness.training import train
from mmbench.nn.checkpoint import load_language_model
from mmbench.nn.decoder import Decoder
from mmbench.nn.decoder_file import read_decoder_config
from mmbench.nn.encoders import ImageEncoder, build_encoder

PARTS = ("encoder", "language_model")
"""What is pretrained."""

_SEED = 0
"""The starting point is one, whatever the cells' seeds are."""
_TEXT_TOWER = Decoder.Config(vocab_size=0, width=128, depth=1, num_heads=4, num_kv_heads=4, feed_forward_width=320)


def needs_pretraining(settings: Settings, datamodule: MultimodalDataModule, part: str) -> bool:
    """Whether that part is pretrained here: the settings ask for it, and the data has what it takes.

    Without captions there is nothing to tell images apart by: the encoder then starts from random weights.
    """
    if part == "encoder":
        asked = settings.encoder.weights == "contrastive" and settings.pretraining.encoder_steps > 0
        return asked and "retrieve" in datamodule.tasks
    model = settings.language_model
    return model.weights == "text" and not model.config and settings.pretraining.language_model_steps > 0


def pretraining_files(settings: Settings, datamodule: MultimodalDataModule, runs_dir: Path, part: str) -> CellFiles:
    """The folder of a pretrained part: named by a hash of everything that decides its weights."""
    recipe = asdict(settings.pretraining)
    images = {"size": settings.image_size, "layout": [settings.data.layout, settings.data.size_multiple]}
    language_model = replace(settings.language_model, mrope_sections=None)  # text is read the same with them
    decides = {
        "data": datamodule.dataset.fingerprint,
        "tokenizer": datamodule.tokenizer.hash,
        "images": images if part == "encoder" else None,
        "max_text_tokens": settings.training.rows.max_text_tokens,
        "precision": settings.trainer.precision,
        "attention": settings.trainer.attention,
        "part": asdict(settings.encoder if part == "encoder" else language_model),
        "recipe": {key: value for key, value in recipe.items() if key.startswith(part)},
        "schedule": [settings.training.warmup_share, settings.training.end_factor, settings.training.weight_decay],
    }
    digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]
    return CellFiles(runs_dir / "pretraining" / f"{part}-{digest}" / f"seed{_SEED}")


@dataclass(frozen=True)
class ToPretrain:
    """A part that is pretrained for some of a comparison's systems."""

    part: str
    """One of `PARTS`."""
    settings: Settings
    """The comparison's, with that part as these systems have it."""
    files: CellFiles
    """Where it lies."""


def pretraining_plan(settings: Settings, datamodule: MultimodalDataModule, runs_dir: Path) -> dict[str, ToPretrain]:
    """What is pretrained, by names for people: the shared parts, and those that a system has for itself."""
    own = {name: own_settings(settings, system) for name, system in settings.systems.items()}
    variants = {"": _without_unread_encoder(settings)} | own
    plan: dict[str, ToPretrain] = {}
    for name, variant in variants.items():
        for part in PARTS:
            if needs_pretraining(variant, datamodule, part):
                files = pretraining_files(variant, datamodule, runs_dir, part)
                if all(files.root != other.files.root for other in plan.values()):
                    plan[f"{part} of {name}" if name else part] = ToPretrain(part, variant, files)
    return plan


def pretrain(settings: Settings, datamodule: MultimodalDataModule, files: CellFiles, part: str) -> None:
    """Make a part, or go on making it after an interruption; nothing is done where it is there."""
    if files.read().get("status") == "done":
        return
    files.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(_SEED)
    trainee = _encoder_trainee(settings, datamodule) if part == "encoder" else _text_trainee(settings, datamodule)
    steps, rows, rate = _recipe(settings, part)
    recipe = replace(settings.training, batch_rows=rows, learning_rate=rate, contrastive_group=rows)
    mode = datamodule.with_mode("pairs" if part == "encoder" else "text", rows, seed=_SEED)
    if part == "language_model":
        texts = settings.pretraining.language_model_texts
        mode.rows = RowSettings(texts, texts, settings.training.rows.max_text_tokens)
    meter, _ = train(
        trainee,
        mode,
        files,
        budget=Budget(steps, "steps"),
        stages=[StageSettings()],
        recipe=recipe,
        trainer_settings=replace(settings.trainer, micro_batch_rows=None, devices=1, strategy="auto"),
        seed=_SEED,
    )
    _save(trainee, files, part)
    with contextlib.suppress(FileNotFoundError):
        files.weights.unlink()
    files.write(
        {
            "status": "done",
            "name": part,
            "hash": files.root.parent.name.removeprefix(f"{part}-"),
            "weights_hash": _weights_hash(files.root),
            "ledger": _ledger(trainee, meter, rows),
        }
    )


def shared_parts(settings: Settings, datamodule: MultimodalDataModule, runs_dir: Path) -> SharedParts:
    """Encoder and language model as every system with these settings gets them.

    Raises:
        UserError: weights that the settings name cannot be had or do not fit.
    """
    torch.manual_seed(_SEED)
    encoder = build_encoder(settings.encoder, settings.image_size)
    decoder = _decoder(settings, datamodule)
    for part, module in zip(PARTS, (encoder, decoder), strict=True):
        if needs_pretraining(settings, datamodule, part):
            files = pretraining_files(settings, datamodule, runs_dir, part)
            module.load_state_dict(load_file(_weights_file(files.root, part)))
    tokenizer = datamodule.tokenizer
    return SharedParts(
        encoder=encoder,
        decoder=decoder,
        bos_id=tokenizer.bos_id,
        eos_id=tokenizer.eos_id,
        pad_id=tokenizer.pad_id,
        image_size=settings.image_size,
        answers=datamodule.answers,
        caption_prompt=tokenizer.encode(CAPTION_PROMPT),
    )


def assemble(
    system: SystemSettings,
    settings: Settings,
    datamodule: MultimodalDataModule,
    runs_dir: Path,
    seed: int = 0,
    made_by: Settings | None = None,
) -> Family:
    """A system at its starting point: the shared parts, and its own parts initialised by the training seed.

    Args:
        system: what is assembled.
        settings: what it trains by.
        datamodule: its tokenizer's size is the vocabulary's.
        runs_dir: where the shared parts lie.
        seed: the training seed.
        made_by: the settings that the shared parts were made by, where a system's own values differ from them.
    """
    own = own_settings(made_by or settings, system)
    shared = shared_parts(own if system.encoder else _without_unread_encoder(own), datamodule, runs_dir)
    _check_own_sizes(system, own.language_model, shared.decoder.config)
    torch.manual_seed(seed)
    family = build_family(system, shared, objective_weights(settings, system))
    family.training_settings = settings.training
    if system.weights:
        _load_whole(family, Path(system.weights).expanduser())
    return family


def untrained(settings: Settings) -> Settings:
    """The settings with random weights in the place of those that would be pretrained here."""
    copied = copy.deepcopy(settings)
    copied.pretraining.encoder_steps = copied.pretraining.language_model_steps = 0
    return copied


def starting_point_ledger(settings: Settings, datamodule: MultimodalDataModule, runs_dir: Path) -> list[dict[str, Any]]:
    """What each pretrained part cost, and its hashes."""
    plan = pretraining_plan(settings, datamodule, runs_dir)
    return [{**read_json(one.files.cell), "name": name} for name, one in plan.items()]


def _without_unread_encoder(settings: Settings) -> Settings:
    """The settings, with a random shared encoder where every system has its own: then it is pretrained for nobody."""
    if not settings.systems or not all(system.encoder for system in settings.systems.values()):
        return settings
    return replace(settings, encoder=replace(settings.encoder, weights="random"))


def _encoder_trainee(settings: Settings, datamodule: MultimodalDataModule) -> Trainee:
    encoder: ImageEncoder = build_encoder(settings.encoder, settings.image_size)
    tower = Decoder(replace(_TEXT_TOWER, vocab_size=datamodule.tokenizer.vocab_size))
    group = settings.pretraining.encoder_rows
    return ContrastivePretraining(encoder, tower, datamodule.tokenizer.bos_id, group)


def _text_trainee(settings: Settings, datamodule: MultimodalDataModule) -> Trainee:
    return TextPretraining(_decoder(settings, datamodule), datamodule.tokenizer.bos_id)


def _decoder(settings: Settings, datamodule: MultimodalDataModule) -> Decoder:
    model, vocab_size = settings.language_model, datamodule.tokenizer.vocab_size
    if not model.config and model.weights in ("text", "random"):
        return Decoder(Decoder.Config.from_settings(model, vocab_size))
    if model.config:
        decoder = Decoder(read_decoder_config(Path(model.config).expanduser()))
    else:
        decoder = load_language_model(model.weights)
    _check_vocabulary(decoder.config, vocab_size, model.config or model.weights)
    if model.experts.num_experts and model.experts != decoder.config.experts:
        raise _other_than_checkpoint("experts", model.experts, decoder.config.experts, model)
    decoder.config = decoder.config.with_mrope(model.mrope_sections)
    return decoder


def _check_own_sizes(system: SystemSettings, model: LanguageModelSettings, config: Decoder.Config) -> None:
    """Refuse sizes that a system gives and the checkpoint that it starts from does not have.

    Raises:
        UserError: for the first of them.
    """
    sizes = [key for key in system.language_model if key not in ("weights", "config", "experts", "mrope_sections")]
    for key in sizes:
        if getattr(model, key) != getattr(config, key):
            raise _other_than_checkpoint(key, getattr(model, key), getattr(config, key), model)


def _other_than_checkpoint(key: str, wanted: Any, found: Any, model: LanguageModelSettings) -> UserError:
    return UserError(
        f"language_model.{key} is {wanted}, but the checkpoint '{model.config or model.weights}' has {found}: leave it "
        "out, or give the system a language model of its own, `language_model: {weights: text}` (pretrained here on "
        "the training text) or `{weights: random}`, with all its sizes"
    )


def _check_vocabulary(config: Decoder.Config, vocab_size: int, name: str) -> None:
    """Refuse a tokenizer of more words than the language model knows; one of fewer leaves entries unused, as usual.

    Raises:
        UserError: it has more.
    """
    known = config.vocab_size + config.extra_embeddings
    if vocab_size > known:
        raise UserError(
            f"the tokenizer has {vocab_size} entries, but the language model '{name}' knows {known}: set "
            "tokenizer.path to the folder that its weights came with"
        )


def _recipe(settings: Settings, part: str) -> tuple[int, int, float]:
    recipe = settings.pretraining
    if part == "encoder":
        return recipe.encoder_steps, recipe.encoder_rows, recipe.encoder_learning_rate
    return recipe.language_model_steps, recipe.language_model_rows, recipe.language_model_learning_rate


def _save(trainee: Trainee, files: CellFiles, part: str) -> None:
    """The weights alone."""
    with whole_file(_weights_file(files.root, part)) as target:
        save_file(trainee.parts()[part].state_dict(), target)


def _weights_file(root: Path, part: str) -> Path:
    return root / f"{part}.safetensors"


def _load_whole(family: Family, path: Path) -> None:
    """Fill all parts of a system from a file.

    Raises:
        UserError: there is no such file, it cannot be read, or it is of a system of other parts or sizes.
    """
    if not path.is_file():
        raise UserError(f"a system's 'weights' are '{path}', but there is no such file: give what mmbench import wrote")
    try:
        family.fill(load_file(path))
    except (RuntimeError, SafetensorError) as error:
        detail = " ".join(str(error).split())[:300]
        raise UserError(
            f"'{path}' does not fit the system ({detail}): give the options, encoder and language_model that stand "
            "beside the file, or import the checkpoint again"
        ) from error


def _weights_hash(root: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _ledger(trainee: Trainee, meter: Meter, rows: int) -> dict[str, Any]:
    return {
        "parameters_total": sum(p.numel() for p in trainee.parameters()),
        "steps": meter.steps,
        "rows_per_step": rows,
        "samples": meter.samples,
        "tokens": meter.tokens,
        "flops": meter.flops,
        "device_s": round(meter.device_s, 2),
        "waiting_s": round(meter.waiting_s, 2),
        "peak_memory_bytes": meter.peak_memory_bytes,
    }
