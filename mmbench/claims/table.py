"""The claims' verdicts as a table: for the terminal, and as Markdown, CSV and JSON."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from mmbench.claims.claim import Claim, Rule
from mmbench.claims.rules import ALPHA
from mmbench.claims.verdict import Decided, Judgement
from mmbench.config.settings import Settings
from mmbench.config.whole_file import whole_file
from mmbench.harness.csv_file import write_csv
from mmbench.harness.run_files import write_json
from mmbench.report import numbers
from mmbench.report.catalogue import describe
from mmbench.report.tables import Table, TableCell, markdown

HEADER = ["claim", "title", "verdict", "what was found", "budget", "seeds"]


def claim_entry(claim: Claim, judgement: Judgement, arms: Mapping[str, Settings]) -> dict[str, Any]:
    """What ``claims.json`` holds of a claim; ``null`` for what is not known."""
    first = next(iter(arms.values()), None)
    entry: dict[str, Any] = {
        "number": claim.number,
        "title": claim.title,
        "prediction": claim.prediction,
        "source": claim.source,
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "alpha": ALPHA,
        "scale": first.scale if first else None,
        "data": first.data.name if first else None,
        "budget": first.budget if first else None,
        "seeds": first.seeds if first else None,
        "runs": {arm: settings.name for arm, settings in arms.items()},
        "rules": [_rule_entry(decided) for decided in judgement.rules],
    }
    plain: dict[str, Any] = _plain(entry)
    return plain


def write_claims(entries: list[dict[str, Any]], reports_dir: Path) -> Path:
    """Write ``claims.json``, ``claims.csv`` (a row a rule) and ``claims.md``; returns the last one's path."""
    write_json(reports_dir / "claims.json", entries)
    with whole_file(reports_dir / "claims.csv") as part:
        write_csv(pd.DataFrame(_csv_rows(entries), columns=_CSV_COLUMNS), part)
    cells = [[TableCell(text) for text in row(entry)] for entry in entries]
    table = Table("claims", "Claims: predictions, and what the runs say of them", HEADER, cells, left_all=True)
    with whole_file(reports_dir / "claims.md") as part:
        part.write_text(markdown(table), encoding="utf-8")
    return reports_dir / "claims.md"


def row(entry: dict[str, Any]) -> list[str]:
    """The cells of a claim's row, under ``HEADER``."""
    found = [rule["words"] for rule in entry["rules"]] or [entry["reason"]]
    seeds = "" if entry["seeds"] is None else str(len(entry["seeds"]))
    return [str(entry["number"]), entry["title"], entry["verdict"], "; ".join(found), entry["budget"] or "", seeds]


def in_words(decided: Decided) -> str:
    """A rule's sentence with its numbers: ``a is better than b on VQA accuracy: +1.2 [0.3, 2.1], p = 0.01: holds``."""
    rule, finding = decided.rule, decided.finding
    verdict = {"supported": "holds", "refuted": "refuted"}.get(decided.verdict, "open")
    beside = "" if rule.decides else " (beside)"
    return f"{_sentence(rule)}: {finding.reason or _numbers(decided)}: {verdict}{beside}"


def _sentence(rule: Rule) -> str:
    metric = describe(rule.metric)
    margin = numbers.fixed(rule.margin * metric.scale, metric.digits)
    cheaper = f"ever cheaper with {rule.grows_with}" if rule.grows_with else "cheaper"
    return {
        "better": f"{rule.system} better than {rule.than}, {metric.label}",
        "not_worse": f"{rule.system} not worse than {rule.than} by {margin}, {metric.label}",
        "equivalent": f"{rule.system} within {margin} of {rule.than}, {metric.label}",
        "cheaper": f"{rule.system} {cheaper} than {rule.than}, {rule.cost}",
        "unchanged": f"{rule.system} keeps its text-only loss",
        "loses": f"{rule.system} loses text-only ability",
    }[rule.rule]


def _numbers(decided: Decided) -> str:
    found = decided.finding.numbers
    if "ratios" in found:
        return ", ".join(f"ratio {ratio:.3f} at {size} px" for size, ratio in found["ratios"].items())
    if "largest_change" in found:
        return f"largest change {found['largest_change']:.3g} over {found['num_texts']} texts"
    shown = describe(decided.rule.metric or "text_loss_change")
    difference, low, high = (found[key] * shown.scale for key in ("difference", "ci_low", "ci_high"))
    digits = numbers.digits_for([(high - low) / 2], shown.digits)
    p = min(decided.p_holds, decided.p_refutes)
    interval = numbers.interval(low, high, digits)
    return f"{numbers.fixed(difference, digits, sign=True)} {interval}, {numbers.p_words(p)}"


def _rule_entry(decided: Decided) -> dict[str, Any]:
    return {
        **asdict(decided.rule),
        "verdict": decided.verdict,
        "p_holds": decided.finding.p_holds,
        "p_refutes": decided.finding.p_refutes,
        "p_holds_holm": decided.p_holds,
        "p_refutes_holm": decided.p_refutes,
        "exact": decided.finding.exact,
        "numbers": decided.finding.numbers,
        "reason": decided.finding.reason,
        "words": in_words(decided),
    }


_OF_A_CLAIM = ["number", "title", "verdict", "reason", "scale", "data", "budget", "num_seeds"]
_OF_A_RULE = ["rule", "system", "than", "metric", "cost", "margin", "equal_within", "decides", "rule_verdict"]
_FOUND = ["difference", "ci_low", "ci_high", "p_holds_holm", "p_refutes_holm", "ratios", "largest_change"]
_CSV_COLUMNS = [*_OF_A_CLAIM, *_OF_A_RULE, *_FOUND, "rule_reason"]


def _csv_rows(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for entry in entries:
        seeds = None if entry["seeds"] is None else len(entry["seeds"])
        of_claim = {key: entry.get(key) for key in _OF_A_CLAIM} | {"num_seeds": seeds}
        for rule in entry["rules"] or [{}]:
            found = dict(rule.get("numbers", {}))
            if "ratios" in found:
                found["ratios"] = json.dumps(found["ratios"])
            of_rule = {key: rule.get(key) for key in [*_OF_A_RULE, "p_holds_holm", "p_refutes_holm"]}
            more = {"rule_verdict": rule.get("verdict"), "rule_reason": rule.get("reason")}
            rows.append(of_rule | found | more | of_claim)
    return rows


def _plain(value: Any) -> Any:
    """Only what JSON knows: what is not finite becomes ``None``."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
