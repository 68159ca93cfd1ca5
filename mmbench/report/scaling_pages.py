"""The report of a scaling study: what changes with the budget first, then the comparison at the largest budget."""

from pathlib import Path

from mmbench.report import scaling_text
from mmbench.report.answer import budget_words
from mmbench.report.cautions import incomplete
from mmbench.report.document import Document
from mmbench.report.numbers import join
from mmbench.report.pages import comparison
from mmbench.report.run_data import RunData
from mmbench.report.scaling_figure import draw_scaling
from mmbench.report.systems import Summary
from mmbench.report.text import Text, bold, plain, text


def write_study(run: RunData, summary: Summary, folder: Path) -> Document:
    """All sections; ``run`` is that of the largest budget, ``summary`` that of the whole study."""
    document = Document(run, summary, folder)
    document.lead("Question", [scaling_text.scaling_question(summary)])
    for label, said in scaling_text.scaling_sentences(summary):
        document.lead(label, said)
    notices: dict[str, tuple[Text, list[str]]] = {}
    for budget, each in summary["by_budget"].items():
        for item in incomplete(each):
            notices.setdefault(plain(item), (item, []))[1].append(budget_words(budget))
    for item, budgets in notices.values():
        everywhere = len(budgets) == len(summary["by_budget"])
        document.notice(item if everywhere else [*text(bold(f"{join(budgets)}: ")), *item])
    document.figure(
        draw_scaling(summary, document.looks, folder / "figures"),
        "Error against budget, both axes logarithmic: means over the seeds, bars from the best to the worst seed, and "
        "the fitted power laws; dotted: where two laws cross within the budgets run.",
    )
    document.table(scaling_text.budgets_table(summary))
    document.table(scaling_text.laws_table(summary))
    document.table(scaling_text.crossings_table(summary))
    document.table(scaling_text.matched_by_budget_table(summary))
    document.lead("Not to be concluded", [])
    document.bullets(scaling_text.scaling_cautions(summary), small=True)
    document.heading(f"At the largest budget: {budget_words(summary['budget'])}", new_page=True)
    comparison(document)
    return document
