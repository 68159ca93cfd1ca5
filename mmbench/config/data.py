"""Settings of the data: where it comes from and what each training row is made of."""

from dataclasses import dataclass, field
from typing import Literal

Format = Literal["scenes", "jsonl", "flickr", "karpathy", "coco_captions", "vqa_v2", "visual7w", "easy_vqa", "daquar"]
Layout = Literal["square", "native"]


@dataclass
class ScenesSettings:
    """The built-in data: rendered scenes with captions and questions."""

    seed: int = 0
    """The scenes are a pure function of this number."""
    train: int = 6000
    """Images of the training split."""
    validation: int = 300
    """Images of the validation split."""
    test: int = 400
    """Images of the standard test split."""
    composition: int = 200
    """Images of the second test split: attribute combinations that training never shows."""
    aspects: list[float] = field(default_factory=lambda: [1.0], repr=False)
    """Width over height of the pictures, from 0.25 to 4; one is drawn for each scene. Objects keep their size relative
    to the shorter side. With ``layout: native`` the models see the ratio; a square canvas squashes the picture."""
    sides: list[int] = field(default_factory=list, repr=False)
    """Longer sides of the pictures in pixels, even and at least 32; one is drawn for each scene. Empty: as the
    canvas."""


@dataclass
class SourceSettings:
    """One source of images with captions, questions or both."""

    format: Format = "scenes"
    """How the files are laid out; ``scenes`` needs no files."""
    path: str = ""
    """The folder or file of the data; unused by ``scenes``."""
    images: str = ""
    """The folder of the images where it is not found beside ``path``."""
    use: list[Literal["captions", "questions"]] = field(default_factory=lambda: ["captions", "questions"])
    """What is taken from this source: captions from one and questions from another can be joined."""
    scenes: ScenesSettings = field(default_factory=ScenesSettings)
    """How many scenes, and from which seed; read by ``scenes`` alone."""


@dataclass
class DataSettings:
    """The data of a comparison: the same for all its systems."""

    name: str = "scenes"
    """What the tables call the data."""
    sources: list[SourceSettings] = field(default_factory=lambda: [SourceSettings()])
    """The sources, joined split by split; images that two sources share (same file) become one."""
    max_train_images: int | None = None
    """At most so many training images (the first of an order drawn from the data's hash); all if not given."""
    max_test_images: int | None = None
    """At most so many images in each evaluated split; all if not given."""
    layout: Layout = "square"
    """How a picture is laid into the canvas of ``image_size``: ``square`` fills it and gives up the aspect ratio;
    ``native`` keeps the ratio, puts the picture at the top left, never enlarges it, and leaves the rest 0."""
    size_multiple: int = 4
    """With ``layout: native``, both sides of a picture are rounded to a multiple of so many pixels; must divide
    ``image_size``."""
    num_answers: int = 500
    """How many of the most frequent training answers have a class, for the families that choose an answer instead of
    writing it."""
    max_broken_share: float = 0.01
    """Missing or corrupt images up to this share are set aside and counted; more is an error."""


@dataclass
class RowSettings:
    """What one training row holds: an image and several of its texts, which share it.

    Each text is one *sample*; the texts of a row see the image and themselves, never one another.
    """

    captions: int = 2
    """Captions of the image a row; drawn anew for each epoch."""
    questions: int = 4
    """Questions of the image with their answers a row; drawn anew for each epoch."""
    max_text_tokens: int = 48
    """A caption or question with answer longer than this is cut (text only, never an image)."""
