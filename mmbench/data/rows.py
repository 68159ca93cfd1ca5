"""Which texts a step's rows hold, and how they become a `Batch`."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from mmbench.config.data import RowSettings
from mmbench.data.batch import IGNORED, Batch, Role, Totals
from mmbench.data.images import Pixels
from mmbench.data.order import Stream, draws
from mmbench.data.table import Array, TextTable

Mode = Literal["multimodal", "pairs", "text"]
"""``multimodal``: captions, questions and a contrastive pair; ``pairs``: the pair alone; ``text``: no images, and the
texts of a row are one document, each reading those before it."""

_BUCKET = 8


@dataclass
class Plan:
    """The segments of a global batch, sorted by row."""

    images: Array
    """[B] the image of each row."""
    rows: Array
    """[G] the row of each segment."""
    entries: Array
    """[G] the table's entry of each segment."""
    totals: Totals
    """Over all B rows."""


def plan_rows(
    table: TextTable, settings: RowSettings, mode: Mode, embed: bool, seed: int, images: Array, epochs: Array
) -> Plan:
    """Draw the texts of each row: a pure function of (seed, epoch, image).

    Args:
        table: the split's texts.
        settings: how many captions and questions a row holds.
        mode: what the rows are for.
        embed: whether multimodal rows hold a contrastive pair.
        seed: training seed.
        images: [B] image of each row.
        epochs: [B] epoch of each row.
    """
    pair = mode == "pairs" or (mode == "multimodal" and embed)
    num_captions = max(settings.captions if mode != "pairs" else 0, int(pair))
    rows_c, rank_c, captions = _draw(table.caption_offsets, num_captions, seed, Stream.CAPTIONS, images, epochs)
    first = rank_c == 0
    pieces = []
    if mode != "pairs":
        shown = rank_c < settings.captions
        pieces.append((rows_c[shown], captions[shown]))
        rows_q, _, questions = _draw(table.question_offsets, settings.questions, seed, Stream.QUESTIONS, images, epochs)
        pieces.append((rows_q, _answers(table, questions, seed, epochs[rows_q])))
    if pair:
        rows_p = rows_c[first]
        pieces.append((rows_p, table.pair_text(captions[first])))
        pieces.append((rows_p, np.full(len(rows_p), table.image_query)))
    rows = np.concatenate([piece[0] for piece in pieces])
    entries = np.concatenate([piece[1] for piece in pieces])
    # A document's texts stand in an order that has nothing to do with their kind.
    mixed = (entries * 2654435761) % 2**32 if mode == "text" else np.zeros(len(entries), dtype=np.int64)
    order = np.lexsort((mixed, rows))
    rows, entries = rows[order], entries[order]
    return Plan(images, rows, entries, _totals(table, mode, len(images), int(first.sum()) if pair else 0, entries))


