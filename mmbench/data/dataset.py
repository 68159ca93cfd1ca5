"""From settings to a `Dataset`: read every source, join them, apply limits, hash the result."""

import hashlib
import json
import os
from collections import Counter
from importlib import import_module

import numpy as np

from mmbench.config.data import DataSettings, SourceSettings
from mmbench.config.errors import UserError, unknown_name
from mmbench.data.example import SPLITS, TRAIN, Dataset, Example, SceneImage, Split
from mmbench.data.formats.parsed import MALFORMED, Parsed, Reader, name_kinds
from mmbench.data.joining import join
from mmbench.data.order import Stream, permutation

FORMATS = ("scenes", "jsonl", "flickr", "karpathy", "coco_captions", "vqa_v2", "visual7w", "easy_vqa", "daquar")
"""The formats of mmbench, each a module ``mmbench.data.formats.NAME`` with a function ``read``."""


def load_dataset(settings: DataSettings) -> Dataset:
    """Read and join all sources; no image is opened.

    Raises:
        UserError: a source's files are missing or malformed, or the train or test split is empty.
    """
    parsed = read_sources(settings)
    check_malformed(settings, parsed)
    finish(parsed)
    fingerprint = fingerprint_of(parsed.splits)
    splits = {
        name: Split(name, _limited(examples, fingerprint, _limit(settings, name)))
        for name, examples in parsed.splits.items()
    }
    if any(len(splits[name].examples) < len(parsed.splits[name]) for name in splits):
        fingerprint = fingerprint_of({name: split.examples for name, split in splits.items()})
    dataset = Dataset(settings.name, splits, parsed.redistributable, fingerprint, parsed.left_out)
    dataset.require_splits()
    return dataset


def read_sources(settings: DataSettings) -> Parsed:
    """All sources, joined; what is empty or malformed is still in it, or noted.

    Raises:
        UserError: there is no source, or one cannot be read.
    """
    if not settings.sources:
        raise UserError(f"data '{settings.name}' has no source; give at least one under 'sources'")
    return join([read_source(source) for source in settings.sources])


def read_source(source: SourceSettings) -> Parsed:
    """Read one source in its format, and take from it what its ``use`` names.

    Raises:
        UserError: the format is unknown or the files are not what the format asks for.
    """
    if source.format not in FORMATS:
        raise unknown_name("data format", source.format, FORMATS)
    if not source.use:
        raise UserError(f"a source of format '{source.format}' has an empty 'use'; name captions, questions or both")
    reader: Reader = import_module(f"mmbench.data.formats.{source.format}").read
    parsed = reader(source)
    for examples in parsed.splits.values():
        for example in examples:
            if "captions" not in source.use:
                example.captions = []
            if "questions" not in source.use:
                example.questions = []
    return parsed


def fingerprint_of(splits: dict[str, list[Example]]) -> str:
    """sha256 over ids, texts, and the images' file names and sizes, or the scenes' settings."""
    digest = hashlib.sha256()
    for name in sorted(splits):
        digest.update(f"split {name}\n".encode())
        for example in splits[name]:
            questions = [[q.id, q.text, q.answers, q.kind] for q in example.questions]
            record = [example.image_id, image_mark(example), example.captions, questions]
            # A scene's choices and label follow from its mark.
            if not isinstance(example.image, SceneImage) and (
                example.label or any(q.choices for q in example.questions)
            ):
                record.append([example.label, *(q.choices for q in example.questions)])
            digest.update(json.dumps(record, ensure_ascii=False).encode())
    return digest.hexdigest()


def image_mark(example: Example) -> list[object]:
    """What stands for an image in a hash: its file's name and size in bytes (-1 if missing), or how it is rendered."""
    if isinstance(example.image, SceneImage):
        return [example.image.source, example.image.split, example.image.index]
    try:
        return [os.path.basename(example.image), os.stat(example.image).st_size]
    except OSError:
        return [os.path.basename(example.image), -1]


def check_malformed(settings: DataSettings, parsed: Parsed) -> None:
    """Accept a few malformed lines, as a few broken images.

    Raises:
        UserError: more than ``max_broken_share`` of the lines or records are malformed.
    """
    malformed = [problem for problem in parsed.problems if problem.what == MALFORMED]
    if len(malformed) > settings.max_broken_share * parsed.num_records:
        first = malformed[0]
        raise UserError(
            f"{len(malformed)} of {parsed.num_records} records of data '{settings.name}' are malformed; the first: "
            f"{first.where}: {first.why}; mend them, or see them all with 'mmbench data check'"
        )


def finish(parsed: Parsed) -> None:
    """Leave out, and count, empty captions, questions without text or answers, and images without text; name kinds."""
    for name in parsed.splits:
        kept = []
        for example in parsed.splits[name]:
            captions = [caption for caption in example.captions if caption.strip()]
            questions = []
            for question in example.questions:
                question.answers = [answer for answer in question.answers if answer.strip()]
                if question.answers and question.text.strip():
                    questions.append(question)
            parsed.left_out += Counter(
                {
                    "empty captions": len(example.captions) - len(captions),
                    "questions without text or answers": len(example.questions) - len(questions),
                    "images without text": int(not captions and not questions),
                }
            )
            example.captions, example.questions = captions, questions
            if captions or questions:
                kept.append(example)
        parsed.splits[name] = kept
    parsed.splits = {name: parsed.splits[name] for name in SPLITS if name in parsed.splits}
    name_kinds(parsed.splits)


def _limit(settings: DataSettings, split: str) -> int | None:
    limit = settings.max_train_images if split == TRAIN else settings.max_test_images
    if limit is not None and limit < 1:
        name = "max_train_images" if split == TRAIN else "max_test_images"
        raise UserError(f"data.{name} is {limit}; it must be at least 1, or left out for all images")
    return limit


def _limited(examples: list[Example], fingerprint: str, limit: int | None) -> list[Example]:
    if limit is None or limit >= len(examples):
        return examples
    order = permutation(int(fingerprint[:16], 16), 0, len(examples), Stream.SUBSET)
    return [examples[i] for i in np.sort(order[:limit])]
