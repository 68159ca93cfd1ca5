"""``mmbench import`` and ``mmbench export`` as a user meets them, without any network."""

import hashlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from mmbench.cli.main import main
from mmbench.data.prompts import CAPTION_PROMPT
from mmbench.data.tokenizer import train_tokenizer
from mmbench.harness.opened import open_run
from mmbench.harness.run_files import RunFiles
from tests.interchange.agreement import scrambled
from tests.interchange.test_composed import LLAVA, TOWER
from tests.interchange.test_llava import llava

transformers = pytest.importorskip("transformers")

MICRO = [
    "--seeds",
    "1",
    "--no-report",
    "--no-latency",
    "--set",
    "trainer.accelerator=cpu",
    "trainer.precision=32-true",
    "training.batch_rows=4",
    "training.contrastive_group=4",
    "budget=48samples",
    "evaluation.max_caption_tokens=4",
    "evaluation.max_answer_tokens=2",
    "data.sources.0.scenes.train=24",
    "data.sources.0.scenes.validation=8",
    "data.sources.0.scenes.test=8",
    "data.sources.0.scenes.composition=8",
]
NO_NETWORK = """
import socket

def refuse(self, address, *args):
    if self.family in (socket.AF_INET, socket.AF_INET6):
        raise AssertionError(f"the network was used: {address}")
    return connect(self, address, *args)

connect = socket.socket.connect
socket.socket.connect = refuse
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small LLaVA with a tokenizer of its own."""
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny-llava"
    folder.mkdir()
    tokenizer = train_tokenizer(["a red square and a blue circle", "how many objects are there? two"], 300)
    tokenizer.save(folder / "tokenizer.json")
    model = scrambled(llava(text={"vocab_size": tokenizer.vocab_size}))
    model.config.image_token_index = tokenizer.id_of("<image>")
    model.save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every use of a socket fails the test; what is written by default is written to a folder of the test."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"the network was used: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.chdir(tmp_path)


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one line that a refused command prints."""
    assert main(list(argv)) == 2
    error = capsys.readouterr().err
    assert error.startswith("mmbench: error: ") and error.count("\n") == 1
    return error


def test_import_and_export(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(checkpoint)]) == 0
    printed = capsys.readouterr().out
    assert "Imported as family 'unified', 32 pixels: imported/tiny-llava" in printed
    assert "mmbench compare imported/tiny-llava/system.yaml --scale imported/tiny-llava/scale.yaml" in printed
    assert main(["export", "imported/tiny-llava", "back"]) == 0
    theirs, back = load_file(checkpoint / "model.safetensors"), load_file(Path("back") / "model.safetensors")
    assert len(theirs) == len(back)
    assert json.loads((Path("back") / "config.json").read_text()) == json.loads(
        (checkpoint / "config.json").read_text()
    )
    assert (Path("back") / "tokenizer.json").is_file()
    assert {path.suffix for path in Path("back").iterdir()} == {".json", ".safetensors"}
    assert "is there already" in refused(capsys, "import", str(checkpoint))
    assert "is there already" in refused(capsys, "export", "imported/tiny-llava", "back")


def test_mistakes_are_one_line_and_leave_nothing(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    Path("other").mkdir()
    (Path("other") / "config.json").write_text('{"model_type": "bert"}')
    assert "there is no such folder" in refused(capsys, "import", "nowhere")
    assert "offline" in refused(capsys, "import", "nobody/nothing", "--offline")
    assert "has no config.json" in refused(capsys, "import", "empty")
    assert "has model_type 'bert', which cannot be imported" in refused(capsys, "import", "other")
    assert "there is no folder 'nowhere'" in refused(capsys, "export", "nowhere", "new")
    assert "is no imported checkpoint" in refused(capsys, "export", str(checkpoint), "new")
    assert {path.name for path in Path().iterdir()} == {"empty", "other"}


def run(*words: str) -> None:
    """A command in processes of its own, none of which may use the network."""
    Path("startup").mkdir(exist_ok=True)
    (Path("startup") / "sitecustomize.py").write_text(NO_NETWORK)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CI": "true", "PYTHONPATH": str(Path("startup").resolve())}
    environment.pop("MLFLOW_TRACKING_URI", None)
    ended = subprocess.run(
        [sys.executable, "-m", "mmbench", *words], env=environment, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.slow
def test_an_imported_checkpoint_is_scored_as_published_and_trained_further(checkpoint: Path) -> None:
    run("import", str(checkpoint), "--to", "ours")
    compare = ["compare", "tiny=ours/system.yaml", "--scale", "ours/scale.yaml", "--data", "scenes"]
    run(*compare, "--name", "scored", *MICRO)
    files = RunFiles(Path("runs") / "scored")
    cell = files.cell("tiny", 0).read()
    assert cell["status"] == "done" and cell["stages"] == [] and cell["ledger"]["samples"] == 0
    weights = (Path("ours") / "system.safetensors").read_bytes()
    assert cell["starting_weights_hash"] == hashlib.sha256(weights).hexdigest()[:16]
    scores = pd.read_parquet(files.scores()).pivot(index=["system", "example_id"], columns="metric", values="score")
    texts = scores.loc["tiny", ["text_loss", "text_loss_before"]].dropna()
    assert len(texts) > 8 and (texts["text_loss"] - texts["text_loss_before"]).abs().max() == 0, "nothing was trained"
    published = transformers.LlavaForConditionalGeneration.from_pretrained(checkpoint).eval()
    assert captions_of(published, files) == captions_in(files)

    further = ["systems.tiny.stages=[{share: 1.0, train: [connector, language_model]}]"]
    run(*compare, "--name", "tuned", *MICRO, *further)
    run("export", "runs/tuned/cells/tiny/seed0", "tuned")
    tuned = transformers.LlavaForConditionalGeneration.from_pretrained("tuned").eval()
    same = {name: torch.equal(tensor, tuned.state_dict()[name]) for name, tensor in published.state_dict().items()}
    assert all(is_same for name, is_same in same.items() if "vision_tower" in name)
    assert not same["model.multi_modal_projector.linear_1.weight"]
    assert not same["model.language_model.layers.0.mlp.up_proj.weight"]
    files = RunFiles(Path("runs") / "tuned")
    assert captions_of(tuned, files) == captions_in(files)


@pytest.mark.slow
def test_a_system_of_llavas_parts_is_written_as_llava() -> None:
    tower = {"name": "vit_base_patch16_clip_224", "options": {**TOWER, "patch_size": 16}}
    system: dict[str, Any] = {"family": "unified", "options": LLAVA, "encoder": {**tower, "weights": "random"}}
    Path("mine.yaml").write_text(json.dumps(system))
    scale = Path(__file__).parents[1] / "harness" / "micro.yaml"
    run("compare", "mine.yaml", "--scale", str(scale), "--name", "mine", *MICRO, "baselines=[chance]")
    run("export", "runs/mine/cells/mine/seed0", "mine")
    model = transformers.LlavaForConditionalGeneration.from_pretrained("mine").eval()
    files = RunFiles(Path("runs") / "mine")
    assert captions_of(model, files) == captions_in(files)
    assert (Path("mine") / "tokenizer.json").is_file()


def captions_in(files: RunFiles) -> list[str]:
    """What the cell wrote about the first test images."""
    system = next(path.name for path in (files.root / "cells").iterdir() if path.name in ("tiny", "mine"))
    table = pd.read_parquet(files.cell(system, 0).predictions)
    captions = table[(table.task == "caption") & (table.split == "test")].sort_values("example_id")
    return list(captions.prediction)


@torch.no_grad()
def captions_of(model: Any, files: RunFiles) -> list[str]:
    """What transformers writes about the same images."""
    module = open_run(files.root).datamodule
    split, tokenizer = module.split("test"), module.tokenizer
    mean, std = transformers.CLIPImageProcessor().image_mean, transformers.CLIPImageProcessor().image_std
    written = []
    for number in range(8):
        pixels = split.images([number]).float() / 255
        pixels = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
        patches = (pixels.shape[-1] // model.config.vision_config.patch_size) ** 2
        image = [model.config.image_token_index] * patches
        ids = torch.tensor([[tokenizer.bos_id, *image, *tokenizer.encode(CAPTION_PROMPT)]])
        found = model.generate(
            input_ids=ids,
            pixel_values=pixels,
            max_new_tokens=4,
            do_sample=False,
            eos_token_id=tokenizer.eos_id,
            pad_token_id=tokenizer.eos_id,
        )
        written.append(tokenizer.decode(found[0, ids.shape[1] :].tolist()))
    return written
