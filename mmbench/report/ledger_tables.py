"""Tables of what was matched, spent, trained and run: page one's check of fairness and the ledger at the end."""

from typing import Any

import pandas as pd

from mmbench.report import numbers
from mmbench.report.abilities import missing
from mmbench.report.matching import QUANTITIES, mean_of
from mmbench.report.run_data import RunData
from mmbench.report.systems import Summary, names_of
from mmbench.report.tables import Row, Table, TableCell

_FRONT = ("budget_spent", "parameters_trainable", "parameters_active", "flops", "tokens", "device_s")
_SPENT: list[tuple[str, str, Any]] = [
    ("budget_asked", "Asked", numbers.count),
    ("budget_spent", "Spent", numbers.count),
    ("deviation", "Deviation", lambda value: numbers.percent(value, 2)),
    ("samples", "Samples", numbers.count),
    ("tokens", "Tokens", numbers.count),
    ("steps", "Steps", numbers.count),
    ("epochs", "Epochs", numbers.count),
    ("flops", "FLOPs", numbers.power),
    ("tuning", "Tuning", numbers.count),
]
_COST: list[tuple[str, str, Any]] = [
    ("parameters_total", "Parameters", numbers.millions),
    ("parameters_trainable", "Trainable", numbers.millions),
    ("parameters_active", "Active", numbers.millions),
    ("image_tokens", "Image tokens", numbers.count),
    ("device_s", "Training", numbers.seconds),
    ("waiting_s", "Waiting for data", numbers.seconds),
    ("validation_s", "Validation", numbers.seconds),
    ("evaluation_s", "Evaluation", numbers.seconds),
    ("wall_s", "In all", numbers.seconds),
    ("peak_memory_bytes", "Peak memory", numbers.memory),
]


def matching_table(summary: Summary) -> Table:
    """Systems by what was, or was not, held equal; the last row is the largest difference."""
    entries = {entry["quantity"]: entry for entry in summary["matching"] if entry["quantity"] in _FRONT}
    keys = [key for key in _FRONT if key in entries]
    rows: list[Row] = []
    for name in names_of(summary, "system"):
        row: Row = [TableCell(name, style="system")]
        for key in keys:
            value = entries[key]["systems"].get(name)
            row.append(
                TableCell(missing(summary["systems"][name], key), style="muted")
                if value is None
                else TableCell(QUANTITIES[key][1](value))
            )
        rows.append(row)
    last: Row = [TableCell("largest difference")]
    for key in keys:
        words = numbers.percent(entries[key]["difference"])
        last.append(
            TableCell(
                f"{words} ▲" if entries[key]["flagged"] else words, style="flag" if entries[key]["flagged"] else "plain"
            )
        )
    header = ["System", *(QUANTITIES[key][0] for key in keys)]
    title = "What was matched. ▲ marks more than 1%: the budget against what was asked, the rest against the smallest."
    return Table("matching", title, header, [*rows, last], rules=[len(rows)])


def spent_table(run: RunData) -> Table:
    """The ledger, first half: what was asked and spent."""
    units = {str(cell.ledger["budget_unit"]) for cell in run.cells if cell.ledger.get("budget_unit")}
    unit = f", in {' and '.join(sorted(units))}" if units else ""
    return _ledger(run, "ledger_spent", f"Ledger: the budget{unit}, and what it bought; means over the seeds.", _SPENT)


def cost_table(run: RunData) -> Table:
    """The ledger, second half: size, time and memory."""
    table = _ledger(run, "ledger_cost", "Ledger: parameters, time and memory; means over the seeds.", _COST)
    table.size = 7.5
    return table


def stages_table(summary: Summary) -> Table:
    """What trained when."""
    rows: list[Row] = []
    rules = []
    for name in names_of(summary, "system"):
        rules.append(len(rows))
        for number, stage in enumerate(summary["systems"][name]["stages"]):
            rows.append(
                [
                    TableCell(name if number == 0 else "", style="system"),
                    TableCell(numbers.percent(stage.get("share"), 0)),
                    *(TableCell(", ".join(stage.get(k) or []).replace("_", " ") or "nothing") for k in _PARTS),
                ]
            )
    header = ["System", "Share of the budget", "Trains", "Frozen"]
    return Table(
        "stages", "Stages: what trained in which share of the budget.", header, rows, rules=rules, left_all=True
    )


def pretraining_table(run: RunData) -> Table | None:
    """The starting point, outside the budget: what was pretrained here, and the files of whole systems' weights."""
    rows: list[Row] = []
    for line in run.pretraining:
        ledger = line.get("ledger") or {}
        rows.append(
            [
                TableCell(str(line.get("name", "")).replace("_", " ")),
                TableCell(str(line.get("weights_hash") or "")[:16], style="code"),
                TableCell(numbers.count(ledger.get("steps"))),
                TableCell(numbers.count(ledger.get("samples"))),
                TableCell(numbers.power(ledger.get("flops"))),
                TableCell(numbers.seconds(ledger.get("device_s"))),
                TableCell(numbers.millions(ledger.get("parameters_total"))),
            ]
        )
    for name in run.systems:
        hashes = {str(cell.content.get("starting_weights_hash") or "") for cell in run.cells_of(name)} - {""}
        rows += [
            [TableCell(f"all of {name}, from its file"), TableCell(one, style="code"), *[TableCell(numbers.DASH)] * 5]
            for one in sorted(hashes)
        ]
    if not rows:
        return None
    header = ["Part", "Weights", "Steps", "Samples", "FLOPs", "Training", "Parameters"]
    title = "The starting point, outside the budget: each part made once, for all systems but those with their own."
    return Table("pretraining", title, header, rows, num_left=2)


