"""The reference implementations that tests compare with; without Java or PyPI's pycocoevalcap they are skipped."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"


def require_java() -> None:
    """Skip where the reference tokeniser cannot run."""
    if shutil.which("java") is None:
        pytest.skip("the reference tokeniser needs Java")
    pytest.importorskip("pycocoevalcap.tokenizer", reason="the reference is PyPI's pycocoevalcap")


def require_data(*parts: str) -> Path:
    """A path under the shared test data, or a skip that names it."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs the data in {'/'.join(parts)}")
    return path


def reference_tokens(captions: list[str], folder: Path) -> list[list[str]]:
    """What the reference tokeniser makes of one text of captions (no line breaks in them), dropped marks left out."""
    require_java()
    from pycocoevalcap.tokenizer import ptbtokenizer

    text = folder / "captions.txt"
    text.write_bytes("\n".join(captions).encode())
    jar = Path(ptbtokenizer.__file__).parent / ptbtokenizer.STANFORD_CORENLP_3_4_1_JAR
    command = [
        "java",
        "-cp",
        str(jar),
        "edu.stanford.nlp.process.PTBTokenizer",
        "-preserveLines",
        "-lowerCase",
        str(text),
    ]
    output = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    dropped = set(ptbtokenizer.PUNCTUATIONS)
    return [
        [token for token in line.rstrip().split(" ") if token and token not in dropped]
        for line in output.split("\n")[: len(captions)]
    ]


def reference_scores(
    references: dict[Any, list[str]], predictions: dict[Any, str], tokenize: bool = True
) -> dict[str, np.ndarray]:
    """Corpus and per-image scores of the reference, in the order of `references`; bleu [4], bleu_images [images, 4]."""
    if tokenize:
        require_java()
    pytest.importorskip("pycocoevalcap.cider.cider", reason="the reference is PyPI's pycocoevalcap")
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    truth: dict[Any, list[str]] = references
    given = {image: [text] for image, text in predictions.items()}
    if tokenize:
        truth = PTBTokenizer().tokenize(_records(references))
        given = PTBTokenizer().tokenize(_records(given))
    given = {image: given[image] for image in truth}
    _, cider = Cider().compute_score(truth, given)
    bleu, bleu_images = Bleu(4).compute_score(truth, given, verbose=0)
    _, rouge = Rouge().compute_score(truth, given)
    return {
        "cider_d": np.array(cider),
        "bleu": np.array(bleu),
        "bleu_images": np.array(bleu_images).T,
        "rouge_l": np.array(rouge),
    }


def _records(captions: dict[Any, list[str]]) -> dict[Any, list[dict[str, str]]]:
    return {image: [{"caption": text} for text in texts] for image, texts in captions.items()}
