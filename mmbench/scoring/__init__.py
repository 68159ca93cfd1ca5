"""Scores of result files that were made elsewhere, in the field's formats: files in, scores out."""
