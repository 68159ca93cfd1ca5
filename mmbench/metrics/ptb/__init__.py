"""The Penn Treebank tokeniser that caption metrics are defined on, in plain Python."""

from mmbench.metrics.ptb.tokenizer import TokenCorpus, encode, tokenize

__all__ = ["TokenCorpus", "encode", "tokenize"]
