"""Caption metrics: raw text in, a score for each image out; NumPy only."""
