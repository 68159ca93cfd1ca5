"""Claims run from end to end as a user runs them, at the micro scale; and the table that comes of it."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from mmbench.claims.claim import Claim, Rule
from mmbench.claims.evidence import gather
from mmbench.claims.library import Asked
from mmbench.claims.run import run_claims
from mmbench.claims.table import claim_entry, row, write_claims
from mmbench.claims.verdict import judge, not_judged
from mmbench.config.errors import UserError
from mmbench.config.load import load_settings
from mmbench.harness.run_files import RunFiles, read_json
from tests.claims.made_up import costs, evidence, scores
from tests.harness.comparisons import MICRO, command, run

FROZEN = """
number: 1
title: A <frozen> language model | keeps its text ability
prediction: It keeps it.
systems:
  trained: {preset: unified}
  frozen: {preset: crossattn, options: {every: 1}, stages: [{train: [cross_attention, gates, heads]}]}
settings: [latency.repeats=0]
data: ""
rules:
  - {rule: unchanged, system: frozen}
  - {rule: cheaper, system: frozen, than: trained, cost: parameters_trainable}
"""
SHARES_ITS_RUN = FROZEN.replace("number: 1", "number: 2").replace(
    "- {rule: unchanged, system: frozen}", "- {rule: unchanged, system: trained}"
)
ARMS = """
number: 3
title: Pretraining helps
prediction: It helps.
systems: {unified: {}}
arms: {pretrained: [encoder.weights=contrastive], random: [encoder.weights=random]}
settings: [latency.repeats=0]
data: ""
rules: [{rule: better, system: unified@pretrained, than: unified@random, metric: cider_d}]
"""
NOT_YET = "{number: 4, title: Later, prediction: Some day., needs: [a family of its own]}"
FAILS = FROZEN.replace("number: 1", "number: 5").replace("every: 1", "every: 9")


@pytest.mark.slow
def test_claims_from_end_to_end(tmp_path: Path) -> None:
    """Verdicts of each kind, runs that are shared, arms, a run that fails, and a second time without training."""
    words = []
    for name, text in {"1": FROZEN, "2": SHARES_ITS_RUN, "3": ARMS, "4": NOT_YET, "5": FAILS}.items():
        (tmp_path / f"{name}.yaml").write_text(text)
        words.append(str(tmp_path / f"{name}.yaml"))
    words = command(
        tmp_path, "claims", *words, "--scale", str(MICRO), "--seeds", "2", "--reports", str(tmp_path / "reports")
    )
    said = run(words).stdout
    entries = {entry["number"]: entry for entry in json.loads((tmp_path / "reports" / "claims.json").read_text())}
    assert {number: entry["verdict"] for number, entry in entries.items()} == {
        1: "supported", 2: "refuted", 3: entries[3]["verdict"], 4: "not yet", 5: "undecided",
    }  # fmt: skip
    assert "every" in entries[5]["reason"] and "a family of its own" in entries[4]["reason"]
    assert entries[1]["runs"] == entries[2]["runs"] and "Claims 1, 2: run" in said
    assert entries[1]["seeds"] == [0, 1] and entries[1]["budget"] == "480samples"
    assert entries[1]["rules"][0]["numbers"]["largest_change"] == 0
    assert entries[2]["rules"][0]["numbers"]["largest_change"] > 0
    assert set(entries[3]["runs"]) == {"pretrained", "random"}
    assert entries[3]["rules"][0]["numbers"]["num_seeds"] == 2
    assert "supported" in said and "not yet" in said

    files = RunFiles(tmp_path / "runs" / entries[1]["runs"][""])
    assert {cell.system for cell in files.cells()} == {"trained", "frozen"}
    _costs_are_those_of_training(files)
    found = gather({"": files.root})
    assert set(found.scores["metric"]) >= {"vqa_accuracy", "text_loss_change"} and not found.failures

    trained = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*/cells/*/*/cell.json")}
    assert len(trained) == 8
    os.remove(tmp_path / "reports" / "claims.json")
    run(words)
    assert {path: path.stat().st_mtime_ns for path in trained} == trained, "nothing is trained a second time"
    again = {entry["number"]: entry for entry in json.loads((tmp_path / "reports" / "claims.json").read_text())}
    assert again == entries


def _costs_are_those_of_training(files: RunFiles) -> None:
    """Counted afresh over rising sizes; at the comparison's own what the ledgers of the trained cells say."""
    rows = pd.DataFrame(read_json(files.costs)["rows"])
    assert rows.groupby("system")["image_size"].apply(list).to_dict() == {
        "frozen": [32, 64, 96],
        "trained": [32, 64, 96],
    }
    for system, of_system in rows.groupby("system"):
        assert of_system["flops_per_sample"].is_monotonic_increasing
        ledger = files.cell(str(system), 0).read()["ledger"]
        own = of_system.iloc[0]
        assert own["parameters_trainable"] == ledger["parameters_trainable"]
        assert own["flops_per_sample"] == pytest.approx(ledger["flops"] / ledger["samples"], rel=0.05)


