"""Tests of the families floor."""
