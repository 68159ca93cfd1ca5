"""Whether a difference between systems is real, given that seeds and images are both samples of something larger."""

from mmbench.stats.compare import compare_systems, summarise_systems
from mmbench.stats.equivalence import equivalence
from mmbench.stats.pareto import pareto_front
from mmbench.stats.scaling import ScalingLaws, scaling_law
from mmbench.stats.sequential import look_levels

__all__ = [
    "ScalingLaws",
    "compare_systems",
    "equivalence",
    "look_levels",
    "pareto_front",
    "scaling_law",
    "summarise_systems",
]
