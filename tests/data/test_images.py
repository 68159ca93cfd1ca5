from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmbench.config.data import ScenesSettings
from mmbench.data.canvas import Canvas
from mmbench.data.example import SceneImage
from mmbench.data.images import BROKEN_IMAGE_ERRORS, decode, picture, render, size_of


def test_decode_gives_channels_first_and_the_whole_image(tmp_path: Path) -> None:
    pixels = np.zeros((10, 20, 3), np.uint8)
    pixels[:, :10, 0] = 255
    pixels[:, 10:, 2] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    decoded = decode(str(tmp_path / "a.png"), Canvas(8))
    assert decoded.shape == (3, 8, 8) and decoded.dtype == np.uint8
    assert (decoded[0, :, 0] > 250).all() and (decoded[2, :, -1] > 250).all() and (decoded[1] == 0).all()


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "a.png")
    assert (decode(str(tmp_path / "a.png"), Canvas(4)) == 255).all()


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK"])
def test_every_colour_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    Image.new("RGB", (4, 4), (255, 255, 255)).convert(mode).save(tmp_path / "a.tiff")
    assert decode(str(tmp_path / "a.tiff"), Canvas(4)).min() > 250


def test_the_cameras_rotation_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 40), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 40, 20))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    image.save(tmp_path / "a.jpg", exif=exif)
    decoded = decode(str(tmp_path / "a.jpg"), Canvas(4))
    assert decoded[:, 0].max() < 30 and decoded[:, -1].min() > 220


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_broken_files_raise_what_is_expected(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "a.jpg"
    if content is None:
        Image.effect_noise((64, 64), 80).save(file)
        file.write_bytes(file.read_bytes()[:-400])
    else:
        file.write_bytes(content)
    with pytest.raises(BROKEN_IMAGE_ERRORS):
        decode(str(file), Canvas(8))


def test_a_picture_for_people_keeps_its_shape(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    assert picture(str(tmp_path / "a.png"), 100).size == (100, 50)


def test_scenes_are_rendered_at_any_size() -> None:
    settings = ScenesSettings(train=4, validation=1, test=1, composition=1)
    images = [SceneImage(settings, "train", index) for index in (2, 0)]
    first, second = render(images, Canvas(32))
    assert first.shape == second.shape == (3, 32, 32)
    assert np.array_equal(second, render([images[1]], Canvas(32))[0])
    assert picture(images[0], 96).size == (96, 96)
    assert picture(images[0], 31).size == (31, 31)


NATIVE = Canvas(32, "native", 4)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_native_picture_keeps_its_shape_and_is_not_enlarged(tmp_path: Path, orientation: int) -> None:
    image = Image.new("RGB", (128, 64), (255, 0, 0))
    image.paste((0, 0, 255), (64, 0, 128, 64))
    exif = Image.Exif()
    exif[0x0112] = orientation  # 6: lay the camera's left side to the top
    image.save(tmp_path / "large.jpg", exif=exif)
    decoded = decode(str(tmp_path / "large.jpg"), NATIVE)
    assert decoded.shape == ((3, 16, 32) if orientation == 1 else (3, 32, 16))
    assert decoded.shape[1:] == size_of(str(tmp_path / "large.jpg"), NATIVE)
    first, last = (decoded[:, :, 0], decoded[:, :, -1]) if orientation == 1 else (decoded[:, 0], decoded[:, -1])
    assert first[0].min() > 240 > 20 > first[2].max() and last[2].min() > 240 > 20 > last[0].max()
    Image.new("RGB", (10, 21)).save(tmp_path / "small.png")
    assert decode(str(tmp_path / "small.png"), NATIVE).shape == (3, 20, 8)


def test_scenes_have_the_shapes_that_are_asked_for() -> None:
    settings = ScenesSettings(train=40, validation=1, test=1, composition=1, aspects=[0.5, 1, 2], sides=[32, 64])
    images = [SceneImage(settings, "train", index) for index in range(40)]
    shapes = [drawn.shape[1:] for drawn in render(images, Canvas(64, "native"))]
    assert set(shapes) == {(64, 32), (64, 64), (32, 64), (32, 16), (32, 32), (16, 32)}
    assert shapes == [size_of(image, Canvas(64, "native")) for image in images]
    wide = shapes.index((32, 64))
    assert picture(images[wide], 100).size == (100, 50)
    whole = np.asarray(
        Image.fromarray(render(images, Canvas(64, "native"))[wide].transpose(1, 2, 0)).resize((64, 64), 3)
    )
    assert np.array_equal(render(images, Canvas(64))[wide], whole.transpose(2, 0, 1)), "squashed"


def test_a_canvas_smaller_than_the_scene_shows_it_smaller() -> None:
    settings = ScenesSettings(train=2, validation=1, test=1, composition=1, aspects=[2.0], sides=[96])
    image = SceneImage(settings, "train", 0)
    large, small = (render([image], Canvas(side, "native", 2))[0].astype(float) for side in (96, 24))
    assert large.shape == (3, 48, 96) and small.shape == (3, 12, 24)
    assert np.abs(large.reshape(3, 12, 4, 24, 4).mean(axis=(2, 4)) - small).mean() < 4
