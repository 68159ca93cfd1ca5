"""Result files of the tests: written as the field's tools write them, plain or compressed."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmbench.config.errors import UserError


def write_json(path: Path, content: Any) -> Path:
    """A JSON file, compressed where its name ends in .gz."""
    data = json.dumps(content).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_array(path: Path, values: Any) -> Path:
    """A .npy file."""
    np.save(path, np.asarray(values))
    return path


def captions_of(texts: dict[Any, list[str]]) -> dict[str, Any]:
    """COCO's captions."""
    pairs = [(image, caption) for image, captions in texts.items() for caption in captions]
    return {
        "images": [{"id": image} for image in texts],
        "annotations": [{"id": n, "image_id": image, "caption": text} for n, (image, text) in enumerate(pairs)],
    }


def results_of(captions: dict[Any, str]) -> list[dict[str, Any]]:
    """COCO's results."""
    return [{"image_id": image, "caption": caption} for image, caption in captions.items()]


def questions_of(ids: list[Any]) -> dict[str, Any]:
    """Official VQA questions; two questions an image."""
    return {"questions": [{"question_id": i, "image_id": n // 2, "question": "?"} for n, i in enumerate(ids)]}


def annotations_of(answers: dict[Any, list[str]], kinds: dict[Any, tuple[str, str]]) -> dict[str, Any]:
    """Official VQA annotations; `kinds` has the answer type and the question type of each question."""
    return {
        "annotations": [
            {
                "question_id": question,
                "image_id": 0,
                "answers": [{"answer": text, "answer_id": n} for n, text in enumerate(people, start=1)],
                "answer_type": kinds[question][0],
                "question_type": kinds[question][1],
            }
            for question, people in answers.items()
        ]
    }


def answers_of(predictions: dict[Any, str]) -> list[dict[str, Any]]:
    """Official VQA results."""
    return [{"question_id": question, "answer": answer} for question, answer in predictions.items()]


def refused(error: pytest.ExceptionInfo[UserError]) -> str:
    """The message of a refusal, which stands on one line."""
    assert "\n" not in str(error.value)
    return str(error.value)
