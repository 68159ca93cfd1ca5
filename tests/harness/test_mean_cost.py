"""What a test image costs is a mean where images differ in size."""

from pathlib import Path

import pytest

from mmbench.config.load import load_settings
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.harness.cell import mean_cost
from mmbench.harness.starting_point import assemble


def test_an_image_costs_the_mean_of_images_of_many_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"train": 24, "validation": 4, "test": 40, "composition": 0}
    overrides = [
        "encoder.weights=random",
        "language_model.weights=random",
        "tokenizer.vocab_size=300",
        "systems.pixtral.encoder.weights=random",
        *(f"data.sources.0.scenes.{split}={number}" for split, number in few.items()),
    ]
    settings = load_settings(["pixtral"], data="scenes-oblong", overrides=overrides)
    datamodule = MultimodalDataModule(settings, tmp_path / "cache", seed=0)
    datamodule.prepare_data()
    datamodule.setup()
    family = assemble(settings.systems["pixtral"], settings, datamodule, tmp_path)
    split, asked = datamodule.split("test"), []
    of_each = [family.cost(split.images([i]), split.sizes([i])) for i in range(32)]
    assert len({tuple(size) for size in split.sizes(range(32)).tolist()}) > 1
    cost = type(family).cost
    monkeypatch.setattr(type(family), "cost", lambda *given: asked.append(1) or cost(*given))
    found = mean_cost(family, datamodule)
    assert len(asked) == len({tuple(size) for size in split.sizes(range(32)).tolist()}), "once for each size"
    for name in ("image_tokens", "context_tokens"):
        assert found[name] == round(sum(one[name] for one in of_each) / 32)
    assert len({one["context_tokens"] for one in of_each}) > 1
    assert found["parameters_total"] == of_each[0]["parameters_total"]
