"""A finished run's folder, as the harness leaves it, with made-up numbers: what the report is tested on."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from mmbench.report.run_data import load_run
from mmbench.report.summary import build_summary

KINDS = ("existence", "count", "colour", "shape", "position", "relation", "comparison")
WORDS = ("red", "blue", "green", "circle", "square", "yes", "no", "two", "three", "left")
SYSTEMS = ("unified", "crossattn", "hybrid")
BASELINES = ("chance", "majority", "blind")
RETRIEVAL = [f"{way}_recall@{k}" for way in ("text_to_image", "image_to_text") for k in (1, 5, 10)]


def write_run(
    path: Path,
    systems=SYSTEMS,
    seeds=3,
    images=150,
    failed=(),
    waiting=(),
    questions=True,
    latency=True,
    composition=True,
    pictures=True,
    awkward="",
) -> Path:
    """Write the folder; ``failed`` and ``waiting`` name cells as (system, seed); ``awkward`` goes into every text."""
    rng = np.random.default_rng(0)
    path.mkdir(parents=True)
    cells, scores, predictions = [], [], []
    for number, system in enumerate([*systems, *BASELINES]):
        baseline = system in BASELINES
        for seed in range(1 if system == "majority" else seeds):
            status = "failed" if (system, seed) in failed else "waiting" if (system, seed) in waiting else "done"
            cells.append(
                write_cell(path, system, seed, number, "baseline" if baseline else "system", status, questions)
            )
            if status != "done":
                continue
            quality = {"chance": 0.25, "majority": 0.3, "blind": 0.36}.get(system, 0.55 + 0.05 * (number % 4))
            quality += rng.normal(0, 0.008)
            scores += cell_scores(rng, system, seed, quality, images, questions, "test")
            predictions += cell_predictions(rng, system, seed, images, questions, awkward)
    write_frames(path, scores, predictions)
    if composition:
        frame = [row for row in scores if row[2] in ("vqa_accuracy", "cider_d")]
        shifted = [(*row[:5], max(row[5] - 0.1 * rng.random(), 0.0)) for row in frame]
        pd.DataFrame(shifted, columns=SCORE_COLUMNS).to_parquet(path / "scores_composition.parquet")
    if latency:
        write_latency(path, systems)
    write_examples(path, [*systems, *BASELINES], pictures, awkward)
    write_settings(path, systems, seeds, images, questions, awkward)
    return path


SCORE_COLUMNS = ["system", "seed", "metric", "example_id", "cluster_id", "score"]


def cell_scores(rng, system, seed, quality, images, questions, split):
    rows = []
    hard = np.random.default_rng(7).normal(0, 0.15, images)
    for image in range(images):
        chance = np.clip(quality + hard[image], 0, 1)
        for question in range(7 if questions else 0):
            rows.append(
                (system, seed, "vqa_accuracy", f"q{image}-{question}", f"i{image}", float(rng.random() < chance))
            )
        rows.append((system, seed, "cider_d", f"i{image}", f"i{image}", float(rng.gamma(2, chance))))
        for metric in RETRIEVAL:
            top = int(metric.split("@")[1])
            trained = system not in BASELINES
            found = min(1.0, (0.1 + 0.09 * top) * (chance if trained else 0.1))
            for suffix in ("", "/optimistic", "/pessimistic"):
                rows.append((system, seed, metric + suffix, f"i{image}", f"i{image}", float(rng.random() < found)))
        for metric, value in (("text_loss_before", 1.402), ("text_loss", 1.402 + (0.05 if system == "unified" else 0))):
            if system not in ("chance", "majority"):
                rows.append((system, seed, metric, f"i{image}", f"i{image}", value + 0.2 * hard[image] + 0.01 * seed))
    return rows


def cell_predictions(rng, system, seed, images, questions, awkward):
    rows = []
    for image in range(images):
        for question in range(7 if questions else 0):
            answer = WORDS[rng.integers(len(WORDS))]
            kind = KINDS[question]
            rows.append(
                (
                    system,
                    seed,
                    "answer",
                    f"q{image}-{question}",
                    f"Q: what? {awkward} A:",
                    answer,
                    [answer] * 10,
                    kind,
                    f"i{image}",
                    "test",
                )
            )
        text = f"a {WORDS[rng.integers(3)]} circle on a grey ground {awkward}"
        rows.append(
            (system, seed, "caption", f"i{image}", "Caption:", text, [text, "a circle"], "", f"i{image}", "test")
        )
    return rows


def write_frames(path, scores, predictions):
    pd.DataFrame(scores, columns=SCORE_COLUMNS).to_parquet(path / "scores.parquet")
    columns = [
        "system",
        "seed",
        "task",
        "example_id",
        "prompt",
        "prediction",
        "references",
        "kind",
        "image_id",
        "split",
    ]
    pd.DataFrame(predictions, columns=columns).to_parquet(path / "predictions.parquet")


def write_cell(path, system, seed, number, kind, status, questions):
    folder = path / "cells" / system / f"seed{seed}"
    folder.mkdir(parents=True)
    trained = system not in ("chance", "majority")
    ledger = {
        **{"parameters_total": 2_310_000 + 8_000 * number, "parameters_trainable": 1_840_000 + 90_000 * number},
        **{"parameters_active": 2_300_000 + 8_000 * number, "flops": 3.1e13 * (1 - 0.1 * (number % 3))},
        **{"samples": 20_000, "tokens": 412_000, "steps": 105, "epochs": 1.12, "device_s": 61.4 + 3 * number},
        **{"waiting_s": 0.8, "validation_s": 3.1, "evaluation_s": 14.2, "wall_s": 88.0 + number, "tuning": 0},
        **{"peak_memory_bytes": 812_000_000 + 20_000_000 * number, "budget_asked": 20_000, "budget_unit": "samples"},
        **{"budget_spent": 20_000 if number != 1 else 20_304, "deviation": 0.0 if number != 1 else 0.0152},
        "image_tokens": {"unified": 36, "crossattn": 0}.get(system, 18),
    }
    not_applicable = {} if questions else {"vqa_accuracy": "the data has no questions"}
    if not trained:
        not_applicable["text_loss"] = not_applicable["text_loss_before"] = "no language model"
    cell = {
        **{"system": system, "seed": seed, "kind": kind, "status": status, "family": system if trained else "none"},
        **{"reason": "out of memory: tried to allocate 2.1 GB at step 40 [#12]" if status == "failed" else None},
        **{"paper": "LLaVA-type prefix", "weights_hash": "9f2c" * 16, "not_applicable": not_applicable},
        "stages": [
            {"share": 0.2, "trains": ["connector"], "frozen": ["encoder", "language_model"]},
            {"share": 0.8, "trains": ["connector", "language_model"], "frozen": ["encoder"]},
        ],
        "ledger": ledger if trained and status == "done" else {},
    }
    (folder / "cell.json").write_text(json.dumps(cell))
    if trained and status != "waiting":
        write_log(folder, number, seed)
    return cell


def write_log(folder, number, seed):
    rng = np.random.default_rng(100 * number + seed)
    with (folder / "log.jsonl").open("w") as log:
        for step in range(0, 105, 5):
            fraction = step / 104
            loss = 1.1 + 2.8 * np.exp(-4 * fraction) + 0.05 * number + rng.normal(0, 0.04)
            line = {"step": step, "fraction": fraction, "samples": step * 190, "loss": loss, "caption_loss": loss / 2}
            log.write(json.dumps(line | {"learning_rate": 1e-3, "time_s": step * 0.6}) + "\n")
            if step % 20 == 0:
                line = {"step": step, "fraction": fraction, "samples": step * 190, "validation_loss": loss + 0.08}
                log.write(json.dumps(line) + "\n")


def write_latency(path, systems):
    rows = []
    base = {
        "first_token_s": 0.006,
        "per_token_s": 0.002,
        "caption_s": 0.04,
        "embed_image_s": 0.004,
        "embed_text_s": 0.002,
    }
    for number, system in enumerate(systems):
        for batch_size in (1, 32):
            for factor in (1, 2):
                tokens = 36 * factor**2 if system != "crossattn" else 0
                shared = {"system": system, "batch_size": batch_size, "image_size": 48 * factor, "image_tokens": tokens}
                shared |= {"num_repeats": 30, "peak_memory_bytes": 600_000_000 * factor}
                for measure, value in base.items():
                    slow = value * (1 + 0.12 * number) * batch_size**0.6 * (factor if number != 1 else 1.1)
                    rows.append(shared | {"measure": measure, "p50": slow, "p95": 1.2 * slow, "unit": "s"})
                speed = {"measure": "tokens_per_s", "p50": 500.0 / (1 + number), "p95": 400.0, "unit": "1/s"}
                rows.append(shared | speed)
    device = "AMD EPYC, 2 cores"
    (path / "latency.json").write_text(json.dumps({"device": device, "repeats": 30, "rows": rows}))


def write_examples(path, systems, pictures, awkward):
    rng = np.random.default_rng(5)
    (path / "examples").mkdir()
    examples = []
    for number in range(6):
        picture = None
        if pictures:
            image = Image.new("RGB", (192, 192), tuple(int(v) for v in rng.integers(170, 240, 3)))
            draw = ImageDraw.Draw(image)
            for _ in range(4):
                x, y, side = (int(v) for v in rng.integers(20, 130, 3))
                colour = tuple(int(v) for v in rng.integers(0, 255, 3))
                (draw.ellipse if rng.random() < 0.5 else draw.rectangle)(
                    (x, y, x + side // 2 + 10, y + side // 2 + 10), colour
                )
            picture = f"examples/{number}.png"
            image.save(path / picture)
        caption = number % 2 == 0
        prompt = "Caption:" if caption else f"what colour is the small shape left of the circle? {awkward}"
        references = ["a red circle above a small blue square", "two shapes on grey"] if caption else ["blue"] * 10
        answers = {
            name: f"a {WORDS[rng.integers(3)]} circle near a square {awkward}" if caption else WORDS[rng.integers(4)]
            for name in systems
        }
        example = {"example_id": f"q{number}", "image_id": f"i{number}", "picture": picture, "prompt": prompt}
        example |= {"task": "caption" if caption else "answer", "references": references, "answers": answers}
        examples.append(example | {"rule": "the examples on which the systems' scores differ most"})
    (path / "examples.json").write_text(json.dumps(examples))


def write_settings(path, systems, seeds, images, questions, awkward):
    names = "".join(f"  {json.dumps(name)}: {{family: unified}}\n" for name in systems)
    (path / "comparison.yaml").write_text(
        f"name: run\nscale: tiny\nsystems:\n{names}budget: 20000samples\nimage_size: 48\nseeds: {list(range(seeds))}\n"
        "baselines: [chance, majority, blind]\n"
    )
    (path / "command.txt").write_text(f"mmbench compare {' '.join(systems)} --seeds 3 --budget 20000samples\n")
    packages = {"torch": "2.9.0", "lightning": "2.5", "timm": "1.0.20", "numpy": "2.3", "typst": "0.14"}
    environment = {"python": "3.12.4", "platform": "Linux x86_64", "cpu": "AMD EPYC 7763", "num_cores": 2, "gpu": None}
    (path / "environment.json").write_text(json.dumps(environment | {"packages": packages, "mmbench": "0.1.0"}))
    probe = {"attention": "plain", "precision": "bf16-mixed", "micro_batch_rows": 64, "threads": 2, "device": "cpu"}
    (path / "probe.json").write_text(json.dumps(probe | {"timings_s": {"plain": 0.2, "sdpa": 0.5}}))
    split = {"images": images, "captions": 5 * images, "questions": 7 * images * questions}
    data = {"name": "scenes", "fingerprint": "ab12" * 16, "tokenizer_hash": "cd34" * 16, "vocab_size": 1024}
    data |= {
        "redistributable": True,
        "splits": {"train": split, "test": split},
        "tasks": ["caption", "answer", "retrieve"],
    }
    data["set_aside"] = [{"id": f"i900{awkward}", "reason": "file is cut short"}, {"id": "i901", "reason": "missing"}]
    (path / "data.json").write_text(json.dumps(data))
    ledger = {"steps": 600, "samples": 76_800, "flops": 4.2e12, "device_s": 70.1, "parameters_total": 800_000}
    line = {"hash": "77ab" * 16, "weights_hash": "12fe" * 16, "ledger": ledger}
    lines = [{"name": "encoder"} | line, {"name": "language_model"} | line]
    (path / "pretraining.json").write_text(json.dumps(lines))


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory):
    """A finished run of three systems, three baselines and three seeds."""
    return write_run(tmp_path_factory.mktemp("runs") / "run", images=40)


@pytest.fixture(scope="session")
def whole_summary(run_dir):
    """Its summary; copied by tests that change it."""
    return build_summary(load_run(run_dir))


@pytest.fixture
def make_run(tmp_path):
    """Writes runs of one's own: ``make_run(seeds=1, failed=[...])``."""
    return lambda name="run", **options: write_run(tmp_path / "runs" / name, **options)
