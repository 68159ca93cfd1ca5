"""Every question there is: its exact words, its possible answers, and the true one in each scene."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mmbench.data.scenes.vocabulary import (
    COLORS,
    HELD_OUT,
    NUMBERS,
    QUADRANTS,
    RELATIONS,
    SHAPES,
    SIZES,
    is_held_out,
    plural,
    with_article,
)
from mmbench.data.scenes.world import NUM_CELLS, Booleans, Integers, World

YES_NO = ("yes", "no")
DIGITS = tuple(str(number) for number in range(len(NUMBERS)))
UNDEFINED = -1


@dataclass(frozen=True)
class Truth:
    """What a question comes to in each of n scenes."""

    answer: Integers
    """[n] index into the form's answers; ``UNDEFINED`` where the scene does not settle the question."""
    about: Booleans
    """[n, 4] the objects the question is about."""


@dataclass(frozen=True)
class Form:
    """A question in its exact words."""

    kind: str
    """One of ``KINDS``."""
    text: str
    """As asked."""
    answers: tuple[str, ...]
    """All that may be true."""
    standard_answers: tuple[int, ...]
    """Those (indices) that can be true of scenes without held-out combinations; fewer than 2: not asked of them."""
    truth: Callable[[World], Truth]
    """The true answer of each scene."""
    weight: int = 1
    """How often it is asked, relative to the others of its kind: more where one glance is enough."""


def all_forms() -> list[Form]:
    """All questions, in a fixed order."""
    return [*_existence(), *_count(), *_colour(), *_shape(), *_position(), *_relation(), *_comparison()]


@dataclass(frozen=True)
class _Reference:
    """Objects described by some of their attributes (indices); ``None`` leaves one open."""

    size: int | None = None
    color: int | None = None
    shape: int | None = None
    cell: int | None = None

    @property
    def words(self) -> str:
        """``small red circle``, ``red object``, ``top left object``."""
        parts = [
            "" if self.cell is None else QUADRANTS[self.cell],
            "" if self.size is None else SIZES[self.size],
            "" if self.color is None else COLORS[self.color],
            "object" if self.shape is None else SHAPES[self.shape],
        ]
        return " ".join(part for part in parts if part)

    @property
    def num_attributes(self) -> int:
        """How many of them it names."""
        return sum(value is not None for value in (self.size, self.color, self.shape, self.cell))

    def find(self, world: World) -> Booleans:
        """[n, 4] the objects it fits."""
        found = world.present.copy()
        wanted = ((self.size, world.size), (self.color, world.color), (self.shape, world.shape))
        for value, given in wanted:
            if value is not None:
                found &= given == value
        if self.cell is not None:
            found &= np.arange(NUM_CELLS) == self.cell
        return found


def _form(kind: str, text: str, answers: tuple[str, ...], truth: Callable[[World], Truth], weight: int = 1) -> Form:
    return Form(kind, text, answers, tuple(range(len(answers))), truth, weight)


def _existence() -> Iterator[Form]:
    references = [_Reference(color=c, shape=s) for c in range(len(COLORS)) for s in range(len(SHAPES))]
    references += [_Reference(color=c) for c in range(len(COLORS))] + [_Reference(shape=s) for s in range(len(SHAPES))]
    for reference in references:

        def truth(world: World, reference: _Reference = reference) -> Truth:
            found = reference.find(world)
            named = (reference.color, reference.shape) in HELD_OUT  # asking for it is about it, even where it is not
            return Truth(_yes_no(found.any(axis=1)), world.present if named else found)

        text = f"is there {with_article(reference.words)}?"
        possible = () if (reference.color, reference.shape) in HELD_OUT else (0, 1)
        yield Form("existence", text, YES_NO, possible, truth, weight=3 if reference.num_attributes == 1 else 1)


def _count() -> Iterator[Form]:
    ranges = [(_Reference(), 2, 4)]
    ranges += [(_Reference(shape=s), 0, 3) for s in range(len(SHAPES))]
    ranges += [(_Reference(color=c), 0, 2) for c in range(len(COLORS))]
    ranges += [(_Reference(size=z), 0, 3) for z in range(len(SIZES))]
    for reference, low, high in ranges:

        def truth(world: World, reference: _Reference = reference, low: int = low, high: int = high) -> Truth:
            found = reference.find(world)
            count = found.sum(axis=1)
            return Truth(np.where((count >= low) & (count <= high), count - low, UNDEFINED), found)

        weight = 1 if reference.num_attributes else 6
        yield _form("count", f"how many {plural(reference.words)} are there?", DIGITS[low : high + 1], truth, weight)


def _colour() -> Iterator[Form]:
    references = [_Reference(shape=s) for s in range(len(SHAPES))]
    references += [_Reference(size=z, shape=s) for z in range(len(SIZES)) for s in range(len(SHAPES))]
    references += [_Reference(size=z) for z in range(len(SIZES))]
    references += [_Reference(cell=q) for q in range(NUM_CELLS)]
    for reference in references:

        def truth(world: World, reference: _Reference = reference) -> Truth:
            found = reference.find(world)
            return Truth(_of_the_one(found, world.color), found)

        shape = reference.shape
        possible = tuple(c for c in range(len(COLORS)) if shape is None or not is_held_out(c, shape))
        weight = 1 if reference.cell is None else 5
        yield Form("colour", f"what color is the {reference.words}?", COLORS, possible, truth, weight)


