"""Families by name, or by the import path of one from outside; built from a system's settings."""

from collections.abc import Mapping

from mmbench.config.errors import UserError, unknown_name
from mmbench.config.import_path import class_called
from mmbench.config.model import SystemSettings
from mmbench.config.tree import built, checked
from mmbench.families.family import Family, SharedParts
from mmbench.families.seeing_decoder import SeeingDecoder

FAMILIES = {
    "unified": "mmbench.families.unified:Unified",
    "crossattn": "mmbench.families.crossattn:CrossAttn",
    "hybrid": "mmbench.families.hybrid:Hybrid",
    "dual": "mmbench.families.dual:Dual",
    "coattn": "mmbench.families.coattn.family:CoAttn",
    "fusion": "mmbench.families.fusion.family:Fusion",
    "blind": "mmbench.families.blind:Blind",
}


def family_class(name: str) -> type[Family]:
    """The class of a family.

    Raises:
        UserError: no family has that name, or nothing that is a Family stands at the import path.
    """
    return class_called(name, FAMILIES, Family, "family", "mmbench.families.family.Family")


def build_family(system: SystemSettings, shared: SharedParts, objective_weights: Mapping[str, float]) -> Family:
    """The family of ``system`` with its own settings, on the shared parts.

    Raises:
        UserError: an option the family does not have, a stage that trains or gives a learning rate to a part it does
            not have, or stages in which nothing would be learned since all its objectives have weight 0.
    """
    found = family_class(system.family)
    config = built(checked(system.options, found.Config, "", f"the options of family '{system.family}'"), found.Config)
    family: Family = found(config, shared, objective_weights)  # type: ignore[call-arg, arg-type]
    for modality in system.modality_dropout:
        if modality not in family.can_withhold:
            can = ", ".join(sorted(family.can_withhold)) or "nothing"
            raise UserError(
                f"'modality_dropout' names '{modality}', but family '{system.family}' can withhold {can}: leave it out"
            )
    family.modality_dropout = dict(system.modality_dropout)
    if system.lora.rank:
        if not isinstance(family, SeeingDecoder):
            raise UserError(f"family '{system.family}' generates nothing by a language model: leave 'lora' out")
        family.adapt(system.lora)
    if system.stages and found.objectives and not any(objective_weights.get(one, 1.0) for one in found.objectives):
        raise UserError(
            f"family '{system.family}' learns by {', '.join(found.objectives)}, and each has weight 0: give one a "
            "weight above 0, by training.objectives or in the system's file, or leave the system out"
        )
    for stage in system.stages:
        for part in stage.train:
            if part != "all" and part not in family.parts():
                raise unknown_name(f"part in a stage of family '{system.family}':", part, [*family.parts(), "all"])
        for part in stage.learning_rate_factor:
            if part not in family.parts():
                raise unknown_name(f"part in 'learning_rate_factor' of family '{system.family}':", part, family.parts())
    family.trained_parts = frozenset(part for stage in system.stages for part in family.trained_by(stage.train))
    return family
