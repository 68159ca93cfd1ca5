import copy
import json
import multiprocessing
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch

from mmbench.config.data import ScenesSettings, SourceSettings
from mmbench.config.errors import UserError
from mmbench.config.settings import Settings
from mmbench.data.batch import Batch
from mmbench.data.canvas import Canvas
from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.detect import detect_format
from mmbench.data.images import decode
from mmbench.data.tokenizer import train_tokenizer


def ready(settings: Settings, cache: Path, seed: int = 0) -> MultimodalDataModule:
    datamodule = MultimodalDataModule(settings, cache, seed)
    datamodule.prepare_data()
    datamodule.setup()
    return datamodule


def same(one: Batch, other: Batch) -> bool:
    tensors = ("images", "sizes", "token_ids", "segments", "positions", "roles", "labels", "classes")
    return one.sample_ids == other.sample_ids and all(torch.equal(getattr(one, t), getattr(other, t)) for t in tensors)


def test_a_batch_shows_the_images_its_texts_belong_to(own_settings: Settings, own_data: Path, tmp_path: Path) -> None:
    batch = ready(own_settings, tmp_path / "cache").train_batch(0, 0, 8)
    assert batch.images.shape == (8, 3, 8, 8) and batch.images.dtype == torch.uint8
    names = [name.split("#")[0] for name in batch.sample_ids if "#caption" in name][::2]
    for row, name in enumerate(names):
        assert np.array_equal(batch.images[row].numpy(), decode(str(own_data / name), Canvas(8)))


def test_the_frequent_answers_are_those_of_training(own_settings: Settings, tmp_path: Path) -> None:
    own_settings.data.num_answers = 3
    datamodule = ready(own_settings, tmp_path / "cache")
    assert datamodule.answers == [datamodule.tokenizer.encode(f" {answer}") for answer in ("2", "dog", "cat")]
    assert datamodule.answers_covered == 1
    datamodule.keep(tmp_path / "kept")
    other = MultimodalDataModule(own_settings, tmp_path / "cache", 0)
    assert other.take_up(tmp_path / "kept") and other.answers == datamodule.answers
    assert same(other.train_batch(0, 0, 8), datamodule.train_batch(0, 0, 8))
    assert (other.split("test").sizes([0, 3]) == 8).all() and other.train_batch(0, 0, 8).totals.classified > 0


def test_sizes_go_with_their_pictures(own_settings: Settings, tmp_path: Path) -> None:
    own_settings.image_size, own_settings.data.layout = 32, "native"
    scenes = ScenesSettings(train=12, validation=4, test=6, composition=2, aspects=[0.5, 1.0, 2.0])
    own_settings.data.sources.append(SourceSettings(scenes=scenes))
    datamodule = ready(own_settings, tmp_path / "cache")
    datamodule.keep(tmp_path / "kept")
    other = MultimodalDataModule(own_settings, tmp_path / "cache", 0)
    assert other.take_up(tmp_path / "kept")
    for module in (datamodule, other):
        batch, split = module.train_batch(1, 2, 5), module.split("test")
        seen = [(batch.images, batch.sizes), (split.images(range(12)), split.sizes(torch.arange(12)))]
        for images, sizes in seen:
            for image, (height, width) in zip(images, sizes.tolist(), strict=True):
                assert image[:, :height, :width].any(dim=0).all()
                assert not image[:, height:].any() and not image[:, :, width:].any()
        assert {tuple(size) for size in split.sizes(range(12)).tolist()} == {(12, 20), (32, 16), (32, 32), (16, 32)}
    assert datamodule.with_mode("text").train_batch(0, 0, 8).sizes.shape == (0, 2)
    black = MultimodalDataModule(own_settings, tmp_path, 0, decode=False)
    black.prepare_data()
    black.setup()
    assert torch.equal(black.train_batch(0, 0, 8).sizes, datamodule.train_batch(0, 0, 8).sizes)


def test_training_is_a_function_of_seed_and_step(own_settings: Settings, tmp_path: Path) -> None:
    first, again = (ready(own_settings, tmp_path / "cache") for _ in range(2))
    late = [again.train_batch(step, 0, 8) for step in (5, 2)]
    assert same(first.train_batch(2, 0, 8), late[1]) and same(first.train_batch(5, 0, 8), late[0])
    other = ready(own_settings, tmp_path / "cache", seed=1)
    assert not same(first.train_batch(0, 0, 8), other.train_batch(0, 0, 8))


def test_without_decoding_all_but_the_images_is_the_same(own_settings: Settings, tmp_path: Path) -> None:
    black = MultimodalDataModule(own_settings, tmp_path, seed=0, decode=False)
    black.prepare_data()
    black.setup()
    assert not (tmp_path / "images").exists(), "nothing was decoded"
    rows = own_settings.training.batch_rows
    one, other = black.train_batch(3, 0, rows), ready(own_settings, tmp_path).train_batch(3, 0, rows)
    assert one.images.shape == other.images.shape
    assert not one.images.any() and other.images.any()
    assert same(one.to("cpu"), Batch(**vars(other) | {"images": one.images}))


