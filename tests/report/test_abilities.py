"""A comparison in which some systems cannot do some tasks: pairs where both have a score, reasons everywhere else."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mmbench.report.abilities import missing, no_score_of, not_applicable_notes, unable, why_missing
from mmbench.report.answer import against_blind, sentences, verdict
from mmbench.report.catalogue import describe, front_page
from mmbench.report.fronts import fronts_table
from mmbench.report.pages import write_document
from mmbench.report.run_data import load_run
from mmbench.report.score_tables import front_table, latency_table, legend
from mmbench.report.summary import build_summary
from mmbench.report.tables import latex, markdown
from mmbench.report.text import plain
from tests.report.conftest import write_run

CANNOT = {
    "dual": {
        "the family writes no captions": ["cider_d", "bleu_4"],
        "the family answers no questions": ["vqa_accuracy"],
        "no language model": ["text_loss", "text_loss_before"],
    },
    "classifier": {
        "the family writes no captions": ["cider_d", "bleu_4"],
        "the family embeds no images and texts": ["text_to_image_recall", "image_to_text_recall"],
        "no language model": ["text_loss", "text_loss_before"],
    },
}
CAPTION_TIMES = ["first_token_s", "per_token_s", "tokens_per_s", "caption_s"]


def write_mixed(path: Path) -> Path:
    """Systems of three families: one that does everything, one that embeds, one that answers; all choose."""
    write_run(path, systems=("unified", "dual", "classifier"), images=30)
    scores = pd.read_parquet(path / "scores.parquet")
    rng = np.random.default_rng(4)
    answers = scores[scores["metric"] == "vqa_accuracy"]
    better = answers.assign(metric="choice_accuracy", score=(rng.random(len(answers)) < 0.6).astype(float))
    scores = pd.concat([scores, better], ignore_index=True)
    predictions = pd.read_parquet(path / "predictions.parquet")
    for system, reasons in CANNOT.items():
        metrics = tuple(metric for names in reasons.values() for metric in names)
        scores = scores[~((scores["system"] == system) & scores["metric"].str.startswith(metrics))]
        gone = ["caption"] + ["answer"] * (system == "dual")
        predictions = predictions[~((predictions["system"] == system) & predictions["task"].isin(gone))]
        for cell in (path / "cells" / system).glob("*/cell.json"):
            content = json.loads(cell.read_text())
            content["not_applicable"] = {m: reason for reason, names in reasons.items() for m in names}
            cell.write_text(json.dumps(content))
    scores.to_parquet(path / "scores.parquet")
    predictions.to_parquet(path / "predictions.parquet")
    latency = json.loads((path / "latency.json").read_text())
    untimed = {"dual": CAPTION_TIMES, "classifier": [*CAPTION_TIMES, "embed_image_s", "embed_text_s"]}
    answered = [r | {"measure": "answer_s"} for r in latency["rows"] if r["measure"] == "caption_s"]
    rows = [r for r in latency["rows"] if r["measure"] not in untimed.get(r["system"], [])]
    latency["rows"] = rows + [r for r in answered if r["system"] != "dual"]
    (path / "latency.json").write_text(json.dumps(latency))
    return path


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return build_summary(load_run(write_mixed(tmp_path_factory.mktemp("runs") / "mixed")))


def test_a_pair_is_compared_where_both_have_a_score(mixed: dict[str, Any]) -> None:
    systems = {"unified", "dual", "classifier"}

    def among(metric: str) -> set[frozenset[str]]:
        pairs = [frozenset((row["system_a"], row["system_b"])) for row in mixed["pairs"][metric]]
        return {pair for pair in pairs if pair <= systems}

    assert among("vqa_accuracy") == {frozenset(("unified", "classifier"))}
    assert among("text_to_image_recall@5") == {frozenset(("unified", "dual"))}
    assert among("cider_d") == set()
    assert len(among("choice_accuracy")) == 3


def test_page_one_says_who_is_compared_and_who_is_not(mixed: dict[str, Any]) -> None:
    said = {label: " ".join(map(plain, parts)) for label, parts in sentences(mixed)}
    assert "Not applicable to dual (answers no questions)." in said["VQA accuracy"]
    assert "Not applicable to classifier (embeds no images and texts)." in said["Text→image R@5"]
    assert "CIDEr-D" not in said, "one system alone is not compared"
    assert "Multiple choice" in said, "dual and classifier have nothing else in common"
    assert plain(verdict(mixed)).startswith(
        "On VQA accuracy unified and classifier cannot be told apart; on Text→image"
    )
    apart = json.loads(json.dumps(mixed))
    for row in apart["pairs"]["vqa_accuracy"]:
        row["distinguishable"] = True
    assert "is ahead of all others on VQA accuracy (of the 2 that have it)" in plain(verdict(apart))
    against = plain(against_blind(mixed))
    assert all(name in against for name in ("unified", "dual", "classifier"))
    assert "VQA accuracy" in against and "Multiple choice" in against
    assert [plain(each) for each in unable(mixed)] == [
        "Not applicable: dual is of a family that writes no captions and answers no questions.",
        "Not applicable: classifier is of a family that writes no captions and embeds no images and texts.",
    ]


def test_multiple_choice_is_spoken_of_only_where_systems_share_nothing_else(whole_summary: dict[str, Any]) -> None:
    more = json.loads(json.dumps(whole_summary).replace('"bleu_4"', '"choice_accuracy"'))
    more["pairs"]["choice_accuracy"] = more["pairs"]["cider_d"]
    assert [label for label, _ in sentences(more)] == [label for label, _ in sentences(whole_summary)]


def test_tables_and_files_have_no_gap(mixed: dict[str, Any]) -> None:
    table = front_table(mixed)
    assert all(cell.text for row in table.rows for cell in row)
    for written in (markdown(table), latex(table)):
        assert written.count("not applicable") >= 8
    record = table.data.set_index(["system", "metric"])["missing"]
    assert record["dual", "vqa_accuracy"] == "not applicable: the family answers no questions"
    assert record["unified", "vqa_accuracy"] == ""
    fronts = fronts_table(mixed)
    assert {cell.text for row in fronts.rows for cell in row[1:]} >= {"not applicable", "on the front"}
    timed = latency_table(mixed)
    assert "Answer" in timed.header
    dual = next(row for row in timed.rows if row[0].text == "dual")
    assert dual[timed.header.index("Caption")].text == "not applicable"
    assert dual[timed.header.index("Embed image")].text.endswith("ms")


def test_reasons_are_found_with_and_without_the_k(mixed: dict[str, Any]) -> None:
    classifier, unified = mixed["systems"]["classifier"], mixed["systems"]["unified"]
    assert missing(classifier, "text_to_image_recall@5") == missing(classifier, "text_loss_change") == "not applicable"
    assert why_missing(classifier, "image_to_text_recall@1/optimistic").endswith("embeds no images and texts")
    assert missing(unified, "match_accuracy") == "not measured"
    many = [f"s{number}" for number in range(6)]
    summary = {"systems": {name: classifier for name in many}}
    assert plain(no_score_of(summary, "cider_d", many)[0]) == "Not applicable to 6 systems (writes no captions)."


def test_what_nobody_has_is_one_sentence_a_reason(mixed: dict[str, Any]) -> None:
    lacking = json.loads(json.dumps(mixed))
    for content in lacking["systems"].values():
        for metric in ("zero_shot_accuracy", "linear_probe_accuracy"):
            content["not_applicable"][metric] = "the data has no labels"
    (note,) = not_applicable_notes(lacking)
    assert note == "Zero-shot classification and Linear probe: not applicable (the data has no labels)."
    assert not_applicable_notes(mixed) == [], "what some have is said system by system"


def test_the_document_of_such_a_comparison_is_made(tmp_path: Path) -> None:
    run = load_run(write_mixed(tmp_path / "mixed"))
    document = write_document(run, build_summary(run), tmp_path / "report")
    headings = [block["text"] for block in document.blocks if block["type"] == "heading"]
    assert "Quality against cost" in headings
    titles = [block["title"] for block in document.blocks if block["type"] == "table"]
    assert any(title.startswith("Multiple choice by question kind") for title in titles)
    assert (tmp_path / "report" / "figures" / "latency_tokens.svg").is_file()


def test_re_ranking_says_how_many_candidates_it_ordered(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", images=10)
    scores = pd.read_parquet(path / "scores.parquet")
    recall = scores[scores["metric"].str.startswith("text_to_image")]
    again = recall.assign(metric="reranked_" + recall["metric"])
    pd.concat([scores, again]).to_parquet(path / "scores.parquet")
    with (path / "comparison.yaml").open("a") as file:
        file.write("evaluation: {rerank: 12}\n")
    run = load_run(path)
    document = write_document(run, build_summary(run), tmp_path / "report")
    words = ["".join(span["t"] for span in block["spans"]) for block in document.blocks if "spans" in block]
    assert any("the first 12 candidates by embedding" in each for each in words)
    assert describe("reranked_text_to_image_recall@5").label == "Text→image R@5, re-ranked"


def test_page_one_has_room_for_eight_columns(mixed: dict[str, Any]) -> None:
    everything = {f"{way}_recall@{k}" for way in ("text_to_image", "image_to_text") for k in (1, 5, 10)} | {
        *("vqa_accuracy", "cider_d", "choice_accuracy", "match_accuracy", "text_loss", "zero_shot_accuracy"),
        *("linear_probe_accuracy", "bleu_4"),
    }
    columns = front_page(everything)
    assert len(columns) == 8 and {"vqa_accuracy", "text_loss", "match_accuracy", "text_to_image_recall@5"} < {*columns}
    assert "text_loss" not in legend({"systems": {}, "seeds": []}).lower()


@pytest.mark.parametrize(
    "name",
    [
        *("choice_accuracy", "match_accuracy", "zero_shot_accuracy", "linear_probe_accuracy"),
        *("vqa_accuracy_without_image", "exact_match_without_image", "reranked_image_to_text_recall@10"),
    ],
)
def test_every_new_metric_is_described(name: str) -> None:
    shown = describe(name)
    assert shown.label != name and shown.scale == 100 and shown.bounds == (0, 100) and shown.higher_is_better
