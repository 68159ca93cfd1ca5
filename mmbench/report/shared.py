"""What is the same for all systems by construction, and what a system has for itself at its start."""

from mmbench.report.run_data import RunData
from mmbench.report.text import Text, join_systems, text

_ALL = "all weights"
_POSITIONS = frozenset(("mrope_sections",))
"""Settings of a language model that leave its weights those that all share."""


def shared_sentence(run: RunData) -> Text:
    """What does not differ between the systems, which of them depart from it, and what the baselines are."""
    probe = run.probe
    kernel = f", the kernel ({probe['attention']}) and precision ({probe['precision']})" if "attention" in probe else ""
    departing: Text = []
    for what, names in _of_their_own(run).items():
        origin = " (read from a file)" if what == _ALL else ""
        departing += text("; " if departing else " But for: ", f"{what} of ", join_systems(names), origin)
    return text(
        f"The same for all: data and their order, tokenizer, image size{kernel}, weights of encoder and language model "
        "at the start.",
        departing,
        "." if departing else "",
        " Baselines: chance draws a training answer or caption; majority gives the commonest; blind is the shared "
        "language model, trained under the same budget without the image.",
    )


def _of_their_own(run: RunData) -> dict[str, list[str]]:
    """What is not the shared one -> the systems that have their own."""
    found: dict[str, list[str]] = {}
    for name in run.systems:
        settings = (run.settings.get("systems") or {}).get(name) or {}
        if settings.get("weights"):
            found.setdefault(_ALL, []).append(name)
            continue
        if settings.get("encoder"):
            found.setdefault("the encoder", []).append(name)
        if set(settings.get("language_model") or {}) - _POSITIONS:
            found.setdefault("the language model", []).append(name)
    return found
