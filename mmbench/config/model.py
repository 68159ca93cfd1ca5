"""Settings of the parts that all systems of a comparison share, and of the systems themselves."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class EncoderSettings:
    """The image encoder; one set of weights for all systems."""

    library: Literal["timm", "open_clip", "native"] = "timm"
    """Where the architecture comes from; ``native``: an encoder of mmbench for images of any resolution."""
    name: str = "vit_tiny_patch16_224"
    """The model's name in that library."""
    options: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the library's constructor, for instance ``img_size``, ``patch_size``, ``depth``."""
    weights: str = "contrastive"
    """``contrastive``: pretrained here on the training images and captions; ``random``; ``pretrained``: the
    library's own weights for that name; or the path of a local checkpoint."""


@dataclass
class ExpertSettings:
    """A mixture-of-experts feed-forward in the place of the dense one."""

    num_experts: int = 0
    """Routed experts of a block; 0: no mixture, one dense feed-forward."""
    num_active: int = 2
    """Routed experts that each token goes through."""
    num_shared: int = 1
    """Experts that every token goes through, beside the routed ones."""
    width: int = 128
    """Inner width of one expert."""


@dataclass
class LanguageModelSettings:
    """The decoder; one set of weights for all systems."""

    weights: str = "text"
    """``text``: pretrained here on the training text; ``random``; or a folder / hub name of a checkpoint (Llama,
    SmolLM2, Qwen2, Mistral, …), whose ``config.json`` then sets the sizes below."""
    config: str = ""
    """A file with the decoder's whole configuration, as ``mmbench import`` writes it, where the sizes below cannot
    say what it is; its weights are then those of the system."""
    width: int = 192
    """Width of the residual stream."""
    depth: int = 4
    """Number of blocks."""
    num_heads: int = 6
    """Query heads."""
    num_kv_heads: int = 2
    """Key and value heads (grouped-query attention)."""
    feed_forward_width: int = 512
    """Inner width of the gated feed-forward."""
    rope_theta: float = 10000.0
    """Base of the rotary position embedding."""
    norm_eps: float = 1e-5
    """Added to the mean square in RMSNorm."""
    tie_embeddings: bool = True
    """Whether the vocabulary projection is the embedding's transpose."""
    experts: ExpertSettings = field(default_factory=ExpertSettings)
    """Mixture-of-experts feed-forwards in the place of the dense ones."""
    mrope_sections: list[int] | Literal["auto"] | None = None
    """How many of a head's rotary frequencies turn with time, with height and with width (M-RoPE, arXiv 2409.12191);
    they add up to half the width of a head. ``auto``: a quarter and three eighths twice, as there. Text is read as
    without them."""


@dataclass
class TokenizerSettings:
    """The text's tokenizer; one for all systems."""

    path: str = ""
    """A ``tokenizer.json``, a folder or a hub name with one; if empty, that of the checkpoint that
    ``language_model.weights`` names, or else a byte-level BPE that is trained on the training split's text."""
    vocab_size: int = 1024
    """Entries of the trained vocabulary, special tokens included."""


@dataclass
class StageSettings:
    """A share of the budget in which a given set of parts trains."""

    share: float = 1.0
    """The share of the binding budget; the shares of a system's stages add up to 1."""
    train: list[str] = field(default_factory=lambda: ["all"])
    """The parts that train, by the names the family gives them; ``all`` means every part, but not the
    language model where it has adapters."""
    learning_rate_factor: dict[str, float] = field(default_factory=dict)
    """Factor on the learning rate, part by part; 1 where not given."""


@dataclass
class LoraSettings:
    """Low-rank adapters in the language model (arXiv 2106.09685): the part ``lora``, in the place of its weights."""

    rank: int = 0
    """Rank of each adapter; 0: no adapters."""
    alpha: float = 16.0
    """An adapter's output is scaled by this over its rank."""
    targets: list[str] = field(default_factory=lambda: ["attention", "feed_forward"])
    """Which matrices get one."""


@dataclass
class SystemSettings:
    """One system: a family and how its parts are put together."""

    same_as: str = ""
    """The preset of which this one is another name; nothing else is then given."""
    family: str = "unified"
    """A family of mmbench, or the import path ``package.module:Class`` of one from outside."""
    paper: str = ""
    """What the system stands for; printed by ``mmbench list systems`` and in the report."""
    options: dict[str, Any] = field(default_factory=dict)
    """The family's own settings (the fields of its ``Config``)."""
    stages: list[StageSettings] = field(default_factory=lambda: [StageSettings()])
    """What trains when; one after the other."""
    encoder: dict[str, Any] = field(default_factory=dict)
    """What differs from the shared encoder's settings, where the architecture asks for another one of its own."""
    language_model: dict[str, Any] = field(default_factory=dict)
    """What differs from the shared language model's settings, where the architecture asks for another of its own."""
    lora: LoraSettings = field(default_factory=LoraSettings)
    """Adapters that train in the place of the language model's weights."""
    weights: str = ""
    """The whole system's weights (safetensors), as ``mmbench import`` writes them; loaded once its parts are joined."""
    modality_dropout: dict[str, float] = field(default_factory=dict)
    """How often a training row's ``image`` or ``text`` is withheld, as a share (ModDrop, arXiv 1501.00102)."""
    objectives: dict[str, float] = field(default_factory=dict)
    """Weights of objectives that differ from ``training.objectives``; 0 leaves one out."""
    scales: dict[str, Any] = field(default_factory=dict)
    """In a system's file: by the name of a scale, what differs there of all the above; mappings are joined key by key.
    A comparison's settings have it joined already."""
