"""The pictures show what the world says, at any size, and are the same bytes everywhere."""

import hashlib
import time

import numpy as np
import pytest

from mmbench.config.errors import UserError
from mmbench.data.scenes.render import CELL, OFFSET_STEP, PALETTE, RADII, render
from mmbench.data.scenes.world import NUM_OFFSETS, World, sample_world

PINNED = "165eb20b7601f252d929512ce726783398738dcdda38f43298c77b31802b222b"


@pytest.fixture(scope="module")
def world() -> World:
    return sample_world(seed=0, split=0, num_scenes=300, composition=False)


def test_bytes_are_pinned(world: World) -> None:
    pictures = render(world, np.array([0, 7, 200]), 48, 48)
    assert hashlib.sha256(pictures.tobytes()).hexdigest() == PINNED


def test_objects_have_their_color_and_stand_in_their_cell(world: World) -> None:
    pictures = render(world, np.arange(300), 96, 96).astype(int)
    for scene, cell in zip(*np.nonzero(world.present), strict=True):
        offset = world.offset[scene, cell] - NUM_OFFSETS // 2
        centre = (np.array([cell % 2, cell // 2]) * CELL + CELL // 2 + offset * OFFSET_STEP) * 96 // (2 * CELL)
        shown = pictures[scene, :, centre[1], centre[0]]
        distances = np.abs(np.array(PALETTE) - shown).sum(axis=1)
        assert distances.argmin() == world.color[scene, cell]


def test_empty_cells_are_background_and_large_is_larger(world: World) -> None:
    """Counts the saturated pixels of each cell: none where it is empty, more for large objects than for small ones."""
    pictures = render(world, np.arange(300), 96, 96).astype(int)
    saturated = (pictures.max(axis=1) - pictures.min(axis=1)) > 75
    area = saturated.reshape(300, 2, 48, 2, 48).sum(axis=(2, 4)).reshape(300, 4)
    assert area[~world.present].max() == 0
    for shape in range(4):
        chosen = world.present & (world.shape == shape)
        assert area[chosen & (world.size == 1)].min() > 1.8 * area[chosen & (world.size == 0)].max()


def test_objects_never_touch_the_edge_of_their_cell() -> None:
    assert max(map(max, RADII)) + OFFSET_STEP * (NUM_OFFSETS // 2) <= CELL // 2


def test_a_larger_picture_is_the_same_scene(world: World) -> None:
    small = render(world, np.arange(40), 48, 48).astype(float)
    large = render(world, np.arange(40), 192, 192).astype(float)
    shrunk = large.reshape(40, 3, 48, 4, 48, 4).mean(axis=(3, 5))
    assert np.abs(shrunk - small).mean() < 3
    correlation = np.corrcoef(shrunk.ravel(), small.ravel())[0, 1]
    assert correlation > 0.99


def test_edges_are_smooth_and_pictures_vary(world: World) -> None:
    pictures = render(world, np.arange(300), 48, 48)
    assert len({picture.tobytes() for picture in pictures}) == 300
    circle = np.argwhere(world.present & (world.shape == 0) & (world.size == 1))[0]
    picture = render(world, circle[:1], 48, 48)[0].astype(int)
    row, column = divmod(int(circle[1]), 2)
    cell = picture[:, row * 24 : row * 24 + 24, column * 24 : column * 24 + 24]
    rgb = np.array(PALETTE)[world.color[tuple(circle)]] + world.tint[tuple(circle)]
    away = np.abs(cell - rgb[:, None, None]).sum(axis=0) / np.abs(cell[:, 0, 0] - rgb).sum()
    assert ((away > 0.25) & (away < 0.75)).sum() > 8  # pixels between object and background


def test_any_order_and_chunk_gives_the_same_pictures(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    together = render(world, np.array([5, 3, 3, 250]), 64, 64)
    monkeypatch.setattr("mmbench.data.scenes.render.CHUNK_PIXELS", 1)
    assert (render(world, np.array([5, 3, 3, 250]), 64, 64) == together).all()
    assert render(world, np.array([], dtype=np.int64), 48, 48).shape == (0, 3, 48, 48)


@pytest.mark.parametrize(("height", "width"), [(48, 96), (128, 48), (48, 64)])
def test_cells_grow_with_the_picture_and_objects_keep_to_the_shorter_side(
    world: World, height: int, width: int
) -> None:
    square, oblong = render(world, np.arange(200), 48, 48).astype(int), render(world, np.arange(200), height, width)
    for scene, cell in zip(*np.nonzero(world.present[:200]), strict=True):
        row, column = divmod(int(cell), 2)
        seen = []
        for picture, rows, columns in ((square[scene], 24, 24), (oblong[scene].astype(int), height // 2, width // 2)):
            part = picture[:, row * rows : (row + 1) * rows, column * columns : (column + 1) * columns]
            saturated = (part.max(axis=0) - part.min(axis=0)) > 75
            seen.append((saturated.sum(), np.argwhere(saturated).mean(axis=0) - np.array([rows, columns]) / 2))
        assert abs(seen[0][0] - seen[1][0]) <= 12, "as many pixels of the object"
        assert np.abs(seen[0][1] - seen[1][1]).max() < 0.5, "as far from the middle of its cell"


@pytest.mark.parametrize("side", [31, 30, 49, 0])
def test_odd_or_tiny_sides_are_refused(world: World, side: int) -> None:
    with pytest.raises(UserError, match=f"not {side}"):
        render(world, np.array([0]), side, side)
    with pytest.raises(UserError, match="not 48 x 31"):
        render(world, np.array([0]), 48, 31)


def test_seven_thousand_scenes_are_drawn_in_seconds() -> None:
    world = sample_world(seed=1, split=0, num_scenes=7000, composition=False)
    start = time.process_time()
    render(world, np.arange(7000), 48, 48)
    assert time.process_time() - start < 5
