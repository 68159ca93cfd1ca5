"""Properties and bad input of the caption metrics; no Java needed."""

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbench.metrics import DocumentFrequency, bleu, cider_d, consensus_caption, rouge_l
from mmbench.metrics.captions.consensus import consensus_scores
from mmbench.metrics.captions.corpus import num_empty_predictions, tokenize_captions

Score = Callable[[dict[Any, list[str]], dict[Any, str]], Any]
SCORES: list[Score] = [cider_d, bleu, rouge_l]
REFERENCES = {1: ["a cat sat on the mat", "the cat is here"], 2: ["two dogs run in the snow"], 3: ["a red bus"]}
PREDICTIONS = {1: "the cat sat on a mat", 2: "two dogs play in snow", 3: "a bus"}

sentences = st.lists(st.sampled_from(list("abcdefghij")), max_size=8).map(" ".join)
corpora = st.dictionaries(st.integers(), st.tuples(st.lists(sentences, min_size=1, max_size=4), sentences), min_size=1)


@given(corpora, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=50)
@pytest.mark.filterwarnings("ignore")
def test_order_changes_nothing(corpus: dict[int, tuple[list[str], str]], rng: random.Random) -> None:
    """Without a single letter that ends a caption with a period, which looks at the next one."""
    references = {image: texts for image, (texts, _) in corpus.items()}
    predictions = {image: text for image, (_, text) in corpus.items()}
    images = list(references)
    rng.shuffle(images)
    shuffled = {image: rng.sample(references[image], len(references[image])) for image in images}
    rng.shuffle(images)
    other = {image: predictions[image] for image in images}
    for image, score in cider_d(references, predictions).items():
        assert cider_d(shuffled, other)[image] == pytest.approx(score, abs=1e-12)
        assert rouge_l(shuffled, other)[image] == rouge_l(references, predictions)[image]
    assert bleu(shuffled, other).corpus == pytest.approx(bleu(references, predictions).corpus, abs=1e-15)


@given(st.lists(st.lists(st.sampled_from("uvwxyz"), min_size=4, max_size=9), min_size=2, max_size=5))
@settings(deadline=None)
def test_perfect_predictions_reach_the_top(captions: list[list[str]]) -> None:
    # Words of its own make every n-gram of an image unknown to the others.
    references = {image: [" ".join(f"{word}{image}" for word in words)] for image, words in enumerate(captions)}
    predictions = {image: texts[0] for image, texts in references.items()}
    assert list(cider_d(references, predictions).values()) == pytest.approx([10.0] * len(captions), abs=1e-9)
    assert list(rouge_l(references, predictions).values()) == [1.0] * len(captions)
    assert bleu(references, predictions).corpus == pytest.approx([1.0] * 4, abs=1e-6)


def test_fixed_document_frequency_makes_scores_independent_of_the_set() -> None:
    table = DocumentFrequency.of(REFERENCES)
    together = cider_d(REFERENCES, PREDICTIONS, table)
    assert together == pytest.approx(cider_d(REFERENCES, PREDICTIONS), abs=1e-12)
    for image in REFERENCES:
        alone = cider_d({image: REFERENCES[image]}, {image: PREDICTIONS[image]}, table)
        assert alone[image] == pytest.approx(together[image], abs=1e-12)


def test_bleu_is_no_mean() -> None:
    scores = bleu(REFERENCES, PREDICTIONS)
    assert scores.corpus[0] != pytest.approx(np.mean([image[0] for image in scores.per_image.values()]), abs=1e-3)


def test_three_equal_lengths_prefer_the_shorter_reference() -> None:
    # 4 words against references of 3 and 5: the shorter one counts, so there is no penalty.
    assert bleu({1: ["a b c", "a b c d e"]}, {1: "a b c d"}).corpus[0] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("score", SCORES)
