"""Each rule on tables whose truth is known: it holds, its opposite is shown, or nothing can be said and why."""

import numpy as np
import pytest

from mmbench.claims.claim import Claim, Rule
from mmbench.claims.evidence import Evidence
from mmbench.claims.rules import find
from mmbench.claims.verdict import judge
from tests.claims.made_up import costs, evidence, scores

VQA = {"system": "a", "than": "b", "metric": "vqa_accuracy"}


def verdict(found: Evidence, *rules: Rule) -> str:
    return judge(Claim(rules=list(rules)), found).verdict


def rule(kind: str, **more: object) -> Rule:
    return Rule(rule=kind, **{**VQA, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "a, more, expected",
    [
        (0.6, {}, "supported"),
        (0.4, {}, "refuted"),
        (0.5, {}, "undecided"),
        (0.5, {"equal_within": 0.05}, "refuted"),
        (0.52, {"equal_within": 0.05}, "refuted"),
        (0.6, {"margin": 0.05}, "supported"),
        (0.52, {"margin": 0.05}, "refuted"),
        (0.55, {"margin": 0.05}, "undecided"),
    ],
)
def test_better(a: float, more: dict[str, float], expected: str) -> None:
    found = evidence(scores({"a": a, "b": 0.5}))
    assert verdict(found, rule("better", **more)) == expected
    numbers = find(rule("better", **more), found).numbers
    assert numbers["difference"] == pytest.approx(a - 0.5, abs=0.002)
    assert numbers["ci_low"] < numbers["difference"] < numbers["ci_high"]


def test_better_is_lower_where_lower_is_better() -> None:
    found = evidence(scores({"a": 1.0, "b": 1.2}, metric="text_loss"))
    assert verdict(found, rule("better", metric="text_loss")) == "supported"
    assert find(rule("better", metric="text_loss"), found).numbers["difference"] == pytest.approx(0.2, abs=0.002)


def test_the_order_of_the_table_does_not_matter() -> None:
    assert verdict(evidence(scores({"b": 0.5, "a": 0.6})), rule("better")) == "supported"


@pytest.mark.parametrize(
    "a, expected", [(0.7, "supported"), (0.48, "supported"), (0.4, "refuted"), (0.45, "undecided")]
)
def test_not_worse(a: float, expected: str) -> None:
    assert verdict(evidence(scores({"a": a, "b": 0.5})), rule("not_worse", margin=0.05)) == expected


@pytest.mark.parametrize("a, expected", [(0.5, "supported"), (0.6, "refuted"), (0.4, "refuted"), (0.55, "undecided")])
def test_equivalent(a: float, expected: str) -> None:
    assert verdict(evidence(scores({"a": a, "b": 0.5})), rule("equivalent", margin=0.05)) == expected


@pytest.mark.parametrize("change, expected", [(0.1, "supported"), (-0.1, "refuted"), (0.0, "undecided")])
def test_loses(change: float, expected: str) -> None:
    found = evidence(scores({"a": change}, metric="text_loss_change"))
    assert verdict(found, Rule("loses", "a")) == expected


def test_nothing_is_lost_where_no_text_changed() -> None:
    found = evidence(scores({"a": 0.0}, metric="text_loss_change", spread=0.0))
    assert verdict(found, Rule("loses", "a")) == "refuted"
    assert verdict(found, Rule("unchanged", "a")) == "supported"


def test_one_text_that_changed_in_the_last_digit_is_a_change() -> None:
    table = scores({"a": 0.0}, metric="text_loss_change", spread=0.0)
    table.loc[17, "score"] = 1e-16
    assert verdict(evidence(table), Rule("unchanged", "a")) == "refuted"
    assert find(Rule("unchanged", "a"), evidence(table)).numbers["largest_change"] == 1e-16


@pytest.mark.parametrize(
    "ours, more, expected",
    [
        ({48: 90.0, 96: 180.0}, {}, "supported"),
        ({48: 110.0, 96: 180.0}, {}, "refuted"),
        ({48: 100.0, 96: 180.0}, {}, "refuted"),
        ({48: 90.0, 96: 170.0}, {"grows_with": "resolution"}, "supported"),
        ({48: 130.0, 96: 250.0}, {"grows_with": "resolution"}, "supported"),
        ({48: 90.0, 96: 180.0}, {"grows_with": "resolution"}, "refuted"),
        ({48: 90.0, 96: 190.0}, {"grows_with": "resolution"}, "refuted"),
        ({48: 90.0, 96: 160.0, 192: 330.0}, {"grows_with": "resolution"}, "undecided"),
        ({48: 90.0, 96: 170.0}, {"margin": 0.05}, "supported"),
        ({48: 97.0, 96: 170.0}, {"margin": 0.05}, "undecided"),
        ({48: 103.0, 96: 170.0}, {"margin": 0.05}, "undecided"),
        ({48: 106.0, 96: 170.0}, {"margin": 0.05}, "refuted"),
    ],
)
def test_cheaper(ours: dict[int, float], more: dict[str, object], expected: str) -> None:
    table = costs("flops_per_sample", {"a": ours, "b": {48: 100.0, 96: 200.0, 192: 400.0}})
    asked = rule("cheaper", metric="", **more)
    assert verdict(evidence(costs=table), asked) == expected
    assert find(asked, evidence(costs=table)).numbers["ratios"][48] == ours[48] / 100


def test_growth_cannot_be_seen_at_one_size() -> None:
    table = costs("flops_per_sample", {"a": {48: 1.0}, "b": {48: 2.0}})
    found = find(rule("cheaper", metric="", grows_with="resolution"), evidence(costs=table))
    assert "one image size" in found.reason


def test_a_claim_with_several_rules() -> None:
    good, bad, open_ = {"a": 0.6, "b": 0.5, "c": 0.5}, rule("better", system="b", than="a"), rule("better", than="c")
    found = evidence(scores(good))
    assert verdict(found, rule("better"), open_) == "supported"
    assert verdict(found, rule("better"), bad) == "refuted"
    assert verdict(found, rule("better"), rule("better", system="b", than="c")) == "undecided"
    beside = Rule("better", "b", "a", "vqa_accuracy", decides=False)
    assert verdict(found, rule("better"), beside) == "supported"


def test_tests_are_adjusted_together_and_counts_are_none() -> None:
    found = evidence(
        scores({"a": 0.5012, "b": 0.5, "c": 0.5}), costs=costs("flops_per_sample", {"a": {1: 1}, "b": {1: 2}})
    )
    alone = judge(Claim(rules=[rule("better")]), found).rules[0]
    counted = judge(Claim(rules=[rule("better"), rule("cheaper", metric="")]), found).rules[0]
    three = judge(Claim(rules=[rule("better"), rule("better", than="c"), rule("better", system="c")]), found).rules[0]
    assert alone.p_holds == counted.p_holds == alone.finding.p_holds
    assert alone.p_holds < three.p_holds


@pytest.mark.parametrize(
    "found, words",
    [
        (evidence(scores({"a": 0.6, "b": 0.5}, seeds=[0])), "one seed"),
        (evidence(scores({"a": 0.6, "b": 0.5}, images=1)), "one image"),
        (evidence(scores({"a": 0.6})), "no 'vqa_accuracy' of b"),
        (evidence(), "no 'vqa_accuracy' of a and b"),
        (evidence(scores({"a": 0.6}), scores({"b": 0.5}, seeds=[7, 8])), "in common"),
        (evidence(scores({"a": 0.6, "b": np.nan})), "in common"),
        (evidence(scores({"a": 0.6, "b": 0.5}), b="seed 1 failed (out of memory)"), "seed 1 failed (out of memory)"),
    ],
)
@pytest.mark.parametrize("kind", ["better", "not_worse", "equivalent"])
def test_what_cannot_be_said_is_said(kind: str, found: Evidence, words: str) -> None:
    decided = judge(Claim(rules=[rule(kind, margin=0.01)]), found)
    assert decided.verdict == "undecided"
    assert words in decided.rules[0].finding.reason


@pytest.mark.parametrize("metric", ["cider_d", "vqa_accuracy/shape", "text_to_image_recall@5"])
def test_a_metric_that_is_not_applicable_is_undecided_and_says_why(metric: str) -> None:
    base = metric.partition("/")[0].partition("@")[0]
    found = evidence(scores({"a": 0.6}, metric=metric))
    found.not_applicable = {"b": {base: "the family cannot do it"}}
    reason = find(rule("better", metric=metric), found).reason
    assert reason == f"no '{metric}' of b (not applicable: the family cannot do it)"
    assert verdict(found, rule("better", metric=metric)) == "undecided"


@pytest.mark.parametrize("kind", ["unchanged", "loses"])
def test_text_ability_that_is_not_known_is_undecided(kind: str) -> None:
    asked = Rule(kind, "a")  # type: ignore[arg-type]
    for found, words in [
        (evidence(), "no 'text_loss_change' of a"),
        (evidence(scores({"a": 0.0}, metric="text_loss_change", seeds=[0])), "one seed"),
        (evidence(scores({"a": np.nan}, metric="text_loss_change")), "no example"),
        (evidence(scores({"a": 0.0}, metric="text_loss_change"), a="seed 0 failed"), "failed cells: a"),
        (Evidence(not_applicable={"a": {"text_loss": "no language model"}}), "no language model"),
    ]:
        assert words in find(asked, found).reason
        assert verdict(found, asked) == "undecided"


@pytest.mark.parametrize("table", [None, costs("flops_per_sample", {"a": {48: 1.0}})])
def test_a_cost_that_was_not_measured_is_undecided(table: object) -> None:
    found = evidence() if table is None else evidence(costs=table)  # type: ignore[arg-type]
    assert "was not measured" in find(rule("cheaper", metric=""), found).reason
    assert verdict(found, rule("cheaper", metric="")) == "undecided"


def test_identical_scores_are_equal_and_not_better() -> None:
    table = scores({"a": 0.5}, spread=0.01)
    found = evidence(table, table.assign(system="b"))
    assert verdict(found, rule("equivalent", margin=0.01)) == "supported"
    assert verdict(found, rule("better")) == "undecided"
    assert verdict(found, rule("better", equal_within=0.01)) == "refuted"
