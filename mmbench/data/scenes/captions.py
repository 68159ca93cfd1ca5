"""Five true captions of each scene, which differ in wording, in order and in what they mention."""

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from mmbench.data.scenes.stream import Stream
from mmbench.data.scenes.vocabulary import (
    COLORS,
    NUMBERS,
    QUADRANTS,
    RELATIONS,
    SHADES,
    SHAPES,
    SIZES,
    plural,
    with_article,
)
from mmbench.data.scenes.world import NUM_CELLS, World

NUM_CAPTIONS = 5

_Object = tuple[int, int, int, int]  # cell, size, color, shape
_Draws = Iterator[int]  # uniform integers below 840, which small ranges divide evenly (up to 8)


def write_captions(world: World, seed: int, split: int) -> list[list[str]]:
    """``NUM_CAPTIONS`` captions of each scene, all different: one of each style, in an order of its own.

    Objects of held-out combinations are mentioned before others.
    """
    stream = Stream(seed, split, "captions")
    key = stream.words((len(world), NUM_CELLS)) >> np.uint64(2)
    key += (~world.held_out).astype(np.uint64) << np.uint64(62)
    key += (~world.present).astype(np.uint64) << np.uint64(63)
    order = np.argsort(key, axis=1, kind="stable")
    cell = np.broadcast_to(np.arange(NUM_CELLS), order.shape)
    attributes = np.stack([cell, world.size, world.color, world.shape], axis=-1)
    objects = np.take_along_axis(attributes, order[:, :, None], axis=1).tolist()
    num_objects = world.present.sum(axis=1).tolist()
    draws = stream.below(840, (len(world), 32)).tolist()
    style_order = np.argsort(stream.words((len(world), NUM_CAPTIONS)), axis=1, kind="stable").tolist()
    return [
        _captions([tuple(o) for o in objects[n][: num_objects[n]]], SHADES[shade], iter(draws[n]), style_order[n])
        for n, shade in enumerate(world.shade.tolist())
    ]


def _captions(objects: list[_Object], shade: str, draws: _Draws, order: list[int]) -> list[str]:
    written = [
        _list(objects, shade, draws),
        _places(objects, draws),
        _places_first(objects, draws),
        _relation(objects, draws),
        _counts(objects, shade, draws),
    ]
    return [written[style] for style in order]


def _list(objects: list[_Object], shade: str, draws: _Draws) -> str:
    """Every object with its color: ``a red circle and two blue squares on a dark background``."""
    opening = _one_of(("", "", "a picture of ", "there is "), draws)
    ending = _one_of(("", "", f" on a {shade} background"), draws)
    parts = [_number_of(n, name) if n > 1 else with_article(name) for n, name in _grouped(map(_color_name, objects))]
    return opening + _joined(parts) + ending


def _places(objects: list[_Object], draws: _Draws) -> str:
    """Two objects, then where: ``a small red circle at the top left and a square at the bottom right``."""
    where = _one_of(("at the", "in the"), draws)
    return " and ".join(f"{with_article(_some_name(o, draws))} {where} {QUADRANTS[o[0]]}" for o in objects[:2])


def _places_first(objects: list[_Object], draws: _Draws) -> str:
    """Where, then the objects: ``at the top left is a large circle, at the bottom left a green square``."""
    first, second = objects[0], objects[-1]
    verb = _one_of(("is", "there is", "you see"), draws)
    return (
        f"at the {QUADRANTS[first[0]]} {verb} {with_article(_some_name(first, draws))}, "
        f"at the {QUADRANTS[second[0]]} {with_article(_some_name(second, draws))}"
    )


def _relation(objects: list[_Object], draws: _Draws) -> str:
    """``a red circle is left of a large blue square``."""
    first, second = objects[:2] if next(draws) % 2 else (objects[0], objects[-1])
    across = first[0] % 2 - second[0] % 2
    down = first[0] // 2 - second[0] // 2
    sideways = across != 0 and (down == 0 or next(draws) % 2 == 0)
    relation = RELATIONS[(0 if across < 0 else 1) if sideways else (2 if down < 0 else 3)]
    verb = _one_of((" is", "", " stands"), draws)
    return f"{with_article(_color_name(first))}{verb} {relation} {with_article(_some_name(second, draws))}"


def _counts(objects: list[_Object], shade: str, draws: _Draws) -> str:
    """How many of each shape, color or size: ``three objects, two circles and one square``."""
    total = NUMBERS[len(objects)]
    opening = _one_of((f"{total} objects, ", f"{total} shapes, ", f"on a {shade} background "), draws)
    attribute = next(draws) % 3
    groups = _grouped(_counted_names(o)[attribute] for o in objects)
    return opening + _joined([_number_of(n, name) for n, name in groups])


def _counted_names(thing: _Object) -> tuple[str, str, str]:
    return SHAPES[thing[3]], f"{COLORS[thing[2]]} object", f"{SIZES[thing[1]]} object"


def _grouped(names: Iterable[str]) -> list[tuple[int, str]]:
    """How often each name occurs, in order of first occurrence."""
    return [(count, name) for name, count in Counter(names).items()]


def _number_of(count: int, name: str) -> str:
    """``two circles``, ``one circle``."""
    return f"{NUMBERS[count]} {plural(name) if count > 1 else name}"


def _color_name(thing: _Object) -> str:
    return f"{COLORS[thing[2]]} {SHAPES[thing[3]]}"


def _full_name(thing: _Object) -> str:
    return f"{SIZES[thing[1]]} {_color_name(thing)}"


def _some_name(thing: _Object, draws: _Draws) -> str:
    """The shape, with or without size and color: what is left out cannot be what tells pictures apart."""
    shape = SHAPES[thing[3]]
    return _one_of((_full_name(thing), _color_name(thing), f"{SIZES[thing[1]]} {shape}", shape), draws)


def _one_of(choices: tuple[str, ...], draws: _Draws) -> str:
    return choices[next(draws) % len(choices)]


def _joined(parts: list[str]) -> str:
    """``a, b and c``."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
