"""``mmbench score`` as a user meets it: tables, files, notes, exit codes, and no half-written file."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mmbench.cli.main import build_parser, main
from mmbench.metrics import recall_from_scores, vqa_accuracy
from tests.metrics.reference import reference_scores
from tests.scoring.files import (
    annotations_of,
    answers_of,
    captions_of,
    questions_of,
    results_of,
    write_array,
    write_json,
)

REFERENCES = {
    5: ["a cat sat on the mat", "the cat is here"],
    9: ["two dogs run in the park", "dogs running"],
    2: ["a sign that reads K.", "a red sign"],
    40: ["somebody else's picture"],
}
CAPTIONS = {9: "two dogs run", 5: "A cat on a mat.", 2: "a sign"}
ANSWERS = {1: ["yes"] * 7 + ["no"] * 3, 4: ["2"] * 3 + ["3"] * 7, 6: ["dog"] * 9 + ["cat"]}
KINDS = {1: ("yes/no", "is the"), 4: ("number", "how many"), 6: ("other", "what")}
PREDICTIONS = {1: "yes", 4: "two", 6: "a bird"}
OWNER = [0, 0, 1, 2]
SIMILARITY = np.array([[0.9, 0.1, 0.2], [0.3, 0.5, 0.1], [0.5, 0.6, 0.7], [0.1, 0.2, 0.3]])


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the commands below name, in the current folder."""
    monkeypatch.chdir(tmp_path)
    write_json(tmp_path / "captions.json", captions_of(REFERENCES))
    write_json(tmp_path / "results.json", results_of(CAPTIONS))
    write_json(tmp_path / "q.json", questions_of(list(ANSWERS)))
    write_json(tmp_path / "a.json", annotations_of(ANSWERS, KINDS))
    write_json(tmp_path / "r.json", answers_of(PREDICTIONS))
    write_array(tmp_path / "sim.npy", SIMILARITY)
    write_array(tmp_path / "own.npy", OWNER)
    write_array(tmp_path / "images.npy", np.eye(3))
    write_array(tmp_path / "texts.npy", SIMILARITY)
    return tmp_path


COMMANDS = {
    "captions": "score captions --references captions.json --results results.json",
    "vqa": "score vqa --questions q.json --annotations a.json --results r.json",
    "retrieval": "score retrieval --similarity sim.npy --caption-image own.npy --ks 1 2",
}


def rows_of(text: str) -> dict[str, list[str]]:
    """The cells behind the first word of each line of a table."""
    return {words[0]: words[1:] for words in map(str.split, text.splitlines()) if words}


