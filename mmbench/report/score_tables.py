"""Tables of scores: page one's, all metrics, pairs, question kinds, other splits, text-only ability, latency."""

import math
from dataclasses import replace
from typing import Any

import pandas as pd

from mmbench.report import numbers
from mmbench.report.abilities import missing, why_missing
from mmbench.report.answer import detectable, leading, ranked
from mmbench.report.catalogue import HEADLINES, Metric, describe, ends, front_page, in_order, is_headline_variant
from mmbench.report.looks import interval_name
from mmbench.report.systems import Summary, names_of
from mmbench.report.tables import Row, Table, TableCell


def front_table(summary: Summary) -> Table:
    """Systems and baselines by the headline metrics."""
    metrics = front_page(_all_measured(summary))
    return _score_table(summary, "scores", f"Scores on the test split, {_means_over(summary)}.", metrics)


def all_scores_table(summary: Summary) -> Table:
    """What page one leaves out."""
    left = _all_measured(summary) - set(front_page(_all_measured(summary)))
    metrics = [m for m in in_order({m for m in left if is_headline_variant(m)}) if not m.startswith("text_loss")]
    return _score_table(summary, "scores_more", f"Further scores on the test split, {_means_over(summary)}.", metrics)


def legend(summary: Summary) -> str:
    """What the numbers of page one's table are."""
    shown = set(front_page(_all_measured(summary)))
    said = ["Percent."]
    said += ["CIDEr-D times 100."] if "cider_d" in shown else []
    said += ["Text loss in nats per token, lower is better."] if "text_loss" in shown else []
    if any("_recall@" in metric for metric in shown):
        said.append("R@K: T→I, the image is among the first K for its caption; I→T, a caption of the image is.")
    said += ["Choice: the right one of a question's answers."] if "choice_accuracy" in shown else []
    said += ["Match: a caption told from that of another image; chance is 50."] if "match_accuracy" in shown else []
    if "zero_shot_accuracy" in shown:
        said.append("Zero-shot: the image's label, by the nearest text.")
    if "linear_probe_accuracy" in shown:
        said.append("Probe: the image's label, read off its features by a linear classifier.")
    return " ".join([*said, "Bold: the best, and all not distinguishable from it."])


def notes_on(table: Table, summary: Summary) -> list[str]:
    """What is to be known of the columns of a table of further scores."""
    notes = []
    if describe("bleu_4").short in table.header:
        notes.append("BLEU-4 is a sum over the corpus: its interval covers the seeds only.")
    if any(head.endswith("*") for head in table.header):
        how = "in the order of the likelihood of the caption given the image"
        notes.append(f"*: the first {summary['reranked']} candidates by embedding, put {how}.")
    if any(head == describe("vqa_accuracy_without_image").short for head in table.header):
        notes.append("No image: the questions answered with the image withheld.")
    return notes


def bases_of_kinds(summary: Summary) -> list[str]:
    """The metrics of questions that are shown by kind: of multiple choice only where a system has no other."""
    found = [base for base in ("vqa_accuracy", "exact_match") if _measured(summary, base)]
    systems = [summary["systems"][name]["metrics"] for name in names_of(summary, "system")]
    if any("choice_accuracy" in each and not any(base in each for base in found) for each in systems):
        found.append("choice_accuracy")
    return found


def tie_notes(summary: Summary) -> list[str]:
    """A sentence where ties in the similarities leave Recall@K open."""
    notes = []
    for name in names_of(summary, "system"):
        content, wide = summary["systems"][name], []
        for metric, entry in content["metrics"].items():
            low, high = (content["metrics"].get(f"{metric}/{side}") for side in ("pessimistic", "optimistic"))
            if low and high and high["mean"] - low["mean"] > 0.001 and not math.isclose(low["mean"], high["mean"]):
                spread = f"{numbers.percent(low['mean'])} to {numbers.percent(high['mean'])}"
                wide.append(
                    f"{describe(metric).label} lies anywhere from {spread} (expected {numbers.percent(entry['mean'])})"
                )
        if wide:
            notes.append(f"{name}: tied similarities; {'; '.join(wide)}.")
    return notes


