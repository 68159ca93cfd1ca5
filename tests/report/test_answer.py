"""The sentences say what the numbers say, and no more."""

import copy

import pytest

from mmbench.report import answer
from mmbench.report.cautions import cautions, incomplete
from mmbench.report.run_data import load_run
from mmbench.report.summary import build_summary
from mmbench.report.text import plain


@pytest.fixture
def summary(whole_summary):
    return copy.deepcopy(whole_summary)


def set_pair(summary, metric, a, b, **values):
    for pair in summary["pairs"][metric]:
        if (pair["system_a"], pair["system_b"]) == (a, b):
            pair.update(values)


def test_a_sure_difference(summary):
    values = {"difference": 0.041, "ci_low": 0.02, "ci_high": 0.062, "p_holm": 0.003, "distinguishable": True}
    set_pair(summary, "vqa_accuracy", "unified", "crossattn", **values)
    said = plain(answer.pair_sentence(summary, "vqa_accuracy", "unified", "crossattn")).replace(
        "\N{NO-BREAK SPACE}", " "
    )
    assert said == (
        "unified answers 4.1 points more questions right than crossattn (95% interval 2.0 to 6.2, adjusted p = 0.003)."
    )


def test_a_pair_is_turned_with_its_interval(summary):
    values = {"difference": -0.041, "ci_low": -0.062, "ci_high": -0.02, "p_holm": 0.003, "distinguishable": True}
    set_pair(summary, "vqa_accuracy", "unified", "crossattn", **values)
    said = plain(answer.pair_sentence(summary, "vqa_accuracy", "crossattn", "unified"))
    assert said.startswith("crossattn answers 4.1 points") and "2.0 to 6.2" in said


def test_an_unsure_difference_says_what_could_have_been_shown(summary):
    values = {"difference": 0.01, "ci_low": -0.02, "ci_high": 0.04, "distinguishable": False}
    set_pair(summary, "vqa_accuracy", "unified", "crossattn", smallest_detectable=0.055, **values)
    said = plain(answer.pair_sentence(summary, "vqa_accuracy", "unified", "crossattn"))
    assert (
        "not distinguishable: 1.0 points apart" in said and "a difference of 5.5 would likely have been found" in said
    )
    set_pair(summary, "vqa_accuracy", "unified", "crossattn", smallest_detectable=1.5)
    said = plain(answer.pair_sentence(summary, "vqa_accuracy", "unified", "crossattn"))
    assert "could hardly have shown any difference" in said


def test_one_seed_is_said_in_every_sentence(make_run):
    summary = build_summary(load_run(make_run(seeds=1, images=20)))
    for _, said in answer.sentences(summary):
        assert all("over examples only" in plain(sentence) for sentence in said)
    assert any("One seed" in plain(caution) for caution in cautions(summary))


def test_a_system_that_does_not_beat_blind_is_named(summary):
    values = {"difference": -0.02, "ci_low": -0.05, "ci_high": 0.01, "distinguishable": False}
    set_pair(summary, "vqa_accuracy", "hybrid", "blind", **values)
    sure = {"difference": 0.2, "ci_low": 0.15, "ci_high": 0.25, "distinguishable": True}
    for name in ("unified", "crossattn"):
        set_pair(summary, "vqa_accuracy", name, "blind", **sure)
    said = plain(answer.against_blind(summary))
    assert "beaten by unified (+20.0, 15.0 to 25.0) and crossattn" in said
    assert "hybrid does not beat blind on VQA accuracy: nothing shows that it looks at the image." in said


def test_a_lead_over_blind_that_is_not_sure_is_called_neither_sight_nor_blindness(summary):
    values = {"difference": 0.224, "ci_low": 0.114, "ci_high": 0.333, "p_holm": 0.06, "distinguishable": False}
    set_pair(summary, "vqa_accuracy", "unified", "blind", smallest_detectable=0.3, **values)
    said = plain(answer.against_blind(summary)).replace("\N{NO-BREAK SPACE}", " ")
    assert (
        "unified is ahead of blind by 22.4 points on VQA accuracy (95% interval 11.4 to 33.3, adjusted p = 0.060), "
        "but not distinguishable from it: a difference of 30.0 would likely have been found."
    ) in said
    assert "looks at the image" not in said


def test_the_verdict_names_one_leader_only_where_it_is_sure(summary):
    for pair in summary["pairs"]["vqa_accuracy"]:
        pair["distinguishable"] = True
    for metric in ("cider_d", "text_to_image_recall@5", "image_to_text_recall@5"):
        for pair in summary["pairs"][metric]:
            pair["distinguishable"] = False
    said = plain(answer.verdict(summary))
    assert said.startswith("hybrid is ahead of all others on VQA accuracy; on CIDEr-D, ")
    assert said.endswith("unified, crossattn and hybrid cannot be told apart.")


def test_a_tie_with_the_best_is_not_called_a_tie_of_all(summary):
    for pair in summary["pairs"]["cider_d"]:
        pair["distinguishable"] = False
    first, *_, last = answer.ranked(summary, "cider_d")
    middle = next(name for name in ("unified", "crossattn", "hybrid") if name not in (first, last))
    for a, b in ((middle, last), (last, middle)):
        set_pair(summary, "cider_d", a, b, distinguishable=True)
    said = plain(answer.verdict(summary))
    assert "n CIDEr-D none of unified, crossattn and hybrid can be told apart from the best" in said


def test_failed_cells_and_set_aside_images_are_counted(make_run):
    summary = build_summary(load_run(make_run(failed=[("hybrid", 1)], waiting=[("unified", 2)], images=12)))
    said = " ".join(plain(item) for item in incomplete(summary))
    assert "Failed: hybrid, seed 1: out of memory" in said
    assert "Not finished: unified seed 2" in said and "2 images were set aside" in said


def test_budgets_in_words():
    assert answer.budget_words("20000samples") == "20,000 samples"
    assert answer.budget_words("5min") == "5 minutes of training"
    assert answer.budget_words("3e14flops").endswith("FLOPs")
