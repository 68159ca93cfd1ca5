"""Captions from files: the metrics' own scores, in the order of ids, equal to the reference's."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmbench.config.errors import UserError
from mmbench.metrics import bleu, cider_d, meteor, rouge_l, unavailable
from mmbench.scoring.captions import fingerprint, score_captions
from mmbench.scoring.files import read_json
from mmbench.scoring.scores import Scores
from tests.metrics.reference import reference_scores, require_data
from tests.scoring.files import captions_of, refused, results_of, write_json

REFERENCES = {
    30: ["A dog runs on the beach.", "the dog is running"],
    4: ["A sign that reads K.", "a sign"],
    17: ["The man eats 5 1/2 pizzas", "A man eats pizza.", "he can't stop eating"],
    5: ["Dogs sleep (a lot)", "two dogs sleep"],
    99: ["nobody described this one"],
}
PREDICTIONS = {17: "a man eats 5 1/2 pizzas", 5: "The dogs sleep", 4: "a sign that reads K.", 30: "", 99: "one of them"}


def score(folder: Path, references: Any, results: Any, **options: Any) -> Scores:
    return score_captions(
        write_json(folder / "references.json", references), write_json(folder / "results.json", results), **options
    )


def in_order(texts: dict[Any, Any], images: list[Any]) -> dict[Any, Any]:
    return {image: texts[image] for image in images}


def assert_equal(found: Scores, references: dict[Any, list[str]], predictions: dict[Any, str]) -> None:
    """All values, and each image's, are those of the library's functions on these dictionaries."""
    by_metric = {rows.metric: rows for rows in found.per_example}
    bleus, ciders, rouges = (metric(references, predictions) for metric in (bleu, cider_d, rouge_l))
    assert found.values == {
        **{f"bleu_{order}": bleus.corpus[order - 1] for order in range(1, 5)},
        "rouge_l": sum(rouges.values()) / len(rouges),
        "cider_d": sum(ciders.values()) / len(ciders),
    }
    assert list(by_metric) == list(found.values)
    assert dict(zip(by_metric["cider_d"].example_ids, by_metric["cider_d"].scores, strict=True)) == ciders
    assert dict(zip(by_metric["rouge_l"].example_ids, by_metric["rouge_l"].scores, strict=True)) == rouges
    for order in range(1, 5):
        assert by_metric[f"bleu_{order}"].scores == [scores[order - 1] for scores in bleus.per_image.values()]


def test_scores_are_those_of_the_functions_in_the_order_of_ids(tmp_path: Path) -> None:
    found = score(tmp_path, captions_of(REFERENCES), results_of(PREDICTIONS))
    images = sorted(REFERENCES)
    assert_equal(found, in_order(REFERENCES, images), in_order(PREDICTIONS, images))
    assert found.notes == ["1 prediction of 5 have no words"]


def test_the_order_of_the_files_changes_nothing(tmp_path: Path) -> None:
    expected = score(tmp_path, captions_of(REFERENCES), results_of(PREDICTIONS))
    # By ids, "The dogs sleep" follows "reads K." and takes its period; by arrival, it keeps it.
    by_metric = {rows.metric: rows for rows in expected.per_example}
    by_id = dict(zip(by_metric["rouge_l"].example_ids, by_metric["rouge_l"].scores, strict=True))
    assert rouge_l(REFERENCES, PREDICTIONS)[4] != by_id[4]
    for seed in range(5):
        images = random.Random(seed).sample(list(REFERENCES), len(REFERENCES))
        again = score(tmp_path, captions_of(in_order(REFERENCES, images)), results_of(in_order(PREDICTIONS, images)))
        assert again.values == expected.values


def test_equal_to_the_reference(tmp_path: Path) -> None:
    found = score(tmp_path, captions_of(REFERENCES), results_of(PREDICTIONS))
    images = sorted(REFERENCES)
    expected = reference_scores(in_order(REFERENCES, images), in_order(PREDICTIONS, images))
    by_metric = {rows.metric: np.array(rows.scores) for rows in found.per_example}
    for name in ("cider_d", "rouge_l"):
        assert np.abs(by_metric[name] - expected[name]).max() < 1e-9
        assert abs(found.values[name] - expected[name].mean()) < 1e-9
    for order in range(4):
        assert np.abs(by_metric[f"bleu_{order + 1}"] - expected["bleu_images"][:, order]).max() < 1e-9
        assert abs(found.values[f"bleu_{order + 1}"] - expected["bleu"][order]) < 1e-9


def test_published_scores_of_abstract_scenes() -> None:
    folder = require_data("metrics", "abstract48S")
    expected = read_json(folder / "abstract_candsB_expected.json.gz")
    found = score_captions(folder / "abstract48S.json.gz", folder / "abstract_candsB_scored200_results.json")
    assert "200 images" in found.title and "300 without a result" in found.title
    names = {f"bleu_{order}": f"Bleu_{order}" for order in range(1, 5)} | {"rouge_l": "ROUGE_L", "cider_d": "CIDEr"}
    for name, theirs in names.items():
        assert abs(found.values[name] - expected["corpus"][theirs]) < 1e-9
    for rows in found.per_example:
        for image, value in zip(rows.example_ids, rows.scores, strict=True):
            assert abs(value - expected["per_image"][image][names[rows.metric]]) < 1e-6


def test_images_without_a_result_are_left_out_and_counted(tmp_path: Path) -> None:
    some = {image: PREDICTIONS[image] for image in (4, 17, 5)}
    found = score(tmp_path, captions_of(REFERENCES), results_of(some))
    images = sorted(some)
    assert_equal(found, in_order(REFERENCES, images), in_order(some, images))
    assert found.title == f"results.json: 3 images (set {fingerprint(images)}), 2 without a result"
    with pytest.raises(UserError) as error:
        score(tmp_path, captions_of(REFERENCES), results_of(some), all_images=True)
    assert "2 of 5 images" in refused(error) and "30, 99" in refused(error)
    score(tmp_path, captions_of(REFERENCES), results_of(PREDICTIONS), all_images=True)


def test_the_set_of_ids_has_a_name() -> None:
    assert fingerprint([3, 20, 1]) == fingerprint([1, 3, 20])
    assert len({fingerprint([1, 2]), fingerprint([1, 2, 3]), fingerprint([12])}) == 3


def test_references_may_be_a_list_and_need_no_images(tmp_path: Path) -> None:
    expected = score(tmp_path, captions_of(REFERENCES), results_of(PREDICTIONS)).values
    annotations = captions_of(REFERENCES)["annotations"]
    assert score(tmp_path, {"annotations": annotations}, results_of(PREDICTIONS)).values == expected
    assert score(tmp_path, annotations, results_of(PREDICTIONS)).values == expected


def test_ids_may_be_strings(tmp_path: Path) -> None:
    found = score(
        tmp_path,
        captions_of({"b.jpg": ["a cat", "the cat"], "a.jpg": ["two dogs run"]}),
        results_of({"a.jpg": "dogs run", "b.jpg": "a cat"}),
    )
    assert found.per_example[0].example_ids == ["a.jpg", "b.jpg"]


def test_repeated_rows_are_dropped_and_counted(tmp_path: Path) -> None:
    rows = results_of(PREDICTIONS)
    expected = score(tmp_path, captions_of(REFERENCES), rows)
    found = score(tmp_path, captions_of(REFERENCES), rows + rows[:2])
    assert found.values == expected.values
    assert "2 rows of the results repeat another and are dropped" in found.notes


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ([{"image_id": 5, "caption": "x"}, {"image_id": 5, "caption": "y"}], "image 5 has more than one row"),
        ([{"image_id": 5, "caption": None}], "'caption' of image 5 in"),
        ([{"image_id": 5, "caption": 3.5}], "is the number 3.5, not a string"),
        ([{"image_id": 5, "caption": float("nan")}], "is the number nan, not a string"),
        ([{"image_id": 6, "caption": "x"}], "1 of 1 images in"),
        ([{"image_id": "5", "caption": "x"}], "its ids are strings, the others whole numbers"),
        ([{"image_id": n, "caption": "x"} for n in range(100, 110)], "100, 101, 102, 103, 104, …"),
        ([{"image_id": 5, "caption": "\ud800"}], "half of a surrogate pair"),
        ([], "no samples"),
        ({}, "is an object; a list of objects is needed"),
        ([{"id": 5, "caption": "x"}], "row 1 of"),
    ],
)
def test_refused_results(changed: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        score(tmp_path, captions_of(REFERENCES), changed)
    assert message in refused(error)


def test_refused_references(tmp_path: Path) -> None:
    for references, message in (
        ({"annotations": []}, "no samples"),
        ({"images": []}, "has no 'annotations'"),
        ({"annotations": [{"image_id": 5, "caption": None}]}, "'caption' of image 5"),
        ({"annotations": [{"image_id": 5}]}, "row 1 of"),
        (captions_of({5: []} | {6: ["x"]}), "have no captions in"),
    ):
        with pytest.raises(UserError) as error:
            score(tmp_path, references, results_of({5: "x"}))
        assert message in refused(error)


def test_what_the_metrics_warn_of_is_noted_once(tmp_path: Path) -> None:
    assert score(tmp_path, captions_of({5: ["a cat"]}), results_of({5: "a cat"})).notes == [
        "CIDEr-D is 0 for one image: its document frequencies come from the images"
    ]
    empty = score(tmp_path, captions_of({5: ["", "a"], 6: [" "], 7: ["b"]}), results_of({5: "a", 6: "b", 7: "c"}))
    assert empty.notes == ["2 images with an empty reference: 5, 6"]
    nothing = score(tmp_path, captions_of({5: [""], 6: ["."]}), results_of({5: "a", 6: ""}))
    assert nothing.values["cider_d"] == 0
    assert "CIDEr-D is 0: all references are empty" in nothing.notes


def test_signs_that_break_lines_shift_nothing(tmp_path: Path) -> None:
    plain = {1: "a cat sits", 2: "a dog", 3: "one bird"}
    references = captions_of({image: [text, "x y"] for image, text in plain.items()})
    expected = score(tmp_path, references, results_of(plain))
    for sign in ("\r", "\n", "\u2028", "\v", "\f"):
        broken = score(tmp_path, references, results_of(plain | {1: f"a cat{sign}sits"}))
        assert broken.values == expected.values


def test_meteor_is_the_reference_s_where_it_runs(tmp_path: Path) -> None:
    if reason := unavailable("meteor"):
        pytest.skip(reason)
    found = score(tmp_path, captions_of(REFERENCES), results_of(PREDICTIONS), with_java=["meteor"])
    images = sorted(REFERENCES)
    expected = meteor(in_order(REFERENCES, images), in_order(PREDICTIONS, images))
    assert found.values["meteor"] == expected.corpus and not found.not_computed
    assert found.per_example[-1].scores == list(expected.per_image.values())


def test_what_java_cannot_compute_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    plain = score(tmp_path, captions_of(REFERENCES), results_of(PREDICTIONS))
    found = score(tmp_path, captions_of(REFERENCES), results_of(PREDICTIONS), with_java=["meteor", "spice"])
    assert found.values == plain.values
    assert set(found.not_computed) == {"meteor", "spice"}
    assert all("java" in reason.lower() for reason in found.not_computed.values())


def test_every_stage_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    score(tmp_path, captions_of(REFERENCES), results_of(PREDICTIONS), progress=lambda *step: told.append(step))
    assert [done for _, done, _ in told] == list(range(7))
    assert {total for _, _, total in told} == {6}
