"""The sections of a report in the order of the questions a reader has."""

from pathlib import Path

import pandas as pd

from mmbench.report import answer, cost_figures, ledger_tables, score_figures, score_tables
from mmbench.report.abilities import not_applicable_notes, unable
from mmbench.report.catalogue import HEADLINES, describe
from mmbench.report.cautions import cautions, incomplete
from mmbench.report.document import Document
from mmbench.report.front_figure import draw_fronts
from mmbench.report.fronts import fronts_table
from mmbench.report.joined_text import joined_table, joining_notes
from mmbench.report.looks import looks_sentence, looks_table
from mmbench.report.matching import matched_sentences, unmatched
from mmbench.report.run_data import RunData
from mmbench.report.shared import shared_sentence
from mmbench.report.systems import Summary
from mmbench.report.tables import write_table
from mmbench.report.text import Text, text
from mmbench.report.tuning import lost_trials, tuning_sentences, tuning_table

_SETTINGS_LINES = 400


def write_document(run: RunData, summary: Summary, folder: Path) -> Document:
    """All sections, in the order of the questions a reader has."""
    document = Document(run, summary, folder)
    comparison(document)
    return document


def comparison(document: Document) -> None:
    """The sections on one budget."""
    _first_page(document)
    _pairs(document)
    _cost(document)
    _curves(document)
    _kinds(document)
    _examples(document)
    _ledger(document)


def _first_page(document: Document) -> None:
    summary = document.summary
    document.lead("Question", [answer.question(summary)])
    document.lead("Answer", [answer.verdict(summary), looks_sentence(summary["looks"])])
    for item in joining_notes(document.run):
        document.notice(item)
    for item in [*incomplete(summary), *unmatched(summary)]:
        document.notice(item)
    for label, said in answer.sentences(summary):
        document.lead(label, said)
    document.lead("Against blind", [answer.against_blind(summary)])
    document.table(score_tables.front_table(summary))
    document.paragraph(text(" ".join([score_tables.legend(summary), *not_applicable_notes(summary)])), small=True)
    for item in unable(summary):
        document.paragraph(item, small=True)
    document.table(ledger_tables.matching_table(summary))
    for item in [*matched_sentences(summary), *tuning_sentences(summary)]:
        document.paragraph(item, small=True)
    document.paragraph(shared_sentence(document.run), small=True)
    document.lead("Not to be concluded", [])
    document.bullets(cautions(summary), small=True)


def _pairs(document: Document) -> None:
    summary = document.summary
    document.heading("Pairs", new_page=True)
    document.paragraph(
        text(
            "Seeds and images are both samples: the interval of a difference covers another choice of either. P values "
            "are adjusted by the procedure of Holm over the pairs of systems of a metric (those with blind: over the "
            "systems held against it), and a pair is told apart where the adjusted p is below 0.05. Effect: the "
            "difference in units of the seed-to-seed standard deviation. Detectable: the true difference that this "
            "comparison finds 8 times in 10; seeds needed: how many in all would find the one seen as often."
        )
    )
    path = score_figures.draw_pairs(summary, document.folder / "figures")
    document.figure(
        path, "Differences between the systems, with 95% intervals; filled where the pair can be told apart."
    )
    document.table(looks_table(summary["looks"]))
    for metric in summary["pairs"]:
        if metric in HEADLINES:
            document.table(score_tables.pairs_table(summary, metric))
        else:
            write_table(score_tables.pairs_table(summary, metric), document.folder / "tables")
    if not summary["pairs"]:
        document.paragraph(text("No cell has been scored yet."))
    more = score_tables.all_scores_table(summary)
    document.table(more)
    notes = score_tables.notes_on(more, summary)
    if notes:
        document.paragraph(text(" ".join(notes)), small=True)
    document.bullets([text(note) for note in score_tables.tie_notes(summary)], small=True)


def _cost(document: Document) -> None:
    summary, folder = document.summary, document.folder / "figures"
    document.heading("Quality against cost")
    document.paragraph(_measured(document.run))
    document.figure(
        draw_fronts(summary, document.looks, folder),
        "Quality against cost; latencies at batch 1. The grey line joins the systems that no other one beats in both. "
        "A mark is as full as its system is probably one of them (the percentage, where there is room), with seeds and "
        "images drawn anew. "
        "Bars: 95% interval of the score, and up to the 95th percentile of a time.",
    )
    document.table(fronts_table(summary))
    document.figure(
        cost_figures.draw_latency(summary, document.looks, folder),
        "Latency against the size of the image: median, and a band up to the 95th percentile.",
    )
    document.table(score_tables.latency_table(summary))


