"""What a system has not learned, of what its family can do."""

import pytest

from mmbench.config.model import StageSettings, SystemSettings
from mmbench.config.settings import Settings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.registry import FAMILIES, family_class
from tests.families.tiny import built

CASES: list[tuple[str, dict[str, float], set[str]]] = [
    ("coattn", {"match": 0.0}, {"match", "rerank"}),
    ("coattn", {"classify": 0.0}, {"answer", "choose"}),
    ("coattn", {"masked_text": 0.0}, set()),
    ("unified", {"caption": 0.0}, set()),
    ("hybrid", {"contrastive": 0.0}, {"retrieve"}),
    ("blind", {"contrastive": 0.0}, set()),
]


@pytest.mark.parametrize(("name", "objectives", "unable"), CASES)
def test_an_objective_that_is_off_trains_no_task(
    settings: Settings, datamodule: MultimodalDataModule, name: str, objectives: dict[str, float], unable: set[str]
) -> None:
    family = built(SystemSettings(family=name, objectives=objectives), settings, datamodule)
    for objective, weight in objectives.items():
        family.objective_weights[objective] = weight
    found = family.unable()
    assert set(found) == unable and family.able() == family.tasks - unable
    assert set(found.values()) <= {f"its objective '{objective}' is off" for objective in objectives}


@pytest.mark.parametrize("name", FAMILIES)
def test_what_no_stage_trains_is_not_learned_unless_it_came_with_weights(
    settings: Settings, datamodule: MultimodalDataModule, name: str
) -> None:
    learned_by = family_class(name).learned_by
    stages = [StageSettings(train=["language_model"])]
    family = built(SystemSettings(family=name, stages=stages), settings, datamodule)
    assert family.unable() == {task: f"no stage trained its {part}" for task, (part, _) in learned_by.items()}
    family.fill(family.state_dict())
    assert family.unable() == {}
    assert built(SystemSettings(family=name), settings, datamodule).unable() == {}


def test_weights_of_other_parts_are_refused(settings: Settings, datamodule: MultimodalDataModule) -> None:
    family = built(SystemSettings(family="unified", stages=[]), settings, datamodule)
    whole = family.state_dict()
    family.fill({name: tensor for name, tensor in whole.items() if not name.startswith("heads.")})
    assert "heads" not in family.filled_parts and set(family.unable()) == {"retrieve"}
    with pytest.raises(RuntimeError, match=r"connector"):
        family.fill({name: tensor for name, tensor in whole.items() if not name.startswith("connector.")})
    with pytest.raises(RuntimeError, match=r"heads\.text_query"):
        family.fill({name: tensor for name, tensor in whole.items() if name != "heads.text_query"})
