"""Retrieval between images and captions: ranks in tiles of bounded memory, ties at their expected value."""
