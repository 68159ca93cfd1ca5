"""Tests of the co-attention family."""
