"""Joining sources: images that two of them share become one example with the texts of both."""

import os
import re
from collections import Counter

from mmbench.data.example import Example, SceneImage
from mmbench.data.formats.parsed import Parsed, Problem

_COCO_PREFIX = re.compile(r"^COCO_[a-z]+\d{4}_(?=\d{12}\.)")


def join(sources: list[Parsed]) -> Parsed:
    """Merge sources, split by split, in their order.

    Two examples are the same image if they lie at the same resolved path, or if their files have the same name (up
    to COCO's ``COCO_train2014_`` prefix) and the same size in bytes. An image that two sources put into different
    splits stays where the first source has it, and is counted. Ids that different images or questions share are made
    unique by ``@2``, ``@3``, … for the source's number.
    """
    joined = Parsed({}, all(source.redistributable for source in sources))
    places: dict[object, tuple[str, Example]] = {}
    taken: set[str] = set()
    for number, source in enumerate(sources, start=1):
        joined.left_out += source.left_out
        joined.problems += source.problems
        joined.num_records += source.num_records
        own: set[str] = set()
        for split, examples in source.splits.items():
            joined.splits.setdefault(split, [])
            for example in examples:
                keys = _keys(example) if len(sources) > 1 else []
                found = next((places[key] for key in keys if key in places), None)
                if found is None:
                    example.image_id = _unique(example.image_id, number, taken)
                    joined.splits[split].append(example)
                    found = (split, example)
                else:
                    _merge(found, split, example, joined.left_out)
                for question in example.questions:
                    if question.id in own:
                        joined.problems.append(Problem("duplicate question ids", question.id))
                    own.add(question.id)
                    question.id = _unique(question.id, number, taken)
                places.update((key, found) for key in keys if key not in places)
    return joined


def _merge(found: tuple[str, Example], split: str, example: Example, left_out: Counter[str]) -> None:
    first_split, first = found
    if first_split != split:
        left_out[f"images moved from {split} to {first_split}, where an earlier source has them"] += 1
    first.captions += [caption for caption in example.captions if caption not in first.captions]
    first.questions += example.questions
    first.label = first.label or example.label


def _keys(example: Example) -> list[object]:
    if isinstance(example.image, SceneImage):
        return [example.image]
    keys: list[object] = [os.path.realpath(example.image)]
    try:
        size = os.stat(example.image).st_size
    except OSError:
        return keys
    return [*keys, (_COCO_PREFIX.sub("", os.path.basename(example.image)), size)]


def _unique(name: str, number: int, taken: set[str]) -> str:
    unique, suffix = name, number
    while unique in taken:
        unique = f"{name}@{suffix}"
        suffix += 1
    taken.add(unique)
    return unique