def pairs_table(summary: Summary, metric: str) -> Table:
    """Pairs among the systems (of many: those with the best one), and each system against blind."""
    shown = describe(metric)
    wanted = {*names_of(summary, "system"), "blind"}
    pairs = [row for row in summary["pairs"][metric] if {row["system_a"], row["system_b"]} <= wanted]
    title = f"{shown.label}, in {'points' if shown.scale == 100 else 'nats per token'}"
    if len(pairs) > _MOST_PAIRS:
        best = ranked(summary, metric)[0]
        pairs = [row for row in pairs if {row["system_a"], row["system_b"]} & {best, "blind"}]
        title += ": pairs with the best system and with blind; all are in the CSV file"
    widths = [(row["ci_high"] - row["ci_low"]) / 2 * shown.scale for row in pairs if row["ci_low"] is not None]
    digits = numbers.digits_for(widths, shown.digits)
    rows = []
    for row in pairs:
        difference, low, high = (
            None if row[key] is None else row[key] * shown.scale for key in ("difference", "ci_low", "ci_high")
        )
        verdict = "yes" if row["distinguishable"] else "no" if row["p"] is not None else "cannot be compared"
        seeds = (
            numbers.DASH
            if row["distinguishable"] or row["seeds_needed"] is None
            else numbers.count(row["seeds_needed"])
        )
        rows.append(
            [
                TableCell(row["system_a"], style="system"),
                TableCell(row["system_b"], style="system"),
                TableCell(numbers.fixed(difference, digits, sign=True)),
                TableCell(numbers.interval(low, high, digits) + _dagger(row)),
                TableCell(numbers.p_value(row["p_holm"])),
                TableCell(numbers.fixed(row["effect"], 1, sign=True)),
                TableCell(verdict, style="bold" if row["distinguishable"] else "plain"),
                TableCell(detectable(row["smallest_detectable"], shown, digits)),
                TableCell(seeds),
            ]
        )
    if any(_dagger(row) for row in pairs):
        title += "; †: one common seed, the interval covers examples only"
    for row in pairs:
        if row.get("look_level") is not None:
            names = f"{row['system_a']} and {row['system_b']}"
            title += f"; the interval of {names} is the {interval_name(row)} of its looks"
    header = [
        "A",
        "B",
        f"A {numbers.MINUS} B",
        "95% interval",
        "adj. p",
        "Effect",
        "Told apart",
        "Detectable",
        "Seeds needed",
    ]
    name = "pairs_" + metric.replace("@", "_at_").replace("/", "_")
    return Table(
        name, title + ".", header, rows, num_left=2, widths=_PAIR_WIDTHS, data=pd.DataFrame(summary["pairs"][metric])
    )


def kinds_table(summary: Summary, base: str) -> Table | None:
    """A row a system, a column a question kind."""
    found = {m for content in summary["systems"].values() for m in content["metrics"] if m.startswith(base + "/")}
    if not found:
        return None
    title = f"{describe(base).label} by question kind, in percent."
    table = _score_table(summary, f"kinds_{base}", title, sorted(found))
    table.header = [table.header[0], *(metric.partition("/")[2] for metric in sorted(found))]
    return table