def test_the_loader_yields_micro_batches_from_where_it_is_told(own_settings: Settings, tmp_path: Path) -> None:
    datamodule = ready(own_settings, tmp_path / "cache")
    datamodule.micro_batch_rows = 3
    assert datamodule.accumulation == 3
    batches = list(islice(datamodule.train_dataloader(), 9))
    assert [batch.images.shape[0] for batch in batches] == [3, 3, 2] * 3
    whole = datamodule.train_batch(1, 0, 8)
    assert [name for batch in batches[3:6] for name in batch.sample_ids] == whole.sample_ids
    assert all(batch.totals == whole.totals for batch in batches[3:6])
    datamodule.start_micro_step = 5
    assert same(next(iter(datamodule.train_dataloader())), batches[5])


def test_short_texts_may_come_first(own_settings: Settings, own_data: Path, tmp_path: Path) -> None:
    file = own_data / "data.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for number, line in enumerate(lines):
        line["captions"] = [f"{caption} {'again ' * (number * 7 % 24)}" for caption in line["captions"]]
    file.write_text("\n".join(json.dumps(line) for line in lines))
    own_settings.training.batch_rows = 6
    plain = ready(copy.deepcopy(own_settings), tmp_path / "cache")
    own_settings.training.curriculum = "short_first"
    datamodule = ready(own_settings, tmp_path / "cache")
    tokens = [datamodule.train_batch(step, 0, 6).totals.tokens for step in range(4)]
    assert tokens == sorted(tokens)
    shown = [name for step in range(4) for name in datamodule.train_batch(step, 0, 6).sample_ids if "#caption" in name]
    assert len({name.split("#")[0] for name in shown}) == 24, "each image once"
    assert same(datamodule.train_batch(4, 0, 6), plain.train_batch(4, 0, 6)), "later epochs as ever"
    assert same(datamodule.with_mode("pairs").train_batch(0, 0, 6), plain.with_mode("pairs").train_batch(0, 0, 6))


@pytest.mark.parametrize("rank", [0, 1])
def test_each_process_takes_its_rows_of_the_global_batch(own_settings: Settings, tmp_path: Path, rank: int) -> None:
    class TwoProcesses(lightning.Trainer):
        global_rank = rank
        world_size = 2

    datamodule = ready(own_settings, tmp_path / "cache")
    alone = datamodule.train_batch(0, 0, 8)
    datamodule.trainer = TwoProcesses(accelerator="cpu", logger=False, enable_checkpointing=False)
    mine = next(iter(datamodule.train_dataloader()))
    assert torch.equal(mine.images, alone.images[4 * rank : 4 * rank + 4]) and mine.totals == alone.totals
    datamodule.batch_rows = 7
    with pytest.raises(UserError, match="cannot be split over 2 processes"):
        next(iter(datamodule.train_dataloader()))


def test_validation_is_the_same_for_every_seed(own_settings: Settings, tmp_path: Path) -> None:
    one, other = (ready(own_settings, tmp_path / "cache", seed) for seed in (0, 1))
    batches = list(one.validation_batches())
    assert all(same(a, b) for a, b in zip(batches, other.validation_batches(), strict=True))
    assert sum(batch.images.shape[0] for batch in batches) == 6
    assert sum(batch.images.shape[0] for batch in one.validation_batches(max_images=2)) == 2
    assert all("validation" in name or name.startswith("photos/validation") for name in batches[0].sample_ids)


def test_other_modes_share_the_data(own_settings: Settings, tmp_path: Path) -> None:
    datamodule = ready(own_settings, tmp_path / "cache")
    pairs, text = datamodule.with_mode("pairs", batch_rows=4), datamodule.with_mode("text")
    assert pairs.train_batch(0, 0, 4).totals.samples == 4
    assert text.train_batch(0, 0, 8).images.shape[0] == 0
    assert text.tokenizer is datamodule.tokenizer and datamodule.mode == "multimodal"


def test_the_splits_give_examples_images_and_pictures(own_settings: Settings, own_data: Path, tmp_path: Path) -> None:
    datamodule = ready(own_settings, tmp_path / "cache")
    split = datamodule.split("test")
    assert len(split) == 6 and split.images([4, 1]).shape == (2, 3, 8, 8)
    assert np.array_equal(split.images([4])[0].numpy(), decode(str(own_data / split.examples[4].image_id), Canvas(8)))
    assert split.picture(0, 40).size == (40, 24)
    with pytest.raises(UserError, match="unknown split 'tests'; did you mean 'test'"):
        datamodule.split("tests")
    captions, questions = datamodule.train_texts()
    assert len(captions) == 72 and len(questions) == 48 and datamodule.tasks == ("caption", "answer", "retrieve")


