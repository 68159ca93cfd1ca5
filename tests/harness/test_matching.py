"""The widths that make parameters equal, counted again on the modules that are trained with them."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from mmbench.config.load import load_settings
from mmbench.config.settings import Settings
from mmbench.families.family import SharedParts
from mmbench.families.registry import build_family
from mmbench.families.unified import Unified
from mmbench.harness.matching import TOLERANCE, Matched, load_matching, match_parameters, save_matching, with_widths
from mmbench.harness.run_files import RunFiles
from mmbench.nn.decoder import Decoder
from mmbench.nn.encoders import build_encoder
from tests.harness.comparisons import compare_command, run

FAMILIES = ["unified", "crossattn", "hybrid"]


class Fixed(Unified):
    """A family whose width cannot be moved."""

    matched_width = ""


def tiny(match: str, *overrides: str, systems: list[str] | None = None) -> Settings:
    return load_settings(systems or FAMILIES, match=match, overrides=list(overrides))


def shared_parts(settings: Settings) -> SharedParts:
    """As a comparison at `tiny` has them, with random weights."""
    decoder = Decoder(Decoder.Config.from_settings(settings.language_model, settings.tokenizer.vocab_size))
    return SharedParts(build_encoder(settings.encoder, settings.image_size), decoder, bos_id=1, eos_id=2)


def counts(settings: Settings) -> dict[str, int]:
    """The count that is matched, of modules with real weights."""
    found = {}
    for name, system in settings.systems.items():
        family = build_family(system, shared_parts(settings), asdict(settings.training.objectives))
        if settings.match == "trainable":
            trained = []
            for stage in system.stages:
                family.freeze_all_but(stage.train)
                trained.append(sum(p.numel() for p in family.parameters() if p.requires_grad))
            found[name] = max(trained)
        else:
            key = "parameters_total" if settings.match == "params" else "parameters_active"
            found[name] = family.cost(torch.zeros(1, 3, 48, 48, dtype=torch.uint8))[key]
    return found


@pytest.mark.parametrize("match", ["params", "trainable", "active"])
def test_the_three_families_at_tiny_are_within_one_percent(match: str) -> None:
    settings = tiny(match)
    before = counts(settings)
    assert max(before.values()) > (1 + TOLERANCE) * min(before.values()), "there is something to match"
    matched = match_parameters(settings, shared_parts)
    settings.systems = with_widths(settings.systems, matched)
    after = counts(settings)
    assert max(after.values()) <= (1 + TOLERANCE) * min(after.values())
    assert {one.system: one.count for one in matched} == after
    assert all(after[name] >= before[name] for name in after)
    assert not any(one.reason for one in matched)


def test_frozen_parts_do_not_count_where_what_trains_is_matched() -> None:
    settings = tiny("trainable", *(f"systems.{name}.stages.1.train=[heads]" for name in FAMILIES))
    matched = match_parameters(settings, shared_parts)
    settings.systems = with_widths(settings.systems, matched)
    after = counts(settings)
    assert max(after.values()) < 1_000_000
    assert max(after.values()) <= (1 + TOLERANCE) * min(after.values())


def test_the_largest_stays_as_it_is_set() -> None:
    settings = tiny("params", "systems.crossattn.options.feed_forward_width=2000")
    by_name = {one.system: one for one in match_parameters(settings, shared_parts)}
    assert by_name["crossattn"].width is None
    assert by_name["crossattn"].count == by_name["crossattn"].target == counts(settings)["crossattn"]


@pytest.mark.parametrize(
    ("overrides", "system", "reason"),
    [
        (["systems.unified.options.connector=linear"], "unified", "leave no 'connector_width' to move"),
        (["systems.crossattn.options.feed_forward=false"], "crossattn", "leave no 'feed_forward_width' to move"),
        ([f"systems.unified.family={__name__}:Fixed"], "unified", "has no width that could be moved"),
    ],
)
def test_what_cannot_be_matched_is_said(overrides: list[str], system: str, reason: str) -> None:
    settings = tiny("params", *overrides)
    by_name = {one.system: one for one in match_parameters(settings, shared_parts)}
    assert reason in by_name[system].reason and by_name[system].deviation < -TOLERANCE
    assert "not matched, -" in str(by_name[system])
    assert [name for name, one in by_name.items() if one.reason] == [system]


def test_a_width_that_only_trains_nothing_changes_nothing() -> None:
    settings = tiny(
        "trainable", *(f"systems.{name}.stages.{stage}.train=[heads]" for name in FAMILIES for stage in (0, 1))
    )
    settings.systems["crossattn"].stages[1].train = ["heads", "gates"]
    by_name = {one.system: one for one in match_parameters(settings, shared_parts)}
    # Four gates are a hundredth of a percent of the heads: within the tolerance, although no width can mend it.
    assert by_name["unified"].reason == "" and by_name["unified"].width is None
    settings.systems["crossattn"].stages[1].train = ["heads", "language_model"]
    by_name = {one.system: one for one in match_parameters(settings, shared_parts)}
    assert by_name["unified"].reason == "its 'connector_width' does not change this count"


def test_what_one_system_drops_the_others_still_have() -> None:
    """A dual encoder drops the matrix that predicts the next token; what is counted after it still has one."""
    settings = tiny("params", "language_model.tie_embeddings=false", systems=["clip", "unified"])
    for order in (["clip", "unified"], ["unified", "clip"]):
        settings.systems = {name: settings.systems[name] for name in order}
        by_name = {one.system: one for one in match_parameters(settings, shared_parts)}
        assert by_name["unified"].target == counts(settings)["unified"]


def test_what_was_found_is_kept(tmp_path: Path) -> None:
    matched = [Matched("a", "width", 7, 99, 100, ""), Matched("b", "", None, 50, 100, "it cannot be moved")]
    files = RunFiles(tmp_path)
    assert load_matching(files) == []
    save_matching(tiny("params"), matched, files)
    assert load_matching(files) == matched


def test_a_run_trains_what_was_matched(tmp_path: Path) -> None:
    words = ("--match", "params", "--budget", "25steps", "--seeds", "1", "--set", "baselines=[]", "--no-latency")
    ended = run(compare_command(tmp_path, "--name", "m", *words))
    files = RunFiles(tmp_path / "runs" / "m")
    assert "unified is matched by connector_width=" in ended.stdout + ended.stderr
    totals = [files.cell(name, 0).read()["ledger"]["parameters_total"] for name in ("unified", "crossattn")]
    assert max(totals) <= (1 + TOLERANCE) * min(totals)
    assert totals == [one.count for one in load_matching(files)]
