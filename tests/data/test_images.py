from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmbench.config.data import ScenesSettings
from mmbench.data.example import SceneImage
from mmbench.data.images import BROKEN_IMAGE_ERRORS, decode, picture, render


def test_decode_gives_channels_first_and_the_whole_image(tmp_path: Path) -> None:
    pixels = np.zeros((10, 20, 3), np.uint8)
    pixels[:, :10, 0] = 255
    pixels[:, 10:, 2] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    decoded = decode(str(tmp_path / "a.png"), 8)
    assert decoded.shape == (3, 8, 8) and decoded.dtype == np.uint8
    assert (decoded[0, :, 0] > 250).all() and (decoded[2, :, -1] > 250).all() and (decoded[1] == 0).all()


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "a.png")
    assert (decode(str(tmp_path / "a.png"), 4) == 255).all()


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK"])
def test_every_colour_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    Image.new("RGB", (4, 4), (255, 255, 255)).convert(mode).save(tmp_path / "a.tiff")
    assert decode(str(tmp_path / "a.tiff"), 4).min() > 250


def test_the_cameras_rotation_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 40), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 40, 20))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    image.save(tmp_path / "a.jpg", exif=exif)
    decoded = decode(str(tmp_path / "a.jpg"), 4)
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
        decode(str(file), 8)


def test_a_picture_for_people_keeps_its_shape(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    assert picture(str(tmp_path / "a.png"), 100).size == (100, 50)


def test_scenes_are_rendered_at_any_size() -> None:
    settings = ScenesSettings(train=4, validation=1, test=1, composition=1)
    images = [SceneImage(settings, "train", index) for index in (2, 0)]
    assert render(images, 32).shape == (2, 3, 32, 32)
    assert np.array_equal(render(images, 32)[0], render([images[0]], 32)[0])
    assert picture(images[0], 96).size == (96, 96)
    assert picture(images[0], 31).size == (31, 31)
