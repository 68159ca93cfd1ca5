"""What is said to be the same for all systems, and what is not."""

import json

import yaml

from mmbench.report import numbers
from mmbench.report.ledger_tables import pretraining_table
from mmbench.report.run_data import load_run
from mmbench.report.shared import shared_sentence
from mmbench.report.summary import build_summary
from mmbench.report.text import plain

FOUR = ("unified", "pixtral", "aria", "imported")


def test_without_parts_of_their_own_nothing_is_excepted(whole_summary, run_dir):
    said = plain(shared_sentence(load_run(run_dir)))
    assert "precision (bf16-mixed), weights of encoder and language model at the start. Baselines" in said
    table = pretraining_table(load_run(run_dir))
    assert [row[0].text for row in table.rows] == ["encoder", "language model"]


def test_parts_of_their_own_are_named_and_a_file_of_weights_has_its_hash(make_run):
    path = make_run(systems=FOUR, images=6, seeds=2)
    settings = yaml.safe_load((path / "comparison.yaml").read_text())
    systems = settings["systems"]
    systems["unified"]["language_model"] = {"mrope_sections": [4, 6, 6]}  # with the shared weights
    systems["pixtral"]["encoder"] = {"library": "native", "name": "pixtral"}
    systems["aria"] |= {"encoder": {"name": "other"}, "language_model": {"experts": {"num_experts": 4}}}
    systems["imported"] |= {"encoder": {"name": "other"}, "weights": "/data/imported/system.safetensors"}
    (path / "comparison.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    for file in path.glob("cells/imported/seed*/cell.json"):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"starting_weights_hash": "5afe" * 4}))
    run = load_run(path)
    expected = (
        "weights of encoder and language model at the start. But for: the encoder of pixtral and aria; the language "
        "model of aria; all weights of imported (read from a file). Baselines"
    )
    assert expected in plain(shared_sentence(run))
    table = pretraining_table(run)
    assert [cell.text for cell in table.rows[-1]][:3] == ["all of imported, from its file", "5afe" * 4, numbers.DASH]
    assert len(table.rows) == 3 and all(len(row) == len(table.header) for row in table.rows)
    assert build_summary(run)["systems"]["imported"]["starting_weights_hash"] == "5afe" * 4
    run.pretraining = []
    assert len(pretraining_table(run).rows) == 1
