"""Fast tokenising of many captions: each distinct chunk between spaces goes through the rules once.

Almost every chunk means the same wherever it stands. The few that may join or look at a neighbour (numbers, tags, a
single letter with a period) send their caption through the rules as a whole.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mmbench.metrics.ptb.lexer import lex
from mmbench.metrics.ptb.words import KEEPS_PERIOD_BEFORE_NUMBER, SENTENCE_STARTERS


@dataclass(frozen=True)
class TokenCorpus:
    """Tokens of many captions as integers.

    `ids[offsets[i]:offsets[i + 1]]` are the tokens of caption i, as indices into `vocabulary`.
    """

    ids: NDArray[np.int64]
    """[all tokens]"""
    offsets: NDArray[np.int64]
    """[captions + 1]"""
    vocabulary: list[str]
    """token strings"""


def tokenize(captions: Sequence[str]) -> list[list[str]]:
    """Tokens of each caption, as the reference tokeniser with the caption metrics' list of dropped marks gives them.

    The order of the captions matters: a single letter with a period at a caption's end looks at the next caption. A
    token may hold a no-break space (a number with a fraction, a telephone number).

    Raises:
        ValueError: a caption holds half of a surrogate pair, which is no character.
    """
    corpus = encode(captions, split_tokens=False)
    words = [corpus.vocabulary[i] for i in corpus.ids.tolist()]
    bounds = corpus.offsets.tolist()
    return [words[start:end] for start, end in pairwise(bounds)]


def encode(captions: Sequence[str], split_tokens: bool = True) -> TokenCorpus:
    """The same as integers; with `split_tokens`, a token is cut at a no-break space, as CIDEr and BLEU see it.

    Raises:
        ValueError: as `tokenize`.
    """
    if not captions:
        return TokenCorpus(np.zeros(0, np.int64), np.zeros(1, np.int64), [])
    lines = [clean_line(caption) for caption in captions]
    chunks = _Chunks()
    chunk_ids = np.fromiter(map(chunks.__getitem__, " \n ".join(lines).split(" ")), np.int64)
    line_break = chunks["\n"]
    line_of_chunk = np.cumsum(chunk_ids == line_break)
    tokens = _Chunks()
    tokens_of_chunk = [_token_ids(lex(chunk), tokens, split_tokens) if chunk != "\n" else [] for chunk in chunks]

    # A caption whose chunks depend on one another becomes a single chunk of its own.
    dependent = _dependent_lines(list(chunks), chunk_ids, line_of_chunk, line_break)
    first_chunk = np.searchsorted(line_of_chunk, dependent, side="left")
    chunk_ids[np.isin(line_of_chunk, dependent)] = line_break
    # Where the line is not the first one, its first chunk is the line break before it; both are empty from here on.
    chunk_ids[first_chunk] = len(tokens_of_chunk) + np.arange(len(dependent))
    for line in dependent.tolist():
        tokens_of_chunk.append(_token_ids(lex(lines[line], _next_word(lines, line)), tokens, split_tokens))

    counts = np.fromiter(map(len, tokens_of_chunk), np.int64)
    flat = np.fromiter((token for ids in tokens_of_chunk for token in ids), np.int64)
    starts = np.cumsum(counts) - counts
    num_tokens = counts[chunk_ids]
    ends = np.cumsum(num_tokens)
    within = np.arange(ends[-1]) - np.repeat(ends - num_tokens, num_tokens)
    ids = flat[np.repeat(starts[chunk_ids], num_tokens) + within]
    last_chunk = np.searchsorted(line_of_chunk, np.arange(len(lines)), side="right") - 1
    return TokenCorpus(ids, np.concatenate([[0], ends[last_chunk]]), list(tokens))


def clean_line(caption: str) -> str:
    """One caption as one line: a space for whatever would break the line, nothing for signs outside the basic plane.

    The reference breaks the line at such signs and gives all later captions to the wrong image, without a word.

    Raises:
        ValueError: half of a surrogate pair.
    """
    if not _UNUSUAL.search(caption):
        return caption
    if re.search("[\ud800-\udfff]", caption):
        raise ValueError(f"a caption holds half of a surrogate pair, which is no character: {caption!r}")
    return re.sub("[\U00010000-\U0010ffff]", "\u200b", _LINE_BREAK.sub(" ", caption))


_LINE_BREAK = re.compile("[\n\r\v\f\x1c-\x1e\u2028\u2029]")
_UNUSUAL = re.compile("[\n\r\v\f\x1c-\x1e\u2028\u2029\ud800-\udfff\U00010000-\U0010ffff]")
_DEPENDS_ON_NUMBER = re.compile(
    rf".*\d|(?:.*[^\w])?(?:{'|'.join(KEEPS_PERIOD_BEFORE_NUMBER)})\.$", re.IGNORECASE | re.DOTALL
)
_DEPENDS_ON_STARTER = re.compile(r"(?:.*[^A-Za-z])?[A-Za-z]\.$", re.DOTALL)


class _Chunks(dict[str, int]):
    """Numbers strings in the order of their first appearance."""

    def __missing__(self, chunk: str) -> int:
        self[chunk] = number = len(self)
        return number


def _token_ids(tokens: list[str], vocabulary: _Chunks, split_tokens: bool) -> list[int]:
    return [vocabulary[part] for token in tokens for part in (token.split() if split_tokens else [token])]


def _dependent_lines(
    chunks: list[str], chunk_ids: NDArray[np.int64], line_of_chunk: NDArray[np.int64], line_break: int
) -> NDArray[np.int64]:
    """Sorted numbers of the lines in which one chunk may change what its neighbour means."""
    near_number = np.array([bool(_DEPENDS_ON_NUMBER.match(chunk)) for chunk in chunks])
    initial = np.array([bool(_DEPENDS_ON_STARTER.match(chunk)) for chunk in chunks])
    starter = np.array([chunk in SENTENCE_STARTERS for chunk in chunks])
    alone = np.array(["<" in chunk for chunk in chunks])[chunk_ids]
    paired = np.zeros(len(chunk_ids), bool)
    paired[:-1] = near_number[chunk_ids[:-1]] & near_number[chunk_ids[1:]]
    # The word after an initial may stand on a later line, or after several spaces.
    blank = np.array([not chunk.strip() for chunk in chunks])
    solid = np.flatnonzero(~blank[chunk_ids])
    before_starter = solid[:-1][initial[chunk_ids[solid[:-1]]] & starter[chunk_ids[solid[1:]]]]
    paired[before_starter] = True
    return np.unique(line_of_chunk[alone | paired])


def _next_word(lines: list[str], line: int) -> str:
    """The first word after a line, from whichever line has one."""
    for text in lines[line + 1 :]:
        if words := text.split(maxsplit=1):
            return words[0]
    return ""