def _measured(run: RunData) -> Text:
    """How latency was measured, or that it was not."""
    if not run.latency.get("rows"):
        return text("Latency has not been measured: it is a step of its own after the cells.")
    device = str(run.latency.get("device") or "one device")
    if run.parts:
        return text(
            f"Latency was measured run by run, on {device}: times of systems of different runs are not interleaved."
        )
    return text(f"Measured on {device}: all systems interleaved in one process, one checkpoint each, after a warm-up.")


def _curves(document: Document) -> None:
    document.heading("Learning curves")
    path = cost_figures.draw_curves(document.run, document.looks, document.folder / "figures")
    if path is None:
        document.paragraph(text("No cell has written a log yet."))
        return
    caption = (
        "Loss over the share of the budget spent: mean of the seeds, and the band they span. The training loss is that "
        "of single logged steps. The axis starts after the first 2% of the budget."
    )
    logs = {cell.system: cell.log for cell in document.run.cells}
    objectives = {_objectives(logs[name]) for name in document.run.systems if len(logs[name])}
    if len(objectives) > 1:
        caption += (
            " The systems train on different objectives, of which training and validation loss are the weighted sums: "
            "these compare a system with itself, not with others."
        )
    elif "blind" in logs and any("contrastive_loss" in logs.get(name, ()) for name in document.run.systems):
        caption += (
            " Training and validation loss are the weighted sum of all objectives, of which the baseline without an "
            "image lacks the contrastive one: it compares with the systems only on captions and on answers."
        )
    document.figure(path, caption)


def _objectives(log: pd.DataFrame) -> frozenset[str]:
    """What a cell trained on, by the losses in its log."""
    names = map(str, log.columns)
    return frozenset(name for name in names if name.endswith("_loss") and not name.startswith("validation_"))


def _kinds(document: Document) -> None:
    summary = document.summary
    document.heading("By kind")
    some = len(document.blocks)
    for base in score_tables.bases_of_kinds(summary):
        table = score_tables.kinds_table(summary, base)
        if table is None:
            continue
        document.figure(
            score_figures.draw_kinds(summary, base, document.looks, document.folder / "figures"),
            f"{describe(base).label} by question kind.",
        )
        # Many kinds (VQA v2 has 65) would not fit the page as columns: then the files hold the table.
        if len(table.header) <= 9:
            document.table(table)
        else:
            write_table(table, document.folder / "tables")
    for split in sorted({split for content in summary["systems"].values() for split in content["splits"]}):
        document.table(score_tables.split_table(summary, split))
    table = score_tables.text_table(summary)
    document.table(table)
    if table is not None:
        document.paragraph(
            text(
                "A rise means that ability on text alone was lost in multimodal training; where the language model "
                "stays frozen and no image is given, gated cross-attention keeps it exactly."
            ),
            small=True,
        )
    if len(document.blocks) == some:
        document.paragraph(text("Not applicable: no question kinds, further splits or text losses in this run."))


def _examples(document: Document) -> None:
    document.heading("Examples")
    if not document.run.examples:
        document.paragraph(text("No examples have been chosen yet."))
        return
    rule = str(document.run.examples[0].get("rule") or "")
    if rule:
        document.paragraph(text(f"Chosen by rule, not by hand: {rule.rstrip('.')}."))
    if document.run.data.get("redistributable") is False:
        document.paragraph(
            text("The pictures may not be passed on under the terms of this data, and are left out."), small=True
        )
    document.examples(document.run.examples)


def _ledger(document: Document) -> None:
    run = document.run
    document.heading("Ledger", new_page=True)
    document.table(joined_table(run))
    document.table(ledger_tables.spent_table(run))
    document.table(ledger_tables.cost_table(run))
    document.table(tuning_table(document.summary))
    document.bullets(lost_trials(document.summary), small=True)
    document.table(ledger_tables.pretraining_table(run))
    document.table(ledger_tables.stages_table(document.summary))
    document.table(ledger_tables.cells_table(run))
    document.table(ledger_tables.facts_table(run))
    document.table(ledger_tables.set_aside_table(run))
    if run.command:
        document.code("The command that repeats this comparison:", run.command)
    if run.files.comparison.is_file():
        lines = run.files.comparison.read_text(encoding="utf-8").rstrip().splitlines()
        cut = [*lines[:_SETTINGS_LINES], f"# … {len(lines) - _SETTINGS_LINES} more lines"]
        shown = lines if len(lines) <= _SETTINGS_LINES else cut
        document.code("Settings, resolved (comparison.yaml):", "\n".join(shown), columns=3)
