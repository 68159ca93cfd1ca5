"""A scaling study in sentences and tables."""

import math
from collections import Counter
from typing import Any

import pandas as pd

from mmbench.report import numbers
from mmbench.report.answer import budget_words
from mmbench.report.catalogue import HEADLINES, Metric, describe, ends
from mmbench.report.matching import TOLERANCE
from mmbench.report.systems import MANY, Summary, names_of
from mmbench.report.tables import Row, Table, TableCell
from mmbench.report.text import Text, join_systems, system, text


def scaling_question(summary: Summary) -> Text:
    """What the study asks."""
    names = names_of(summary, "system")
    study = summary["scaling"]
    who = join_systems(names) if len(names) <= MANY else text(f"{len(names)} systems")
    return text(
        "How does the error of ",
        who,
        f" on {summary['data']['name'] or 'this data'} fall from {amount_words(study['budgets'][0], study['unit'])} to "
        f"{amount_words(study['budgets'][-1], study['unit'])}, and do the curves cross?",
    )


def amount_words(amount: float | None, unit: str) -> str:
    """An amount of a unit; ``not known`` for none."""
    if amount is None or not math.isfinite(amount):
        return "not known"
    return budget_words(f"{float(f'{amount:.3g}')}{unit}")


def scaling_sentences(summary: Summary) -> list[tuple[str, list[Text]]]:
    """For each headline metric its label, its laws and its crossings in words."""
    study = summary["scaling"]
    said = []
    for metric, found in study["metrics"].items():
        if metric in HEADLINES:
            parts = [_laws(found), *_crossings(found, study["unit"])] if found["laws"] else []
            parts += [text(note[:1].upper() + note[1:] + ".") for note in found["notes"]]
            said.append((describe(metric).label, parts))
    return said


def _laws(found: dict[str, Any]) -> Text:
    """The exponents, steepest first."""
    laws = sorted(found["laws"], key=lambda law: -law["exponent"])
    left = laws if len(laws) <= MANY else [laws[0], laws[-1]]
    said = text("The error falls as the budget to the power of ")
    for number, law in enumerate(left):
        joint = "" if number == 0 else " and " if number == len(left) - 1 else ", "
        said += text(
            joint, f"{numbers.fixed(-law['exponent'], 3)}{_exponent_interval(law)} for ", system(law["system"])
        )
    if len(left) < len(laws):
        said += text(f", the steepest and the flattest of {len(laws)}")
    return text(said, ".")


def _exponent_interval(law: dict[str, Any]) -> str:
    """The interval of the power as it is written, with its sign."""
    if law["ci_low"] is None:
        return " (no interval: one seed and two budgets)"
    over = "" if law["covers"] == "seeds" else " over budgets only"
    return f" (95% interval {numbers.fixed(-law['ci_high'], 3)} to {numbers.fixed(-law['ci_low'], 3)}{over})"


def _crossings(found: dict[str, Any], unit: str) -> list[Text]:
    inside = [row for row in found["crossings"] if row["within"] and row["crossing"] is not None]
    if not found["crossings"]:
        return []
    if not inside:
        return [text("No two fitted laws cross within the budgets run.")]
    if len(inside) > MANY:
        return [text(f"{len(inside)} of {len(found['crossings'])} pairs of laws cross within the budgets run (table).")]
    return [
        text(
            join_systems([row["system_a"], row["system_b"]]),
            f" cross at about {amount_words(row['crossing'], unit)} ",
            f"({_crossing_interval(found, row, unit)}); beyond it ",
            system(row["better_above"]),
            " has the lower error.",
        )
        for row in inside
    ]


def _crossing_interval(found: dict[str, Any], row: dict[str, Any], unit: str) -> str:
    """Fieller's interval in words; it is bounded only where the slopes of the laws can be told apart."""
    low, high = row["ci_low"], row["ci_high"]
    if len(_seeds_of_law(found, row["system_a"]) & _seeds_of_law(found, row["system_b"])) < 2:
        return "no interval: fewer than two common seeds"
    if low is None or high is None:
        return "not bounded: the slopes cannot be told apart"
    return f"95% interval {amount_words(low, unit)} to {amount_words(high, unit)}"


def _seeds_of_law(found: dict[str, Any], system: str) -> set[int]:
    """The seeds of which a system has a law: those with a score at each of its budgets."""
    counts = Counter(point["seed"] for point in found["points"] if point["system"] == system)
    num_budgets = next(law["n_budgets"] for law in found["laws"] if law["system"] == system)
    return {seed for seed, count in counts.items() if count == num_budgets}


def scaling_cautions(summary: Summary) -> list[Text]:
    """What a scaling study does not show."""
    budgets = summary["scaling"]["budgets"]
    said = [
        text(
            f"A power law through {len(budgets)} budgets describes the range that was run. Beyond it nothing was "
            "measured: a crossing outside is an extrapolation, and no table here names a winner there."
        ),
        text(
            "Every budget is a training of its own, with a schedule that ends at it; points of one seed share the "
            "start and the order of the data, and the intervals take that into account."
        ),
    ]
    if len(summary["seeds"]) < 2:
        said.append(
            text("One seed: intervals are those of a straight line through the budgets, and say nothing of seeds.")
        )
    return said