def split_table(summary: Summary, split: str) -> Table | None:
    """Test split and another one, side by side, on the headline metrics; the CSV file has more."""
    metrics = in_order(
        {
            metric
            for content in summary["systems"].values()
            for metric in content["splits"].get(split, {})
            if is_headline_variant(metric) and not metric.startswith("text_loss")
        }
    )
    if not metrics:
        return None
    shown_here = in_order(set([metric for metric in HEADLINES if metric in metrics][:4]))
    rows, records = [], []
    for name, content in summary["systems"].items():
        row: Row = [TableCell(name, style="system")]
        for metric in metrics:
            shown = describe(metric)
            both = [content["metrics"].get(metric), content["splits"].get(split, {}).get(metric)]
            why = why_missing(content, metric)
            records += [_record(name, metric, p, entry, why) for p, entry in zip(("test", split), both, strict=True)]
            if metric not in shown_here:
                continue
            digits = _digits(summary, metric)
            row += [_score_cell(entry, shown, digits, missing(content, metric)) for entry in both]
            change = both[1]["mean"] - both[0]["mean"] if both[0] and both[1] else None
            row.append(TableCell(numbers.fixed(None if change is None else change * shown.scale, digits, sign=True)))
        rows.append(row)
    what = " (combinations of attributes that training never shows)" if split == "composition" else ""
    title = f"The split “{split}”{what} beside the test split."
    header = ["System", *["test", split, "change"] * len(shown_here)]
    table = Table(f"split_{split}", title, header, rows, rules=_rules(summary), data=pd.DataFrame(records), size=7.5)
    table.groups = [("", 1), *((describe(metric).short, 3) for metric in shown_here)]
    table.widths = [1.35, 1.35, 0.85] * len(shown_here)
    return table


def text_table(summary: Summary) -> Table | None:
    """Text-only loss before and after."""
    metrics = ["text_loss_before", "text_loss", "text_loss_change"]
    if not any(_measured(summary, metric) for metric in metrics):
        return None
    table = _score_table(summary, "text_loss", "Text-only loss in nats per token (lower is better).", metrics)
    table.header = ["System", "Before training", "After training", "Change"]
    return table


def latency_table(summary: Summary) -> Table | None:
    """Median and 95th percentile of each measure, by batch and image size."""
    rows_in = pd.DataFrame(summary["latency"])
    if rows_in.empty:
        return None
    shown = rows_in
    title = "Latency: median, and below it the 95th percentile. Pixels: side of the image; tokens: of the image."
    if shown["system"].nunique() > _MOST_SYSTEMS:
        shown = shown[shown["image_size"] == shown["image_size"].min()]
        title += " Larger images are in the CSV file."
    measures = [m for m in LATENCY if m in set(shown["measure"])]
    rows: list[Row] = []
    rules: list[int] = []
    order = {name: number for number, name in enumerate(summary["systems"])}
    sizes = shown[["batch_size", "image_size"]].drop_duplicates().sort_values(["batch_size", "image_size"])
    for batch_size, image_size in sizes.itertuples(index=False):
        group = shown[(shown["batch_size"] == batch_size) & (shown["image_size"] == image_size)]
        rules.append(len(rows))
        for name in sorted(group["system"].unique(), key=lambda name: order.get(name, len(order))):
            own = group[group["system"] == name]
            row: Row = [TableCell(name, style="system"), TableCell(f"{batch_size}"), TableCell(f"{image_size}")]
            tokens, peaks = own["image_tokens"].dropna(), own["peak_memory_bytes"].dropna()
            row.append(TableCell(numbers.count(tokens.iloc[0]) if len(tokens) else numbers.DASH))
            for measure in measures:
                row.append(_latency_cell(own[own["measure"] == measure], measure))
            row.append(TableCell(numbers.memory(peaks.max()) if len(peaks) else numbers.DASH))
            rows.append(row)
    header = ["System", "Batch", "Pixels", "Tokens", *(LATENCY[m] for m in measures), "Peak memory"]
    return Table("latency", title, header, rows, rules=rules, data=rows_in, size=7.5)


_MOST_SYSTEMS = 5
"""More systems than this are timed in the table at the smallest image only."""
_MOST_PAIRS = 15
_PAIR_WIDTHS = [0.9, 1.6, 0.9, 0.8, 1.1, 1.1, 1.35]
LATENCY = {
    "first_token_s": "First token",
    "per_token_s": "Per token",
    "tokens_per_s": "Tokens/s",
    "caption_s": "Caption",
    "answer_s": "Answer",
    "embed_image_s": "Embed image",
    "embed_text_s": "Embed text",
}
"""Measures in the tables' order."""


