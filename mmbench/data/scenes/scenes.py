"""The built-in data set: rendered scenes with captions and questions, a pure function of its settings."""

from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mmbench.config.data import ScenesSettings
from mmbench.config.errors import UserError, unknown_name
from mmbench.data.scenes.captions import write_captions
from mmbench.data.scenes.frames import check_frames, draw_aspects, draw_sides, frame
from mmbench.data.scenes.questions import SceneQuestion, choose_questions
from mmbench.data.scenes.render import render
from mmbench.data.scenes.vocabulary import NUMBERS, SHADES
from mmbench.data.scenes.world import World, sample_world

SplitName = Literal["train", "validation", "test", "composition"]
NUM_QUESTIONS = {"train": 6, "validation": 4, "test": 4, "composition": 4}
"""Of each scene, at least."""


@dataclass(frozen=True)
class SceneTexts:
    """The texts of one split, by scene."""

    captions: list[list[str]]
    """Five each, all different."""
    questions: list[list[SceneQuestion]]
    """At least ``NUM_QUESTIONS`` of the split each, all different."""
    labels: list[str]
    """One each, of six equally frequent ones: how many objects, on which background."""


class Scenes:
    """Scenes of 2 to 4 objects: what ``settings`` asks for, made when asked for, with nothing read or written.

    ``train``, ``validation`` and ``test`` come from one distribution; every scene of ``composition`` has an object of
    a color and shape that those never show together. The same settings give the same bytes on any machine.
    """

    splits: tuple[str, ...] = get_args(SplitName)

    def __init__(self, settings: ScenesSettings) -> None:
        """Raises ``UserError`` where a split would have fewer than no scenes, or pictures of a shape not drawn."""
        for split in self.splits:
            if getattr(settings, split) < 0:
                raise UserError(f"scenes.{split} is {getattr(settings, split)}; give the number of scenes, 0 or more")
        check_frames(settings)
        self.settings = settings
        self._frames: dict[tuple[str, int], list[tuple[int, int]]] = {}

    def size(self, split: str) -> int:
        """How many scenes the split has."""
        self._number(split)
        return int(getattr(self.settings, split))

    def texts(self, split: str) -> SceneTexts:
        """Captions and questions of the whole split."""
        number, world = self._number(split), self.world(split)
        drawn = zip(world.present.sum(axis=1).tolist(), world.shade.tolist(), strict=True)
        return SceneTexts(
            captions=write_captions(world, self.settings.seed, number),
            questions=choose_questions(
                world, self.settings.seed, number, NUM_QUESTIONS[split], composition=split == "composition"
            ),
            labels=[f"{NUMBERS[count]} objects on a {SHADES[shade]} background" for count, shade in drawn],
        )

    def aspects(self, split: str) -> NDArray[np.float64]:
        """[n] width over height of each picture of the split."""
        return draw_aspects(self.settings, self._number(split), self.size(split))

    def frames(self, split: str, canvas: int) -> list[tuple[int, int]]:
        """Height and width in pixels of each picture of the split, before it is laid into a canvas of that side."""
        if (split, canvas) not in self._frames:
            sides = draw_sides(self.settings, self._number(split), self.size(split), canvas).tolist()
            drawn = zip(self.aspects(split).tolist(), sides, strict=True)
            self._frames[split, canvas] = [frame(aspect, longer) for aspect, longer in drawn]
        return self._frames[split, canvas]

    def render(
        self, split: str, indices: NDArray[np.integer], height: int, width: int | None = None
    ) -> NDArray[np.uint8]:
        """The scenes ``indices`` of the split as pictures ``[len(indices), 3, height, width]`` (red, green, blue).

        Square if no width is given. Raises ``UserError`` where a side is odd or the longer one below 32,
        ``IndexError`` where a scene does not exist.
        """
        return render(self.world(split), indices, height, height if width is None else width)

    def world(self, split: str) -> World:
        """What stands in each scene."""
        return _world(self.settings.seed, self._number(split), self.size(split), split == "composition")

    def _number(self, split: str) -> int:
        if split not in self.splits:
            raise unknown_name("split", split, self.splits)
        return self.splits.index(split)


_world = cache(sample_world)