def budgets_table(summary: Summary) -> Table:
    """The headline scores: a row a system and budget."""
    metrics = [metric for metric in HEADLINES if metric in summary["scaling"]["metrics"]]
    rows: list[Row] = []
    rules: list[int] = []
    records = []
    unit = summary["scaling"]["unit"]
    for name in dict.fromkeys(name for each in summary["by_budget"].values() for name in names_of(each, "system")):
        rules.append(len(rows))
        for budget, each in summary["by_budget"].items():
            content = each["systems"].get(name)
            row: Row = [
                TableCell(name if len(rows) == rules[-1] else "", style="system"),
                TableCell(budget_words(budget)),
            ]
            for metric in metrics:
                entry = content and content["metrics"].get(metric)
                row.append(
                    _score(entry, metric)
                    if entry
                    else TableCell("not run" if not content else "no score", style="muted")
                )
                records.append(
                    {"system": name, "budget": budget, "metric": metric}
                    | ({k: entry[k] for k in ("mean", "sd", "n_seeds")} if entry else {})
                    | (dict(zip(("ci_low", "ci_high"), entry["interval"], strict=True)) if entry else {})
                )
            rows.append(row)
    header = ["System", "Budget", *(describe(metric).short for metric in metrics)]
    title = f"Scores on the test split by budget ({unit}), with 95% intervals."
    return Table("scaling_scores", title, header, rows, num_left=2, rules=rules, data=pd.DataFrame(records))


def _score(entry: dict[str, Any], metric: str) -> TableCell:
    shown: Metric = describe(metric)
    low, high = ends(entry, metric)
    return TableCell(
        numbers.fixed(entry["mean"] * shown.scale, shown.digits), numbers.interval(low, high, shown.digits)
    )


_MOST_CROSSINGS = 6
"""Pairs of one metric of which all are shown; of more, those that cross within the budgets."""


def laws_table(summary: Summary) -> Table | None:
    """Every fitted law."""
    rows: list[Row] = []
    records: list[dict[str, Any]] = []
    rules = []
    for metric, found in summary["scaling"]["metrics"].items():
        rules.append(len(rows))
        for number, law in enumerate(found["laws"]):
            low, high = law["ci_low"], law["ci_high"]
            rows.append(
                [
                    TableCell(describe(metric).label if number == 0 else ""),
                    TableCell(law["system"], style="system"),
                    TableCell(f"{law['coefficient']:.3g}"),
                    TableCell(numbers.fixed(law["exponent"], 3)),
                    TableCell(numbers.interval(low, high, 3) or "not known"),
                    TableCell(numbers.percent(law["misfit"])),
                    TableCell(f"{law['n_budgets']}"),
                    TableCell(f"{law['n_seeds']}"),
                ]
            )
            records.append({"metric": metric, **law})
    if not rows:
        return None
    title = (
        f"Power laws: error = a B⁻ᵇ, with the budget B in {summary['scaling']['unit']} and the error as a fraction "
        f"(1 {numbers.MINUS} score) or a loss. Misfit: how far the mean curve is from the law, as a share of the error."
    )
    header = ["Error of", "System", "a", "b", "95% interval of b", "Misfit", "Budgets", "Seeds"]
    return Table(
        "scaling_laws",
        title,
        header,
        rows,
        num_left=2,
        rules=rules,
        data=pd.DataFrame(records),
        size=8,
        widths=[0.9, 0.8, 1.6, 0.8, 0.8, 0.7],
    )


def crossings_table(summary: Summary) -> Table | None:
    """Where the laws of two systems meet."""
    unit = summary["scaling"]["unit"]
    rows: list[Row] = []
    records: list[dict[str, Any]] = []
    rules = []
    for metric, found in summary["scaling"]["metrics"].items():
        rules.append(len(rows))
        few = len(found["crossings"]) <= _MOST_CROSSINGS
        shown = [row for row in found["crossings"] if few or row["within"]]
        for number, row in enumerate(shown):
            place = amount_words(row["crossing"], unit) if row["within"] else "outside the budgets run"
            rows.append(
                [
                    TableCell(describe(metric).label if number == 0 else ""),
                    TableCell(row["system_a"], style="system"),
                    TableCell(row["system_b"], style="system"),
                    TableCell(place, style="plain" if row["within"] else "muted"),
                    TableCell(
                        _crossing_interval(found, row, unit).removeprefix("95% interval ") if row["within"] else ""
                    ),
                    TableCell(row["better_above"] or "", style="system") if row["within"] else TableCell(""),
                ]
            )
        records += [{"metric": metric, **row} for row in found["crossings"]]
    if not rows:
        return None
    title = "Crossings of the laws, with Fieller's 95% intervals over the seeds; all pairs are in the CSV file."
    header = ["Error of", "A", "B", "Crossing", "95% interval", "Lower error beyond it"]
    return Table(
        "scaling_crossings", title, header, rows, rules=rules, left_all=True, data=pd.DataFrame(records), size=8
    )


def matched_by_budget_table(summary: Summary) -> Table:
    """The largest difference between the systems in each quantity, by budget."""
    keys = ("budget_spent", "parameters_trainable", "parameters_active", "flops", "tokens", "device_s")
    rows: list[Row] = []
    labels: dict[str, str] = {}
    for budget, each in summary["by_budget"].items():
        entries = {entry["quantity"]: entry for entry in each["matching"]}
        row = [TableCell(budget_words(budget))]
        for key in keys:
            difference = entries[key]["difference"] if key in entries else None
            over = difference is not None and difference > TOLERANCE
            labels[key] = entries[key]["label"] if key in entries else labels.get(key, key.replace("_", " "))
            row.append(
                TableCell(numbers.percent(difference) + (" ▲" if over else ""), style="flag" if over else "plain")
            )
        rows.append(row)
    title = "What was matched at each budget: the largest difference; ▲ marks more than 1%."
    return Table("scaling_matching", title, ["Budget", *(labels[key] for key in keys)], rows)
