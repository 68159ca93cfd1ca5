"""The harness: plan a comparison, run its cells, collect what they leave, and show and mirror how far they are."""
