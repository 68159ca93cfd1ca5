"""Scenes are drawn evenly, and training never shows the held-out combinations."""

import numpy as np
import pytest

from mmbench.data.scenes.vocabulary import COLORS, HELD_OUT, SHAPES, is_held_out
from mmbench.data.scenes.world import World, sample_world


@pytest.fixture(scope="module")
def world() -> World:
    return sample_world(seed=3, split=0, num_scenes=20000, composition=False)


def test_attributes_are_equally_frequent(world: World) -> None:
    for attribute, values in ((world.color, 6), (world.shape, 4), (world.size, 2)):
        shares = np.bincount(attribute[world.present], minlength=values) / world.present.sum()
        assert np.abs(shares * values - 1).max() < 0.05
    num_objects = world.present.sum(axis=1)
    assert np.bincount(num_objects)[:2].sum() == 0
    assert np.abs(np.bincount(num_objects)[2:] / len(world) - 1 / 3).max() < 0.02
    assert np.abs(world.present.mean(axis=0) - 0.75).max() < 0.02


def test_a_standard_split_never_shows_a_held_out_pair(world: World) -> None:
    pairs = set(zip(world.color[world.present].tolist(), world.shape[world.present].tolist(), strict=True))
    assert pairs == {(c, s) for c in range(len(COLORS)) for s in range(len(SHAPES))} - set(HELD_OUT)
    assert not world.held_out.any()


def test_every_composition_scene_shows_one() -> None:
    world = sample_world(seed=3, split=3, num_scenes=2000, composition=True)
    for scene in range(len(world)):
        seen = [bool(is_held_out(world.color[scene, c], world.shape[scene, c])) for c in range(4)]
        assert (world.held_out[scene] == (seen & world.present[scene])).all()
    assert world.held_out.any(axis=1).all()
    shares = np.bincount(world.shape[world.held_out], minlength=4) / world.held_out.sum()
    assert np.abs(shares - 0.25).max() < 0.04


def test_splits_and_seeds_differ() -> None:
    first, second, other = (sample_world(*key, 100, False) for key in ((0, 0), (0, 1), (1, 0)))
    assert (first.color != second.color).any() and (first.color != other.color).any()
