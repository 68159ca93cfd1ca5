"""METEOR 1.5 (Denkowski and Lavie 2014) with COCO's settings, by the reference's Java program."""

import contextlib
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, Generic

from mmbench.metrics.captions.corpus import check_captions
from mmbench.metrics.ids import Id, Missing
from mmbench.metrics.java.programs import NotComputed, failure, java_command, tokenized

_SEPARATOR = " ||| "  # which no tokenised caption holds: the tokeniser parts vertical bars


@dataclass(frozen=True)
class MeteorScores(Generic[Id]):
    """METEOR, 0..1."""

    corpus: float
    """from the corpus's summed statistics; not the mean of `per_image`"""
    per_image: dict[Id, float]
    """of each image by itself"""


def meteor(
    references: Mapping[Id, Sequence[str]], predictions: Mapping[Id, str], missing: Missing = "error"
) -> MeteorScores[Id]:
    """METEOR of the corpus and of each image, from raw captions; the program's start takes a few seconds.

    The program gets the tokens of COCO's pipeline, one image at a time. It ends with the call, whatever happens.

    Raises:
        ValueError: no samples, an image without references, missing or unknown ids.
        TypeError: a caption that is not a string.
        NotComputed: the program cannot run here (see `unavailable`), or it failed.
    """
    truth, said = tokenized(references, check_captions(references, predictions, missing))
    with _Program() as program:
        statistics = []
        for image, texts in truth.items():
            program.write("SCORE", *texts, said[image])
            statistics.append(program.read())
        program.write("EVAL", *statistics)
        per_image = {image: float(program.read()) for image in references}
        return MeteorScores(float(program.read()), per_image)


class _Program:
    """The running Java program: a line in, a line out. Leaving the context ends it."""

    def __init__(self) -> None:
        self._command, self._folder = java_command("meteor", "-", "-", "-stdio", "-l", "en", "-norm")

    def __enter__(self) -> "_Program":
        # Its complaints go to a file: a pipe that nobody reads would stop it once it is full.
        self._complaints: IO[bytes] = TemporaryFile()
        self._process: subprocess.Popen[str] = subprocess.Popen(
            self._command,
            cwd=self._folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            encoding="utf-8",
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with contextlib.suppress(BrokenPipeError), self._process:  # waits, and closes the pipes
            pass
        self._complaints.close()

    def write(self, *fields: str) -> None:
        assert self._process.stdin
        try:
            self._process.stdin.write(_SEPARATOR.join(fields) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failure() from None

    def read(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise self._failure()
        return line.strip()

    def _failure(self) -> NotComputed:
        self._process.wait()
        self._complaints.seek(0)
        return failure("meteor", self._complaints.read().decode(errors="replace"))
