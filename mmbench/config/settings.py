"""The whole of a comparison's settings: what ``comparison.yaml`` holds and a run repeats from."""

from dataclasses import dataclass, field
from typing import Literal

from mmbench.config.baselines import BASELINES
from mmbench.config.data import DataSettings
from mmbench.config.deciding import DecidingSettings
from mmbench.config.model import EncoderSettings, LanguageModelSettings, SystemSettings, TokenizerSettings
from mmbench.config.training import (
    EvaluationSettings,
    LatencySettings,
    PretrainingSettings,
    TrainerSettings,
    TrainingSettings,
)
from mmbench.config.tuning import TuningSettings


@dataclass
class TrackingSettings:
    """Where MLflow mirrors the run; the files under ``runs/`` are the truth."""

    uri: str = ""
    """An MLflow tracking URI; if empty, ``MLFLOW_TRACKING_URI``, else ``sqlite:///runs/mlflow.db``."""
    experiment: str = "mmbench"
    """The MLflow experiment."""
    enabled: bool = True
    """Whether anything is sent to MLflow."""


@dataclass
class Settings:
    """One comparison, resolved: every value that decides a number in its tables."""

    name: str = ""
    """Folder under ``runs/``; if empty, made of the systems and a hash of these settings."""
    scale: str = "tiny"
    """The scale file the defaults came from."""
    systems: dict[str, SystemSettings] = field(default_factory=dict)
    """The systems that are compared, by the name the tables give them."""
    baselines: list[str] = field(default_factory=lambda: list(BASELINES))
    """The baselines that are run beside them."""
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    """Training seeds; each system is trained with each."""
    deciding: DecidingSettings = field(default_factory=DecidingSettings)
    """Whether further seeds are added until a pair is decided."""
    budget: str = "20000samples"
    """What each cell spends: an amount of ``samples``, ``tokens``, ``epochs``, ``steps``, ``flops``, ``s``, ``min`` or
    ``h``."""
    match: Literal["none", "params", "trainable", "active"] = "none"
    """Which count of parameters is made equal, by one width of each system (the family says which): all parameters,
    those that train, those that a sample goes through; or none."""
    image_size: int = 48
    """Side of the square image the models see, in pixels."""
    data: DataSettings = field(default_factory=DataSettings)
    """The data."""
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    """The image encoder."""
    language_model: LanguageModelSettings = field(default_factory=LanguageModelSettings)
    """The decoder."""
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)
    """The tokenizer."""
    pretraining: PretrainingSettings = field(default_factory=PretrainingSettings)
    """How the common starting point is made."""
    training: TrainingSettings = field(default_factory=TrainingSettings)
    """The training recipe."""
    trainer: TrainerSettings = field(default_factory=TrainerSettings)
    """Options of the Lightning Trainer."""
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    """How cells are scored."""
    latency: LatencySettings = field(default_factory=LatencySettings)
    """How latency is measured."""
    tuning: TuningSettings = field(default_factory=TuningSettings)
    """The search for each system's own values."""
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    """Where MLflow mirrors the run."""