def cells_table(run: RunData) -> Table:
    """Every cell, how it ended and the hash of its weights; one row for the cells of a system that ended alike."""
    rows: list[Row] = []
    records = []
    for system in run.all_systems:
        alike: dict[tuple[str, str], list[str]] = {}
        for cell in run.cells_of(system):
            reason = " ".join(str(cell.content.get("reason") or "").split())
            weights = str(cell.content.get("weights_hash") or "")
            one = f"{cell.seed}: {weights[:_HASH_DIGITS]}" if weights else str(cell.seed)
            alike.setdefault((cell.status, reason), []).append(one)
            record = {"system": system, "seed": cell.seed, "status": cell.status}
            records.append(record | {"weights_hash": weights, "reason": reason})
        for (status, reason), words in alike.items():
            rows.append(
                [
                    TableCell(system, style="system"),
                    TableCell(status, style="flag" if status == "failed" else "plain"),
                    TableCell("  ".join(word.replace(" ", "\N{NO-BREAK SPACE}") for word in words), style="code"),
                    TableCell(reason[:200]),
                ]
            )
    header = ["System", "Status", "Seeds and their weights", "Reason"]
    if not any(row[-1].text for row in rows):
        header, rows = header[:-1], [row[:-1] for row in rows]
    title = f"Cells; of each hash of weights the first {_HASH_DIGITS} digits."
    return Table("cells", title, header, rows, left_all=True, data=pd.DataFrame(records), size=8)


def set_aside_table(run: RunData, at_most: int = 40) -> Table | None:
    """Images that were not used, and why."""
    aside = run.data.get("set_aside") or []
    if not aside:
        return None
    rows: list[Row] = [[TableCell(str(item.get("id"))), TableCell(str(item.get("reason")))] for item in aside[:at_most]]
    more = f", the first {at_most} of {len(aside)}" if len(aside) > at_most else ""
    title = f"Set aside{more}: missing or corrupt, in no split of this comparison."
    return Table("set_aside", title, ["Image", "Reason"], rows, left_all=True, data=pd.DataFrame(aside), size=8)


def facts_table(run: RunData) -> Table:
    """Data, tokenizer, probe, machine and versions."""
    data, environment, probe = run.data, run.environment, run.probe
    splits = "; ".join(
        f"{name}: " + ", ".join(f"{numbers.count(number)} {what}" for what, number in counts.items())
        for name, counts in (data.get("splits") or {}).items()
    )
    packages = ", ".join(f"{name} {version}" for name, version in (environment.get("packages") or {}).items())
    facts = [
        ("Data", str(data.get("name") or "")),
        ("Splits", splits),
        ("Data fingerprint", str(data.get("fingerprint") or "")),
        (
            "Tokenizer",
            f"{data.get('vocab_size')} entries, {data.get('tokenizer_hash')}" if data.get("tokenizer_hash") else "",
        ),
        ("Machine", ", ".join(str(environment[key]) for key in ("cpu", "gpu", "platform") if environment.get(key))),
        ("Cores", str(environment.get("num_cores") or "")),
        ("Device", str(probe.get("device") or "")),
        ("Probe", ", ".join(f"{key.replace('_', ' ')} {probe[key]}" for key in _PROBE if probe.get(key) is not None)),
        (
            "Versions",
            f"mmbench {environment.get('mmbench')}, Python {environment.get('python')}, {packages}"
            if environment
            else "",
        ),
    ]
    rows = [
        [TableCell(label), TableCell(words or "not recorded", style="code" if label in _HASHES and words else "plain")]
        for label, words in facts
    ]
    return Table("facts", "Data, machine and versions.", ["What", "Value"], rows, left_all=True)


_PARTS = ("trains", "frozen")
_HASH_DIGITS = 12
_HASHES = ("Data fingerprint", "Tokenizer")
_PROBE = ("attention", "precision", "micro_batch_rows", "threads")


def _ledger(run: RunData, name: str, title: str, columns: list[tuple[str, str, Any]]) -> Table:
    rows: list[Row] = []
    for system in run.all_systems:
        row: Row = [TableCell(system, style="system")]
        for key, _, write in columns:
            mean = mean_of(run, system, key)
            flagged = key == "deviation" and mean is not None and abs(mean) > 0.01
            row.append(TableCell(write(mean), style="flag" if flagged else "plain"))
        if all(cell.text == numbers.DASH for cell in row[1:]):
            statuses = {cell.status for cell in run.cells_of(system)}
            why = "not trained" if statuses == {"done"} else numbers.join(sorted(statuses))
            row[1] = TableCell(why, style="muted")
        rows.append(row)
    records = [{"system": cell.system, "seed": cell.seed, "status": cell.status} | cell.ledger for cell in run.cells]
    rules = [len(run.systems)] if run.baselines else []
    header = ["System", *(label for _, label, _ in columns)]
    return Table(name, title, header, rows, rules=rules, data=pd.DataFrame(records), size=8)
