"""Joining the cells' tables into the comparison's, and choosing the examples that the report shows."""

from pathlib import Path
from typing import Any

import pandas as pd

from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.evaluation_split import EvaluationSplit
from mmbench.data.example import TEST
from mmbench.harness.cell import evaluated_splits
from mmbench.harness.opened import open_run
from mmbench.harness.run_files import RunFiles, write_json
from mmbench.harness.starting_text import measure_starting_text, starting_text_scores
from mmbench.harness.tables import write_table

_PICTURE_SIDE = 320


def collect(root: Path, order: list[tuple[str, int]]) -> None:
    """Write the comparison's tables and examples from the cells that are done, in the order of the systems."""
    opened = open_run(root)
    done = [opened.files.cell(system, seed) for system, seed in order]
    done = [cell for cell in done if cell.read().get("status") == "done"]
    if not done:
        return
    measure_starting_text(opened)  # what an earlier version left out
    for split in evaluated_splits(opened.datamodule):
        parts = [pd.read_parquet(cell.scores(split)) for cell in done]
        parts += starting_text_scores(opened, done, split)
        write_table(pd.concat(parts, ignore_index=True), opened.files.scores(split))
    predictions = pd.concat([pd.read_parquet(cell.predictions) for cell in done], ignore_index=True)
    write_table(predictions, opened.files.predictions)
    scores = pd.read_parquet(opened.files.scores(TEST))
    # Systems that see differ from blind baselines everywhere; what tells is where they differ from each other.
    several = len(opened.settings.systems) > 1
    compared = scores[scores["system"].isin(list(opened.settings.systems))] if several else scores
    _write_examples(opened.files, predictions, compared, opened.datamodule, opened.settings.evaluation.num_examples)


def _write_examples(
    files: RunFiles, predictions: pd.DataFrame, scores: pd.DataFrame, datamodule: MultimodalDataModule, number: int
) -> None:
    """The test examples on which the systems' scores differ most: half of them questions, half captions."""
    split = datamodule.split(TEST)
    place = {example.image_id: index for index, example in enumerate(split.examples)}
    first_seed = predictions[(predictions["split"] == TEST) & (predictions["seed"] == predictions["seed"].min())]
    chosen: list[dict[str, Any]] = []
    metrics = {"answer": ("vqa_accuracy", "exact_match"), "caption": ("cider_d",)}
    metrics = {task: names for task, names in metrics.items() if scores["metric"].isin(names).any()}
    for task, of_task in metrics.items():
        wanted = number // len(metrics)
        for example in _most_disagreed(scores[scores["metric"].isin(of_task)], wanted):
            rows = first_seed[(first_seed["task"] == task) & (first_seed["example_id"] == example)]
            if len(rows):
                chosen.append(_example(files, rows, split, place[rows.iloc[0]["image_id"]], datamodule))
    write_json(files.examples, chosen)


def _most_disagreed(scores: pd.DataFrame, number: int) -> list[str]:
    """Examples by the spread of the systems' mean scores over seeds, widest first, ties by id; one an image."""
    if scores.empty:
        return []
    means = scores.groupby(["example_id", "cluster_id", "system"])["score"].mean().unstack("system")
    spread = means.std(axis=1).rename("spread").reset_index()
    ordered = spread.sort_values(["spread", "example_id"], ascending=[False, True])
    return list(ordered.drop_duplicates("cluster_id")["example_id"].head(number))


def _example(
    files: RunFiles, rows: pd.DataFrame, split: EvaluationSplit, index: int, datamodule: MultimodalDataModule
) -> dict[str, Any]:
    first = rows.iloc[0]
    picture = None
    if datamodule.dataset.redistributable:
        # Ids come from data sets and may hold anything; a file's name must not.
        picture = f"examples/{index}.png"
        files.examples_dir.mkdir(exist_ok=True)
        split.picture(index, _PICTURE_SIDE).save(files.root / picture)
    return {
        "example_id": first["example_id"],
        "image_id": first["image_id"],
        "picture": picture,
        "task": first["task"],
        "prompt": first["prompt"],
        "references": list(dict.fromkeys(first["references"])),
        "rule": "where the systems' scores, averaged over seeds, differ most; answers of the first seed",
        "answers": dict(zip(rows["system"], rows["prediction"], strict=True)),
    }
