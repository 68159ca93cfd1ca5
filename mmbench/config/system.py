"""A system's own settings: where it departs from what the systems of a comparison share."""

from dataclasses import asdict, fields, replace

from mmbench.config.errors import UserError, unknown_name
from mmbench.config.model import EncoderSettings, LanguageModelSettings, SystemSettings
from mmbench.config.settings import Settings
from mmbench.config.training import ObjectiveSettings
from mmbench.config.tree import built, checked, merged

MODALITIES = ("image", "text")
"""What modality dropout can withhold."""


def own_settings(settings: Settings, system: SystemSettings) -> Settings:
    """The comparison's settings with the encoder and the language model that the system has for itself.

    Raises:
        UserError: a key that they do not have, or a value of another type.
    """
    own = settings
    if system.encoder:
        tree = merged(asdict(settings.encoder), _checked(system.encoder, EncoderSettings, "encoder"), EncoderSettings)
        own = replace(own, encoder=built(tree, EncoderSettings))
    if system.language_model:
        given = _checked(system.language_model, LanguageModelSettings, "language_model")
        tree = merged(asdict(settings.language_model), given, LanguageModelSettings)
        own = replace(own, language_model=built(tree, LanguageModelSettings))
    return own


def objective_weights(settings: Settings, system: SystemSettings) -> dict[str, float]:
    """Objective -> weight: the comparison's, and the system's where it gives its own."""
    return {**asdict(settings.training.objectives), **system.objectives}


def check_system(settings: Settings, name: str) -> None:
    """Refuse what types cannot say about one system's settings.

    Raises:
        UserError: with what is allowed.
    """
    system = settings.systems[name]
    own_settings(settings, system)
    objectives = [field.name for field in fields(ObjectiveSettings)]
    for objective, weight in system.objectives.items():
        if objective not in objectives:
            raise unknown_name(f"objective of system '{name}':", objective, objectives)
        if weight < 0:
            raise UserError(f"'systems.{name}.objectives.{objective}' is {weight:g}; it must be at least 0")
    for modality, share in system.modality_dropout.items():
        if modality not in MODALITIES:
            raise unknown_name(f"modality that system '{name}' drops:", modality, MODALITIES)
        if not 0 <= share < 1:
            raise UserError(f"'systems.{name}.modality_dropout.{modality}' is {share:g}; it must be from 0 to below 1")
    if system.lora.rank < 0:
        raise UserError(f"'systems.{name}.lora.rank' is {system.lora.rank}; it must be at least 0 (0: no adapters)")
    if system.lora.rank:
        _check_adapters(name, system)


def _check_adapters(name: str, system: SystemSettings) -> None:
    """See that adapters are somewhere, that they train, and that what they adapt does not."""
    if not system.lora.targets:
        raise UserError(f"'systems.{name}.lora.targets' is empty; give attention, feed_forward or both")
    trains = {part for stage in system.stages for part in stage.train}
    if not trains & {"lora", "all"}:
        raise UserError(
            f"system '{name}' has adapters (lora.rank {system.lora.rank}), but no stage trains them: name 'lora' among "
            "what a stage trains, or set lora.rank to 0"
        )
    if "language_model" in trains:
        raise UserError(
            f"system '{name}' has adapters (lora.rank {system.lora.rank}), which train in the place of the language "
            "model, but a stage trains 'language_model': leave it out, or set lora.rank to 0"
        )


def _checked(tree: dict[str, object], kind: type, part: str) -> dict[str, object]:
    result: dict[str, object] = checked(tree, kind, "", f"the system's own '{part}'")
    return result
