"""Every caption is true, the five of a scene differ, and together they vary."""

import pytest

from mmbench.data.scenes.captions import NUM_CAPTIONS, write_captions
from mmbench.data.scenes.world import World, sample_world
from tests.data.scenes.oracle import HELD_OUT, Thing, is_true, things


@pytest.fixture(scope="module", params=[False, True], ids=["standard", "composition"])
def captioned(request: pytest.FixtureRequest) -> tuple[World, list[list[str]]]:
    world = sample_world(seed=5, split=1, num_scenes=1500, composition=request.param)
    return world, write_captions(world, seed=5, split=1)


def test_every_caption_is_true(captioned: tuple[World, list[list[str]]]) -> None:
    world, captions = captioned
    for scene, texts in enumerate(captions):
        shade = ("dark", "light")[world.shade[scene]]
        for text in texts:
            assert is_true(text, things(world, scene), shade), (text, things(world, scene))


def test_the_five_captions_differ(captioned: tuple[World, list[list[str]]]) -> None:
    _, captions = captioned
    assert all(len(texts) == NUM_CAPTIONS == len(set(texts)) for texts in captions)


def test_captions_tell_scenes_apart(captioned: tuple[World, list[list[str]]]) -> None:
    """Most captions are false of most other scenes, so that a picture can be found by its caption."""
    world, captions = captioned
    scenes = [things(world, scene) for scene in range(200)]
    shades = [("dark", "light")[shade] for shade in world.shade[:200]]
    fits = [
        sum(is_true(texts[0], scene, shade) for scene, shade in zip(scenes, shades, strict=True))
        for texts in captions[:60]
    ]
    assert sum(fits) / len(fits) < 8


def test_wording_and_order_vary(captioned: tuple[World, list[list[str]]]) -> None:
    _, captions = captioned
    starts = [" ".join(text.split()[:2]) for texts in captions for text in texts[:1]]
    assert len(set(starts)) > 15
    assert max(starts.count(start) for start in set(starts)) < len(starts) / 4
    assert len({text for texts in captions for text in texts}) > 0.5 * NUM_CAPTIONS * len(captions)
    assert max(len(text.split()) for texts in captions for text in texts) <= 20


def test_composition_captions_name_the_held_out_objects() -> None:
    world = sample_world(seed=6, split=3, num_scenes=400, composition=True)
    captions = write_captions(world, seed=6, split=3)
    for texts in captions:
        naming = sum(any(f"{color} {shape}" in text for color, shape in HELD_OUT) for text in texts)
        assert naming >= 2  # the list of all objects and the relation name colors, the others may leave them out


def test_the_oracle_sees_a_false_caption() -> None:
    scene = [Thing("large", "red", "square", 0, 0), Thing("small", "blue", "cross", 1, 1)]
    assert is_true("a red square is left of a small blue cross", scene, "dark")
    for wrong in (
        "a red square is right of a blue cross",
        "a red square and a green cross",
        "a red square",
        "three objects, one square and two crosses",
        "a red square and a blue cross on a light background",
        "a small red square at the top left and a blue cross at the bottom right",
        "at the top right is a large red square, at the bottom right a blue cross",
    ):
        assert not is_true(wrong, scene, "dark"), wrong
