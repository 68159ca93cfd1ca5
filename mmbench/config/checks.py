"""What types cannot say about settings: names, ranges, shares that add up, sizes that divide one another."""

import math
import re
from typing import Any

from mmbench.config.baselines import BASELINES
from mmbench.config.budget import parse_budget
from mmbench.config.deciding import check_deciding
from mmbench.config.errors import UserError, unknown_name
from mmbench.config.settings import Settings
from mmbench.config.system import check_system

_NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")
_TAKEN_FOLDERS = ("pretraining", "mlflow.db", "mlruns")

_AT_LEAST: dict[str, float] = {
    "image_size": 1,
    "data.max_broken_share": 0,
    "data.size_multiple": 1,
    "data.num_answers": 1,
    "tokenizer.vocab_size": 260,
    "language_model.width": 1,
    "language_model.depth": 1,
    "language_model.num_heads": 1,
    "language_model.num_kv_heads": 1,
    "language_model.feed_forward_width": 1,
    "pretraining.encoder_steps": 0,
    "pretraining.encoder_rows": 1,
    "pretraining.encoder_learning_rate": 0,
    "pretraining.language_model_steps": 0,
    "pretraining.language_model_rows": 1,
    "pretraining.language_model_learning_rate": 0,
    "training.batch_rows": 1,
    "training.contrastive_group": 1,
    "training.rows.captions": 0,
    "training.rows.questions": 0,
    "training.rows.max_text_tokens": 2,
    "training.objectives.caption": 0,
    "training.objectives.answer": 0,
    "training.objectives.contrastive": 0,
    "training.objectives.classify": 0,
    "training.objectives.match": 0,
    "training.objectives.masked_text": 0,
    "training.objectives.masked_image": 0,
    "training.objectives.balance": 0,
    "training.objectives.router_z": 0,
    "training.learning_rate": 0,
    "training.warmup_share": 0,
    "training.end_factor": 0,
    "training.weight_decay": 0,
    "training.gradient_clip": 0,
    "training.checkpoint_share": 0,
    "training.validation_share": 0,
    "training.log_every": 1,
    "evaluation.batch_size": 1,
    "evaluation.max_caption_tokens": 1,
    "evaluation.max_answer_tokens": 1,
    "evaluation.num_examples": 0,
    "evaluation.rerank": 0,
    "evaluation.probe_images": 2,
    "latency.repeats": 0,
    "latency.warmup": 0,
    "latency.large_batch": 1,
    "latency.tokens": 2,
    "tuning.trials": 0,
    "tuning.budget_share": 1e-6,
    "tuning.training_seed": 0,
    "tuning.sampler_seed": 0,
    "tuning.retries": 0,
}
_SHARES = ("data.max_broken_share", "training.warmup_share", "training.checkpoint_share", "training.validation_share")
_AT_LEAST_ONE_IF_GIVEN = (
    "data.max_train_images", "data.max_test_images", "trainer.micro_batch_rows", "trainer.threads"
)  # fmt: skip


def check_settings(settings: Settings) -> None:
    """Refuse settings that no comparison could be run with.

    Raises:
        UserError: the first thing that is wrong.
    """
    if settings.name:
        check_run_name(settings.name)
    if not settings.systems:
        raise UserError("no system is named: give at least one, as in 'mmbench compare unified crossattn hybrid'")
    for name in settings.systems:
        check_system_name(name)
        _check_stages(settings, name)
        check_system(settings, name)
    for name in settings.baselines:
        if name not in BASELINES:
            raise unknown_name("baseline", name, BASELINES)
    _check_seeds(settings.seeds)
    check_deciding(settings.deciding, [*settings.systems, *settings.baselines], settings.seeds)
    parse_budget(settings.budget)
    _check_ranges(settings)
    _check_sizes(settings)


def check_system_name(name: str) -> None:
    """Refuse a name that cannot be a folder's, or that a baseline has.

    Raises:
        UserError: with what is allowed.
    """
    if name in BASELINES:
        raise UserError(f"a system cannot be called '{name}', which is a baseline's name: write OTHER=PRESET")
    if not _NAME.match(name):
        raise UserError(f"a system cannot be called '{name}': only letters, digits and . _ - are allowed")


