"""The short tables that the commands print."""

import json
from pathlib import Path

import pytest

from mmbench.cli.results import print_results, print_scores


def entry(mean: float | None, low: float | None, high: float | None) -> dict[str, object]:
    return {"mean": mean, "interval": [low, high], "sd": 0.0, "per_seed": {"0": mean}}


def test_results_are_percent_with_half_an_interval_and_baselines_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = {"0": {"status": "done", "reason": None}}
    failed = {"0": {"status": "failed", "reason": "out of memory [2 GiB]"}}
    content = {
        "name": "mine",
        "budget": "20000samples",
        "seeds": [0, 1],
        "systems": {
            "blind": {"kind": "baseline", "metrics": {"vqa_accuracy": entry(0.25, None, None)}, "cells": cells},
            "unified": {"kind": "system", "metrics": {"vqa_accuracy": entry(0.512, 0.492, 0.532)}, "cells": cells},
            "hybrid": {"kind": "system", "metrics": {}, "not_applicable": {}, "cells": failed},
        },
    }
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(content))
    print_results(path)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0] == "mine: 20000samples for each system, seeds 0, 1"
    rows = [line.split() for line in lines]
    assert ["unified", "51.2", "±", "2.0"] in rows
    assert ["blind", "25.0"] in rows
    assert ["hybrid", "failed"] in rows
    assert rows.index(["blind", "25.0"]) > rows.index(["hybrid", "failed"])
    assert lines[-1] == "Failed: hybrid, seed 0: out of memory [2 GiB]"


def test_scores_of_a_cell_and_what_does_not_apply(capsys: pytest.CaptureFixture[str]) -> None:
    print_scores({"cider_d": 1.5, "exact_match": 0.25, "not_applicable": {"vqa_accuracy": "one answer a question"}})
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows.index(["exact_match", "25.0"]) < rows.index(["cider_d", "150.0"])
    assert any(row[:1] == ["not_applicable:"] for row in rows)
