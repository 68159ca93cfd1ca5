"""SPICE (Anderson et al. 2016, arXiv 1607.08822), by the reference's Java program."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmbench.metrics.captions.corpus import check_captions
from mmbench.metrics.ids import Id, Missing
from mmbench.metrics.java.programs import failure, java_command, tokenized


def spice(
    references: Mapping[Id, Sequence[str]], predictions: Mapping[Id, str], missing: Missing = "error"
) -> dict[Id, float]:
    """SPICE of each image, 0..1, from raw captions; the corpus score is their mean.

    NaN where the program gives no score. It parses every caption anew, and takes up to 8 GB of memory.

    Raises:
        ValueError: no samples, an image without references, missing or unknown ids.
        TypeError: a caption that is not a string.
        NotComputed: the program cannot run here (see `unavailable`), or it failed.
    """
    truth, said = tokenized(references, check_captions(references, predictions, missing))
    records = [
        {"image_id": place, "test": said[image], "refs": texts} for place, (image, texts) in enumerate(truth.items())
    ]
    scores = {found["image_id"]: found["scores"]["All"]["f"] for found in _run(records)}
    return {
        image: float("nan") if scores[place] is None else float(scores[place]) for place, image in enumerate(references)
    }


def _run(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the program says of each record, in any order."""
    with TemporaryDirectory() as folder:
        given, found = Path(folder, "captions.json"), Path(folder, "scores.json")
        given.write_text(json.dumps(records), encoding="utf-8")
        # Without the program's cache of parses, which would be a growing folder somewhere outside.
        command, where = java_command("spice", str(given), "-out", str(found), "-silent")
        ended = subprocess.run(command, cwd=where, capture_output=True, text=True, errors="replace")
        if ended.returncode or not found.exists():
            raise failure("spice", ended.stderr + ended.stdout)
        scored: list[dict[str, Any]] = json.loads(found.read_text(encoding="utf-8"))
        return scored
