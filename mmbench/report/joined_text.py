"""What a reader of joined runs must know: what came from which run, and where they were not made alike."""

from mmbench.report import numbers
from mmbench.report.answer import budget_words
from mmbench.report.run_data import RunData
from mmbench.report.tables import Row, Table, TableCell
from mmbench.report.text import Text, bold, text


def joining_notes(run: RunData) -> list[Text]:
    """For page one: that runs were joined, and whether machine, kernel or seeds differ between them."""
    parts = run.parts
    if not parts:
        return []
    names = numbers.join([part.name for part in parts])
    said = [
        text(
            bold("Joined: "),
            f"this is made of the runs {names}, whose data, tokenizer, image size, starting weights, recipe and "
            "evaluation agree; the ledger says what came from which."
            if len(parts) > 1
            else f"this part is the run {names}.",
        )
    ]
    for label, values in (
        ("machines", {part.machine or "not recorded" for part in parts}),
        ("kernels or precisions", {part.numerics or "not recorded" for part in parts}),
    ):
        if len(values) > 1:
            said.append(
                text(
                    bold("Not alike: "),
                    f"the runs had different {label} ({numbers.join(sorted(values))}): differences in time, and small "
                    "ones in score, may be due to that.",
                )
            )
    if len({tuple(part.seeds) for part in parts}) > 1:
        said.append(
            text(bold("Not alike: "), "the runs have different seeds; a pair is compared on the seeds that both have.")
        )
    said += [text(bold("Not alike: "), f"{sentence}.") for sentence in run.left_out]
    return said


def joined_table(run: RunData) -> Table | None:
    """A row a run."""
    rows: list[Row] = [
        [
            TableCell(part.name),
            TableCell(budget_words(part.budget)),
            TableCell(", ".join(part.systems) or "nothing: all of it is in runs before"),
            TableCell(", ".join(map(str, part.seeds))),
            TableCell(part.machine or "not recorded"),
        ]
        for part in run.parts
    ]
    if not rows:
        return None
    header = ["Run", "Budget", "Systems and baselines taken from it", "Seeds", "Machine"]
    return Table("joined_runs", "Runs that were joined.", header, rows, left_all=True, size=8)
