"""The words and attributes of the scenes' small world, and the combinations that training never shows."""

COLORS = ("red", "green", "blue", "yellow", "purple", "orange")
SHAPES = ("circle", "square", "triangle", "cross")
SIZES = ("small", "large")
QUADRANTS = ("top left", "top right", "bottom left", "bottom right")
"""The cells of the 2 x 2 grid in reading order; an object's cell is its position."""
SHADES = ("dark", "light")
"""Of the background."""
NUMBERS = ("zero", "one", "two", "three", "four")
"""As captions spell them; answers are digits."""
RELATIONS = ("left of", "right of", "above", "below")
KINDS = ("existence", "count", "colour", "shape", "position", "relation", "comparison")
"""Of questions."""

HELD_OUT = ((0, 0), (1, 1), (2, 2), (3, 3))
"""(color, shape) pairs that only the composition split shows.

Each shape loses one color and no color loses two shapes, so that both can stay equally frequent: the color is drawn
uniformly and then the shape among those left, which gives every shape 3 x 1/18 + 2 x 1/24 = 1/4.
"""


def is_held_out(color: int, shape: int) -> bool:
    """Whether training never shows this combination."""
    return (color, shape) in HELD_OUT


def plural(noun: str) -> str:
    """``circles``, ``crosses``."""
    return noun + ("es" if noun.endswith("s") else "s")


def with_article(phrase: str) -> str:
    """``a red circle``, ``an orange circle``."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase
