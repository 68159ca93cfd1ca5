"""Classifiers over the frequent answers: where an image and a text meet, and by which mechanism."""
