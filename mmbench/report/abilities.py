"""What has no score, and why: a system that cannot do it, data that lacks it, a cell that failed."""

from typing import Any

from mmbench.report import numbers
from mmbench.report.catalogue import describe, in_order
from mmbench.report.systems import MANY, Summary, names_of
from mmbench.report.text import Text, join_systems, text

_OF_A_FAMILY = "the family "
"""How reasons begin that hold of one system and not of the data."""


def reason_of(content: dict[str, Any], metric: str) -> str:
    """Why a metric does not apply to a system; empty where it does."""
    found = content["not_applicable"]
    base = metric.partition("/")[0].replace("text_loss_change", "text_loss")
    return str(found.get(metric) or found.get(base) or found.get(base.partition("@")[0]) or "")


def missing(content: dict[str, Any], metric: str) -> str:
    """Why a system has no value, in the two words of a table's cell: never a gap."""
    if reason_of(content, metric):
        return "not applicable"
    statuses = {cell["status"] for cell in content["cells"].values()}
    if statuses == {"failed"}:
        return "failed"
    return "not measured" if "done" in statuses else "not finished"


def why_missing(content: dict[str, Any], metric: str) -> str:
    """The same with the reason of what is not applicable, for the files."""
    reason = reason_of(content, metric)
    return f"not applicable: {reason}" if reason else missing(content, metric)


def no_score_of(summary: Summary, metric: str, names: list[str]) -> list[Text]:
    """Sentences on systems that have no score of a metric that others have."""
    groups: dict[str, list[str]] = {}
    for name in names:
        reason = reason_of(summary["systems"][name], metric)
        groups.setdefault(reason.removeprefix(_OF_A_FAMILY), []).append(name)
    said = []
    for reason, group in groups.items():
        who = join_systems(group) if len(group) <= MANY else text(f"{len(group)} systems")
        one = len(group) == 1
        if reason:
            said.append(text("Not applicable to ", who, f" ({reason})."))
        else:
            said.append(text(who, " has" if one else " have", " no such score."))
    return said


def unable(summary: Summary) -> list[Text]:
    """One sentence for systems that cannot do the same things: which, while others of this comparison can."""
    measured = _measured(summary, "system")
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in names_of(summary, "system"):
        reasons = summary["systems"][name]["not_applicable"].items()
        of_others = [reason for metric, reason in reasons if metric in measured and reason.startswith(_OF_A_FAMILY)]
        cannot = dict.fromkeys(reason.removeprefix(_OF_A_FAMILY) for reason in of_others)
        if cannot:
            groups.setdefault(tuple(cannot), []).append(name)
    return [
        text("Not applicable: ", join_systems(names), f" {_they(names)} of a family that {numbers.join(list(cannot))}.")
        for cannot, names in groups.items()
    ]


def not_applicable_notes(summary: Summary) -> list[str]:
    """One sentence for the metrics that no system of this comparison has for one reason."""
    bases = _measured(summary)
    reasons: dict[str, str] = {}
    for content in summary["systems"].values():
        for metric, reason in content["not_applicable"].items():
            if metric not in bases:
                for other in sorted(bases, key=len, reverse=True):
                    reason = reason.replace(other, describe(other).label)
                reasons.setdefault(metric, reason)
    metrics_of: dict[str, list[str]] = {}
    for metric in in_order(set(reasons)):
        metrics_of.setdefault(reasons[metric], []).append(describe(metric).label)
    return [f"{numbers.join(labels)}: not applicable ({reason})." for reason, labels in metrics_of.items()]


def _measured(summary: Summary, kind: str = "") -> set[str]:
    """Metrics that some system (of a kind) has, those of Recall@K without their K too."""
    contents = [each for each in summary["systems"].values() if not kind or each["kind"] == kind]
    found = {metric for content in contents for metric in content["metrics"]}
    return found | {metric.partition("@")[0] for metric in found}


def _they(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
