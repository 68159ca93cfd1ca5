"""The text-only loss that a system's change is held against is that of the language model it starts from."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import save_file

from mmbench.config.baselines import BLIND
from mmbench.config.model import EncoderSettings, SystemSettings
from mmbench.harness.cell import build, system_settings
from mmbench.harness.evaluate import text_losses
from mmbench.harness.opened import OpenedRun
from mmbench.harness.run_files import RunFiles
from mmbench.harness.starting_text import measure_starting_text, starting_models, starting_text_scores
from tests.harness.micro_systems import micro_datamodule, micro_settings

EXPERTS = {"experts": {"num_experts": 2, "num_active": 1, "num_shared": 1, "width": 8}}


@pytest.fixture
def opened(tmp_path: Path) -> OpenedRun:
    """Systems on the shared language model and on others, at a starting point that nothing pretrains."""
    settings = micro_settings(
        ["unified"],
        overrides=["pretraining.encoder_steps=0", "pretraining.language_model_steps=0", "encoder.weights=random"],
    )
    files = RunFiles(tmp_path / "runs" / "micro")
    files.root.mkdir(parents=True)
    opened = OpenedRun(files, settings, micro_datamodule(settings, tmp_path / "cache"), settings)
    imported = tmp_path / "system.safetensors"
    save_file(build(opened, SystemSettings(language_model={"width": 48})).state_dict(), imported)
    settings.systems = {
        "unified": SystemSettings(),
        "sections": SystemSettings(language_model={"mrope_sections": [2, 3, 3]}),
        "experts": SystemSettings(language_model=EXPERTS),
        "crossattn": SystemSettings(family="crossattn", language_model=EXPERTS),
        "imported": SystemSettings(language_model={"width": 48}, weights=str(imported)),
        "dual": SystemSettings(family="dual"),
    }
    return opened


def test_each_system_is_held_against_what_it_starts_from(opened: OpenedRun) -> None:
    assert starting_models(opened) == {
        **{BLIND: BLIND, "unified": BLIND, "sections": BLIND},
        **{"experts": "experts", "crossattn": "experts", "imported": "imported"},
    }
    measure_starting_text(opened)
    ends = ["composition", "composition_of_experts", "composition_of_imported", "test", "test_of_experts"]
    found = sorted(path.stem.removeprefix("text_loss_before_") for path in opened.files.root.iterdir())
    assert found == [*ends, "test_of_imported"]
    cells = [opened.files.cell(name, 3) for name in (*opened.settings.systems, "chance")]
    table = pd.concat(starting_text_scores(opened, cells, "test"))
    assert set(table["system"]) == set(opened.settings.systems) - {"dual"} and set(table["seed"]) == {3}
    split = opened.datamodule.split("test")
    for system, rows in table.groupby("system"):
        family = build(opened, system_settings(opened.settings, str(system)), seed=3)
        losses, _ = text_losses(family, split, opened.datamodule.tokenizer, opened.settings)
        assert dict(zip(rows["example_id"], rows["score"], strict=True)) == pytest.approx(losses, abs=1e-6)
    assert table.groupby("example_id")["score"].nunique().max() == 3


def test_what_is_there_stays_and_what_no_cell_starts_from_is_left_out(opened: OpenedRun) -> None:
    opened.settings.systems = {"experts": opened.settings.systems["experts"]}
    opened.settings.baselines = ["chance"]
    measure_starting_text(opened)
    files = {path: path.stat().st_mtime_ns for path in opened.files.root.iterdir()}
    assert {path.name for path in files} == {
        "text_loss_before_test_of_experts.parquet",
        "text_loss_before_composition_of_experts.parquet",
    }
    opened.settings.baselines = [BLIND]
    measure_starting_text(opened)
    assert opened.files.text_loss_before("test").exists()
    assert files == {path: path.stat().st_mtime_ns for path in files}


def test_what_is_drawn_at_random_depends_on_the_encoder_drawn_before(opened: OpenedRun) -> None:
    narrow = {"options": {"embed_dim": 8}}
    opened.settings.systems = {"narrow": SystemSettings(encoder=narrow)}
    assert starting_models(opened) == {BLIND: BLIND, "narrow": "narrow"}
    pretrained = replace(opened.settings, encoder=EncoderSettings(), pretraining=micro_settings().pretraining)
    again = replace(opened, settings=pretrained, run_settings=pretrained)
    assert starting_models(again) == {BLIND: BLIND, "narrow": BLIND}