def build_batch(
    table: TextTable,
    plan: Plan,
    mode: Mode,
    pad_id: int,
    pixels: Pixels,
    sizes: Array,
    first_row: int,
    num_rows: int,
) -> Batch:
    """The batch of some of a plan's rows.

    Args:
        pixels: uint8 [num_rows, 3, S, S] of these rows, or [0, 3, S, S].
        sizes: [num_rows, 2] height and width of the pictures in them, or [0, 2].
        first_row: first of the rows.
        num_rows: how many.
    """
    start, end = np.searchsorted(plan.rows, [first_row, first_row + num_rows])
    rows, entries = plan.rows[start:end] - first_row, plan.entries[start:end]
    lengths = table.offsets[entries + 1] - table.offsets[entries]
    begins = np.cumsum(lengths) - lengths
    positions = np.arange(int(lengths.sum())) - np.repeat(begins, lengths)
    source = np.repeat(table.offsets[entries], lengths) + positions

    first_of_row = np.searchsorted(rows, rows)  # the index of the first segment of each segment's row
    row_lengths = np.bincount(rows, weights=lengths, minlength=num_rows)
    width = _BUCKET * max(1, -(-int(row_lengths.max(initial=0)) // _BUCKET))
    columns = positions + np.repeat(begins - begins[first_of_row], lengths)
    places = np.repeat(rows, lengths) * width + columns

    def scatter(values: NDArray[np.generic] | Array, fill: int) -> torch.Tensor:
        flat = np.full(num_rows * width, fill, dtype=np.int64)
        flat[places] = values
        return torch.from_numpy(flat.reshape(num_rows, width))

    predicted = table.supervised[source] if mode != "text" else np.ones(len(source), np.bool_)
    roles = table.roles[source] if mode != "text" else np.full(len(source), int(Role.TEXT))
    begins_answer = positions == np.repeat(table.prompt_lengths[entries] - 1, lengths)
    classes = np.where(begins_answer & (mode == "multimodal"), np.repeat(table.classes[entries], lengths), IGNORED)
    # A pair's text repeats a caption; where it is alone in the row, it goes by that caption's name.
    named, num_named = (
        (entries - len(table.names), table.num_captions) if mode == "pairs" else (entries, len(table.names))
    )
    return Batch(
        images=torch.from_numpy(pixels),
        sizes=torch.from_numpy(sizes),
        token_ids=scatter(table.token_ids[source], pad_id),
        segments=scatter(np.repeat(np.where(mode == "text", 1, np.arange(len(rows)) - first_of_row + 1), lengths), 0),
        positions=scatter(columns if mode == "text" else positions, 0),
        roles=scatter(roles, int(Role.PAD)),
        labels=scatter(np.where(predicted, table.next_ids[source], IGNORED), IGNORED),
        classes=scatter(classes, IGNORED),
        sample_ids=[table.names[i] for i in named if 0 <= i < num_named],
        totals=plan.totals,
    )


def _draw(
    offsets: Array, num: int, seed: int, stream: Stream, images: Array, epochs: Array
) -> tuple[Array, Array, Array]:
    """Up to ``num`` of each image's items: (row, rank within the row, item), each [G], sorted by row and rank."""
    starts, counts = offsets[images], offsets[images + 1] - offsets[images]
    widest = int(counts.max(initial=0))
    items = starts[:, None] + np.arange(widest)
    real = np.arange(widest) < counts[:, None]
    keys = np.zeros(items.shape, dtype=np.uint64)
    for epoch in np.unique(epochs):
        here = real & (epochs == epoch)[:, None]
        keys[here] = draws(seed, int(epoch), int(offsets[-1]), stream)[items[here]]
    # Places beyond an image's items sort behind them: by the key first, then stably by being real.
    order = np.argsort(keys, axis=1, kind="stable")
    order = np.take_along_axis(order, np.argsort(~np.take_along_axis(real, order, 1), axis=1, kind="stable"), 1)
    chosen = np.arange(widest) < np.minimum(counts, num)[:, None]
    rows, ranks = np.nonzero(chosen)
    return rows, ranks, np.take_along_axis(items, order, 1)[chosen]


def _answers(table: TextTable, questions: Array, seed: int, epochs: Array) -> Array:
    """[G] the entry of each question's answer; of several most frequent, one drawn by (seed, epoch, question)."""
    starts = table.answer_offsets[questions]
    ties = table.answer_offsets[questions + 1] - starts
    picked = np.zeros(len(questions), dtype=np.int64)
    if (ties > 1).any():
        for epoch in np.unique(epochs):
            here = epochs == epoch
            drawn = draws(seed, int(epoch), len(table.answer_offsets) - 1, Stream.ANSWERS)[questions[here]]
            picked[here] = ((drawn >> np.uint64(11)) % ties[here].astype(np.uint64)).astype(np.int64)
    return starts + picked


def _totals(table: TextTable, mode: Mode, num_rows: int, num_pairs: int, entries: Array) -> Totals:
    lengths = table.offsets[entries + 1] - table.offsets[entries]
    named = entries < len(table.names)
    caption = entries < table.num_captions
    supervised = table.num_supervised[entries]
    return Totals(
        caption_tokens=int(supervised[caption].sum()) if mode == "multimodal" else 0,
        answer_tokens=int(supervised[named & ~caption].sum()) if mode == "multimodal" else 0,
        text_tokens=int(lengths.sum()) if mode == "text" else 0,
        classified=int((table.classes[entries] != IGNORED).sum()) if mode == "multimodal" else 0,
        pairs=num_pairs,
        samples=num_pairs if mode == "pairs" else int(named.sum()),
        rows=num_rows,
        tokens=int(lengths.sum()),
    )