class TestBadInput:
    def test_no_samples(self, score: Score) -> None:
        with pytest.raises(ValueError, match="no samples"):
            score({}, {})

    def test_image_without_references(self, score: Score) -> None:
        with pytest.raises(ValueError, match="image 5 has no references"):
            score({5: []}, {5: "a"})

    def test_missing_prediction(self, score: Score) -> None:
        with pytest.raises(ValueError, match="2 of 3 ids have no prediction, such as 2, 3"):
            score(REFERENCES, {1: "a"})

    def test_missing_prediction_as_empty(self, score: Score) -> None:
        with pytest.warns(UserWarning, match="2 missing predictions"):
            found = score(REFERENCES, {1: PREDICTIONS[1]}, missing="zero")  # type: ignore[call-arg]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert found == score(REFERENCES, {1: PREDICTIONS[1], 2: "", 3: ""})

    def test_unknown_prediction(self, score: Score) -> None:
        with pytest.raises(ValueError, match="1 predictions have ids without references, such as 'x'"):
            score(REFERENCES, {**PREDICTIONS, "x": "a"})

    @pytest.mark.parametrize("wrong", [None, float("nan"), 3, ["a"]])
    def test_prediction_of_a_wrong_type(self, score: Score, wrong: Any) -> None:
        with pytest.raises(TypeError, match=f"prediction of 1 is of type {type(wrong).__name__}"):
            score(REFERENCES, {**PREDICTIONS, 1: wrong})

    def test_references_of_a_wrong_type(self, score: Score) -> None:
        with pytest.raises(TypeError, match="references of 1 are one string"):
            score({1: "a cat"}, {1: "a cat"})  # type: ignore[dict-item]
        with pytest.raises(TypeError, match="reference of 1 is of type NoneType"):
            score({1: [None]}, {1: "a cat"})  # type: ignore[list-item]

    def test_empty_reference_warns(self, score: Score) -> None:
        with pytest.warns(UserWarning, match="a reference of 2 is empty"):
            score({1: ["a cat"], 2: ["", "a dog"]}, {1: "a cat", 2: "a dog"})


@pytest.mark.filterwarnings("ignore")
def test_empty_predictions_are_scored_and_counted() -> None:
    references = {1: ["a cat"], 2: ["a dog"]}
    predictions = {1: "", 2: "!"}
    assert cider_d(references, predictions) == {1: 0.0, 2: 0.0}
    assert bleu(references, predictions).corpus == (0.0, 0.0, 0.0, 0.0)
    assert rouge_l({1: [""]}, {1: ""}) == {1: 1.0}
    assert num_empty_predictions(tokenize_captions(references, predictions)) == 2


def test_one_image_scores_zero_and_warns() -> None:
    with pytest.warns(UserWarning, match="CIDEr-D is 0 for one image"):
        assert cider_d({1: ["a b c d"]}, {1: "a b c d"}) == {1: 0.0}


def test_only_empty_references_score_zero_and_warn() -> None:
    with pytest.warns(UserWarning, match="all references are empty"):
        assert cider_d({1: [""], 2: ["."]}, {1: "a", 2: "b"}) == {1: 0.0, 2: 0.0}


def test_line_breaks_do_not_shift_images() -> None:
    clean = {1: ["a cat sits"], 2: ["a dog"], 3: ["a bus"]}
    broken = {**clean, 1: ["a cat\rsits"]}
    predictions = {1: "a cat sits", 2: "a dog", 3: "a bus"}
    assert cider_d(broken, predictions) == cider_d(clean, predictions)


@given(st.lists(st.lists(sentences, min_size=1, max_size=3), min_size=2, max_size=7))
@settings(deadline=None, max_examples=30)
@pytest.mark.filterwarnings("ignore")
def test_consensus_equals_every_pair(captions: list[list[str]]) -> None:
    table = DocumentFrequency.of(dict(enumerate(captions)))
    expected = [
        np.mean([cider_d({0: other}, {0: text}, table)[0] for o, other in enumerate(captions) if o != image])
        for image, texts in enumerate(captions)
        for text in texts
    ]
    assert consensus_scores(captions) == pytest.approx(expected, abs=1e-9)


def test_consensus_caption_is_the_commonest() -> None:
    captions = [["a dog runs in the grass"], ["a dog runs in the snow"], ["a dog runs in the grass"], ["two red buses"]]
    assert consensus_caption(captions) == "a dog runs in the grass"
    assert consensus_caption(captions[::-1]) == "a dog runs in the grass"
    assert consensus_caption([["b", "a"]]) == "a"
