"""CIDEr-D, BLEU and ROUGE-L of each image equal pycocoevalcap's, on real and on awkward corpora."""

import gzip
import json
import random
import warnings
from typing import Any

import numpy as np
import pytest

from mmbench.metrics import bleu, cider, cider_d, rouge_l
from tests.metrics.reference import reference_scores, require_data

Corpus = tuple[dict[Any, list[str]], dict[Any, str]]


def coco() -> Corpus:
    path = require_data("metrics", "coco_captions", "captions_val2017.json.gz")
    references: dict[Any, list[str]] = {}
    for annotation in json.loads(gzip.decompress(path.read_bytes()))["annotations"]:
        references.setdefault(annotation["image_id"], []).append(annotation["caption"])
    references = dict(list(references.items())[:1500])
    predictions = {image: texts[0] for image, texts in references.items()}
    return {image: texts[1:] for image, texts in references.items()}, predictions


def flickr() -> Corpus:
    lines = require_data("flickr8k", "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines()[:5000]
    references: dict[Any, list[str]] = {}
    for line in lines:
        name, text = line.split("\t", 1)
        references.setdefault(name.split("#")[0], []).append(text)
    predictions = {image: texts[-1] for image, texts in references.items()}
    return {image: texts[:-1] for image, texts in references.items()}, predictions


def one_image() -> Corpus:
    return {7: ["a cat sat on the mat", "the cat sat"]}, {7: "a cat sat on the mat"}


def awkward() -> Corpus:
    """Words that decide quirks: empty and one-word captions, repeats, marks only, odd signs, order across captions."""
    rng = random.Random(3)
    words = [
        "a",
        "a",
        "cat",
        "dog.",
        "K.",
        "The",
        "A",
        "5 1/2",
        "don't",
        "(2)",
        "?!",
        "...",
        "-",
        "日本語",
        "café",
        "\u00bd",
    ]
    words += [
        "\U0001f600",
        "x.",
        "no.",
        "5",
        "(412) 555-1234",
        "\u00a0",
        "a\u00adb",
        "na\u0308ive",
        "U.S.",
        ",",
        "it's",
        "\t",
    ]

    def caption() -> str:
        return " ".join(rng.choices(words, k=rng.choice([0, 1, 1, 2, 3, 5, 8, 13])))

    references = {f"image {i}": [caption() for _ in range(rng.randrange(1, 6))] for i in range(300)}
    for i in range(0, 300, 10):
        references[f"image {i}"] *= 2
    predictions = {image: rng.choice([caption(), texts[0]]) for image, texts in references.items()}
    return references, dict(sorted(predictions.items(), key=lambda item: item[0], reverse=True))


def empty_predictions() -> Corpus:
    return {1: ["a cat", ""], 2: ["a dog runs"], 3: [""]}, {1: "", 2: " . ", 3: ""}


@pytest.mark.parametrize("corpus", [coco, flickr, one_image, awkward, empty_predictions])
@pytest.mark.filterwarnings("ignore")
def test_equals_reference(corpus) -> None:
    references, predictions = corpus()
    expected = reference_scores(references, predictions)
    found = bleu(references, predictions)
    np.testing.assert_allclose(list(cider_d(references, predictions).values()), expected["cider_d"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.corpus, expected["bleu"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(list(found.per_image.values()), expected["bleu_images"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(list(rouge_l(references, predictions).values()), expected["rouge_l"], rtol=0, atol=1e-12)


def abstract48s() -> tuple[Corpus, dict[str, Any]]:
    folder = require_data("metrics", "abstract48S")
    records = json.loads(gzip.decompress((folder / "abstract48S.json.gz").read_bytes()))
    results = json.loads((folder / "abstract_candsB_scored200_results.json").read_text())
    predictions = {record["image_id"]: record["caption"] for record in results}
    references: dict[Any, list[str]] = {image: [] for image in predictions}
    for record in records:
        if record["image_id"] in references:
            references[record["image_id"]].append(record["caption"])
    expected = json.loads(gzip.decompress((folder / "abstract_candsB_expected.json.gz").read_bytes()))
    return (references, predictions), expected


def test_published_scores_of_abstract48s() -> None:
    (references, predictions), expected = abstract48s()
    blue, cider_scores, rouge = (score(references, predictions) for score in (bleu, cider_d, rouge_l))
    for order in range(4):
        assert blue.corpus[order] == pytest.approx(expected["corpus"][f"Bleu_{order + 1}"], abs=1e-12)
    assert np.mean(list(cider_scores.values())) == pytest.approx(expected["corpus"]["CIDEr"], abs=1e-12)
    assert np.mean(list(rouge.values())) == pytest.approx(expected["corpus"]["ROUGE_L"], abs=1e-12)
    for image, scores in expected["per_image"].items():
        assert cider_scores[image] == pytest.approx(scores["CIDEr"], abs=1e-6)
        assert rouge[image] == pytest.approx(scores["ROUGE_L"], abs=1e-6)
        assert blue.per_image[image][3] == pytest.approx(scores["Bleu_4"], abs=1e-6)


def test_published_scores_of_nlgeval() -> None:
    folder = require_data("metrics", "nlgeval_example")
    predictions = dict(enumerate((folder / "hyp.txt").read_text().splitlines()))
    texts = [(folder / name).read_text().splitlines() for name in ("ref1.txt", "ref2.txt")]
    references = {line: [text[line] for text in texts] for line in predictions}
    expected = json.loads((folder / "expected.json").read_text())
    found = bleu(references, predictions).corpus
    assert found == pytest.approx([expected[f"Bleu_{order}"] for order in range(1, 5)], abs=1e-6)
    assert np.mean(list(cider_d(references, predictions).values())) == pytest.approx(expected["CIDEr"], abs=1e-6)
    assert np.mean(list(rouge_l(references, predictions).values())) == pytest.approx(expected["ROUGE_L"], abs=1e-6)


def test_plain_cider_has_no_penalty_on_length() -> None:
    references = {1: ["a cat sat on the mat"], 2: ["two dogs run"]}
    predictions = {1: "a cat sat on the mat a cat sat on the mat", 2: "two dogs run"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain, robust = cider(references, predictions), cider_d(references, predictions)
    assert plain[1] > 9 > 6 > robust[1] > 0
    assert plain[2] == robust[2] == pytest.approx(7.5)  # three words have no 4-grams
