"""Tuning in words and tables: what each system was searched over, what it took, and what the search settled on."""

from typing import Any

import pandas as pd

from mmbench.report import numbers
from mmbench.report.catalogue import describe
from mmbench.report.systems import MANY, Summary, names_of
from mmbench.report.tables import Row, Table, TableCell
from mmbench.report.text import Text, bold, system, text


def tuning_sentences(summary: Summary) -> list[Text]:
    """For page one: how the systems were tuned, and of which no trial completed."""
    tuning = summary["tuning"]
    if not tuning:
        return []
    said = [
        text(
            f"Each system was tuned first: {numbers.count(tuning.get('trials'))} trials of the same search "
            f"({tuning.get('sampler') or 'sampler not recorded'}) for {_goal(tuning)} on the validation split; the "
            "tuned settings and what the search took stand in the ledger."
        )
    ]
    done = tuning.get("systems") or {}
    for name in names_of(summary, "system"):
        content = done.get(name)
        if content is None:
            said.append(
                text(bold("Not tuned: "), system(name), " has no trials; its cells ran with the common settings.")
            )
        elif not content.get("best"):
            why = f" ({_states(content)})" if content.get("states") else ""
            said.append(
                text(
                    bold("Not tuned: "),
                    "no trial of ",
                    system(name),
                    f" completed{why}; its cells ran with the common settings.",
                )
            )
        elif content.get("value") is None:
            said.append(text(bold("Tuning: "), "the best trial of ", system(name), " has no score that is a number."))
    uneven = {int((content.get("ledger") or {}).get("trials") or 0) for content in done.values()}
    if len(uneven) > 1:
        said.append(text(bold("Uneven tuning: "), f"the systems had from {min(uneven)} to {max(uneven)} trials."))
    return said


def _goal(tuning: dict[str, Any]) -> str:
    metric = describe(str(tuning.get("metric") or "an unnamed metric")).label
    return f"{'low' if tuning.get('direction') == 'minimize' else 'high'} {metric}"


def _states(content: dict[str, Any]) -> str:
    states = content.get("states") or {}
    return ", ".join(f"{number} {state}" for state, number in states.items() if number) or "none was run"


def tuning_table(summary: Summary) -> Table | None:
    """A row a system: its tuned settings, their score, the trials and what they took."""
    tuning = summary["tuning"]
    if not tuning:
        return None
    shown = describe(str(tuning.get("metric") or ""))
    rows: list[Row] = []
    for name, content in (tuning.get("systems") or {}).items():
        spent = content.get("ledger") or {}
        best = ", ".join(
            f"{key.removeprefix('training.')} {_setting(value)}" for key, value in (content.get("best") or {}).items()
        )
        value = content.get("value")
        rows.append(
            [
                TableCell(name, style="system"),
                TableCell(best or "none: no trial completed", style="code" if best else "flag"),
                TableCell("not known" if value is None else numbers.fixed(value * shown.scale, shown.digits)),
                TableCell(_states(content)),
                TableCell(numbers.power(spent.get("flops"))),
                TableCell(numbers.seconds(spent.get("device_s"))),
            ]
        )
    best_what = shown.label or "score"
    title = f"Tuning: the settings with the best {best_what} on the validation split, and what the search took."
    header = ["System", "Tuned settings", "Score", "Trials", "FLOPs", "Device time"]
    return Table("tuning", title, header, rows, left_all=True, data=_trials(tuning), size=8)


def _trials(tuning: dict[str, Any]) -> pd.DataFrame:
    """One row a trial."""
    return pd.DataFrame(
        [
            {
                "system": name,
                **{key: trial.get(key) for key in ("number", "state", "value", "reason")},
                **(trial.get("params") or {}),
            }
            for name, content in (tuning.get("systems") or {}).items()
            for trial in content.get("trials") or []
        ]
    )


def lost_trials(summary: Summary) -> list[Text]:
    """Trials that failed, with their reasons, and how many were pruned; nothing is left out silently."""
    said = []
    for name, content in (summary["tuning"].get("systems") or {}).items():
        trials = content.get("trials") or []
        pruned = sum(trial.get("state") == "pruned" for trial in trials)
        if pruned:
            said.append(text(system(name), f": {pruned} of {len(trials)} trials pruned on the way, as clearly behind."))
        failed = [trial for trial in trials if trial.get("state") == "failed"]
        for trial in failed[:MANY]:
            reason = " ".join(str(trial.get("reason") or "no reason was left").split())[:160]
            said.append(text(system(name), f": trial {trial.get('number')} failed: {reason}"))
        if len(failed) > MANY:
            said.append(
                text(system(name), f": {len(failed) - MANY} more trials failed; the CSV file has their reasons.")
            )
    return said


def _setting(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
