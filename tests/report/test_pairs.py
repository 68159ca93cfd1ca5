"""Pairs stand in the tables' order, and each family of pairs is adjusted by itself."""

import numpy as np
import pandas as pd
import pytest

from mmbench.report.pairs import all_pairs
from mmbench.stats import compare_systems
from mmbench.stats.multiple import holm

SYSTEMS = ["unified", "crossattn", "hybrid"]
BASELINES = ["chance", "majority", "blind"]


def table_of(level, seeds=3, images=30, metric="vqa_accuracy"):
    random = np.random.default_rng(0)
    rows = []
    for number, (name, mean) in enumerate(level.items()):
        shift = random.normal(0, 0.05 + 0.02 * number, seeds)
        for seed in range(seeds if name != "majority" else 1):
            for image in range(images):
                score = mean + shift[seed] + random.normal(0, 0.2)
                rows.append((name, seed, metric, f"q{image}", f"i{image}", score))
    return pd.DataFrame(rows, columns=["system", "seed", "metric", "example_id", "cluster_id", "score"])


LEVELS = {"blind": 0.3, "chance": 0.1, "majority": 0.3, "hybrid": 0.55, "crossattn": 0.5, "unified": 0.45}


@pytest.fixture(scope="module")
def scores():
    return table_of(LEVELS)


@pytest.fixture(scope="module")
def pairs(scores):
    return all_pairs(scores, SYSTEMS, BASELINES)["vqa_accuracy"]


def test_every_pair_once_and_in_the_tables_order(pairs):
    order = [*SYSTEMS, *BASELINES]
    named = [(pair["system_a"], pair["system_b"]) for pair in pairs]
    assert sorted(named) == sorted((a, b) for number, a in enumerate(order) for b in order[number + 1 :])
    assert named[:3] == [("unified", "crossattn"), ("unified", "hybrid"), ("crossattn", "hybrid")]


@pytest.mark.parametrize("baseline", BASELINES)
def test_systems_against_one_baseline_are_a_family(pairs, baseline):
    family = [pair for pair in pairs if pair["system_a"] in SYSTEMS and pair["system_b"] == baseline]
    p = np.array([pair["p"] for pair in family])
    assert [pair["adjusted_over"] for pair in family] == [3, 3, 3]
    assert [pair["p_holm"] for pair in family] == pytest.approx(holm(p).tolist())
    assert [pair["distinguishable"] for pair in family] == (holm(p) < 0.05).tolist()


def test_more_baselines_do_not_make_a_system_harder_to_tell_from_blind(scores, pairs):
    alone = all_pairs(scores[~scores["system"].isin(["chance", "majority"])], SYSTEMS, ["blind"])["vqa_accuracy"]
    for pair in alone:
        same = next(p for p in pairs if (p["system_a"], p["system_b"]) == (pair["system_a"], pair["system_b"]))
        assert same == pytest.approx(pair, nan_ok=True)


def test_what_could_have_been_found_follows_the_familys_level(scores):
    chosen = scores[scores["system"].isin(["unified", "crossattn", "blind"])]
    family = [p for p in all_pairs(chosen, ["unified", "crossattn"], ["blind"])["vqa_accuracy"][1:]]
    assert [pair["system_b"] for pair in family] == ["blind", "blind"]
    # Of two pairs the one with the smaller p is tested at 0.025; the other at 0.05 only if that one was found.
    first = min(family, key=lambda pair: pair["p"])
    for pair in family:
        level = 0.05 if pair is not first and first["distinguishable"] else 0.025
        both = chosen[chosen["system"].isin([pair["system_a"], "blind"])]
        expected = compare_systems(both, "vqa_accuracy", level).iloc[0]
        assert pair["smallest_detectable"] == pytest.approx(expected["smallest_detectable"])


def test_a_baseline_without_the_score_is_left_out(scores):
    found = all_pairs(scores[scores["system"] != "blind"], SYSTEMS, BASELINES)["vqa_accuracy"]
    assert len(found) == 3 + 3 + 3 + 1 and not any("blind" in (p["system_a"], p["system_b"]) for p in found)
    assert all_pairs(scores[scores["system"] == "blind"], SYSTEMS, BASELINES)["vqa_accuracy"] == []


def test_bounds_and_kinds_have_no_pairs(scores):
    assert all_pairs(scores.assign(metric="vqa_accuracy/count"), SYSTEMS, BASELINES) == {}
