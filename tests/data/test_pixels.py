import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mmbench.config.data import ScenesSettings
from mmbench.data.canvas import Canvas
from mmbench.data.example import Example, SceneImage
from mmbench.data.images import decode, render
from mmbench.data.pixels import BlackPixels, open_pixels


def examples_of(folder: Path, names: list[str]) -> list[Example]:
    return [Example(name, str(folder / name), ["a"]) for name in names]


def test_rows_are_the_decoded_images(tmp_path: Path, write_images: Callable[..., None]) -> None:
    names = [f"{i}.png" for i in range(300)]
    write_images(tmp_path / "images", names, size=(6, 5))
    seen: list[tuple[int, int]] = []
    store = open_pixels(
        examples_of(tmp_path / "images", names),
        Canvas(4),
        tmp_path / "cache",
        lambda done, every: seen.append((done, every)),
    )
    assert store.images.shape == (300, 3, 4, 4) and isinstance(store.images, np.memmap)
    for i in (0, 255, 256, 299):
        assert np.array_equal(store.images[i], decode(str(tmp_path / "images" / names[i]), Canvas(4)))
    assert seen == [(256, 300), (300, 300)]


def test_broken_images_are_remembered_with_the_reason(tmp_path: Path, write_images: Callable[..., None]) -> None:
    write_images(tmp_path / "images", ["a.png", "b.png", "c.png"])
    (tmp_path / "images" / "b.png").write_bytes(b"broken")
    (tmp_path / "images" / "c.png").unlink()
    for _ in range(2):
        store = open_pixels(
            examples_of(tmp_path / "images", ["a.png", "b.png", "c.png"]), Canvas(4), tmp_path / "cache"
        )
        assert list(store.broken) == [1, 2]
        assert store.broken[1].startswith("corrupt image") and store.broken[2] == "missing image"


def test_a_map_is_made_once_and_again_when_an_image_changes(tmp_path: Path, write_images: Callable[..., None]) -> None:
    write_images(tmp_path / "images", ["a.png"])
    examples = examples_of(tmp_path / "images", ["a.png"])
    calls: list[int] = []
    for _ in range(2):
        open_pixels(examples, Canvas(4), tmp_path / "cache", lambda done, _: calls.append(done))
    assert len(calls) == 1
    os.utime(tmp_path / "images" / "a.png", ns=(1, 1))
    open_pixels(examples, Canvas(4), tmp_path / "cache", lambda done, _: calls.append(done))
    open_pixels(examples, Canvas(8), tmp_path / "cache", lambda done, _: calls.append(done))
    assert len(calls) == 3


def test_scenes_and_files_can_stand_in_one_split(tmp_path: Path, write_images: Callable[..., None]) -> None:
    write_images(tmp_path, ["a.png"])
    scenes = [SceneImage(ScenesSettings(train=4, validation=1, test=1, composition=1), "train", i) for i in (3, 1)]
    mixed = [Example("s3", scenes[0]), *examples_of(tmp_path, ["a.png"]), Example("s1", scenes[1])]
    images = open_pixels(mixed, Canvas(32), tmp_path / "cache").images
    assert np.array_equal(images[[0, 2]], render(scenes, Canvas(32)))
    assert np.array_equal(images[1], decode(str(tmp_path / "a.png"), Canvas(32)))


def test_native_pictures_lie_at_the_top_left_with_their_sizes(
    tmp_path: Path, write_images: Callable[..., None]
) -> None:
    write_images(tmp_path, ["a.png"], size=(20, 12))
    write_images(tmp_path, ["b.png"], size=(30, 60))
    scenes = ScenesSettings(train=6, validation=1, test=1, composition=1, aspects=[0.5])
    examples = [*examples_of(tmp_path, ["a.png", "b.png", "none.png"]), Example("s", SceneImage(scenes, "train", 2))]
    canvas = Canvas(32, "native", 4)
    store = open_pixels(examples, canvas, tmp_path / "cache")
    assert store.sizes.tolist() == [[12, 20], [32, 16], [32, 32], [32, 16]] and list(store.broken) == [2]
    for row, (height, width) in enumerate(store.sizes.tolist()):
        assert not store.images[row, :, height:].any() and not store.images[row, :, :, width:].any()
    assert np.array_equal(store.images[0, :, :12, :20], decode(str(tmp_path / "a.png"), canvas))
    assert (open_pixels(examples, Canvas(32), tmp_path / "cache").sizes == 32).all(), "another layout, another map"
    assert BlackPixels(examples, canvas).sizes.tolist() == store.sizes.tolist()