def test_a_few_broken_images_are_set_aside_everywhere(own_settings: Settings, own_data: Path, tmp_path: Path) -> None:
    own_settings.data.max_broken_share = 0.1
    (own_data / "photos" / "test0.png").write_bytes(b"broken")
    (own_data / "photos" / "train3.png").unlink()
    for _ in range(2):
        datamodule = ready(own_settings, tmp_path / "cache")
        aside = [(a.id, a.reason) for split in datamodule.dataset.splits.values() for a in split.set_aside]
        assert aside[0] == ("photos/train3.png", "missing image") and aside[1][0] == "photos/test0.png"
    assert datamodule.num_train_images == 23
    split = datamodule.split("test")
    assert len(split) == 5
    assert np.array_equal(split.images([0])[0].numpy(), decode(str(own_data / split.examples[0].image_id), Canvas(8)))
    seen = {name for step in range(6) for name in datamodule.train_batch(step, 0, 8).sample_ids}
    assert not any("train3." in name or name.startswith("train-3-") for name in seen)


def test_too_many_broken_images_are_an_error(own_settings: Settings, own_data: Path, tmp_path: Path) -> None:
    (own_data / "photos" / "test0.png").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"1 of 36 images .* \(photos/test0.png: corrupt image"):
        MultimodalDataModule(own_settings, tmp_path / "cache", 0).prepare_data()


def test_data_without_questions_or_captions_trains_what_it_has(own_settings: Settings, tmp_path: Path) -> None:
    own_settings.data.sources[0].use = ["questions"]
    datamodule = ready(own_settings, tmp_path / "cache")
    totals = datamodule.train_batch(0, 0, 8).totals
    assert totals.pairs == totals.caption_tokens == 0 and totals.answer_tokens > 0
    with pytest.raises(UserError, match="no image of the train split has a text"):
        datamodule.with_mode("pairs").train_batch(0, 0, 8)


def test_the_tokenizer_is_cached_or_given(own_settings: Settings, tmp_path: Path) -> None:
    first = ready(own_settings, tmp_path / "cache").tokenizer
    assert len(list((tmp_path / "cache" / "tokenizers").glob("*.json"))) == 1
    assert ready(own_settings, tmp_path / "cache").tokenizer.hash == first.hash
    given = train_tokenizer(["some other text"], 280)
    given.save(tmp_path / "tokenizer.json")
    own_settings.tokenizer.path = str(tmp_path / "tokenizer.json")
    assert ready(own_settings, tmp_path / "cache").tokenizer.hash == given.hash != first.hash


@pytest.mark.slow
def test_two_processes_may_prepare_at_once(own_settings: Settings, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    modules = [MultimodalDataModule(own_settings, tmp_path / "cache", seed) for seed in (0, 1)]
    workers = [context.Process(target=module.prepare_data) for module in modules]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert not list((tmp_path / "cache").rglob("*.part"))
    assert ready(own_settings, tmp_path / "cache").num_train_images == 24


def test_long_questions_are_counted(own_settings: Settings, own_data: Path, tmp_path: Path) -> None:
    file = own_data / "data.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[0]["questions"][0]["question"] = "and " * 100
    file.write_text("\n".join(json.dumps(line) for line in lines))
    assert ready(own_settings, tmp_path / "cache").num_left_out["train"] == 1


def test_scenes_and_their_second_test_split(tmp_path: Path) -> None:
    settings = Settings(image_size=32)
    settings.training.batch_rows = 4
    settings.data.sources = [SourceSettings(scenes=ScenesSettings(train=12, validation=4, test=4, composition=3))]
    datamodule = ready(settings, tmp_path / "cache")
    assert datamodule.train_batch(0, 0, 4).images.float().std() > 1
    assert len(datamodule.split("composition")) == 3
    assert datamodule.split("composition").picture(0, 128).size == (128, 128)


@pytest.mark.parametrize("name", ["daquar", "flickr8k", "easy_vqa"])
def test_real_packs(real_data: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    settings = Settings(image_size=32)
    settings.data.name, settings.data.sources = name, detect_format(real_data(name))
    settings.data.max_train_images, settings.data.max_test_images = 128, 32
    datamodule = ready(settings, tmp_path)
    totals = datamodule.train_batch(0, 0, 64).totals
    assert (totals.caption_tokens > 0, totals.answer_tokens > 0) == (
        (True, False) if name == "flickr8k" else (False, True)
    )
    assert not datamodule.dataset.splits["train"].set_aside
    assert datamodule.dataset.redistributable == (name == "easy_vqa")
