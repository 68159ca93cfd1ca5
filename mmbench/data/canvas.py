"""The canvas that every picture is laid into, and how large the picture is in it."""

from dataclasses import dataclass

from mmbench.config.data import Layout


@dataclass(frozen=True)
class Canvas:
    """A square of ``side`` pixels with the picture at its top left."""

    side: int
    """S, in pixels."""
    layout: Layout = "square"
    """As in the settings of the data."""
    size_multiple: int = 4
    """What both sides of a picture in the native layout are rounded to; divides ``side``."""

    def fit(self, height: int, width: int) -> tuple[int, int]:
        """Height and width, in the canvas, of a picture of this height and width in pixels.

        In the square layout the picture fills the canvas. In the native layout it keeps its aspect ratio and is never
        enlarged, up to the rounding: a side shorter than ``size_multiple`` becomes that.
        """
        if self.layout == "square":
            return self.side, self.side
        factor = min(1.0, self.side / max(height, width))
        return self._rounded(height, factor), self._rounded(width, factor)

    def _rounded(self, length: int, factor: float) -> int:
        nearest = round(length * factor / self.size_multiple)
        return self.size_multiple * max(1, min(nearest, length // self.size_multiple))
