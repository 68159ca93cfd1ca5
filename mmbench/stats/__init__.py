"""Whether a difference between systems is real, given that seeds and images are both samples of something larger."""

from mmbench.stats.compare import compare_systems, summarise_systems

__all__ = ["compare_systems", "summarise_systems"]
