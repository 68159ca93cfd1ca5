"""The official VQA evaluation, loaded from where the user has it, to be run beside ours; it is no part of the project.

The code is that of GT-Vision-Lab/VQA on GitHub: `PythonEvaluationTools/vqaEvaluation/vqaEval.py`. It is Python 2, and
its print statements are taken out while it is loaded; nothing else is changed. (Under Python 3 the digits of all
scripts are digits to it, under Python 2 only those of ASCII.)
"""

import contextlib
import copy
import io
import os
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VARIABLE = "MMBENCH_VQA_OFFICIAL"
"""Environment variable with the folder of the official `vqaEval.py`."""

_NO_ROUNDING = 15  # decimals of a percentage


@dataclass(frozen=True)
class OfficialScores:
    """What the official evaluation gives, as fractions."""

    questions: dict[Any, float]
    """by question id"""
    overall: float
    answer_types: dict[str, float]
    question_types: dict[str, float]


def official_folder() -> Path | None:
    """The folder that the environment names, or None where it names none that holds the official code."""
    folder = os.environ.get(VARIABLE)
    return Path(folder) if folder and (Path(folder) / "vqaEval.py").is_file() else None


def load_official(folder: Path) -> Callable[..., Any]:
    """The official class `VQAEval`."""
    source = re.sub(r'print "[^"]*"', "pass", (folder / "vqaEval.py").read_text())
    namespace: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its unescaped regular expressions
        exec(compile(source, "vqaEval.py", "exec"), namespace)
    official: Callable[..., Any] = namespace["VQAEval"]
    return official


def evaluate_official(
    official: Callable[..., Any], annotations: Mapping[Any, dict[str, Any]], predictions: Mapping[Any, str]
) -> OfficialScores:
    """Scores before rounding.

    Args:
        official: from `load_official`.
        annotations: by question id, with `answers`, `answer_type` and `question_type`; the official code changes them.
        predictions: by question id.
    """
    results = _Loaded({question: {"answer": answer} for question, answer in predictions.items()})
    evaluation = official(_Loaded(annotations), results, n=_NO_ROUNDING)
    with contextlib.redirect_stdout(io.StringIO()):  # its progress bar
        evaluation.evaluate()
    accuracy = evaluation.accuracy
    return OfficialScores(
        questions=_fractions(evaluation.evalQA),
        overall=accuracy["overall"] / 100,
        answer_types=_fractions(accuracy["perAnswerType"]),
        question_types=_fractions(accuracy["perQuestionType"]),
    )


def score_officially(
    folder: Path, annotations: Mapping[Any, dict[str, Any]], predictions: Mapping[Any, str]
) -> OfficialScores:
    """The same with the code of a folder, and without changing the annotations."""
    return evaluate_official(load_official(folder), copy.deepcopy(annotations), predictions)


class _Loaded:
    """What the evaluation uses of the official loader of files."""

    def __init__(self, qa: Mapping[Any, Any]) -> None:
        self.qa = qa

    def getQuesIds(self) -> list[Any]:
        return list(self.qa)


def _fractions(percentages: dict[Any, float]) -> dict[Any, float]:
    return {key: value / 100 for key, value in percentages.items()}
