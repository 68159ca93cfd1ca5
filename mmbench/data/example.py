"""What every data format becomes: examples (an image with captions and questions) in named splits."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from mmbench.config.data import ScenesSettings
from mmbench.config.errors import UserError

TRAIN, VALIDATION, TEST, COMPOSITION = "train", "validation", "test", "composition"
SPLITS = (TRAIN, VALIDATION, TEST, COMPOSITION)
"""The names a split can have; ``composition`` exists for the built-in scenes alone."""


@dataclass(frozen=True)
class SceneImage:
    """A rendered image: a pure function of the scenes' settings, the split and the index."""

    settings: ScenesSettings
    split: str
    index: int

    @property
    def source(self) -> str:
        """What stands for the scenes in hashes. Shapes of pictures that are not given leave no mark: the data is what
        it was before they could be."""
        frames = {name: getattr(self.settings, name) for name in ("aspects", "sides")}
        given = {name: value for name, value in frames.items() if value != getattr(ScenesSettings(), name)}
        return repr(self.settings) + (f" {given}" if given else "")

    def __hash__(self) -> int:
        return hash((self.settings.seed, self.split, self.index))


ImageRef = str | SceneImage
"""Where an image is: the path of a file, or a rendered scene."""


@dataclass
class Question:
    """A question about an image with all its human answers."""

    id: str
    """Unique in the data set."""
    text: str
    """The question as asked."""
    answers: list[str]
    """Every annotator's answer, 1 or more; repeated where annotators agree."""
    kind: str
    """The type of question, by which scores are broken down."""
    choices: list[str] = field(default_factory=list)
    """Of a multiple choice: 2 or more different answers, one of them right. Empty: an open question."""


@dataclass
class Example:
    """One image with everything that is said and asked about it."""

    image_id: str
    """Unique in the data set."""
    image: ImageRef
    """Where the image is."""
    captions: list[str] = field(default_factory=list)
    """Zero or more captions."""
    questions: list[Question] = field(default_factory=list)
    """Zero or more questions."""
    label: str = ""
    """The class of the image, as it stands in ``a picture of LABEL``; empty where it has none."""


@dataclass(frozen=True)
class SetAside:
    """An example that is not used, and why."""

    id: str
    reason: str


@dataclass
class Split:
    """The examples of one split, and those that were set aside (missing or corrupt images)."""

    name: str
    examples: list[Example] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)


@dataclass
class Dataset:
    """One or several sources, joined."""

    name: str
    """What the tables call the data."""
    splits: dict[str, Split]
    """``train``, ``validation``, ``test`` and, for scenes, ``composition``."""
    redistributable: bool
    """Whether pictures may appear in a report: a licence for research alone forbids it."""
    fingerprint: str
    """Hash of ids, texts, and the images' file names and sizes (or the scenes' settings)."""
    left_out: Counter[str] = field(default_factory=Counter)
    """How many of what was read but not used, for instance captions of images in no split."""

    def report(self) -> dict[str, dict[str, int]]:
        """``{split: {"images", "captions", "questions"}}``."""
        return {
            name: {
                "images": len(split.examples),
                "captions": sum(len(example.captions) for example in split.examples),
                "questions": sum(len(example.questions) for example in split.examples),
            }
            for name, split in self.splits.items()
        }

    def tasks(self) -> tuple[str, ...]:
        """The tasks that can be both trained and tested: of ``caption``, ``answer``, ``choose``,
        ``retrieve``. What is chosen among choices need not have been trained with choices."""
        counts: dict[str, Any] = self.report()
        has = {text: all(counts.get(split, {}).get(text, 0) for split in (TRAIN, TEST)) for text in _TEXTS}
        tested = self.splits[TEST].examples if TEST in self.splits else []
        choose = has["questions"] and any(question.choices for each in tested for question in each.questions)
        possible = {
            "caption": has["captions"],
            "answer": has["questions"],
            "choose": choose,
            "retrieve": has["captions"],
        }
        return tuple(task for task, there in possible.items() if there)

    def require_splits(self) -> None:
        """Check that the data can be trained on and tested.

        Raises:
            UserError: there are no training or no test images, or they share no kind of text.
        """
        for name in (TRAIN, TEST):
            if not self.splits.get(name, Split(name)).examples:
                raise UserError(
                    f"data '{self.name}' has no image with text in the {name} split; both train and test are needed: "
                    "check the split files and the 'use' of each source"
                )
        if not self.tasks():
            raise UserError(
                f"data '{self.name}' has no kind of text (captions or questions) in both train and test: "
                "give each split captions, or each split questions"
            )


_TEXTS = ("captions", "questions")
