"""The baselines by name, in the order in which tables show them, and what sets them apart."""

CHANCE, MAJORITY, BLIND = "chance", "majority", "blind"

BASELINES = (CHANCE, MAJORITY, BLIND)
"""All of them; no system may take such a name."""

UNTRAINED = (CHANCE, MAJORITY)
"""Those that spend nothing."""

SEEDLESS = (MAJORITY,)
"""Those that no seed changes, and so run once."""