def refused(capsys: pytest.CaptureFixture[str], line: str) -> str:
    """The one line that a refused command prints."""
    assert main(line.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("mmbench: error: ") and captured.err.count("\n") == 1
    return captured.err


def values_of(task: str, more: str = "") -> Any:
    assert main(f"{COMMANDS[task]} --json out.json {more}".split()) == 0
    return json.loads(Path("out.json").read_text())


def test_captions(capsys: pytest.CaptureFixture[str]) -> None:
    values = values_of("captions")
    captured = capsys.readouterr()
    assert list(values) == ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d"]
    assert re.fullmatch(
        r"results\.json: 3 images \(set [0-9a-f]{12}\), 1 without a result", captured.out.splitlines()[0]
    )
    shown = rows_of(captured.out)
    for name, value in values.items():
        # As COCO's evaluation prints them, times 100.
        assert shown[name] == [f"{float(f'{value:.3f}') * 100:.1f}"]
    assert captured.err == ""


def test_captions_equal_the_reference() -> None:
    values = values_of("captions")
    images = sorted(CAPTIONS)
    expected = reference_scores({i: REFERENCES[i] for i in images}, {i: CAPTIONS[i] for i in images})
    assert abs(values["cider_d"] - expected["cider_d"].mean()) < 1e-9
    assert abs(values["rouge_l"] - expected["rouge_l"].mean()) < 1e-9
    assert np.abs(np.array([values[f"bleu_{n}"] for n in range(1, 5)]) - expected["bleu"]).max() < 1e-9


def test_vqa(capsys: pytest.CaptureFixture[str]) -> None:
    values = values_of("vqa")
    scores = vqa_accuracy(PREDICTIONS, ANSWERS)
    assert scores == pytest.approx({1: 1.0, 4: 0.9, 6: 0.0})
    assert values == pytest.approx(
        {"vqa_accuracy": 1.9 / 3, "vqa_accuracy/number": 0.9, "vqa_accuracy/other": 0.0, "vqa_accuracy/yes/no": 1.0}
    )
    shown = rows_of(capsys.readouterr().out)
    assert shown["vqa_accuracy"] == ["63.33"] and shown["vqa_accuracy/yes/no"] == ["100.00"]
    assert values_of("vqa", "--question-types")["vqa_accuracy/question_type/how many"] == pytest.approx(0.9)


def test_retrieval(capsys: pytest.CaptureFixture[str]) -> None:
    values = values_of("retrieval")
    assert values == recall_from_scores(SIMILARITY, OWNER).summary((1, 2))
    shown = rows_of(capsys.readouterr().out)
    assert shown["text_to_image_recall@1"] == ["50.0", "50.0", "50.0"]
    assert shown["text_to_image_median_rank"] == ["1.5"]
    assert not any("/" in name for name in shown), "the bounds under ties stand beside the score"
    embeddings = "score retrieval --image-embeddings images.npy --text-embeddings texts.npy --caption-image own.npy"
    assert main(f"{embeddings} --ks 1 2 --json again.json".split()) == 0
    assert json.loads(Path("again.json").read_text()) == values, "the images are the axes"
    assert main(f"{embeddings} --normalize --json cosine.json".split()) == 0
    assert "text_to_image_recall@10" in json.loads(Path("cosine.json").read_text())


@pytest.mark.parametrize("task", COMMANDS)
def test_compressed_files_give_the_same(task: str) -> None:
    plain = values_of(task)
    for file in list(Path().iterdir()):
        if file.name in COMMANDS[task].split():
            file.write_bytes(gzip.compress(file.read_bytes()))
    assert values_of(task) == plain


@pytest.mark.parametrize("task", COMMANDS)
def test_means_of_the_examples_are_the_values(task: str) -> None:
    values = values_of(task, "--per-example scores.parquet")
    frame = pd.read_parquet("scores.parquet")
    assert list(frame.columns) == ["metric", "example_id", "cluster_id", "score"]
    for metric, rows in frame.groupby("metric"):
        assert all(isinstance(example, str) for column in ("example_id", "cluster_id") for example in rows[column])
        assert rows["example_id"].is_unique
        if not metric.startswith("bleu"):
            assert rows["score"].mean() == pytest.approx(values[metric], abs=1e-12)
    per_metric = frame.groupby("metric").size().to_dict()
    if task == "captions":
        assert per_metric == dict.fromkeys(values, 3)
        assert (frame["example_id"] == frame["cluster_id"]).all()
    elif task == "vqa":
        assert per_metric == {"vqa_accuracy": 3}
        assert frame["cluster_id"].tolist() == ["0", "0", "1"]
    else:
        assert per_metric["text_to_image_recall@2/optimistic"] == 4 and per_metric["image_to_text_recall@1"] == 3
        captions = frame[frame["metric"] == "text_to_image_recall@1"]
        assert captions["cluster_id"].tolist() == list(map(str, OWNER))


def test_warnings_are_notes_without_a_place_in_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    write_json(Path("a.json"), annotations_of(ANSWERS | {6: ["dog"]}, KINDS))
    assert main(COMMANDS["vqa"].split()) == 0
    err = capsys.readouterr().err
    assert err.startswith("note: questions with fewer than 4 answers") and err.count("\n") == 1
    assert ".py" not in err
    assert main(f"{COMMANDS['retrieval']} 50".split()) == 0
    assert "note: text_to_image recall@50 is 1: there are only 3 candidates\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("score", "no task is given"),
        ("score caption", "invalid choice: 'caption'"),
        ("score captions", "--references, --results are missing (see 'mmbench score captions --help')"),
        ("score captions --references captions.json", "--results is missing"),
        ("score vqa --questions q.json --results r.json", "--annotations is missing"),
        ("score retrieval --similarity sim.npy", "--caption-image is missing"),
        ("score retrieval --caption-image own.npy", "give --similarity, or --image-embeddings and --text-embeddings"),
        ("score retrieval --caption-image own.npy --text-embeddings texts.npy", "give --similarity, or"),
        (f"{COMMANDS['retrieval']} --image-embeddings images.npy", "--similarity and --image-embeddings are given"),
        (f"{COMMANDS['retrieval']} --normalize", "--similarity and --normalize are given"),
        (f"{COMMANDS['retrieval']} 0", "--ks has 0; every K must be at least 1"),
        (f"{COMMANDS['retrieval']} x", "--ks: expected a whole number, got x"),
        (f"{COMMANDS['captions']} --per-example out.csv", "its name must end in .parquet"),
        (f"{COMMANDS['captions']} --json .", "which is not a file"),
        (f"{COMMANDS['captions']} --json results.json", "--json would overwrite --results"),
        (f"{COMMANDS['captions']} --json captions.json/out.json", "is a file; a folder is needed there"),
        (f"{COMMANDS['captions']} --all-images", "1 of 4 images in 'captions.json' have no result"),
        (COMMANDS["captions"].replace("results.json", "none.json"), "there is no file 'none.json'"),
        (COMMANDS["captions"].replace("results.json", "captions.json"), "is an object; a list of objects is needed"),
        (COMMANDS["captions"].replace("results.json", "sim.npy"), "'sim.npy' is not JSON"),
        (COMMANDS["vqa"].replace("q.json", "a.json"), "'a.json' has no 'questions'"),
        (COMMANDS["retrieval"].replace("sim.npy", "q.json"), "'q.json' cannot be read as an array"),
        (COMMANDS["retrieval"].replace("sim.npy", "own.npy"), "scores need the shape [captions, images], not [4]"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    line: str, message: str, capsys: pytest.CaptureFixture[str], files: Path
) -> None:
    before = sorted(files.iterdir())
    assert message in refused(capsys, line)
    assert sorted(files.iterdir()) == before, "a refused command leaves nothing behind"


@pytest.mark.parametrize(
    ("references", "results", "message"),
    [
        ({5: ["x"]}, {}, "no samples"),
        ({}, {5: "x"}, "no samples"),
        ({5: ["x"], 6: []}, {6: "x"}, "1 of 1 images in 'results.json' have no captions in 'captions.json': 6"),
        ({5: ["x"]}, {5: None}, "'caption' of image 5 in 'results.json' is null, not a string"),
        ({5: ["x"]}, {5: float("nan")}, "is the number nan, not a string"),
        ({5: [7]}, {5: "x"}, "'caption' of image 5 in 'captions.json' is the number 7, not a string"),
        ({5: ["x"]}, {5: "\ud800 x"}, "half of a surrogate pair"),
        ({5: ["x"]}, {n: "x" for n in range(10, 20)}, "10 of 10 images in 'results.json' have no captions"),
    ],
)
def test_captions_that_cannot_be_scored(
    references: Any, results: Any, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json(Path("captions.json"), captions_of(references))
    write_json(Path("results.json"), results_of(results))
    assert message in refused(capsys, COMMANDS["captions"])


def test_two_captions_for_one_image(capsys: pytest.CaptureFixture[str]) -> None:
    write_json(Path("results.json"), [*results_of(CAPTIONS), {"image_id": 9, "caption": "no dogs"}])
    assert "image 9 has more than one row in 'results.json'" in refused(capsys, COMMANDS["captions"])
    write_json(Path("results.json"), results_of(CAPTIONS) * 2)
    assert main(COMMANDS["captions"].split()) == 0
    assert "note: 3 rows of the results repeat another and are dropped\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("captions", "value", "note"),
    [
        ({5: "a cat sat on the mat"}, 0.0, "note: CIDEr-D is 0 for one image"),
        ({5: "", 9: "..."}, 0.0, "note: 2 predictions of 2 have no words"),
    ],
)
def test_captions_that_score_nothing_say_why(
    captions: Any, value: float, note: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json(Path("results.json"), results_of(captions))
    assert values_of("captions")["cider_d"] == value
    assert note in capsys.readouterr().err


def test_empty_references_are_scored_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    write_json(Path("captions.json"), captions_of({5: [""], 9: [""]}))
    write_json(Path("results.json"), results_of({5: "", 9: "a dog"}))
    values = values_of("captions")
    assert values["cider_d"] == 0.0 and values["rouge_l"] == 0.5
    err = capsys.readouterr().err
    assert "note: 2 images with an empty reference: 5, 9\n" in err
    assert "note: CIDEr-D is 0: all references are empty\n" in err


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ({1: "yes"}, "2 of 3 questions in 'q.json' have no result in 'r.json': 4, 6"),
        (PREDICTIONS | {8: "x"}, "1 of 4 results in 'r.json' are for questions that are not in 'q.json': 8"),
        (PREDICTIONS | {4: 2}, "'answer' of question 4 in 'r.json' is the number 2, not a string"),
        ({}, "no samples"),
    ],
)
def test_answers_that_cannot_be_scored(results: Any, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(Path("r.json"), answers_of(results))
    assert message in refused(capsys, COMMANDS["vqa"])


def test_questions_that_cannot_be_scored(capsys: pytest.CaptureFixture[str]) -> None:
    write_json(Path("r.json"), [*answers_of(PREDICTIONS), {"question_id": 4, "answer": "3"}])
    assert "question 4 has more than one row in 'r.json'" in refused(capsys, COMMANDS["vqa"])
    write_json(Path("r.json"), answers_of(PREDICTIONS))
    write_json(Path("a.json"), annotations_of(ANSWERS | {6: []}, KINDS))
    assert "1 questions have no answers in 'a.json': 6" in refused(capsys, COMMANDS["vqa"])
    write_json(Path("a.json"), annotations_of({1: ANSWERS[1]}, KINDS))
    assert "2 of 3 questions in 'q.json' have no annotation in 'a.json': 4, 6" in refused(capsys, COMMANDS["vqa"])


@pytest.mark.parametrize(
    ("matrix", "owner", "message"),
    [
        (np.where(SIMILARITY == 0.9, np.nan, SIMILARITY), OWNER, "not numbers (NaN) for 1 images and 1 captions"),
        (SIMILARITY, [0, 0, 1, 3], "1 captions belong to unknown images, such as caption 3 to image 3 of 3"),
        (SIMILARITY, OWNER[:3], "the matrix must be transposed"),
        (SIMILARITY[:2], OWNER, "caption_image has the shape [4], but there are 2 captions"),
        (np.zeros((0, 3)), [], "no samples"),
    ],
)
def test_similarities_that_cannot_be_scored(
    matrix: np.ndarray, owner: list[int], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_array(Path("sim.npy"), matrix)
    write_array(Path("own.npy"), np.array(owner, dtype=np.int64))
    assert message in refused(capsys, COMMANDS["retrieval"])


def test_images_without_captions_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    write_array(Path("own.npy"), [0, 0, 1, 1])
    assert main(COMMANDS["retrieval"].split()) == 0
    assert "note: 1 image without captions: candidates, no queries\n" in capsys.readouterr().err


def test_a_link_stays_a_link(files: Path) -> None:
    (files / "out.json").symlink_to("elsewhere.json")
    assert "cider_d" in values_of("captions")
    assert (files / "out.json").is_symlink() and (files / "elsewhere.json").is_file()


@pytest.mark.parametrize("task", ["captions", "vqa", "retrieval"])
def test_each_task_has_help(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        build_parser().parse_args(["score", task, "--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert "--per-example" in out and "--json" in out


@pytest.mark.parametrize("task", ["captions", "vqa"])
def test_scoring_text_loads_no_torch(task: str) -> None:
    heavy = ("torch", "lightning", "timm", "open_clip", "scipy", "mlflow")
    program = (
        "import sys, mmbench.cli.main as m\n"
        f"assert m.main({f'{COMMANDS[task]} --json out.json --per-example out.parquet'.split()!r}) == 0\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment()
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_ctrl_c_leaves_no_file(files: Path) -> None:
    results = files / "results.json"
    results.unlink()
    os.mkfifo(results)  # whoever reads it waits for a writer
    before = sorted(files.iterdir())
    command = [sys.executable, "-m", "mmbench", *COMMANDS["captions"].split(), "--json", "out.json"]
    process = subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    writer = opened_by_reader(results, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    os.close(writer)
    assert process.returncode == 130
    assert out == "" and "interrupted" in err and "Traceback" not in err
    assert sorted(files.iterdir()) == before


def opened_by_reader(fifo: Path, reader: "subprocess.Popen[str]") -> int:
    """The writing end of a FIFO, as soon as the reader has opened the other."""
    while reader.poll() is None:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"the command ended before it read: {reader.communicate()[1]}")


def environment() -> dict[str, str]:
    """For a process in another folder that is to find this package."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
