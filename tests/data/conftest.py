"""Tiny data on disk, written in each real format's own layout."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmbench.config.data import SourceSettings
from mmbench.config.settings import Settings

REAL_DATA = Path(__file__).parents[2] / ".." / "shared" / "data"


@pytest.fixture
def write_images() -> Callable[..., None]:
    """Write different images of noise: ``write_images(folder, names, size=(20, 12))``."""

    def write(folder: Path, names: list[str], size: tuple[int, int] = (20, 12)) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            seed = sum(ord(letter) * 31**k for k, letter in enumerate(name)) % 2**32
            pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name)

    return write


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """The folder of a real data set; the test is skipped where it is absent."""

    def find(name: str) -> Path:
        if not (REAL_DATA / name).is_dir():
            pytest.skip(f"the data set '{name}' is not beside the repository")
        return REAL_DATA / name

    return find


@pytest.fixture
def own_data(tmp_path: Path, write_images: Callable[..., None]) -> Path:
    """A JSONL with 24 training, 6 validation and 6 test images: 3 captions and 2 questions each."""
    folder = tmp_path / "own"
    lines = []
    for split, num_images in (("train", 24), ("validation", 6), ("test", 6)):
        for i in range(num_images):
            lines.append(
                {
                    "image": f"photos/{split}{i}.png",
                    "split": split,
                    "captions": [f"caption {word} of {split} number {i}" for word in ("one", "two", "three")],
                    "questions": [
                        {"id": f"{split}-{i}-a", "question": f"how many are in {i}?", "answers": ["2", "3", "2"]},
                        {"question": "what is it?", "answers": ["dog", "cat"], "kind": "thing"},
                    ],
                }
            )
    write_images(folder / "photos", [line["image"].split("/")[1] for line in lines])
    (folder / "data.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    return folder


@pytest.fixture
def own_settings(own_data: Path) -> Settings:
    """Settings of a small comparison on `own_data`."""
    settings = Settings(image_size=8)
    settings.data.name = "own"
    settings.data.sources = [SourceSettings(format="jsonl", path=str(own_data))]
    settings.tokenizer.vocab_size = 300
    settings.training.batch_rows = 8
    settings.training.rows.captions, settings.training.rows.questions = 2, 1
    return settings
