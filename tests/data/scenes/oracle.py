"""A second opinion on what is true of a scene: reads a text word by word and looks at plain lists of objects.

It shares nothing with the code that writes the texts but the words themselves.
"""

import re
from dataclasses import dataclass

from mmbench.data.scenes.world import World

COLORS = ["red", "green", "blue", "yellow", "purple", "orange"]
SHAPES = ["circle", "square", "triangle", "cross"]
SIZES = ["small", "large"]
NUMBERS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4}
HELD_OUT = {("red", "circle"), ("green", "square"), ("blue", "triangle"), ("yellow", "cross")}


@dataclass(frozen=True)
class Thing:
    """One object; x and y are 0 (left, top) or 1."""

    size: str
    color: str
    shape: str
    x: int
    y: int

    @property
    def place(self) -> str:
        return f"{'bottom' if self.y else 'top'} {'right' if self.x else 'left'}"


def things(world: World, scene: int) -> list[Thing]:
    """The objects of one scene."""
    return [
        Thing(
            SIZES[world.size[scene, cell]],
            COLORS[world.color[scene, cell]],
            SHAPES[world.shape[scene, cell]],
            cell % 2,
            cell // 2,
        )
        for cell in range(4)
        if world.present[scene, cell]
    ]


def fitting(phrase: str, scene: list[Thing]) -> list[Thing]:
    """The objects that a phrase such as ``small red circle`` or ``top left object`` fits."""
    words = phrase.split()
    if words[0] in ("top", "bottom"):
        place, words = " ".join(words[:2]), words[2:]
        scene = [thing for thing in scene if thing.place == place]
    for word in words:
        word = re.sub(r"(?<=cross)es$|(?<=[etr])s$", "", word)
        if word in ("object", "shape"):
            continue
        assert word in SIZES + COLORS + SHAPES, word
        scene = [thing for thing in scene if word in (thing.size, thing.color, thing.shape)]
    return scene


def the(phrase: str, scene: list[Thing]) -> Thing:
    """The one object that fits; an assertion fails where the phrase does not refer uniquely."""
    found = fitting(phrase, scene)
    assert len(found) == 1, f"'{phrase}' fits {len(found)} objects"
    return found[0]


def holds(relation: str, one: Thing, other: Thing) -> bool:
    """Whether a spatial relation is true; the two must not stand side by side along its axis."""
    if relation in ("left of", "right of"):
        assert one.x != other.x, "neither is left of the other"
        return (one.x < other.x) == (relation == "left of")
    assert one.y != other.y, "neither is above the other"
    return (one.y < other.y) == (relation == "above")


def answer(question: str, scene: list[Thing]) -> str:
    """The true answer; an assertion fails where the question is not well defined."""
    if match := re.fullmatch(r"is there an? (.+)\?", question):
        return "yes" if fitting(match[1], scene) else "no"
    if match := re.fullmatch(r"how many (.+) are there\?", question):
        return str(len(fitting(match[1], scene)))
    if match := re.fullmatch(r"what (color|shape) is the (.+)\?", question):
        thing = the(match[2], scene)
        return thing.color if match[1] == "color" else thing.shape
    if match := re.fullmatch(r"where is the (.+)\?", question):
        return the(match[1], scene).place
    if match := re.fullmatch(r"is the (.+) (left of|right of|above|below) the (.+)\?", question):
        return "yes" if holds(match[2], the(match[1], scene), the(match[3], scene)) else "no"
    if question == "which corner is empty?":
        (empty,) = {"top left", "top right", "bottom left", "bottom right"} - {thing.place for thing in scene}
        return empty
    if match := re.fullmatch(r"are there more objects (?:on|at) the (\w+) than (?:on|at) the (\w+)\?", question):
        one, other = (sum(side in thing.place.split() for thing in scene) for side in match.groups())
        return "yes" if one > other else "no"
    if match := re.fullmatch(r"are there more (.+) than (.+)\?", question):
        return "yes" if len(fitting(match[1], scene)) > len(fitting(match[2], scene)) else "no"
    if match := re.fullmatch(r"is the (.+) larger than the (.+)\?", question):
        one, other = the(match[1], scene), the(match[2], scene)
        assert one.size != other.size, "neither is larger"
        return "yes" if one.size == "large" else "no"
    raise AssertionError(f"not a known question: {question}")


def is_true(caption: str, scene: list[Thing], shade: str) -> bool:
    """Whether all that a caption says holds."""
    if match := re.search(r" ?on a (dark|light) background ?", caption):
        if match[1] != shade:
            return False
        caption = caption.replace(match[0], "").strip()
    if match := re.fullmatch(r"an? (.+?)(?: is| stands)? (left of|right of|above|below) an? (.+)", caption):
        pairs = [(one, other) for one in fitting(match[1], scene) for other in fitting(match[3], scene)]
        across = match[2] in ("left of", "right of")
        apart = [(one, other) for one, other in pairs if (one.x != other.x if across else one.y != other.y)]
        return any(holds(match[2], one, other) for one, other in apart)
    if match := re.fullmatch(r"at the (\w+ \w+) (?:is|there is|you see) an? (.+), at the (\w+ \w+) an? (.+)", caption):
        return _stands(match[2], match[1], scene) and _stands(match[4], match[3], scene)
    if match := re.fullmatch(r"an? (.+) (?:at|in) the (\w+ \w+) and an? (.+) (?:at|in) the (\w+ \w+)", caption):
        return _stands(match[1], match[2], scene) and _stands(match[3], match[4], scene)
    if match := re.fullmatch(r"(two|three|four) (?:objects|shapes), (.+)", caption):
        if NUMBERS[match[1]] != len(scene):
            return False
        caption = match[2]
    caption = re.sub(r"^(a picture of|there is) ", "", caption)
    total = 0
    for part in re.split(r", | and ", caption):
        number, phrase = part.split(" ", 1)
        total += NUMBERS[number]
        if len(fitting(phrase, scene)) != NUMBERS[number]:
            return False
    return total == len(scene)


def _stands(phrase: str, place: str, scene: list[Thing]) -> bool:
    return any(thing.place == place for thing in fitting(phrase, scene))
