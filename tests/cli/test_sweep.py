"""``mmbench sweep`` and ``compare --tune``: every mistake is one line that says what to do."""

from pathlib import Path

import pytest

from mmbench.cli.main import main
from tests.harness.comparisons import MICRO

SWEEP = ["sweep", "unified"]
TUNE = ["compare", "unified", "--tune", "2"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sweep"], "no system is named"),
        ([*SWEEP, "--trials", "0"], "--trials is 0; each system needs at least 1"),
        ([*SWEEP, "--jobs", "0"], "--jobs is 0"),
        ([*SWEEP, "--metric", "vqa_acuracy"], "did you mean 'vqa_accuracy'"),
        ([*SWEEP, "--cost", "flops", "--pruner", "median"], "one objective alone"),
        ([*SWEEP, "--cost", "flops", "--sampler", "cmaes"], "one objective alone"),
        ([*SWEEP, "--sampler", "grid"], "--sampler"),
        ([*SWEEP, "--space", "spaec.yaml"], "no search space file 'spaec.yaml'"),
        ([*SWEEP, "--seed", "-1"], "tuning.training_seed"),
        (["compare", "unified", "--tune", "0"], "--tune is 0; each system needs at least 1 trial"),
        (["compare", "unified", "--space", "default"], "give N by it"),
        ([*TUNE, "--set", "tuning.metric=cider"], "did you mean 'cider_d'"),
        ([*TUNE, "--set", "tuning.budget_share=0"], "tuning.budget_share"),
        (["compare", "--resume", "x", "--tune", "2"], "leave --tune out"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_trial_that_could_not_train_is_refused_before_anything_does(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    micro = ["--scale", str(MICRO), "--set", "tracking.enabled=false", "tuning.budget_share=0.1"]
    assert main([*TUNE, *micro, "--budget", "400samples"]) == 2
    error = capfd.readouterr().err
    assert "a trial's budget '40samples' is too small" in error and "it gets 10% (tuning.budget_share)" in error
    assert not list(Path("runs").glob("*/data.json"))


def test_a_space_is_checked_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("space.yaml").write_text("training.learning_rat: {kind: float, low: 0.1, high: 1.0}\n")
    for words in (SWEEP, TUNE):
        assert main([*words, "--space", "space.yaml"]) == 2
        assert "did you mean 'training.learning_rate'" in capsys.readouterr().err
    assert not list(Path("runs").glob("*/data.json"))
