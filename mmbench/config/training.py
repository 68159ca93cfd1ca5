"""Settings of training, evaluation and latency: the recipe every system of a comparison gets."""

from dataclasses import dataclass, field
from typing import Any, Literal

from mmbench.config.data import RowSettings


@dataclass
class ObjectiveSettings:
    """Weights of the training objectives; one without data is left out."""

    caption: float = 1.0
    """Mean next-token loss over the captions' tokens."""
    answer: float = 1.0
    """Mean next-token loss over the answers' tokens."""
    contrastive: float = 0.2
    """Image-text loss within groups of rows: softmax or sigmoid, as the family has it."""
    classify: float = 1.0
    """Cross-entropy over the frequent answers, of families that classify."""
    match: float = 1.0
    """Whether a caption belongs to the image, of families that read both together."""
    masked_text: float = 1.0
    """Prediction of masked words of the caption."""
    masked_image: float = 1.0
    """Prediction of masked patches of the image."""
    balance: float = 0.01
    """Load-balancing loss of a mixture of experts."""
    router_z: float = 0.001
    """Squared log-sum-exp of a mixture's router logits."""


@dataclass
class TrainingSettings:
    """The optimiser and the order of the data; the same for all systems."""

    batch_rows: int = 64
    """Rows (images, each with its texts) of one optimiser step: the global batch."""
    rows: RowSettings = field(default_factory=RowSettings)
    """What a row holds."""
    curriculum: Literal["none", "short_first"] = "none"
    """``short_first``: in the first epoch the images come in four levels of rising mean length of their texts; later
    epochs are shuffled as ever."""
    contrastive_group: int = 32
    """Rows whose images and captions are told apart from one another. Fixed apart from the micro-batch and the
    number of devices, so that neither changes the loss; divides ``batch_rows``."""
    objectives: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    """How much each objective weighs."""
    learning_rate: float = 1e-3
    """Peak of the schedule."""
    warmup_share: float = 0.05
    """Share of each stage's budget over which the rate rises from 0; it then falls along a cosine to ``end_factor``."""
    end_factor: float = 0.05
    """The rate at the end of the budget, as a factor of the peak."""
    weight_decay: float = 0.05
    """AdamW's decay, on matrices only."""
    betas: tuple[float, float] = (0.9, 0.98)
    """AdamW's decay rates of the moments."""
    gradient_clip: float = 1.0
    """Gradients above this norm are scaled down to it."""
    checkpoint_share: float = 0.1
    """A checkpoint each time this share of the budget is spent."""
    validation_share: float = 0.2
    """The validation loss each time this share of the budget is spent."""
    log_every: int = 10
    """Steps between two lines of ``log.jsonl``."""


@dataclass
class PretrainingSettings:
    """The common starting point, made once and outside the binding budget; its size does not depend on it."""

    encoder_steps: int = 600
    """Optimiser steps of the contrastive pretraining of the image encoder."""
    encoder_rows: int = 128
    """Images (each with one caption) of such a step."""
    encoder_learning_rate: float = 1e-3
    """Peak learning rate of that pretraining."""
    language_model_steps: int = 600
    """Optimiser steps of the language model's pretraining on the training text."""
    language_model_rows: int = 8
    """Documents of such a step."""
    language_model_texts: int = 4
    """Captions, and as many questions with answers, of one image in a document."""
    language_model_learning_rate: float = 2e-3
    """Peak learning rate of that pretraining."""


@dataclass
class TrainerSettings:
    """Options of the Lightning Trainer; all others can be given under ``extra``."""

    accelerator: str = "auto"
    """``auto`` takes what the machine has; or ``cpu``, ``gpu``, …"""
    devices: int | str | list[int] = 1
    """How many devices a cell trains on, or which."""
    strategy: str = "auto"
    """Lightning's strategy: ``auto``, ``ddp``, ``fsdp``, …"""
    precision: str = "auto"
    """Lightning's precision (``32-true``, ``bf16-mixed``, …); ``auto`` is decided by a probe and recorded."""
    attention: Literal["auto", "sdpa", "plain"] = "auto"
    """The attention kernel; ``auto`` is decided by the same probe, one for all systems."""
    micro_batch_rows: int | None = None
    """Rows that go through the model at once; if not given, as many of the global batch as fit."""
    threads: int | None = None
    """Processor threads of one cell; if not given, one on a processor, the library's choice beside an accelerator."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Further keyword arguments of ``lightning.Trainer``."""


@dataclass
class EvaluationSettings:
    """How trained cells are scored."""

    batch_size: int = 128
    """Examples that are generated or embedded at once; the scores do not depend on it."""
    max_caption_tokens: int = 32
    """Longest generated caption."""
    max_answer_tokens: int = 8
    """Longest generated answer."""
    num_examples: int = 6
    """Pictures with every system's answers in the report."""
    rerank: int = 0
    """How many candidates of each retrieval query are put into a new order by the likelihood of the caption given the
    image; 0: none. Each is one more pass through the model."""
    without_image: bool = False
    """Whether every question is also answered with the image withheld."""
    probe: bool = False
    """Whether a linear classifier of labels is fitted to what each system makes of images alone."""
    probe_images: int = 2000
    """At most so many training images of that classifier."""


@dataclass
class LatencySettings:
    """The step after the cells that times one checkpoint of each system, interleaved."""

    repeats: int = 30
    """Timed repeats of each measurement."""
    warmup: int = 3
    """Repeats that are not counted, first."""
    large_batch: int = 32
    """The batch that stands beside batch 1."""
    resolutions: list[float] = field(default_factory=lambda: [1.0, 2.0])
    """Image sides as factors of the scale's, which is where the families part."""
    tokens: int = 16
    """Tokens generated in each measurement."""
    full: bool = False
    """Further resolutions (up to 4) and 100 repeats."""
