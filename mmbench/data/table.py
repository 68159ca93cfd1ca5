"""A split's texts as token arrays, made once: every segment that a row can hold is an *entry* of one table."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmbench.config.errors import UserError
from mmbench.data.answers import FrequentAnswers, most_frequent
from mmbench.data.batch import IGNORED, Role
from mmbench.data.example import Example
from mmbench.data.prompts import CAPTION_PROMPT, continuation, question_prompt
from mmbench.data.tokenizer import TextTokenizer

MAX_UNSUPERVISED_SHARE = 0.01
"""Texts without a token to learn from, up to this share, are counted and left out; more is an error."""

Array = NDArray[np.int64]


class TextTable:
    """Entries of the table, one after another: captions, answers, texts of contrastive pairs, the image query.

    Token arrays hold all entries end to end; entry ``e`` is ``[offsets[e], offsets[e + 1])``.

    Args:
        examples: N examples.
        tokenizer: the text's tokenizer.
        max_text_tokens: longer segments are cut.
        split: the split's name, for messages.
        frequent: the frequent training answers, whose places are the answers' classes; without them there are none.

    Raises:
        UserError: more than 1% of the texts have no token to learn from after the cut.
    """

    token_ids: NDArray[np.int32]
    """The ids of each entry."""
    next_ids: NDArray[np.int32]
    """The id that follows each token in its text; the last token of an uncut text is followed by eos."""
    supervised: NDArray[np.bool_]
    """Whether the following id is part of the caption or answer, which is then predicted."""
    roles: NDArray[np.int8]
    """The `Role` of each token."""
    offsets: Array
    """[entries + 1]."""
    num_supervised: Array
    """[entries] supervised tokens of each."""
    prompt_lengths: Array
    """[entries] tokens before the caption or answer; 0 where nothing is predicted."""
    classes: Array
    """[entries] the answer's place among the frequent ones; `IGNORED` where the entry is no frequent answer."""
    caption_offsets: Array
    """[N + 1]: the captions of image i are the entries ``caption_offsets[i]`` to ``caption_offsets[i + 1]``."""
    question_offsets: Array
    """[N + 1]: the questions of image i, as numbers into ``answer_offsets``."""
    answer_offsets: Array
    """[Q + 1]: the entries of question q, one for each of its most frequent answers."""
    names: list[str]
    """Sample ids of the captions' and answers' entries."""
    num_left_out: int
    """Texts without a token to learn from."""

    def __init__(
        self,
        examples: Sequence[Example],
        tokenizer: TextTokenizer,
        max_text_tokens: int,
        split: str = "train",
        frequent: FrequentAnswers | None = None,
    ) -> None:
        prompt = tokenizer.encode(CAPTION_PROMPT)
        captions = [
            (i, f"{e.image_id}#caption{k}", c) for i, e in enumerate(examples) for k, c in enumerate(e.captions)
        ]
        questions = [(i, question) for i, example in enumerate(examples) for question in example.questions]
        caption_ids = tokenizer.encode_all([continuation(caption) for _, _, caption in captions])
        question_ids = tokenizer.encode_all([question_prompt(question.text) for _, question in questions])
        answers = [most_frequent(question) for _, question in questions]
        answer_ids = iter(tokenizer.encode_all([continuation(answer) for ties in answers for answer in ties]))

        writer = _Writer(tokenizer, max_text_tokens)
        self.names = []
        caption_counts, question_counts = np.zeros(len(examples), np.int64), np.zeros(len(examples), np.int64)
        kept_captions = []
        for (image, name, _), ids in zip(captions, caption_ids, strict=True):
            if writer.add_predicted(prompt, ids, Role.CAPTION):
                caption_counts[image] += 1
                kept_captions.append(ids)
                self.names.append(name)
        ties_kept = []
        classes = [IGNORED] * len(kept_captions)
        for (image, question), ids, ties in zip(questions, question_ids, answers, strict=True):
            added = [writer.add_predicted(ids, next(answer_ids), Role.ANSWER) for _ in ties]
            if added[0]:  # the cut leaves a token to learn or not by the question's length alone
                question_counts[image] += 1
                ties_kept.append(len(ties))
                self.names += [question.id] * len(ties)
                found = [frequent.class_of(answer) if frequent else None for answer in ties]
                classes += [IGNORED if place is None else place for place in found]
        self.num_left_out = len(captions) + len(questions) - len(kept_captions) - len(ties_kept)
        _check_share(self.num_left_out, len(captions) + len(questions), split, max_text_tokens)
        for ids in kept_captions:
            writer.add_pair_text(ids)
        writer.add([tokenizer.pad_id], [tokenizer.pad_id], [False], [Role.IMAGE_QUERY])

        self.token_ids = np.array(writer.token_ids, dtype=np.int32)
        self.next_ids = np.array(writer.next_ids, dtype=np.int32)
        self.supervised = np.array(writer.supervised, dtype=np.bool_)
        self.roles = np.array(writer.roles, dtype=np.int8)
        self.offsets = np.array(writer.offsets, dtype=np.int64)
        self.num_supervised = np.add.reduceat(self.supervised.astype(np.int64), self.offsets[:-1])
        self.prompt_lengths = np.array(writer.prompt_lengths, dtype=np.int64)
        self.classes = np.array(classes + [IGNORED] * (len(self.prompt_lengths) - len(classes)), dtype=np.int64)
        self.caption_offsets = _cumulative(caption_counts)
        self.question_offsets = _cumulative(question_counts)
        self.answer_offsets = len(kept_captions) + _cumulative(np.array(ties_kept, dtype=np.int64))

    @property
    def num_captions(self) -> int:
        """Entries that are captions; they come first."""
        return int(self.caption_offsets[-1])

    def pair_text(self, caption_entries: Array) -> Array:
        """The entries that hold the same captions as text of a contrastive pair."""
        return caption_entries + len(self.names)

    @property
    def image_query(self) -> int:
        """The entry of the image query: the last one."""
        return len(self.offsets) - 2

    @property
    def mean_lengths(self) -> NDArray[np.float64]:
        """[N] mean tokens of each image's captions and questions with their answers; 0 where it has neither."""
        caption_images = np.repeat(np.arange(len(self.caption_offsets) - 1), np.diff(self.caption_offsets))
        question_images = np.repeat(np.arange(len(self.question_offsets) - 1), np.diff(self.question_offsets))
        images = np.concatenate([caption_images, question_images])
        entries = np.concatenate([np.arange(self.num_captions), self.answer_offsets[:-1]])
        totals = np.bincount(images, self.lengths[entries], minlength=len(self.caption_offsets) - 1)
        means: NDArray[np.float64] = totals / np.maximum(1, np.bincount(images, minlength=len(totals)))
        return means

    @property
    def lengths(self) -> Array:
        """[entries] tokens of each."""
        return np.diff(self.offsets)


