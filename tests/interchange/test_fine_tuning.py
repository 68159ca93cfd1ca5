"""What docs/pretrained.md says of fine-tuning with adapters, done."""

import re
import shlex
from pathlib import Path

import pytest

from mmbench.config.load import load_settings
from mmbench.config.model import SystemSettings
from mmbench.config.settings import Settings
from mmbench.families.family import Family, SharedParts
from mmbench.families.registry import build_family
from mmbench.interchange.importing import read_folder
from mmbench.nn.decoder import Decoder
from mmbench.nn.encoders import build_encoder
from tests.families.tiny import ENCODER, IMAGE_SIZE, LANGUAGE_MODEL
from tests.interchange.agreement import Both, both
from tests.interchange.test_llava import llava

pytest.importorskip("transformers")
SECTION = (
    (Path(__file__).parents[2] / "docs" / "pretrained.md")
    .read_text(encoding="utf-8")
    .partition("## Fine-tuning with adapters")[2]
    .partition("\n## ")[0]
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Both:
    return both(llava(), tmp_path_factory.mktemp("llava"))


def test_the_documents_system(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
    path = tmp_path / "adapted.yaml"
    path.write_text(text)
    settings: Settings = load_settings([str(path)])
    system = settings.systems["adapted"]
    decoder = Decoder(Decoder.Config.from_settings(LANGUAGE_MODEL, 300))
    family = build_family(system, SharedParts(build_encoder(ENCODER, IMAGE_SIZE), decoder, 1, 2), {})
    assert _trains(family, system) == [["heads", "connector"], ["heads", "lora", "connector"]]
    assert family.unable() == {}


def test_the_documents_command_for_an_import(model: Both) -> None:
    (command,) = re.findall(r"^```\nmmbench compare (.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
    words = shlex.split(command.replace("imported/llava", str(model.ours)))
    overrides = words[words.index("--set") + 1 :]
    settings = load_settings([words[0]], scale=words[words.index("--scale") + 1], overrides=overrides)
    system = settings.systems["mine"]
    foreign = read_folder(model.ours)
    shared = SharedParts(build_encoder(foreign.encoder, foreign.image_size), Decoder(foreign.decoder), 1, 2)
    family = build_family(system, shared, {})
    assert _trains(family, system) == [["heads", "lora", "connector"]]
    assert family.unable() == {}


def _trains(family: Family, system: SystemSettings) -> list[list[str]]:
    return [family.freeze_all_but(stage.train)[0] for stage in system.stages]
