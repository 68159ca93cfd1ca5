"""Where two streams meet: one file a placement."""

from mmbench.families.fusion.placements.early import Early
from mmbench.families.fusion.placements.intermediate import Intermediate
from mmbench.families.fusion.placements.late import Late
from mmbench.families.fusion.placements.placement import Placement
from mmbench.families.fusion.placements.pooled import Pooled

PLACEMENTS: dict[str, type[Placement]] = {
    "early": Early,
    "intermediate": Intermediate,
    "late": Late,
    "pooled": Pooled,
}
