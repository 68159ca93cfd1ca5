"""Whole vision-language checkpoints of Hugging Face as systems of mmbench, and back."""
