"""Several runs as one: which may stand in one table, and where not, which setting forbids it."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pandas as pd

from mmbench.config.baselines import SEEDLESS
from mmbench.config.budget import Budget, parse_budget
from mmbench.config.errors import UserError
from mmbench.report.numbers import join
from mmbench.report.run_data import Cell, Part, RunData

_SAME_SETTINGS = ("image_size", "data", "encoder", "language_model", "tokenizer", "training", "evaluation", "match")
"""Parts of ``comparison.yaml`` that decide a number in the tables."""
_DECIDES_NOTHING = {
    *("training.checkpoint_share", "training.validation_share", "training.log_every"),
    *("evaluation.batch_size", "evaluation.num_examples", "data.name", "data.sources"),
}
"""Keys below those that do not; the sources' content is held against each other by the data's fingerprint."""


def join_runs(runs: list[RunData], name: str) -> list[RunData]:
    """The runs as one comparison for each budget, the smallest budget first; more than one make a scaling study.

    A baseline that several runs have is taken from the first in which it is finished; one that no seed changes is taken
    once. The order of the systems is
    that of the runs, and the same at every budget.

    Raises:
        UserError: the runs differ in what must be the same, hold one cell twice, or have nothing to be compared.
    """
    _check_same(runs)
    budgets: dict[Budget, list[RunData]] = {}
    for run in runs:
        budgets.setdefault(budget_of(run), []).append(run)
    units = [budget_of(run).unit for run in runs]
    place = _change(units)
    if place is not None:
        raise UserError(
            f"the runs '{runs[place].name}' and '{runs[place + 1].name}' cannot be joined: their budgets have the "
            f"units {units[place]} and {units[place + 1]}; only amounts of one unit can be compared"
        )
    order = list(dict.fromkeys(system for run in runs for system in run.systems))
    joined = [_join(budgets[budget], name, order) for budget in sorted(budgets, key=lambda budget: budget.amount)]
    if len(joined) > 1 and not any(sum(system in run.systems for run in joined) > 1 for system in order):
        amounts = " and ".join(str(budget) for budget in budgets)
        raise UserError(
            f"the runs {_names(runs)} cannot be joined: their budgets differ ({amounts}) and no system was run with "
            "two of them; join different systems at one budget, or the same systems at several"
        )
    return joined


def budget_of(run: RunData) -> Budget:
    """What each cell of a run was given.

    Raises:
        UserError: the run's settings name no budget.
    """
    if not run.settings.get("budget"):
        raise UserError(f"the run '{run.name}' cannot be joined: its comparison.yaml is missing or names no budget")
    return parse_budget(str(run.settings["budget"]))


def _check_same(runs: list[RunData]) -> None:
    roots = [run.files.root.resolve() for run in runs]
    twice = next((root for number, root in enumerate(roots) if root in roots[:number]), None)
    if twice is not None:
        raise UserError(f"the run '{twice.name}' is given twice; give each run once")
    hashes = [_hashes(run) for run in runs]
    leaves = [dict(leaf for key in _SAME_SETTINGS for leaf in _leaves(run.settings.get(key), key)) for run in runs]
    for label in hashes[0]:
        _check_one(runs, label, [each[label] for each in hashes])
    for path in sorted({path for each in leaves for path in each}):
        if not any(path == skipped or path.startswith(f"{skipped}.") for skipped in _DECIDES_NOTHING):
            _check_one(runs, f"the setting {path}", [each.get(path) for each in leaves])
    for system in dict.fromkeys(system for run in runs for system in run.systems):
        having = [run for run in runs if system in (run.settings.get("systems") or {})]
        place = _change([run.settings["systems"][system] for run in having])
        if place is not None:
            raise UserError(
                f"the runs '{having[place].name}' and '{having[place + 1].name}' cannot be joined: the system "
                f"'{system}' has other settings in each; give it another name in one of them, as in NAME=SYSTEM, and "
                "run that again"
            )
        _check_one(having, f"the width that --match gave '{system}'", [_matched_width(run, system) for run in having])


def _check_tuned(runs: list[RunData]) -> None:
    """A system of several runs of one budget has the same tuned values in each; another budget may need others."""
    for system in dict.fromkeys(system for run in runs for system in run.systems):
        having = [run for run in runs if system in (run.settings.get("systems") or {})]
        _check_one(having, f"what '{system}' was tuned to", [_tuned(run, system) for run in having])


def _matched_width(run: RunData, system: str) -> int | None:
    found: dict[str, Any] = (run.matching.get("systems") or {}).get(system) or {}
    return found.get("width")


def _tuned(run: RunData, system: str) -> str:
    found = ((run.tuning.get("systems") or {}).get(system) or {}).get("best") or {}
    return (
        ", ".join(f"{key.removeprefix('training.')} {value}" for key, value in sorted(found.items()))
        or "the common settings"
    )


def _hashes(run: RunData) -> dict[str, Any]:
    """What is known by a hash."""
    weights = {entry.get("name"): entry.get("weights_hash") for entry in run.pretraining}
    return {
        "the data's fingerprint": run.data.get("fingerprint"),
        "the tokenizer": run.data.get("tokenizer_hash"),
        "the pretrained weights of the encoder": weights.get("encoder"),
        "the pretrained weights of the language model": weights.get("language_model"),
    }


def _check_one(runs: list[RunData], what: str, values: list[Any]) -> None:
    place = _change(values)
    if place is not None:
        raise _refusal(runs[place], runs[place + 1], what, values[place], values[place + 1])


def _change(values: list[Any]) -> int | None:
    """The first place after which the value is another."""
    return next((place for place, (a, b) in enumerate(pairwise(values)) if a != b), None)


def _refusal(a: RunData, b: RunData, what: str, of_a: Any, of_b: Any) -> UserError:
    in_a, in_b = (str(value)[:40] if value not in (None, "") else "not recorded" for value in (of_a, of_b))
    return UserError(
        f"the runs '{a.name}' and '{b.name}' cannot be joined: {what} differs ({in_a} and {in_b}); "
        "run one of them again with the settings of the other, or report each by itself"
    )


def _leaves(content: Any, path: str) -> list[tuple[str, Any]]:
    """Dotted keys of nested settings, with their values."""
    if isinstance(content, dict):
        return [leaf for name, each in content.items() for leaf in _leaves(each, f"{path}.{name}")]
    return [(path, content)]


def _join(runs: list[RunData], name: str, order: list[str]) -> RunData:
    """Runs of one budget as one."""
    _check_tuned(runs)
    owner: dict[tuple[str, int], int] = {}
    once = _taken_once(runs)
    for number, run in enumerate(runs):
        for cell in run.cells:
            key = (cell.system, cell.seed)
            if once.get(cell.system, (number, cell.seed)) != (number, cell.seed):
                continue
            if key not in owner:
                owner[key] = number
            elif not run.is_baseline(cell.system):
                raise UserError(
                    f"the runs '{runs[owner[key]].name}' and '{run.name}' cannot be joined: both have the cell of "
                    f"'{cell.system}', seed {cell.seed}, budget {budget_of(run)}; leave one of them out"
                )
            elif cell.status == "done" and _cell(runs[owner[key]], key).status != "done":
                owner[key] = number
    first = runs[0]
    cells = [_cell(runs[number], key) for key, number in owner.items()]
    baselines = list(dict.fromkeys(cell.system for run in runs for cell in run.cells if run.is_baseline(cell.system)))
    place = {system: number for number, system in enumerate([*order, *baselines])}
    splits = dict.fromkeys(split for run in runs for split in run.scores)
    settings = first.settings | {
        "systems": {k: v for run in runs for k, v in (run.settings.get("systems") or {}).items()}
    }
    looks, lost_looks = _looks(runs, owner)
    return replace(
        first,
        name=name,
        settings=settings,
        cells=sorted(cells, key=lambda cell: (place[cell.system], cell.seed)),
        scores={split: _rows([run.scores.get(split) for run in runs], owner) for split in splits},
        predictions=_rows([run.predictions for run in runs], owner),
        latency=_latency(runs),
        examples=_examples(runs),
        command="\n".join(dict.fromkeys(run.command for run in runs if run.command)),
        tuning=_by_system([run.tuning for run in runs]),
        looks=looks,
        matching=_by_system([run.matching for run in runs]),
        parts=[part for number, run in enumerate(runs) for part in _parts(run, number, owner)],
        left_out=lost_looks + _targets(runs),
    )


def _taken_once(runs: list[RunData]) -> dict[str, tuple[int, int]]:
    """Of each baseline that no seed changes, the run and seed of the cell to be taken: the first that is finished."""
    cells = [(number, cell) for number, run in enumerate(runs) for cell in run.cells if cell.system in SEEDLESS]
    found: dict[str, tuple[int, int]] = {}
    for number, cell in sorted(cells, key=lambda each: each[1].status != "done"):
        found.setdefault(cell.system, (number, cell.seed))
    return found


def _by_system(contents: list[dict[str, Any]]) -> dict[str, Any]:
    """Files that hold something of each system, as one; empty where no run has such a file."""
    found = [content for content in contents if content]
    systems = {name: each for content in found for name, each in (content.get("systems") or {}).items()}
    return found[0] | {"systems": systems} if found else {}


def _looks(runs: list[RunData], owner: dict[tuple[str, int], int]) -> tuple[dict[str, Any], list[str]]:
    """The looks that still hold of the joined cells, and sentences on those that do not.

    The levels of looks are those of the seeds that were looked at: beside further seeds of the pair they mean nothing.
    """
    kept: dict[str, Any] = {}
    said = []
    for number, run in enumerate(runs):
        if not run.looks:
            continue
        pair = run.looks["pair"]
        if all(place == number for (system, _), place in owner.items() if system in pair) and not kept:
            kept = run.looks
            continue
        why = "only one pair's looks can be kept" if kept else "here further seeds of them stand beside these"
        said.append(
            f"the run {run.name} added seeds until {join(pair)} could be told apart, but {why}: its looks are left "
            "out, and the p value of that pair does not make up for looking more than once"
        )
    return kept, said


def _targets(runs: list[RunData]) -> list[str]:
    """A sentence where the sizes were made equal within each run, but not between the runs."""
    targets = {each["target"] for run in runs for each in (run.matching.get("systems") or {}).values()}
    if len(targets) < 2:
        return []
    listed = join([f"{target:,}" for target in sorted(targets)])
    return [f"sizes were made equal within each run, not between them: the targets are {listed}"]


def _cell(run: RunData, key: tuple[str, int]) -> Cell:
    return next(cell for cell in run.cells if (cell.system, cell.seed) == key)


def _rows(tables: list[pd.DataFrame | None], owner: dict[tuple[str, int], int]) -> pd.DataFrame:
    """Of each run's table the rows of the cells that are taken from it."""
    kept = [
        table[[owner.get(key) == number for key in zip(table["system"], table["seed"], strict=True)]]
        for number, table in enumerate(tables)
        if table is not None and len(table)
    ]
    filled = [table for table in kept if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else next(each for each in tables if each is not None)[:0]


def _latency(runs: list[RunData]) -> dict[str, Any]:
    """All rows, each system's from the first run that timed it."""
    seen: dict[str, int] = {}
    rows = []
    for number, run in enumerate(runs):
        for row in run.latency.get("rows", []):
            if seen.setdefault(row["system"], number) == number:
                rows.append(row)
    devices = dict.fromkeys(str(run.latency["device"]) for run in runs if run.latency.get("device"))
    return {"device": " and ".join(devices), "rows": rows} if rows else {}


def _examples(runs: list[RunData]) -> list[dict[str, Any]]:
    """The first run's examples (if it has none, the next one's), with the other runs' answers to them."""
    chosen = next((run for run in runs if run.examples), None)
    if chosen is None:
        return []
    answers: dict[tuple[str, str], dict[str, str]] = {}
    for run in runs:
        rows = run.predictions
        if "task" in rows and len(rows):
            rows = rows[rows["seed"] == rows["seed"].min()]
            for row in rows[["task", "example_id", "system", "prediction"]].itertuples(index=False):
                answers.setdefault((row.task, row.example_id), {}).setdefault(row.system, row.prediction)
    return [
        example
        | {"picture": str(chosen.files.root / example["picture"]) if example.get("picture") else None}
        | {
            "answers": answers.get((example.get("task", ""), example["example_id"]), {})
            | (example.get("answers") or {})
        }
        for example in chosen.examples
    ]


def _parts(run: RunData, number: int, owner: dict[tuple[str, int], int]) -> list[Part]:
    own = [key for key, place in owner.items() if place == number]
    kinds = [key for key in own if not run.is_baseline(key[0])] or own
    device = ", ".join(str(run.environment[key]) for key in ("cpu", "gpu") if run.environment.get(key))
    how = ", ".join(str(run.probe[key]) for key in ("attention", "precision") if run.probe.get(key))
    return [
        Part(
            name=run.name,
            budget=str(run.settings.get("budget", "")),
            systems=list(dict.fromkeys(system for system, _ in own)),
            seeds=sorted({seed for _, seed in kinds}),
            machine=device,
            numerics=how,
            trials=int(run.tuning.get("trials") or 0),
        )
    ]


def _names(runs: list[RunData]) -> str:
    return join([f"'{run.name}'" for run in runs])
