"""How two streams tell each other what they hold: one file a mechanism."""

from collections.abc import Mapping
from typing import Any

from mmbench.config.errors import unknown_name
from mmbench.config.tree import built, checked
from mmbench.families.fusion.mechanisms.attention import CrossModalAttention
from mmbench.families.fusion.mechanisms.concat import Concat
from mmbench.families.fusion.mechanisms.gated import Gated
from mmbench.families.fusion.mechanisms.graph import Graph
from mmbench.families.fusion.mechanisms.mechanism import Mechanism
from mmbench.families.fusion.mechanisms.memory import Memory

MECHANISMS: dict[str, type[Mechanism]] = {
    "concat": Concat,
    "attention": CrossModalAttention,
    "gated": Gated,
    "graph": Graph,
    "memory": Memory,
}


def build_mechanism(name: str, width: int, num_heads: int, options: Mapping[str, Any]) -> Mechanism:
    """The mechanism of that name, for streams of ``width``, with its own options.

    Raises:
        UserError: there is no such mechanism, or it has no such option, or not with such a value.
    """
    if name not in MECHANISMS:
        raise unknown_name("fusion mechanism", name, MECHANISMS)
    found = MECHANISMS[name]
    config = built(checked(dict(options), found.Config, "", f"the options of mechanism '{name}'"), found.Config)
    return found(width, num_heads, config)
