"""How well classes are predicted, and how well the confidence in them is."""