def _score_table(summary: Summary, name: str, title: str, metrics: list[str]) -> Table:
    """A row a system, a column a metric; systems that nothing beats at the top of a column are bold."""
    rows, records = [], []
    marked = ""
    several = len(summary["seeds"]) > 1
    best = {metric: leading(summary, metric) if metric in summary["pairs"] else [] for metric in metrics}
    for system, content in summary["systems"].items():
        row: Row = [TableCell(system, style="system")]
        for metric in metrics:
            entry = content["metrics"].get(metric)
            top = system in best[metric] and metric not in ("text_loss_before", "text_loss_change")
            made = _score_cell(entry, describe(metric), _digits(summary, metric), missing(content, metric), top)
            if several and entry is not None and content["kind"] == "system" and _dagger(entry):
                made = replace(made, below=made.below + " †")
                marked = "; †: one seed, examples only."
            row.append(made)
            records.append(_record(system, metric, "test", entry, why_missing(content, metric)))
        rows.append(row)
    header = ["System", *(describe(metric).short for metric in metrics)]
    title = title.rstrip(".") + (marked or ".")
    return Table(name, title, header, rows, rules=_rules(summary), data=pd.DataFrame(records))


def _score_cell(entry: dict[str, Any] | None, shown: Metric, digits: int, why: str, top: bool = False) -> TableCell:
    if entry is None:
        return TableCell(why, style="muted")
    low, high = ends(entry, shown.name)
    words = numbers.fixed(entry["mean"] * shown.scale, digits)
    return TableCell(words, numbers.interval(low, high, digits), "bold" if top else "plain")


def _latency_cell(found: pd.DataFrame, measure: str) -> TableCell:
    if found.empty:
        # What a family can do is timed all at once: what has no time, it cannot do.
        return TableCell("not applicable", style="muted")
    row = found.iloc[0]
    if measure == "tokens_per_s":
        return TableCell(f"{row['p50']:,.0f}", f"{row['p95']:,.0f}")
    return TableCell(numbers.seconds(row["p50"]), numbers.seconds(row["p95"]))


def _dagger(entry: dict[str, Any]) -> str:
    return " †" if entry["covers"] == "examples only" else ""


def _record(system: str, metric: str, split: str, entry: dict[str, Any] | None, why: str) -> dict[str, Any]:
    """``missing`` says why there is no number, and is empty where there is one."""
    record = {"system": system, "metric": metric, "split": split}
    if entry is None:
        return record | {"missing": why}
    low, high = entry["interval"]
    kept = {key: entry[key] for key in ("mean", "sd", "n_seeds", "n_examples", "n_clusters", "covers")}
    return record | kept | {"ci_low": low, "ci_high": high, "missing": ""}


def _digits(summary: Summary, metric: str) -> int:
    """The same number of decimals down a column; that of the trained systems."""
    shown = describe(metric)
    intervals = [
        content["metrics"][metric]["interval"]
        for content in summary["systems"].values()
        if metric in content["metrics"] and content["kind"] == "system"
    ]
    widths = [(high - low) / 2 * shown.scale for low, high in intervals if low is not None and high is not None]
    return numbers.digits_for(widths, shown.digits)


def _measured(summary: Summary, metric: str) -> bool:
    return metric in _all_measured(summary)


def _all_measured(summary: Summary) -> set[str]:
    return {metric for content in summary["systems"].values() for metric in content["metrics"]}


def _rules(summary: Summary) -> list[int]:
    """A rule between systems and baselines."""
    return [len(names_of(summary, "system"))] if names_of(summary, "baseline") else []


def _means_over(summary: Summary) -> str:
    seeds = len(summary["seeds"])
    if seeds > 1:
        return f"means over {seeds} seeds with 95% intervals over seeds and examples"
    return "one seed, with 95% intervals over examples only"
