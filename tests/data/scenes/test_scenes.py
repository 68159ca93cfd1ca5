"""The data set as a whole: its splits, its sizes, and the same bytes and words on every machine."""

import hashlib
import json
import time
from collections import Counter

import numpy as np
import pytest

from mmbench.config.data import ScenesSettings
from mmbench.config.errors import UserError
from mmbench.data.scenes import Scenes

PINNED = {
    "train": "7298d4cebc76c84d",
    "validation": "b33f915bd0f7fc2f",
    "test": "b490249dd2bc3a01",
    "composition": "2b347daac7d55541",
}

SMALL = ScenesSettings(train=60, validation=20, test=30, composition=10)


def digest(scenes: Scenes, split: str) -> str:
    texts = scenes.texts(split)
    questions = [[{"text": q.text, "answer": q.answer, "kind": q.kind} for q in asked] for asked in texts.questions]
    pictures = scenes.render(split, np.arange(scenes.size(split)), 48)
    return hashlib.sha256(json.dumps([texts.captions, questions]).encode() + pictures.tobytes()).hexdigest()


def test_texts_and_pictures_are_pinned() -> None:
    scenes = Scenes(SMALL)
    assert {split: digest(scenes, split)[:16] for split in scenes.splits} == PINNED


def test_the_seed_is_all_that_matters() -> None:
    assert digest(Scenes(SMALL), "test") == digest(Scenes(SMALL), "test")
    assert digest(Scenes(ScenesSettings(seed=1, test=30)), "test") != digest(Scenes(SMALL), "test")


def test_sizes_and_counts() -> None:
    scenes = Scenes(SMALL)
    assert scenes.splits == ("train", "validation", "test", "composition")
    for split, size in (("train", 60), ("validation", 20), ("test", 30), ("composition", 10)):
        texts = scenes.texts(split)
        assert scenes.size(split) == len(texts.captions) == len(texts.questions) == size
        assert min(map(len, texts.questions)) >= (6 if split == "train" else 4)


def test_the_labels_are_few_and_equally_frequent() -> None:
    labels = Counter(Scenes(ScenesSettings(train=6000)).texts("train").labels)
    assert len(labels) == 6 and max(abs(count - 1000) for count in labels.values()) < 120
    assert "three objects on a dark background" in labels


def test_mistakes_are_told() -> None:
    with pytest.raises(UserError, match="did you mean 'composition'"):
        Scenes(SMALL).texts("compositon")
    with pytest.raises(UserError, match=r"scenes\.test is -1"):
        Scenes(ScenesSettings(test=-1))
    with pytest.raises(UserError, match=r"scenes\.aspects is \[5\.0\]; give one or more numbers from 0\.25 to 4"):
        Scenes(ScenesSettings(aspects=[5.0]))
    with pytest.raises(UserError, match=r"scenes\.sides is \[48, 31\]; each must be an even number of at least 32"):
        Scenes(ScenesSettings(sides=[48, 31]))
    with pytest.raises(IndexError):
        Scenes(SMALL).render("test", np.array([30]), 48)


def test_the_default_is_made_in_seconds() -> None:
    start = time.process_time()
    scenes = Scenes(ScenesSettings(seed=11))
    for split in scenes.splits:
        scenes.texts(split)
        scenes.render(split, np.arange(scenes.size(split)), 48)
    assert time.process_time() - start < 10
