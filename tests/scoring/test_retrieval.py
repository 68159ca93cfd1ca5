"""Retrieval from arrays: the metric's own ranks, from similarities and from embeddings of any precision."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmbench.config.errors import UserError
from mmbench.metrics import cross_modal_recall, recall_from_scores
from mmbench.scoring.retrieval import score_embeddings, score_similarity
from mmbench.scoring.scores import Scores
from tests.scoring.files import refused, write_array

OWNER = np.array([0, 0, 1, 3, 3, 3, 4])  # image 2 has no caption
KS = (1, 2)


def embeddings(dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, 4)).astype(dtype), rng.normal(size=(7, 4)).astype(dtype)


def from_similarity(folder: Path, matrix: Any, owner: Any = OWNER, ks: tuple[int, ...] = KS) -> Scores:
    return score_similarity(write_array(folder / "sim.npy", matrix), write_array(folder / "own.npy", owner), ks)


def from_embeddings(folder: Path, images: Any, texts: Any, normalize: bool = False) -> Scores:
    return score_embeddings(
        write_array(folder / "images.npy", images),
        write_array(folder / "texts.npy", texts),
        write_array(folder / "own.npy", OWNER),
        KS,
        normalize,
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_scores_are_those_of_the_functions(dtype: str, tmp_path: Path) -> None:
    images, texts = embeddings(dtype)
    expected = cross_modal_recall(images, texts, OWNER).summary(KS)
    found = from_embeddings(tmp_path, images, texts)
    assert found.values == expected
    assert {"text_to_image_recall@2/optimistic", "image_to_text_median_rank"} <= found.values.keys()
    matrix = texts @ images.T
    assert from_similarity(tmp_path, matrix).values == recall_from_scores(matrix, OWNER).summary(KS)
    assert found.title == "images.npy and texts.npy: 7 captions, 5 images"
    assert found.notes == ["1 image without captions: candidates, no queries"]


def test_one_right_answer_each_worked_by_hand(tmp_path: Path) -> None:
    matrix = [[3, 1, 2], [2, 1, 3], [0, 1, 0]]  # captions 0 and 2 find their image, caption 1 finds it second
    found = from_similarity(tmp_path, matrix, [0, 0, 1], (1,))
    assert found.values["text_to_image_recall@1"] == pytest.approx(2 / 3)
    assert found.values["text_to_image_mean_rank"] == pytest.approx(4 / 3)
    # Image 0 finds caption 0; image 1 gives all its captions the same score.
    assert found.values["image_to_text_recall@1"] == pytest.approx((1 + 1 / 3) / 2)
    assert found.values["image_to_text_recall@1/optimistic"] == 1.0
    assert found.values["image_to_text_recall@1/pessimistic"] == 0.5
    assert any("ties decide image_to_text_recall@1" in note for note in found.notes)


def test_each_query_is_a_row_and_its_image_the_cluster(tmp_path: Path) -> None:
    found = from_embeddings(tmp_path, *embeddings())
    rows = {example.metric: example for example in found.per_example}
    captions, images = rows["text_to_image_recall@1"], rows["image_to_text_recall@1/pessimistic"]
    assert captions.example_ids == list(range(7))
    assert captions.cluster_ids == OWNER.tolist()
    assert images.example_ids == images.cluster_ids == [0, 1, 3, 4]
    for metric, example in rows.items():
        assert np.mean(example.scores) == pytest.approx(found.values[metric], abs=1e-12)


def test_normalised_embeddings_give_cosines(tmp_path: Path) -> None:
    images, texts = embeddings()
    lengths = np.linspace(0.1, 9, 5, dtype=np.float32)[:, None]
    cosines = from_embeddings(tmp_path, images * lengths, texts, normalize=True)
    plain = cross_modal_recall(
        images / np.linalg.norm(images, axis=1, keepdims=True),
        texts / np.linalg.norm(texts, axis=1, keepdims=True),
        OWNER,
    )
    assert cosines.values == plain.summary(KS)
    assert from_embeddings(tmp_path, images * lengths, texts).values != cosines.values
    huge = from_embeddings(tmp_path, images * np.float32(1e30), texts * np.float32(1e-30), normalize=True)
    assert huge.values == cosines.values
    images[2] = 0
    with pytest.raises(UserError, match=r"1 of 5 embeddings in .* are zero and have no direction, such as row 2"):
        from_embeddings(tmp_path, images, texts, normalize=True)


def test_k_above_the_gallery_is_noted(tmp_path: Path) -> None:
    found = from_similarity(tmp_path, np.eye(7)[:, :5], ks=(6,))
    assert found.values["text_to_image_recall@6"] == 1.0
    assert sum("only 5 candidates" in note for note in found.notes) == 1


def test_all_equal_gets_the_value_of_chance(tmp_path: Path) -> None:
    found = from_similarity(tmp_path, np.zeros((10, 10)), np.arange(10), (1,))
    assert found.values["text_to_image_recall@1"] == pytest.approx(0.1)
    assert found.values["text_to_image_recall@1/optimistic"] == 1.0
    assert found.values["text_to_image_recall@1/pessimistic"] == 0.0


def nan_at(row: int, column: int) -> np.ndarray:
    matrix = np.zeros((7, 5))
    matrix[row, column] = np.nan
    return matrix


@pytest.mark.parametrize(
    ("matrix", "owner", "message"),
    [
        (np.zeros((7, 5)), [0, 0, 1, 3, 3, 3, 9], "1 captions belong to unknown images, such as caption 6 to image 9"),
        (np.zeros((7, 5)), [0, 0, 1, 3, 3, 3, -1], "unknown images"),
        (np.zeros((7, 5)), OWNER[:6], "has the shape [6], but there are 7 captions"),
        (np.zeros((5, 7)), OWNER, "the matrix must be transposed"),
        (np.zeros((7, 5, 1)), OWNER, "scores need the shape [captions, images]"),
        (np.zeros((7, 5)), [OWNER], "has the shape [1, 7]; [captions] is needed"),
        (np.zeros((7, 5)), OWNER + 0.5, "must hold whole numbers"),
        (np.zeros((7, 5)), OWNER * np.nan, "must hold whole numbers"),
        (np.zeros((0, 5)), np.zeros(0, int), "no samples"),
        (nan_at(3, 2), OWNER, "not numbers (NaN) for 1 images and 1 captions"),
    ],
)
def test_refused_arrays(matrix: Any, owner: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        from_similarity(tmp_path, matrix, owner)
    assert message in refused(error)


def test_infinite_similarities_are_allowed(tmp_path: Path) -> None:
    matrix = np.where(np.arange(5) == OWNER[:, None], np.inf, -np.inf)
    assert from_similarity(tmp_path, matrix).values["text_to_image_recall@1"] == 1.0


def test_refused_embeddings(tmp_path: Path) -> None:
    images, texts = embeddings()
    with pytest.raises(UserError, match=r"embeddings need the shapes \[I, D\] and \[C, D\]"):
        from_embeddings(tmp_path, images[:, :3], texts)
    images[0, 0] = np.nan
    for normalize in (False, True):
        with pytest.raises(UserError, match="NaN"):
            from_embeddings(tmp_path, images, texts, normalize)
