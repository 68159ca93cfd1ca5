"""The two files that scores are written to."""

import json
from pathlib import Path

import pandas as pd

from mmbench.scoring.scores import ExampleScores, Scores

SCORES = Scores(
    title="two metrics",
    values={"rouge_l": 1 / 3, "vqa_accuracy/ja/nein ü": 0.5},
    per_example=[
        ExampleScores("rouge_l", [1, 20], [1, 20], [0.0, 2 / 3]),
        ExampleScores("vqa_accuracy", ["a"], ["b"], [0.5]),
    ],
    notes=[],
)


def test_json_holds_the_values_unrounded(tmp_path: Path) -> None:
    SCORES.write_json(tmp_path / "new" / "scores.json")
    assert json.loads((tmp_path / "new" / "scores.json").read_text(encoding="utf-8")) == SCORES.values


def test_rows_have_four_columns_and_ids_as_text(tmp_path: Path) -> None:
    SCORES.write_per_example(tmp_path / "scores.parquet")
    frame = pd.read_parquet(tmp_path / "scores.parquet")
    assert list(frame.columns) == ["metric", "example_id", "cluster_id", "score"]
    assert frame.values.tolist() == [
        ["rouge_l", "1", "1", 0.0],
        ["rouge_l", "20", "20", 2 / 3],
        ["vqa_accuracy", "a", "b", 0.5],
    ]
    assert frame["score"].dtype == "float64"
    assert [path.name for path in tmp_path.iterdir()] == ["scores.parquet"]
