"""mmbench: which multimodal architecture should I use, and is the difference real?"""

__version__ = "0.1.0"
