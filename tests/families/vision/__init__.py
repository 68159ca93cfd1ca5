"""Tests of how an image becomes tokens."""
