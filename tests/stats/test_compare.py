"""Tables in, tables out: pairing, clusters, Holm, fixed baselines and what is said when nothing can be."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from mmbench.stats import compare_systems, summarise_systems
from mmbench.stats.multiple import holm


def make_scores(means, seeds=3, images=50, questions=2, seed=0, fixed=()):
    rng = np.random.default_rng(seed)
    easy = rng.normal(0, 0.3, images)
    rows = []
    for system, mean in means.items():
        for run in range(1 if system in fixed else seeds):
            shift = 0.0 if system in fixed else rng.normal(0, 0.01)
            for image in range(images):
                for question in range(questions):
                    score = mean + shift + easy[image] + rng.normal(0, 0.1)
                    rows.append((system, run, "vqa_accuracy", f"{image}-{question}", str(image), score))
    return pd.DataFrame(rows, columns=["system", "seed", "metric", "example_id", "cluster_id", "score"])


def test_a_planted_difference_is_found_and_none_is_not():
    table = compare_systems(make_scores({"a": 0.5, "b": 0.6, "c": 0.5}), "vqa_accuracy")
    found = table.set_index(["system_a", "system_b"])
    assert found.loc[("a", "b"), "distinguishable"] and found.loc[("b", "c"), "distinguishable"]
    assert not found.loc[("a", "c"), "distinguishable"]
    assert found.loc[("a", "b"), "difference"] == pytest.approx(-0.1, abs=0.03)
    assert found.loc[("a", "b"), "ci_low"] < found.loc[("a", "b"), "difference"] < found.loc[("a", "b"), "ci_high"] < 0
    assert found.loc[("a", "c"), "smallest_detectable"] > abs(found.loc[("a", "c"), "difference"])
    assert (table["p_holm"] >= table["p"]).all()


def test_the_difference_is_that_of_the_means_in_the_table():
    scores = make_scores({"a": 0.5, "b": 0.6})
    scores = scores[~((scores["cluster_id"] == "3") & scores["example_id"].str.endswith("-1"))]
    means = summarise_systems(scores).set_index("system")["mean"]
    assert means["a"] == pytest.approx(scores[scores["system"] == "a"]["score"].mean())
    row = compare_systems(scores, "vqa_accuracy").iloc[0]
    assert row["difference"] == pytest.approx(means["a"] - means["b"])


def test_questions_of_one_image_are_no_independent_evidence():
    """Asking each question ten times over must not make the interval shorter."""
    scores = make_scores({"a": 0.5, "b": 0.55}, questions=1)
    copies = [scores.assign(example_id=scores["example_id"] + f"/{copy}") for copy in range(10)]
    once, often = compare_systems(scores, "vqa_accuracy"), compare_systems(pd.concat(copies), "vqa_accuracy")
    for column in ("difference", "ci_low", "ci_high", "p", "dof"):
        assert often.loc[0, column] == pytest.approx(once.loc[0, column])
    assert often.loc[0, "n_clusters"] == once.loc[0, "n_clusters"] == 50


def test_one_seed_covers_examples_only():
    scores = make_scores({"a": 0.5, "b": 0.6}, seeds=1)
    row = compare_systems(scores, "vqa_accuracy").iloc[0]
    assert row["covers"] == "examples only" and row["n_seeds"] == 1
    assert np.isnan(row["effect"]) and np.isnan(row["seeds_needed"])
    assert summarise_systems(scores)["sd"].isna().all()


def test_a_fixed_baseline_stands_beside_every_seed():
    row = compare_systems(make_scores({"a": 0.6, "majority": 0.2}, fixed=["majority"]), "vqa_accuracy").iloc[0]
    assert row["n_seeds"] == 3 and row["covers"] == "seeds and examples" and row["distinguishable"]


def test_a_system_with_one_seed_left_is_compared_on_that_seed():
    scores = make_scores({"a": 0.6, "b": 0.2})
    scores = scores[(scores["system"] == "a") | (scores["seed"] == 1)]
    assert compare_systems(scores, "vqa_accuracy").iloc[0]["n_seeds"] == 1


def test_without_a_common_seed_nothing_is_said():
    scores = make_scores({"a": 0.6, "b": 0.2, "c": 0.3})
    scores = scores[(scores["system"] != "b") | (scores["seed"] == 1)]
    scores = scores[(scores["system"] != "a") | (scores["seed"] != 1)]
    table = compare_systems(scores, "vqa_accuracy").set_index(["system_a", "system_b"])
    assert np.isnan(table.loc[("a", "b"), "p"]) and not table.loc[("a", "b"), "distinguishable"]
    assert table.loc[("a", "c"), "distinguishable"]


def test_seeds_needed_would_do():
    row = compare_systems(make_scores({"a": 0.5, "b": 0.513}, seed=3), "vqa_accuracy").iloc[0]
    assert not row["distinguishable"] and row["seeds_needed"] > 3
    assert summarise_systems(make_scores({"a": 0.5}))["sd"].iloc[0] < 0.03


def test_holm_by_hand():
    adjusted = holm(np.array([0.01, 0.04, 0.03, np.nan]))
    assert adjusted[:3] == pytest.approx([0.03, 0.06, 0.06]) and np.isnan(adjusted[3])


def test_the_family_wise_rate_holds_over_four_equal_systems():
    alarms = [
        compare_systems(make_scores(dict.fromkeys("abcd", 0.5), images=15, questions=1, seed=seed), "vqa_accuracy")[
            "distinguishable"
        ].any()
        for seed in range(100)
    ]
    assert np.mean(alarms) <= 0.1


def test_bad_tables_are_refused():
    scores = make_scores({"a": 0.5, "b": 0.6})
    with pytest.raises(ValueError, match="holds: vqa_accuracy"):
        compare_systems(scores, "cider")
    with pytest.raises(ValueError, match="two scores"):
        compare_systems(pd.concat([scores, scores.tail(1)]), "vqa_accuracy")


def test_one_system_has_no_pairs():
    table = compare_systems(make_scores({"a": 0.5}), "vqa_accuracy")
    assert table.empty and "p_holm" in table


def test_stats_loads_no_torch():
    code = "import sys, mmbench.stats; sys.exit(any(m in sys.modules for m in ('torch', 'lightning', 'mlflow')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_score_that_is_no_number_is_no_score():
    scores = make_scores({"a": 0.5, "b": 0.6, "c": 0.6})
    scores.loc[scores["system"] == "b", "score"] = np.nan
    assert summarise_systems(scores)["system"].tolist() == ["a", "c"]
    table = compare_systems(scores, "vqa_accuracy").set_index(["system_a", "system_b"])
    assert np.isnan(table.loc[("a", "b"), "p"]) and table.loc[("a", "b"), "covers"] == "nothing"
    assert table.loc[("a", "c"), "p_holm"] == table.loc[("a", "c"), "p"]
