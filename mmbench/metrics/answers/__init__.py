"""Accuracy of short answers, by the official rules; no dependencies."""
