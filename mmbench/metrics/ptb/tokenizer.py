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
    corpus = encode([captions], split_tokens=False)
    words = [corpus.vocabulary[i] for i in corpus.ids.tolist()]
    return [words[start:end] for start, end in pairwise(corpus.offsets.tolist())]


def encode(texts: Sequence[Sequence[str]], split_tokens: bool = True) -> TokenCorpus:
    """The same as integers, for the captions of one or more texts that do not look at one another.

    Args:
        texts: captions; the result holds those of the first text, then those of the second, and so on.
        split_tokens: whether a token is cut at a no-break space, as CIDEr and BLEU do.

    Raises:
        ValueError: as `tokenize`.
    """
    lines = [clean_line(caption) for text in texts for caption in text]
    if not lines:
        return TokenCorpus(np.zeros(0, np.int64), np.zeros(1, np.int64), [])
    last_lines = np.cumsum([len(text) for text in texts]) - 1
    chunks = _Numbers()
    chunk_ids = np.fromiter(map(chunks.__getitem__, " \n ".join(lines).split(" ")), np.int64)
    line_break = chunks["\n"]
    line_of_chunk = np.cumsum(chunk_ids == line_break)
    tokens = _Numbers()
    words_of_chunk = [lex(chunk) for chunk in chunks]
    tokens_of_chunk = [_token_ids(words, tokens, split_tokens) for words in words_of_chunk]
    initial = np.array([bool(words and _INITIAL.fullmatch(words[-1])) for words in words_of_chunk])

    # A caption whose chunks depend on one another, or on the end of the text, becomes a single chunk of its own.
    dependent = np.union1d(
        _dependent_lines(list(chunks), initial, chunk_ids, line_of_chunk), last_lines[last_lines >= 0]
    )
    first_chunk = np.searchsorted(line_of_chunk, dependent)
    chunk_ids[np.isin(line_of_chunk, dependent)] = line_break
    chunk_ids[first_chunk] = len(tokens_of_chunk) + np.arange(len(dependent))
    for line in dependent.tolist():
        last_line = int(last_lines[np.searchsorted(last_lines, line)])
        whole_line = lex(lines[line], _following(lines[line + 1 : last_line + 1]))
        tokens_of_chunk.append(_token_ids(whole_line, tokens, split_tokens))

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
    """One caption as one line: a space for whatever would break the line, and what the reference cannot see gone.

    The reference breaks the line at such signs and gives all later captions to the wrong image, without a word. Signs
    outside the basic plane part words, but are no spaces; a soft hyphen is no sign at all.

    Raises:
        ValueError: half of a surrogate pair.
    """
    if not _UNUSUAL.search(caption):
        return caption
    if _SURROGATE.search(caption):
        raise ValueError(f"a caption holds half of a surrogate pair, which is no character: {caption!r}")
    return _BREAK.sub(" ", _OUTSIDE.sub(_NOTHING, caption.replace("\u00ad", "")))


_BREAKS = "\n\r\v\f\x1c-\x1e\x85\u2028\u2029"
_BREAK = re.compile(f"[{_BREAKS}]")
_OUTSIDE = re.compile("[\U00010000-\U0010ffff]")
_NOTHING = "\u200b"  # a sign that parts words and is dropped
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNUSUAL = re.compile(f"[{_BREAKS}\u00ad\ud800-\udfff\U00010000-\U0010ffff]")
_DEPENDS_ON_NUMBER = re.compile(
    rf".*\d|(?:.*[^\w])?(?:{'|'.join(KEEPS_PERIOD_BEFORE_NUMBER)})\.$", re.IGNORECASE | re.DOTALL
)
_TAG = re.compile("<")
_INITIAL = re.compile(r"[a-z]\.")


_STARTS_SENTENCE = re.compile(rf"(?:{'|'.join(f'{word}|{word.upper()}' for word in SENTENCE_STARTERS)})(?:\s|$)")


class _Numbers(dict[str, int]):
    """Numbers strings in the order of their first appearance."""

    def __missing__(self, text: str) -> int:
        self[text] = number = len(self)
        return number


def _token_ids(tokens: list[str], vocabulary: _Numbers, split_tokens: bool) -> list[int]:
    return [vocabulary[part] for token in tokens for part in (token.split() if split_tokens else [token])]


def _dependent_lines(
    chunks: list[str],
    ends_in_initial: NDArray[np.bool_],
    chunk_ids: NDArray[np.int64],
    line_of_chunk: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Sorted numbers of the lines in which one chunk may change what its neighbour means."""
    near_number = np.array([bool(_DEPENDS_ON_NUMBER.match(chunk)) for chunk in chunks])[chunk_ids]
    depends = np.array([bool(_TAG.search(chunk)) for chunk in chunks])[chunk_ids]
    depends[:-1] |= near_number[:-1] & near_number[1:]
    # A number may also stand at the start of the next line, and the word after an initial on any later line.
    line_break = np.array([chunk == "\n" for chunk in chunks])[chunk_ids]
    depends[:-2] |= near_number[:-2] & line_break[1:-1] & near_number[2:]
    initial = ends_in_initial[chunk_ids]
    starter = np.array([bool(_STARTS_SENTENCE.match(chunk)) for chunk in chunks])[chunk_ids]
    word = np.flatnonzero(~np.array([chunk.isspace() or not chunk for chunk in chunks])[chunk_ids])
    depends[word[:-1][initial[word[:-1]] & starter[word[1:]]]] = True
    return np.unique(line_of_chunk[depends])


def _following(lines: Sequence[str]) -> str:
    """What stands after a line, as far as rules look: all up to the next line with a word."""
    seen = ""
    for place, line in enumerate(lines):
        seen += "\n" + line
        if line.strip():
            return seen if place == len(lines) - 1 else seen + "\n"
    return seen
