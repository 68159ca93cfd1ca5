"""METEOR equals pycocoevalcap's, whatever language the machine speaks, and no Java process outlives a call."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmbench.metrics import Meteor, NotComputed, meteor
from tests.metrics.reference import require_data, require_java

pytestmark = pytest.mark.filterwarnings("ignore:a reference of")

ROOT = Path(__file__).parents[3]

Corpus = tuple[dict[Any, list[str]], dict[Any, str]]


@pytest.fixture(scope="module")
def reference() -> Iterator[Any]:
    require_java()
    from pycocoevalcap.meteor.meteor import Meteor as Reference

    program = Reference()
    yield program
    for pipe in (program.meteor_p.stdout, program.meteor_p.stderr):
        pipe.close()


def reference_scores(program: Any, references: dict[Any, list[str]], predictions: dict[Any, str]) -> tuple[float, Any]:
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    truth = PTBTokenizer().tokenize({i: [{"caption": text} for text in texts] for i, texts in references.items()})
    said = PTBTokenizer().tokenize({i: [{"caption": text}] for i, text in predictions.items()})
    corpus, per_image = program.compute_score(truth, said)
    return corpus, dict(zip(truth, per_image, strict=True))


def coco(num_images: int) -> Corpus:
    path = require_data("metrics", "coco_captions", "captions_val2017.json.gz")
    references: dict[Any, list[str]] = {}
    for annotation in json.loads(gzip.decompress(path.read_bytes()))["annotations"]:
        references.setdefault(annotation["image_id"], []).append(annotation["caption"])
    chosen = list(references.items())[:num_images]
    return {image: texts[1:] for image, texts in chosen}, {image: texts[0] for image, texts in chosen}


@pytest.mark.slow
def test_equals_reference_on_coco(reference: Any) -> None:
    references, predictions = coco(500)
    corpus, per_image = reference_scores(reference, references, predictions)
    found = meteor(references, predictions)
    assert found.corpus == corpus
    assert found.per_image == per_image


AWKWARD: Corpus = (
    {
        "empty": ["a cat"],
        "empty reference": ["", "a dog runs"],
        "both empty": [" . "],
        "bars": ["a cat ||| a dog", "a|||b"],
        "protocol": ["SCORE ||| a cat", "EVAL ||| 1.0"],
        "lines": ["a man\nrides a horse", "a man"],
        "accents": ["un café noir", "日本 語"],
        "script": ["日本 語"],
        "numbers": ["5 1/2 cups of £5 tea"],
    },
    {
        "empty": "",
        "empty reference": "a dog is running",
        "both empty": "",
        "bars": "a cat ||| a ||| dog",
        "protocol": "EVAL ||| a cat",
        "lines": "a man\r\nriding a horse",
        "accents": "un cafè noir",
        "script": "日本 犬",
        "numbers": "5 1/2 cups of £5 tea",
    },
)


def as_one_line(corpus: Corpus) -> Corpus:
    """Line breaks as spaces: the reference would give the captions after one to other images."""

    def clean(text: str) -> str:
        return " ".join(text.splitlines())

    references, predictions = corpus
    return {i: [clean(text) for text in texts] for i, texts in references.items()}, {
        i: clean(text) for i, text in predictions.items()
    }


def test_awkward_captions_equal_reference(reference: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours runs where German is spoken and text is ASCII; the program reads and writes numbers and captions there."""
    corpus, per_image = reference_scores(reference, *as_one_line(AWKWARD))
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Duser.language=de -Duser.country=DE -Dfile.encoding=US-ASCII")
    metric = Meteor()
    references, predictions = AWKWARD
    metric.update(list(references), [predictions[image] for image in references], list(references.values()))
    found = metric.per_example()
    assert found.per_image == per_image
    assert found.corpus == pytest.approx(corpus, abs=1e-12)
    assert found.per_image["script"] < 1


def test_failing_program_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    require_java()
    monkeypatch.setenv("_JAVA_OPTIONS", "-Xmx8m")
    with pytest.raises(NotComputed, match=r"meteor was not computed: its Java program ended with: .*OutOfMemoryError"):
        meteor(*AWKWARD)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_no_java_is_left_behind(sent: signal.Signals) -> None:
    require_java()
    if not Path("/proc/self/task").exists():
        pytest.skip("looks for processes in /proc")
    code = (
        "from mmbench.metrics import meteor; num = 100_000; print(flush=True); "
        "meteor({i: ['a cat sat on the mat'] * 5 for i in range(num)}, dict.fromkeys(range(num), 'a cat'))"
    )
    python = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    children = Path(f"/proc/{python.pid}/task/{python.pid}/children")
    try:
        java = wait_for(lambda: [int(pid) for pid in children.read_text().split() if is_scoring(int(pid))])[0]
        os.kill(python.pid, sent)
        _, said = python.communicate(timeout=60)
        assert ("KeyboardInterrupt" in said) == (sent == signal.SIGINT)
        wait_for(lambda: not is_scoring(java))
    finally:
        python.kill()


def is_scoring(pid: int) -> bool:
    """Whether a process is METEOR's; one that has ended has no command any more."""
    try:
        return b"meteor-1.5.jar" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


def wait_for(condition: Any, seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found