def check_run_name(name: str) -> None:
    """Refuse a comparison's name that cannot be a folder under ``runs/``.

    Raises:
        UserError: with what is allowed.
    """
    if not _NAME.match(name):
        raise UserError(f"a comparison cannot be called '{name}': only letters, digits and . _ - are allowed")
    if name in _TAKEN_FOLDERS:
        raise UserError(f"a comparison cannot be called '{name}': mmbench keeps its own files there")


def _check_stages(settings: Settings, name: str) -> None:
    stages = settings.systems[name].stages
    if not stages:
        if settings.systems[name].weights:
            return  # A published checkpoint, scored as it is.
        raise UserError(f"system '{name}' has no stages: give at least one, with share 1, or 'weights' to be scored")
    for index, stage in enumerate(stages):
        if stage.share <= 0:
            raise UserError(f"'systems.{name}.stages.{index}.share' is {stage.share:g}; it must be above 0")
        if not stage.train:
            raise UserError(f"'systems.{name}.stages.{index}.train' is empty; name the parts that train, or 'all'")
        for part, factor in stage.learning_rate_factor.items():
            if factor < 0:
                key = f"systems.{name}.stages.{index}.learning_rate_factor.{part}"
                raise UserError(f"'{key}' is {factor:g}; it must be at least 0")
    total = math.fsum(stage.share for stage in stages)
    if abs(total - 1) > 1e-6:
        raise UserError(f"the stages of system '{name}' have shares that add up to {total:g}; they must add up to 1")


def _check_seeds(seeds: list[int]) -> None:
    if not seeds:
        raise UserError("no seeds are given; there must be at least 1")
    if len(set(seeds)) < len(seeds):
        raise UserError(f"'seeds' is {seeds}; a seed may stand there only once")
    if min(seeds) < 0:
        raise UserError(f"'seeds' is {seeds}; a seed must be 0 or more")


def _check_ranges(settings: Settings) -> None:
    for key, least in _AT_LEAST.items():
        if (value := _get(settings, key)) < least:
            raise UserError(f"'{key}' is {value:g}; it must be at least {least:g}")
    for key in _SHARES:
        if (value := _get(settings, key)) > 1:
            raise UserError(f"'{key}' is {value:g}; it is a share and must be at most 1")
    for key in _AT_LEAST_ONE_IF_GIVEN:
        if (value := _get(settings, key)) is not None and value < 1:
            raise UserError(f"'{key}' is {value}; it must be at least 1, or null")


def _check_sizes(settings: Settings) -> None:
    training, rows = settings.training, settings.training.rows
    if training.batch_rows % training.contrastive_group:
        raise UserError(
            f"'training.contrastive_group' is {training.contrastive_group}, which does not divide "
            f"'training.batch_rows', {training.batch_rows}"
        )
    if rows.captions + rows.questions == 0:
        raise UserError("'training.rows' holds no captions and no questions; a row needs at least one text")
    model = settings.language_model
    if model.num_heads % model.num_kv_heads:
        raise UserError(
            f"'language_model.num_kv_heads' is {model.num_kv_heads}, which does not divide "
            f"'language_model.num_heads', {model.num_heads}"
        )
    if model.width % model.num_heads:
        raise UserError(
            f"'language_model.num_heads' is {model.num_heads}, which does not divide "
            f"'language_model.width', {model.width}"
        )
    data = settings.data
    if data.layout == "native" and settings.image_size % data.size_multiple:
        raise UserError(
            f"'data.size_multiple' is {data.size_multiple}, which does not divide 'image_size', {settings.image_size}"
        )
    if not settings.data.sources:
        raise UserError("'data.sources' is empty; the data needs at least one source")
    for index, source in enumerate(settings.data.sources):
        if source.format != "scenes" and not source.path:
            raise UserError(f"'data.sources.{index}.path' is empty; the format '{source.format}' needs a path")


def _get(settings: Settings, key: str) -> Any:
    value: Any = settings
    for part in key.split("."):
        value = getattr(value, part)
    return value
