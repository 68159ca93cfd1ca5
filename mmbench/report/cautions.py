"""What a comparison does not show, and what of it is missing."""

from mmbench.report import numbers
from mmbench.report.abilities import unable
from mmbench.report.answer import budget_words
from mmbench.report.catalogue import describe
from mmbench.report.systems import Summary
from mmbench.report.text import Text, bold, system, text


def cautions(summary: Summary) -> list[Text]:
    """What not to conclude from this comparison."""
    data = summary["data"]["name"] or "this data"
    said = [
        text(
            f"The ranking holds for {data}, this budget ({budget_words(summary['budget'])}) and this scale. "
            "Architectures change places with more data, pretrained weights or higher resolution."
        )
    ]
    if len(summary["seeds"]) < 2:
        said.append(
            text(
                bold("One seed: "),
                "all intervals cover the choice of test examples only. Another seed may turn any of these findings.",
            )
        )
    else:
        said.append(
            text(
                "Two overlapping intervals in the table do not mean “no difference”: the systems saw the same images, "
                "so the paired differences are known better. Not distinguishable does not mean equal."
            )
        )
    if unable(summary):
        said.append(
            text(
                "The systems differ in what they can do. A score compares those that have it, on that task alone; it "
                "says nothing of the others."
            )
        )
    flagged = [entry for entry in summary["matching"] if entry["flagged"] and entry["quantity"].startswith("param")]
    if flagged:
        names = numbers.join(
            [f"{e['label'].lower().replace('parameters', 'all')} ({numbers.percent(e['difference'])})" for e in flagged]
        )
        said.append(
            text(
                f"Parameter counts are not matched: {names} between largest and smallest. "
                "Part of a difference may be due to size."
            )
        )
    said.append(
        text(
            "P values are adjusted over the pairs that answer one question on one metric, not over metrics; "
            f"{tuning_caution(summary)}."
        )
    )
    return said


def tuning_caution(summary: Summary) -> str:
    """The end of a sentence: whether the systems were tuned."""
    trials = {str(part["trials"]) for part in summary["joined"]}
    if len(trials) > 1:
        return f"tuning differs between the joined runs ({' and '.join(sorted(trials))} trials a system)"
    if not summary["tuning"]:
        return "nothing was tuned per system"
    return "what tuning can still gain with more trials, or over other settings, is not known"


def incomplete(summary: Summary) -> list[Text]:
    """Cells that failed or have not finished, and images that were set aside."""
    said = []
    for name, content in summary["systems"].items():
        seeds: dict[str, list[str]] = {}
        for seed, cell in content["cells"].items():
            if cell["status"] == "failed":
                seeds.setdefault(_cut(cell["reason"] or "no reason was left"), []).append(seed)
        for reason, which in seeds.items():
            words = f", seed{'s' * (len(which) > 1)} {numbers.join(which)}: {reason}"
            said.append(text(bold("Failed: "), system(name), words))
    waiting = [
        f"{name} seed {seed}"
        for name, content in summary["systems"].items()
        for seed, cell in content["cells"].items()
        if cell["status"] not in ("done", "failed")
    ]
    if waiting:
        listed = numbers.join(waiting[:6]) + (f" and {len(waiting) - 6} more" if len(waiting) > 6 else "")
        said.append(text(bold("Not finished: "), listed, ". The numbers below are those of the finished cells."))
    for name in dict.fromkeys(entry["system"] for entry in summary["no_numbers"]):
        own = [entry for entry in summary["no_numbers"] if entry["system"] == name]
        where = [f"{entry['scores']} of {describe(entry['metric']).label}, seed {entry['seed']}" for entry in own]
        listed = numbers.join(where[:3]) + (f" and {len(where) - 3} more" if len(where) > 3 else "")
        said.append(
            text(bold("No numbers: "), system(name), f" has scores that are none ({listed}); they are left out.")
        )
    aside = summary["data"]["set_aside"]
    if aside:
        images = "image was" if aside == 1 else "images were"
        said.append(text(f"{aside} {images} set aside as missing or corrupt; they are listed in the ledger."))
    return said


def _cut(reason: str, limit: int = 160) -> str:
    line = " ".join(reason.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