def _shape() -> Iterator[Form]:
    references = [_Reference(color=c) for c in range(len(COLORS))]
    references += [_Reference(size=z, color=c) for z in range(len(SIZES)) for c in range(len(COLORS))]
    references += [_Reference(size=z) for z in range(len(SIZES))]
    references += [_Reference(cell=q) for q in range(NUM_CELLS)]
    for reference in references:

        def truth(world: World, reference: _Reference = reference) -> Truth:
            found = reference.find(world)
            return Truth(_of_the_one(found, world.shape), found)

        color = reference.color
        possible = tuple(s for s in range(len(SHAPES)) if color is None or not is_held_out(color, s))
        weight = 1 if reference.cell is None else 7
        yield Form("shape", f"what shape is the {reference.words}?", SHAPES, possible, truth, weight)


def _position() -> Iterator[Form]:
    references = [_Reference(color=c) for c in range(len(COLORS))]
    references += [_Reference(shape=s) for s in range(len(SHAPES))]
    references += [_Reference(color=c, shape=s) for c in range(len(COLORS)) for s in range(len(SHAPES))]
    for reference in references:

        def truth(world: World, reference: _Reference = reference) -> Truth:
            found = reference.find(world)
            cells = np.broadcast_to(np.arange(NUM_CELLS), found.shape)
            return Truth(_of_the_one(found, cells), found)

        none = reference.color is not None and reference.shape is not None
        possible = () if none and (reference.color, reference.shape) in HELD_OUT else tuple(range(NUM_CELLS))
        weight = 6 if reference.num_attributes == 1 else 1
        yield Form("position", f"where is the {reference.words}?", QUADRANTS, possible, truth, weight)
    yield _form("position", "which corner is empty?", QUADRANTS, _empty_corner, weight=80)


def _empty_corner(world: World) -> Truth:
    cells = np.broadcast_to(np.arange(NUM_CELLS), world.present.shape)
    return Truth(_of_the_one(~world.present, cells), np.zeros_like(world.present))


def _relation() -> Iterator[Form]:
    for first, second in _pairs():
        for number, words in enumerate(RELATIONS):

            def truth(
                world: World, first: _Reference = first, second: _Reference = second, number: int = number
            ) -> Truth:
                one, other = first.find(world), second.find(world)
                cells = np.broadcast_to(np.arange(NUM_CELLS), one.shape)
                here, there = _of_the_one(one, cells), _of_the_one(other, cells)
                # along the axis asked for, the two must not stand side by side
                before = (here % 2 - there % 2) if number < 2 else (here // 2 - there // 2)
                settled = (here != UNDEFINED) & (there != UNDEFINED) & (before != 0)
                holds = before < 0 if number % 2 == 0 else before > 0
                return Truth(np.where(settled, _yes_no(holds), UNDEFINED), one | other)

            yield _form("relation", f"is the {first.words} {words} the {second.words}?", YES_NO, truth)


def _comparison() -> Iterator[Form]:
    for first, second in _pairs():

        def more(world: World, first: _Reference = first, second: _Reference = second) -> Truth:
            one, other = first.find(world), second.find(world)
            return Truth(_yes_no(one.sum(axis=1) > other.sum(axis=1)), one | other)

        def larger(world: World, first: _Reference = first, second: _Reference = second) -> Truth:
            one, other = first.find(world), second.find(world)
            here, there = _of_the_one(one, world.size), _of_the_one(other, world.size)
            settled = (here != UNDEFINED) & (there != UNDEFINED) & (here != there)
            return Truth(np.where(settled, _yes_no(here > there), UNDEFINED), one | other)

        yield _form("comparison", f"are there more {plural(first.words)} than {plural(second.words)}?", YES_NO, more)
        yield _form("comparison", f"is the {first.words} larger than the {second.words}?", YES_NO, larger)

    for here, there, side, opposite in _SIDES:

        def fuller(world: World, here: tuple[int, int] = here, there: tuple[int, int] = there) -> Truth:
            one, other = world.present[:, here].sum(axis=1), world.present[:, there].sum(axis=1)
            return Truth(_yes_no(one > other), world.present)

        yield _form("comparison", f"are there more objects {side} than {opposite}?", YES_NO, fuller, weight=25)


_SIDES = (
    ((0, 2), (1, 3), "on the left", "on the right"),
    ((1, 3), (0, 2), "on the right", "on the left"),
    ((0, 1), (2, 3), "at the top", "at the bottom"),
    ((2, 3), (0, 1), "at the bottom", "at the top"),
)
"""(cells, the other cells, their names) whose numbers of objects are compared."""


def _pairs() -> list[tuple[_Reference, _Reference]]:
    """Ordered pairs of different shapes, and of different colors."""
    shapes = [_Reference(shape=s) for s in range(len(SHAPES))]
    colors = [_Reference(color=c) for c in range(len(COLORS))]
    return [(a, b) for group in (shapes, colors) for a in group for b in group if a != b]


def _yes_no(holds: Booleans | np.bool_) -> Integers:
    return np.where(holds, 0, 1)


def _of_the_one(found: Booleans, attribute: Integers) -> Integers:
    """[n] the attribute of the only object found; ``UNDEFINED`` where none or several are."""
    return np.where(found.sum(axis=1) == 1, (attribute * found).sum(axis=1), UNDEFINED)
