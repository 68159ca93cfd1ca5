"""What docs/extending.md tells people to do, done."""

import re
from pathlib import Path

import pytest
import torch
import yaml

from mmbench.config.load import load_settings
from mmbench.config.model import SystemSettings
from mmbench.config.settings import Settings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.families.family import Family
from mmbench.families.registry import FAMILIES, build_family
from tests.families.tiny import Build, shared_parts

DOC = Path(__file__).parents[2] / "docs" / "extending.md"


def blocks(language: str) -> list[str]:
    """The document's code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", DOC.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def system_of(text: str, path: Path) -> SystemSettings:
    """The system in a YAML text, resolved as the command line resolves it."""
    path.write_text(text)
    return load_settings([str(path)]).systems[path.stem]


@pytest.fixture
def gist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings, datamodule: MultimodalDataModule
) -> tuple[Family, SystemSettings]:
    """The example family, from a file outside the package."""
    (code,) = blocks("python")
    (tmp_path / "gist.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    (text,) = [block for block in blocks("yaml") if "gist" in block]
    system = system_of(text, tmp_path / "gist.yaml")
    family = build_family(system, shared_parts(settings, datamodule), {"contrastive": 0.2})
    family.training_settings = settings.training
    return family, system


def test_example_family_trains_and_answers(
    gist: tuple[Family, SystemSettings], datamodule: MultimodalDataModule
) -> None:
    family, system = gist
    _, frozen = family.freeze_all_but(system.stages[0].train)
    assert frozen == ["encoder"]
    optimizer = family.configure_optimizers()
    batch = datamodule.train_batch(0, 0, 8)
    losses = []
    for step in range(6):
        loss = family.training_step(batch, step)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    images = datamodule.split("test").images(range(3))
    assert family.cost(images)["context_tokens"] == 2
    prompts = [datamodule.tokenizer.encode(text) for text in ("Caption:", "Q: how many? A:", "Q: is it red? A:")]
    together = family.generate(family.see(images), prompts, 8)
    assert together == [family.generate(family.see(images[i : i + 1]), [prompts[i]], 8)[0] for i in range(3)]
    torch.testing.assert_close(family.embed_images(images).norm(dim=-1), torch.ones(3))


def test_example_system_builds(build: Build, tmp_path: Path) -> None:
    two_stages, two_scales = [block for block in blocks("yaml") if "gist" not in block]
    system = system_of(two_stages, tmp_path / "two-stage.yaml")
    assert [stage.share for stage in system.stages] == [0.25, 0.75]
    build(system.family, stages=system.stages, **system.options)
    build("crossattn", **system_of(two_scales, tmp_path / "latents.yaml").options)


def test_table_of_families_is_complete(build: Build) -> None:
    text = DOC.read_text(encoding="utf-8")
    groups = dict(re.findall(r"^\| (\w+) \| (`.+?) \|$", text, re.MULTILINE))
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    assert [name for name, _, _ in rows] == list(FAMILIES)
    for name, parts, options in rows:
        family = build(name)
        assert set(family.parts()) <= set(names_in(parts))
        assert all(part in family.parts() for part in re.findall(r"`(\w+)`(?! \((?:where|none))", parts))
        shared = [option for group, listed in groups.items() if group in options for option in names_in(listed)]
        assert {*shared, *names_in(options)} == set(type(family).Config.__dataclass_fields__), name


def names_in(cell: str) -> list[str]:
    """The names that stand in code type."""
    return re.findall(r"`(\w+)`", cell)


def test_yaml_of_the_document_is_commented() -> None:
    assert len(blocks("yaml")) == 3
    assert all(block.startswith("# ") and isinstance(yaml.safe_load(block), dict) for block in blocks("yaml"))
