"""Rows made up here and the score that the official VQA evaluation gives each, as kept beside this file.

`python -m tests.metrics.answers.official_scores FOLDER` makes them anew with the official code in a folder.
"""

import gzip
import json
import sys
from dataclasses import astuple
from pathlib import Path

from benchmarks.metrics.official_vqa import score_officially
from tests.metrics.answers.rows import Row, make_rows

PATH = Path(__file__).with_name("official_scores.json.gz")


def read_official_scores() -> tuple[list[Row], list[float]]:
    """Rows, and the official score of each as a fraction."""
    rows = []
    scores = []
    for prediction, answers, answer_type, question_type, score in json.loads(gzip.decompress(PATH.read_bytes())):
        rows.append(Row(prediction, tuple(answers), answer_type, question_type))
        scores.append(score)
    return rows, scores


def write_official_scores(folder: Path) -> None:
    """Score the rows with the official code of a folder; the file is the same to the bit whenever it is made."""
    rows = dict(enumerate(make_rows()))
    annotations = {number: row.annotation() for number, row in rows.items()}
    scores = score_officially(folder, annotations, {number: row.prediction for number, row in rows.items()})
    records = [[*astuple(row), scores.questions[number]] for number, row in rows.items()]
    PATH.write_bytes(gzip.compress(json.dumps(records, ensure_ascii=False).encode(), mtime=0))


if __name__ == "__main__":
    write_official_scores(Path(sys.argv[1]))