def test_arms_that_were_tested_on_other_data_are_refused(tmp_path: Path) -> None:
    for arm in ("a", "b"):
        (tmp_path / arm).mkdir()
        (tmp_path / arm / "data.json").write_text(json.dumps({"fingerprint": arm, "tokenizer_hash": "t"}))
    with pytest.raises(UserError, match="fingerprint"):
        gather({"a": tmp_path / "a", "b": tmp_path / "b"})


def test_a_claim_with_a_wrong_name_stops_before_anything_runs(tmp_path: Path) -> None:
    claims = {Path("x.yaml"): Claim(number=1, systems={"unifeid": {}}, rules=[Rule()])}
    with pytest.raises(UserError, match="unifeid"):
        run_claims(claims, Asked(), tmp_path, jobs=1, command="")
    assert not list(tmp_path.iterdir())


def test_the_table_has_every_verdict_and_no_markup_from_titles(tmp_path: Path) -> None:
    """Also with nothing known: no number is NaN in the JSON, and the Markdown stays a table."""
    claim = Claim(
        number=7,
        title="A | <b>bold</b> claim",
        rules=[
            Rule("better", "a", "b", "vqa_accuracy"),
            Rule("not_worse", "a", "c", "vqa_accuracy", margin=0.02),
            Rule("cheaper", "a", "b", decides=False),
        ],
    )
    arms = {"": load_settings(["unified"], seeds=4)}
    found = evidence(scores({"a": 0.6, "b": 0.5}), costs=costs("flops_per_sample", {"a": {48: 1.0}, "b": {48: 2.0}}))
    entries = [
        claim_entry(claim, judge(claim, found), arms),
        claim_entry(claim, judge(claim, evidence()), arms),
        claim_entry(claim, not_judged(claim, "no disk"), arms),
        claim_entry(Claim(number=8, needs=["a part"]), not_judged(Claim(needs=["a part"])), {}),
    ]
    written = write_claims(entries, tmp_path)
    lines = written.read_text().splitlines()
    assert len({line.replace(r"\|", "").count("|") for line in lines if line.startswith("|")}) == 1
    assert "<b>" not in written.read_text() and "no disk" in written.read_text()
    text = (tmp_path / "claims.json").read_text()
    assert "NaN" not in text and json.loads(text) == entries
    assert [entry["verdict"] for entry in entries] == ["undecided", "undecided", "undecided", "not yet"]
    better, not_worse, cheaper = (rule["words"].replace("\N{NO-BREAK SPACE}", " ") for rule in entries[0]["rules"])
    assert better.startswith("a better than b, VQA accuracy: +10.0 [") and better.endswith("p < 0.001: holds")
    assert "no 'vqa_accuracy' of c: open" in not_worse and "by 2.0" in not_worse
    assert cheaper.endswith("ratio 0.500 at 48 px: holds (beside)")
    table = pd.read_csv(tmp_path / "claims.csv")
    assert len(table) == 3 + 3 + 1 + 1 and table["difference"].notna().sum() == 1
    assert row(entries[3]) == ["8", "", "not yet", "needs a part", "", ""]


def test_no_text_of_a_claim_is_a_formula_to_a_spreadsheet(tmp_path: Path) -> None:
    """A claim's title and its reason are a user's words."""
    claim = Claim(number=9, title='=HYPERLINK("x")')
    write_claims([claim_entry(claim, not_judged(claim, "@cmd"), {})], tmp_path)
    table = pd.read_csv(tmp_path / "claims.csv")
    assert table["title"].tolist() == ["'" + claim.title] and table["reason"].tolist() == ["'@cmd"]
