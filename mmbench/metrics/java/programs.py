"""Whether the reference's Java programs can run on this machine, how they are called, and what text they are given."""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from mmbench.metrics.ids import Id
from mmbench.metrics.ptb import tokenize

JavaMetric = Literal["meteor", "spice"]

_JAR: dict[JavaMetric, str] = {"meteor": "meteor-1.5.jar", "spice": "spice-1.0.jar"}
_MODELS = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")
_LAST_WITH_JAVASCRIPT = 14


class NotComputed(RuntimeError):
    """A metric that needs a program from outside was not computed; the message says why, and what to do."""


def unavailable(metric: JavaMetric) -> str | None:
    """Why a metric cannot be computed here, and what to do; None if it can.

    Raises:
        ValueError: an unknown metric.
    """
    if metric not in _JAR:
        raise ValueError(f"'{metric}' does not need Java; {' and '.join(_JAR)} do")
    folder = _folder(metric)
    if folder is None:
        return f"{metric} needs the reference's Java program: pip install 'mmbench[java]'"
    version = _java_version()
    if version is None:
        return f"{metric} needs Java, and there is no 'java' that runs: install a Java runtime"
    if metric == "spice" and version > _LAST_WITH_JAVASCRIPT:
        return (
            f"spice needs Java 8 to {_LAST_WITH_JAVASCRIPT}, and this is Java {version}: its program writes its scores "
            "with a JavaScript engine that later Java lacks; put an older 'java' first in PATH"
        )
    if metric == "spice" and not all((folder / "lib" / name).exists() for name in _MODELS):
        return (
            "spice needs the models of Stanford CoreNLP 3.6.0, which are not downloaded: "
            "python -m pycocoevalcap.spice.get_stanford_models"
        )
    return None


def java_command(metric: JavaMetric, *arguments: str) -> tuple[list[str], Path]:
    """The command that runs a metric's program with these arguments, and the folder to run it in.

    Raises:
        NotComputed: the metric is unavailable.
    """
    reason, folder = unavailable(metric), _folder(metric)
    if reason or folder is None:
        raise NotComputed(f"{metric} was not computed: {reason}")
    # The programs read and write text in the machine's encoding, and numbers in its language, unless told.
    fixed = ["-Dfile.encoding=UTF-8", "-Duser.language=en", "-Duser.country=US"]
    memory = {"meteor": "-Xmx2G", "spice": "-Xmx8G"}[metric]
    return ["java", *fixed, memory, "-jar", str(folder / _JAR[metric]), *arguments], folder


def tokenized(
    references: Mapping[Id, Sequence[str]], predictions: Mapping[Id, str]
) -> tuple[dict[Id, list[str]], dict[Id, str]]:
    """Captions as COCO's evaluation hands them to the programs: tokens with single spaces between them."""
    truth = iter(_lines([text for texts in references.values() for text in texts]))
    said = dict(zip(predictions, _lines(list(predictions.values())), strict=True))
    return {image: [next(truth) for _ in texts] for image, texts in references.items()}, said


def failure(metric: JavaMetric, complaints: str) -> NotComputed:
    """The error for a program that ended early, with the line of its complaints that says why."""
    lines = [line.strip() for line in complaints.splitlines() if line.strip()]
    telling = [line for line in lines if "Error" in line or "Exception" in line] or lines or ["no message"]
    return NotComputed(f"{metric} was not computed: its Java program ended with: {telling[0]}")


def _lines(captions: list[str]) -> list[str]:
    return [" ".join(tokens) for tokens in tokenize(captions)]


def _folder(metric: JavaMetric) -> Path | None:
    """Where the package `pycocoevalcap` keeps the metric's program; the package itself is not imported."""
    package = find_spec("pycocoevalcap")
    for root in (package and package.submodule_search_locations) or ():
        if (Path(root) / metric / _JAR[metric]).exists():
            return Path(root).resolve() / metric
    return None


def _java_version() -> int | None:
    """8 for "1.8.0", 17 for "17.0.15"; None without a Java that runs."""
    if shutil.which("java") is None:
        return None
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, errors="replace")
    version = re.search(r'version "(?:1\.)?(\d+)', said.stderr)
    return int(version[1]) if version and said.returncode == 0 else None
