"""Packed rows taken apart hold what was packed, text by text."""

import torch

from mmbench.data.batch import IGNORED, Batch, Role
from mmbench.families.segments import Segments, Texts, segments_of


def texts_of(segments: Segments) -> list[list[int]]:
    return [ids[mask].tolist() for ids, mask in zip(segments.token_ids, segments.mask, strict=True)]


def test_each_text_is_taken_out_as_it_was_packed(batch: Batch) -> None:
    segments = segments_of(batch, (Role.CAPTION, Role.ANSWER))
    expected = []
    for row in range(len(batch.token_ids)):
        for segment in range(1, int(batch.segments[row].max()) + 1):
            here = batch.segments[row] == segment
            role = int(batch.roles[row, here][0])
            if role in (Role.CAPTION, Role.ANSWER):
                expected.append((row, role, batch.token_ids[row, here].tolist(), batch.labels[row, here].tolist()))
    labels = [label[mask].tolist() for label, mask in zip(segments.labels, segments.mask, strict=True)]
    found = list(zip(segments.rows.tolist(), segments.roles.tolist(), texts_of(segments), labels, strict=True))
    assert found == expected
    assert {role for _, role, _, _ in found} == {Role.CAPTION, Role.ANSWER}
    assert segments.mask.any(dim=0).all(), "no column is padding alone"
    assert bool((segments.labels[~segments.mask] == IGNORED).all())
    assert bool((segments.token_ids[~segments.mask] == 0).all())


def test_a_class_is_that_of_the_answer_it_stands_in(batch: Batch) -> None:
    segments = segments_of(batch, [Role.ANSWER])
    classes = batch.classes[batch.classes != IGNORED]
    assert segments.classes[segments.classes != IGNORED].tolist() == classes.tolist()
    assert len(classes) == batch.totals.classified > 0
    assert bool((segments_of(batch, [Role.CAPTION]).classes == IGNORED).all())


def test_a_prompt_ends_where_the_answer_is_predicted(batch: Batch) -> None:
    segments = segments_of(batch, [Role.ANSWER])
    prompts = segments.prompts()
    lengths = ((segments.labels != IGNORED).int().argmax(dim=1) + 1).tolist()
    assert texts_of(prompts) == [text[:n] for text, n in zip(texts_of(segments), lengths, strict=True)]
    assert prompts.token_ids.shape[1] == max(lengths) < segments.token_ids.shape[1]
    assert bool(((prompts.labels != IGNORED).sum(dim=1) == 1).all())
    assert prompts.classes is segments.classes


def test_the_caption_of_a_pair_comes_without_its_query_and_stays_whole(batch: Batch) -> None:
    segments = segments_of(batch, [Role.TEXT])
    expected = [ids[roles == Role.TEXT].tolist() for ids, roles in zip(batch.token_ids, batch.roles, strict=True)]
    assert texts_of(segments) == texts_of(segments.prompts()) == [text for text in expected if text]


def test_a_batch_without_such_texts_gives_none(batch: Batch) -> None:
    blank = Batch(**{**vars(batch), "roles": torch.zeros_like(batch.roles)})
    for segments in (segments_of(blank, [Role.ANSWER]), segments_of(blank, [Role.ANSWER]).prompts()):
        assert segments.token_ids.shape == segments.mask.shape == segments.labels.shape == (0, 1)
        assert len(segments.rows) == len(segments.classes) == 0


def test_texts_are_padded_and_may_be_empty() -> None:
    texts = Texts.of([[5, 6], [], [7]], "cpu")
    assert texts.token_ids.tolist() == [[5, 6], [0, 0], [7, 0]]
    assert texts.mask.tolist() == [[True, True], [False, False], [True, False]]
    behind = texts.after(1)
    assert behind.token_ids.tolist() == [[1, 5, 6], [1, 0, 0], [1, 7, 0]]
    assert behind.mask.tolist() == [[True, True, True], [True, False, False], [True, True, False]]
    assert Texts.of([[], []], "cpu").token_ids.tolist() == [[0], [0]]
