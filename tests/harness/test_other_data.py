"""A trained classifier scored on other data chooses among the answers that it was trained on."""

from pathlib import Path

from mmbench.config.load import load_data
from mmbench.harness.cell import load_cell
from mmbench.harness.evaluate import evaluate_again
from tests.harness.comparisons import MICRO, command, run


def test_the_answers_stay_the_runs_own(tmp_path: Path) -> None:
    run(command(tmp_path, "train", "vit-classifier", "--scale", str(MICRO)))
    (cell,) = tmp_path.glob("runs/*/cells/vit-classifier/seed0")
    own, of_run, _ = load_cell(cell)
    other = load_data("scenes")
    other.sources[0].scenes.train, other.sources[0].scenes.seed = 12, 5
    other.sources[0].scenes.validation = other.sources[0].scenes.test = other.sources[0].scenes.composition = 6
    family, opened, _ = load_cell(cell, other)
    assert opened.datamodule.frequent_answers.texts == of_run.datamodule.frequent_answers.texts
    assert opened.datamodule.num_train_images == 12, "the rest is the other data's"
    assert all(bool((a == b).all()) for a, b in zip(own.parameters(), family.parameters(), strict=True))
    assert 0 <= evaluate_again(cell, other)["vqa_accuracy"] <= 1
