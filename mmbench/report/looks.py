"""Seeds that were added until a pair was decided: the looks in words and as a table, and what they do to the pair."""

from typing import Any

import pandas as pd

from mmbench.report import numbers
from mmbench.report.catalogue import describe
from mmbench.report.pairs import ALPHA
from mmbench.report.tables import Row, Table, TableCell
from mmbench.report.text import Text, bold, join_systems, text

_MINUS = f" {numbers.MINUS} "


def with_looks(pairs: dict[str, list[dict[str, Any]]], looks: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The pairs, with the one that was looked at several times told apart by the level of its last look.

    Its interval becomes the repeated one (Jennison and Turnbull 1989), and the row gains ``look_p``, ``look_level`` and
    ``look_alpha``, the chance of a false alarm over all looks together. A decision by an alpha above that of the report
    is one of the looks alone: it does not make the pair told apart.
    """
    taken = looks.get("looks") or []
    if not taken or taken[-1].get("level") is None:
        return pairs
    a, b = looks["pair"]
    last, alpha = taken[-1], float(looks["alpha"])
    rows = []
    for row in pairs.get(looks["metric"], []):
        if {row["system_a"], row["system_b"]} == {a, b}:
            low, high = last["ci_low"], last["ci_high"]
            if row["system_a"] == b and low is not None and high is not None:
                low, high = -high, -low
            row = row | {
                "ci_low": low,
                "ci_high": high,
                "distinguishable": bool(looks.get("decided")) and alpha <= ALPHA,
            }
            row |= {"look_p": last["p"], "look_level": last["level"], "look_alpha": alpha}
        rows.append(row)
    return pairs | ({looks["metric"]: rows} if rows else {})


def interval_name(pair: dict[str, Any]) -> str:
    """What the interval of a pair is called."""
    return "95% interval" if pair.get("look_level") is None else f"repeated {_percent(pair['look_alpha'])} interval"


def _percent(alpha: float) -> str:
    """What an interval of a level covers: ``95%``, ``99.5%``."""
    return f"{round(100 * (1 - alpha), 6):g}%"


def sure_words(pair: dict[str, Any]) -> str:
    """The p value by which a pair is judged: adjusted over pairs, or against the level of its last look."""
    if pair.get("look_level") is None:
        return f"adjusted {numbers.p_words(pair['p_holm'])}"
    return f"{numbers.p_words(pair['look_p'])} at a look with level {numbers.fixed(pair['look_level'], 3)}"


def looks_sentence(looks: dict[str, Any]) -> Text:
    """For page one: what was looked at, and what came of it; empty where the seeds were fixed beforehand."""
    if not looks:
        return []
    taken = looks.get("looks") or []
    metric = describe(str(looks.get("metric") or "")).label or "no metric"
    start = text(
        "Seeds were added until ", join_systems(list(looks["pair"])), f" could be told apart on {metric}, at most "
    )
    start += text(f"{looks.get('max_seeds')}: ")
    if not taken:
        return text(start, bold("no look was taken"), f" ({looks.get('reason') or 'too few finished seeds'}).")
    last = taken[-1]
    after = f" at look {len(taken)}, with {last['seeds']} seeds"
    if looks.get("decided"):
        words = (
            f" ({numbers.p_words(last['p'])} against a level of {numbers.fixed(last['level'], 3)}, which makes up for "
        )
        return text(start, bold("decided"), after + words + "looking more than once)" + _at_alpha(looks) + ".")
    words = f" by then ({len(taken)} looks, the last with {last['seeds']} seeds)"
    return text(start, bold("not decided"), words + _at_alpha(looks) + ".")


def _at_alpha(looks: dict[str, Any]) -> str:
    """The alpha of all looks together where it is not that of the report."""
    alpha = float(looks["alpha"])
    if alpha == ALPHA:
        return ""
    weaker = f", too much to call them told apart at the report's {ALPHA:g}" if alpha > ALPHA else ""
    return f", all looks together with an alpha of {alpha:g}{weaker}"


def looks_table(looks: dict[str, Any]) -> Table | None:
    """A row a look."""
    taken = looks.get("looks") or []
    if not taken:
        return None
    shown = describe(str(looks["metric"]))
    rows: list[Row] = []
    for number, one in enumerate(taken, 1):
        low, high, difference = (
            None if one[key] is None else one[key] * shown.scale for key in ("ci_low", "ci_high", "difference")
        )
        found = looks.get("decided") and number == len(taken)
        rows.append(
            [
                TableCell(f"{number}"),
                TableCell(f"{one['seeds']}"),
                TableCell(numbers.fixed(difference, shown.digits, sign=True)),
                TableCell(numbers.interval(low, high, shown.digits) or numbers.DASH),
                TableCell(numbers.p_value(one["p"])),
                TableCell(numbers.fixed(one["level"], 4)),
                TableCell("decided" if found else "go on" if number < len(taken) else "not decided"),
            ]
        )
    title = (
        f"Looks at {_MINUS.join(looks['pair'])} on {shown.label}: the level of a look makes up for looking more than "
        "once, and the repeated intervals hold together."
    )
    header = [
        "Look",
        "Seeds",
        "Difference",
        f"Repeated {_percent(float(looks['alpha']))} interval",
        "p",
        "Level",
        "Decision",
    ]
    return Table("looks", title, header, rows, data=pd.DataFrame(taken), num_left=1)