class _Writer:
    """Grows the token arrays; ids and labels of a segment are made together."""

    def __init__(self, tokenizer: TextTokenizer, max_text_tokens: int) -> None:
        self._tokenizer, self._longest = tokenizer, max_text_tokens
        self.token_ids: list[int] = []
        self.next_ids: list[int] = []
        self.supervised: list[bool] = []
        self.roles: list[int] = []
        self.offsets: list[int] = [0]
        self.prompt_lengths: list[int] = []

    def add_predicted(self, prompt: list[int], text: list[int], role: Role) -> bool:
        """A prompt and the text it asks for; False, and nothing added, if the cut leaves nothing to predict."""
        if len(prompt) > self._longest or not text:
            return False
        whole = [*prompt, *text, self._tokenizer.eos_id]
        ids, following = whole[:-1][: self._longest], whole[1:][: self._longest]
        self.add(ids, following, [i >= len(prompt) - 1 for i in range(len(ids))], [role] * len(ids))
        return True

    def add_pair_text(self, text: list[int]) -> None:
        """A caption that is embedded, with the query behind it."""
        ids = [*text[: self._longest], self._tokenizer.pad_id]
        roles = [Role.TEXT] * (len(ids) - 1) + [Role.TEXT_QUERY]
        self.add(ids, ids, [False] * len(ids), roles)

    def add(self, ids: list[int], following: list[int], supervised: list[bool], roles: Sequence[int]) -> None:
        self.token_ids += ids
        self.next_ids += following
        self.supervised += supervised
        self.roles += roles
        self.offsets.append(len(self.token_ids))
        self.prompt_lengths.append(supervised.index(True) + 1 if True in supervised else 0)


def _check_share(num_left_out: int, num_texts: int, split: str, max_text_tokens: int) -> None:
    if num_left_out > MAX_UNSUPERVISED_SHARE * num_texts:
        raise UserError(
            f"{num_left_out} of {num_texts} texts of the {split} split have nothing left to learn after the cut to "
            f"{max_text_tokens} tokens; raise training.rows.max_text_tokens, or shorten the questions"
        )


def _cumulative(counts: Array) -> Array:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
