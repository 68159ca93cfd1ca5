"""What a family is to the harness: a module of named parts that learns from a batch and does what tasks it can."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

from mmbench.config.errors import UserError
from mmbench.data.batch import Batch
from mmbench.families.trainee import Trainee
from mmbench.nn.decoder import Decoder
from mmbench.nn.encoders import ImageEncoder
from mmbench.nn.row_draws import RowDraws

Task = Literal["caption", "answer", "choose", "match", "retrieve", "rerank", "text"]
"""What is scored: captions; answers; the choice among given answers; whether a caption belongs to an image; retrieval
by embedding; retrieval re-ranked by likelihood; the loss of text read without an image."""


@dataclass
class SharedParts:
    """What all systems of a comparison start from, with the same weights."""

    encoder: ImageEncoder
    """Images to tokens."""
    decoder: Decoder
    """The language model."""
    bos_id: int
    """Id that begins every row."""
    eos_id: int
    """Id that ends a caption or an answer."""
    pad_id: int = 0
    """Id of padding."""
    image_size: int = 0
    """Side of the square that images are given in, in pixels."""
    answers: list[list[int]] = field(default_factory=list)
    """Token ids of the frequent training answers, in the order of `Batch.classes`."""
    caption_prompt: list[int] = field(default_factory=list)
    """Token ids of what a caption follows."""


class Seen(Protocol):
    """What a family keeps of a batch of images."""

    def take(self, index: Tensor) -> "Seen":
        """Of the images ``index``, repeated or reordered."""
        ...


class Family(Trainee):
    """The protocol: the harness knows no more of a family than stands here.

    ``tasks`` says what a family can do, and it defines the methods of those tasks; the others are never called.
    Token ids given to it hold no special tokens; those it gives back neither.
    """

    tasks: ClassVar[frozenset[Task]] = frozenset()
    """What the family can do; which of it a system has learned, `unable` says."""
    learned_by: ClassVar[Mapping[Task, tuple[str, str]]] = {}
    """Task -> the part without whose training it would be chance, and the objective that trains it; tasks that a system
    can do by what it starts from do not stand here."""
    may_be_new: ClassVar[frozenset[str]] = frozenset()
    """Parts that a file with a whole system's weights may lack: what the file was made of does not have them."""
    can_withhold: ClassVar[frozenset[str]] = frozenset()
    """The modalities that dropout can withhold from it in training."""
    objectives: ClassVar[tuple[str, ...]] = ()
    """What it can learn by; one of them at least must have a weight where it trains. Empty: not told."""
    matched_width: ClassVar[str] = ""
    """The option that says how wide what the family adds is, an ``int | None`` of ``Config``; moved where parameters
    are matched. Empty: nothing can be moved."""

    @dataclass
    class Config:
        """Settings of the family; read from a system's ``options``."""

    def __init__(self, shared: SharedParts, objective_weights: Any) -> None:
        super().__init__(objective_weights)
        self.bos_id, self.eos_id, self.pad_id = shared.bos_id, shared.eos_id, shared.pad_id
        self.modality_dropout: dict[str, float] = {}
        """Modality -> share of training rows from which it is withheld; set where the system is built."""
        self.trained_parts: frozenset[str] = frozenset()
        """What the system's stages train; set where it is built."""
        self.filled_parts: frozenset[str] = frozenset()
        """What came with weights that were learned before, see `fill`."""

    @property
    def size_step(self) -> int:
        """The number of pixels of which an image's sides must be multiples."""
        encoder = getattr(self, "encoder", None)
        return int(encoder.patch_size) if isinstance(encoder, ImageEncoder) else 1

    def fill(self, weights: Mapping[str, Tensor]) -> None:
        """Take a whole system's weights; the parts in `may_be_new` that they have nothing of stay as they are.

        Raises:
            RuntimeError: they are of other parts or sizes.
        """
        new = {part for part in self.may_be_new if not any(name.startswith(f"{part}.") for name in weights)}
        kept = {name: tensor for name, tensor in self.state_dict().items() if name.partition(".")[0] in new}
        self.load_state_dict(kept | dict(weights))
        self.filled_parts = frozenset(self.parts()) - new

    def unable(self) -> dict[Task, str]:
        """Those of `tasks` that this system has not learned, so that they would be chance -> why."""
        reasons: dict[Task, str] = {}
        for task, (part, objective) in self.learned_by.items():
            if part in self.filled_parts:
                continue
            if part not in self.trained_parts:
                reasons[task] = f"no stage trained its {part}"
            elif not self.objective_weights.get(objective, 1.0):
                reasons[task] = f"its objective '{objective}' is off"
        return reasons

    def able(self) -> frozenset[Task]:
        """Those of `tasks` that this system can do."""
        return self.tasks - self.unable().keys()

    def see(self, images: Tensor, sizes: Tensor | None = None) -> Any:
        """What the family keeps of images; computed once, whatever is asked about them.

        Args:
            images: uint8 ``[B, 3, S, S]``.
            sizes: int64 ``[B, 2]`` height and width of each inside its square, from the top left; None: all of it.

        Returns:
            something with a method ``take(index)``, see `Seen`.
        """
        raise NotImplementedError(f"{type(self).__name__} must say what it sees of an image")

    def see_nothing(self, num: int) -> Any:
        """What `see` gives, of ``num`` images that are withheld."""
        raise NotImplementedError(f"{type(self).__name__} cannot do without an image")

    def caption(self, sight: Any, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        """Task ``caption``: what follows each prompt, one for each image of ``sight``."""
        raise self._cannot("caption")

    def answer(self, sight: Any, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        """Task ``answer``: the answer to each question, generated, or one of the frequent answers."""
        raise self._cannot("answer")

    def choice_scores(self, sight: Any, prompts: list[list[int]], choices: list[list[list[int]]]) -> list[Tensor]:
        """Task ``choose``: for each prompt one score for each of its choices, higher where it is likelier."""
        raise self._cannot("choose")

    def match_scores(self, sight: Any, texts: list[list[int]]) -> Tensor:
        """Task ``match``: ``[B]``, higher where the caption belongs to the image.

        Comparable between the texts of one image, and between the images of one text.
        """
        raise self._cannot("match")

    def log_likelihood(self, sight: Any, prompts: list[list[int]], texts: list[list[int]]) -> Tensor:
        """Task ``rerank``: ``[B]`` log-probability in nats of each text, its end included, after its prompt."""
        raise self._cannot("rerank")

    def embed_images(self, images: Tensor, sizes: Tensor | None = None) -> Tensor:
        """Task ``retrieve``: images as in `see` to unit vectors ``[B, E]``, in float32."""
        raise self._cannot("retrieve")

    def embed_texts(self, texts: list[list[int]]) -> Tensor:
        """Task ``retrieve``: texts to unit vectors ``[B, E]`` of the same space, in float32."""
        raise self._cannot("retrieve")

    def text_nats(self, texts: list[list[int]]) -> Tensor:
        """Task ``text``: mean next-token loss of each text ``[B]`` in nats, read without an image.

        The first token of a text is not predicted; the end token is.
        """
        raise self._cannot("text")

    def image_features(self, images: Tensor, sizes: Tensor | None = None) -> Tensor | None:
        """``[B, F]`` what a linear probe reads of images, or None where no image is read by itself."""
        return None

    def cost(self, images: Tensor, sizes: Tensor | None = None) -> dict[str, int]:
        """What one image of ``images`` costs, and the parameters.

        ``image_tokens``: what the encoder makes of it; ``context_tokens``: how many of them, or of what stands for
        them, enter the language model's context; ``parameters_active``: those that a sample goes through.
        """
        raise NotImplementedError(f"{type(self).__name__} must state what it costs")

    def num_parameters(self) -> int:
        """Parameters of all parts."""
        return sum(p.numel() for parameters in self.part_parameters().values() for p in parameters)

    def parameter_counts(self) -> dict[str, int]:
        """All parameters, and without those of the language model's experts that a token is not sent to."""
        total, decoder = self.num_parameters(), getattr(self, "decoder", None)
        idle = 0
        if isinstance(decoder, Decoder):
            idle = sum(p.numel() for p in decoder.parameters()) - decoder.num_active_parameters()
        return {"parameters_total": total, "parameters_active": total - idle}

    def withheld(self, modality: str, batch: Batch) -> Tensor | None:
        """bool ``[B]``: from which training rows ``modality`` is withheld; None where it is from none.

        Drawn by each row's text and one random number: call this before all that draws as many as there are rows, and
        a step of 8 rows withholds what two of 4 do.
        """
        share = self.modality_dropout.get(modality, 0.0)
        if not (self.training and share):
            return None
        seed = int(torch.randint(2**62, ()))
        return RowDraws(batch.token_ids, batch.segments > 0, seed).uniform(1)[:, 0] < share

    def _cannot(self, task: Task) -> UserError:
        can = ", ".join(sorted(self.tasks)) or "nothing"
        return UserError(f"family {type(self).__name__} cannot do the task '{task}'; it can do {can}")
