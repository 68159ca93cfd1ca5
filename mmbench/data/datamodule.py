"""`MultimodalDataModule`: prepares the data once on disk and yields the typed batches of training and validation."""

import copy
import hashlib
import itertools
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import lightning
import numpy as np
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as MapDataset

from mmbench import __version__
from mmbench.config.data import RowSettings
from mmbench.config.errors import UserError, unknown_name
from mmbench.config.settings import Settings
from mmbench.data.answers import FrequentAnswers
from mmbench.data.batch import Batch
from mmbench.data.canvas import Canvas
from mmbench.data.dataset import load_dataset
from mmbench.data.evaluation_split import EvaluationSplit
from mmbench.data.example import TRAIN, VALIDATION, Dataset, Question, SetAside
from mmbench.data.locking import build_once
from mmbench.data.order import by_difficulty, permutation, positions_of_step
from mmbench.data.pixels import BlackPixels, PixelStore, Progress, open_pixels
from mmbench.data.prompts import continuation
from mmbench.data.rows import Mode, build_batch, plan_rows
from mmbench.data.table import Array, TextTable
from mmbench.data.tokenizer import TextTokenizer, load_tokenizer, tokenizer_from_str, train_tokenizer
from mmbench.data.training_texts import training_texts

_FIRST_BROKEN = 3
_KEPT = f"{__version__}, form 2"
"""Of a file that `MultimodalDataModule.keep` writes; the form counts what it holds."""


class MultimodalDataModule(lightning.LightningDataModule):
    """One data module for all families, with or without a Trainer.

    ``prepare_data`` decodes the images and trains the tokenizer, once for all processes and later runs; ``setup``
    opens the results. Where several processes train, set the Trainer's ``use_distributed_sampler=False``: each
    process already takes its own rows.

    Args:
        settings: the comparison's settings.
        cache_dir: where decoded images and the tokenizer are kept, by content hash.
        seed: the training seed; with the step it decides the order of the data.
        mode: ``multimodal``, ``pairs`` (images with one caption to be embedded) or ``text`` (no images).
        batch_rows: rows of the global batch; the settings' if not given.
        embed: whether multimodal rows hold a contrastive pair.
        progress: called with (done, all) while images are decoded.
        decode: whether images are decoded; if not, all are black and none is found broken.
    """

    tokenizer: TextTokenizer
    """The text's tokenizer; there after `setup`."""
    dataset: Dataset
    """What is used, and in each split's ``set_aside`` what is not; there after `setup`."""
    frequent_answers: FrequentAnswers
    """The answers of the training split that have a class; there after `setup`."""

    def __init__(
        self,
        settings: Settings,
        cache_dir: Path,
        seed: int,
        *,
        mode: Mode = "multimodal",
        batch_rows: int | None = None,
        embed: bool = True,
        progress: Progress | None = None,
        decode: bool = True,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.cache_dir = Path(cache_dir)
        self.seed = seed
        self.mode: Mode = mode
        self.batch_rows = settings.training.batch_rows if batch_rows is None else batch_rows
        self.rows: RowSettings = settings.training.rows
        self.embed = embed
        self.micro_batch_rows: int | None = settings.trainer.micro_batch_rows
        """Rows of a micro-batch; all rows of this process if None."""
        self.start_micro_step = 0
        """The micro-batch that `train_dataloader` begins with."""
        self.num_left_out: dict[str, int] = {}
        """Texts, by split, without a token to learn from."""
        self._progress = progress
        self._decode = decode
        self._prepared: tuple[Dataset, dict[str, PixelStore]] | None = None
        self._splits: dict[str, EvaluationSplit] = {}
        self._tables: dict[str, TextTable] = {}
        self._curricula: dict[int, Array] = {}

    def prepare_data(self) -> None:
        """Decode all images and make the tokenizer; safe to be called by several processes, twice, and to be killed.

        Raises:
            UserError: the data cannot be used, see `load_dataset`, or too many images are broken.
        """
        if self._prepared is not None:
            return
        self._prepared = self._usable_dataset()
        self._open_tokenizer(self._prepared[0])

    def setup(self, stage: str | None = None) -> None:
        """Open what `prepare_data` made, and turn all texts into token arrays. A second call does nothing.

        Raises:
            UserError: more than 1% of the texts have no token to learn from.
        """
        if self._splits:
            return
        self.dataset, stores = self._prepared or self._usable_dataset()
        self.tokenizer = self._open_tokenizer(self.dataset)
        self.frequent_answers = FrequentAnswers(self.train_texts()[1], self.settings.data.num_answers)
        for name in (TRAIN, VALIDATION):
            if name in self.dataset.splits:
                examples = self.dataset.splits[name].examples
                self._tables[name] = TextTable(
                    examples, self.tokenizer, self.rows.max_text_tokens, name, self.frequent_answers
                )
                self.num_left_out[name] = self._tables[name].num_left_out
        for name, split in self.dataset.splits.items():
            store = stores[name]
            rows = np.array([i for i in range(len(store.images)) if i not in store.broken], dtype=np.int64)
            self._splits[name] = EvaluationSplit(name, split.examples, store.images, store.sizes, rows)

    def keep(self, path: Path) -> None:
        """Write what `setup` opened, so that another process of the same run can `take_up` it in a moment.

        Pixels stay in their memory maps. The file is for this version of mmbench and this machine alone.
        """
        state = {
            "version": _KEPT,
            "dataset": self.dataset,
            "tokenizer": self.tokenizer.to_str(),
            "frequent_answers": self.frequent_answers,
            "tables": self._tables,
            "num_left_out": self.num_left_out,
            "pixels": {
                name: (split.pixels_file, split.picture_sizes, split.rows) for name, split in self._splits.items()
            },
        }
        part = path.with_suffix(".part")
        part.write_bytes(pickle.dumps(state, protocol=pickle.HIGHEST_PROTOCOL))
        os.replace(part, path)

    def take_up(self, path: Path) -> bool:
        """Open what `keep` wrote in the place of `prepare_data` and `setup`; False if there is nothing that fits."""
        if not path.exists():
            return False
        state = pickle.loads(path.read_bytes())
        if state["version"] != _KEPT or not all(Path(file).exists() for file, *_ in state["pixels"].values()):
            return False
        self.dataset, self._tables, self.num_left_out = state["dataset"], state["tables"], state["num_left_out"]
        self.tokenizer = tokenizer_from_str(state["tokenizer"])
        self.frequent_answers = state["frequent_answers"]
        for name, (file, sizes, rows) in state["pixels"].items():
            pixels = np.load(file, mmap_mode="r")
            self._splits[name] = EvaluationSplit(name, self.dataset.splits[name].examples, pixels, sizes, rows)
        return True

    def with_mode(self, mode: Mode, batch_rows: int | None = None, seed: int | None = None) -> "MultimodalDataModule":
        """The same prepared data with rows for another purpose; shares everything in memory."""
        other = copy.copy(self)
        other.mode = mode
        other.batch_rows = self.batch_rows if batch_rows is None else batch_rows
        other.seed = self.seed if seed is None else seed
        other.micro_batch_rows, other.start_micro_step, other.trainer = None, 0, None
        return other

    @property
    def tasks(self) -> tuple[str, ...]:
        """What the data allows: of ``caption``, ``answer``, ``choose``, ``retrieve``."""
        return self.dataset.tasks()

    @property
    def answers(self) -> list[list[int]]:
        """The token ids of each frequent training answer, as it stands behind its prompt, in the classes' order."""
        return self.tokenizer.encode_all([continuation(answer) for answer in self.frequent_answers.texts])

    @property
    def answers_covered(self) -> float:
        """The share of all training answers that are among the frequent ones."""
        return self.frequent_answers.covered

    def train_texts(self) -> tuple[list[str], list[Question]]:
        """All captions and all questions (with answers and kinds) of the training split."""
        examples = self.dataset.splits[TRAIN].examples
        return [c for e in examples for c in e.captions], [q for e in examples for q in e.questions]

    def split(self, name: str) -> EvaluationSplit:
        """A split with its images.

        Raises:
            UserError: the data has no such split.
        """
        if name not in self._splits:
            raise unknown_name("split", name, self._splits)
        return self._splits[name]

    @property
    def num_train_images(self) -> int:
        """Training images that have a text for this mode: the length of an epoch."""
        return len(self._trainable(TRAIN))

    def train_batch(self, step: int, first_row: int, num_rows: int) -> Batch:
        """Some rows of the global batch of an optimiser step: a pure function of (seed, step, rows).

        Args:
            step: optimiser step, from 0.
            first_row: first row within the global batch.
            num_rows: how many rows.
        """
        trainable = self._trainable(TRAIN)
        first_epoch = self._first_epoch(trainable)
        indices, epochs = positions_of_step(self.seed, step, self.batch_rows, len(trainable), first_epoch)
        return self._batch(TRAIN, self.seed, trainable[indices], epochs, first_row, num_rows)

    def train_dataloader(self) -> "DataLoader[Batch]":
        """Micro-batches from ``start_micro_step`` on, without end; item k belongs to step ``k // accumulation``."""
        return DataLoader(
            MicroBatches(self), batch_size=None, sampler=CountingSampler(self.start_micro_step), num_workers=0
        )

    @property
    def accumulation(self) -> int:
        """Micro-batches of one optimiser step on this process."""
        return -(-self._local_rows()[1] // self._micro_rows())

    def micro_batch(self, index: int) -> Batch:
        """This process's micro-batch ``index``, counted over the whole training."""
        step, part = divmod(index, self.accumulation)
        first, num_rows = self._local_rows()
        done = part * self._micro_rows()
        return self.train_batch(step, first + done, min(self._micro_rows(), num_rows - done))

    def validation_batches(self, max_images: int = 128) -> Iterator[Batch]:
        """Batches of the validation split, always the same whatever the seed; each batch's totals are its own."""
        trainable = self._trainable(VALIDATION) if VALIDATION in self._tables else np.zeros(0, np.int64)
        chosen = trainable[permutation(0, 0, len(trainable))[:max_images]]
        for start in range(0, len(chosen), self.batch_rows):
            images = chosen[start : start + self.batch_rows]
            yield self._batch(VALIDATION, 0, images, np.zeros(len(images), np.int64), 0, len(images))

    def _batch(self, split: str, seed: int, images: Array, epochs: Array, first_row: int, num_rows: int) -> Batch:
        table = self._tables[split]
        plan = plan_rows(table, self.rows, self.mode, self.embed, seed, images, epochs)
        shown = images[first_row : first_row + num_rows] if self.mode != "text" else images[:0]
        pixels, sizes = self._splits[split].pixels(shown), self._splits[split].sizes(shown).numpy()
        return build_batch(table, plan, self.mode, self.tokenizer.pad_id, pixels, sizes, first_row, num_rows)

    def _first_epoch(self, trainable: Array) -> Array | None:
        """The curriculum's order of the training images; None where there is none. It is the training's alone: what
        is pretrained is common to all and knows no curriculum."""
        if self.settings.training.curriculum == "none" or self.mode != "multimodal":
            return None
        if self.seed not in self._curricula:
            self._curricula[self.seed] = by_difficulty(self.seed, self._tables[TRAIN].mean_lengths[trainable])
        return self._curricula[self.seed]

    def _trainable(self, split: str) -> Array:
        """Indices of the images that have a text for this mode."""
        table = self._tables[split]
        captions, questions = np.diff(table.caption_offsets), np.diff(table.question_offsets)
        if self.mode == "pairs":
            usable = captions > 0
        else:
            pair = self.embed and self.mode == "multimodal"
            usable = (captions > 0) & (self.rows.captions > 0 or pair) | (questions > 0) & (self.rows.questions > 0)
        if not usable.any():
            raise UserError(
                f"no image of the {split} split has a text for rows of {self.rows.captions} captions and "
                f"{self.rows.questions} questions ({self.mode}); raise training.rows, or use other data"
            )
        return np.flatnonzero(usable)

    def _micro_rows(self) -> int:
        return min(self.micro_batch_rows or self.batch_rows, self._local_rows()[1])

    def _local_rows(self) -> tuple[int, int]:
        """(first row, number of rows) of this process in the global batch."""
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if self.batch_rows % world_size:
            raise UserError(
                f"a global batch of {self.batch_rows} rows cannot be split over {world_size} processes; "
                "make training.batch_rows a multiple of the devices"
            )
        num_rows = self.batch_rows // world_size
        return rank * num_rows, num_rows

    def _usable_dataset(self) -> tuple[Dataset, dict[str, PixelStore]]:
        """The data set without its broken images, and the pixels of each split."""
        dataset = load_dataset(self.settings.data)
        stores: dict[str, PixelStore] = {}
        num_images = sum(len(split.examples) for split in dataset.splits.values())
        done = 0
        data = self.settings.data
        canvas = Canvas(self.settings.image_size, data.layout, data.size_multiple)
        for name, split in dataset.splits.items():
            stores[name] = (
                open_pixels(split.examples, canvas, self.cache_dir, self._part(done, num_images))
                if self._decode
                else BlackPixels(split.examples, canvas)
            )
            done += len(split.examples)
        for name, split in dataset.splits.items():
            broken = stores[name].broken
            split.set_aside = [SetAside(split.examples[i].image_id, why) for i, why in broken.items()]
            split.examples = [example for i, example in enumerate(split.examples) if i not in broken]
        _check_broken(dataset, num_images, self.settings.data.max_broken_share)
        dataset.require_splits()
        return dataset, stores

    def _part(self, done: int, num_images: int) -> Progress | None:
        progress = self._progress
        return None if progress is None else lambda part, _: progress(done + part, num_images)

    def _open_tokenizer(self, dataset: Dataset) -> TextTokenizer:
        settings, weights = self.settings.tokenizer, self.settings.language_model.weights
        # A pretrained language model knows words by the ids of its own tokenizer.
        path = settings.path or (weights if weights not in ("text", "random") else "")
        if path:
            return load_tokenizer(path)
        texts = training_texts(dataset.splits[TRAIN].examples)
        digest = hashlib.sha256(f"{settings.vocab_size}\n".encode())
        for text in texts:
            digest.update(text.encode() + b"\n")
        target = self.cache_dir / "tokenizers" / f"{digest.hexdigest()[:32]}.json"
        return load_tokenizer(build_once(target, lambda path: train_tokenizer(texts, settings.vocab_size).save(path)))


class MicroBatches(MapDataset[Batch]):
    """Map-style: item k is this process's micro-batch k."""

    def __init__(self, datamodule: MultimodalDataModule) -> None:
        self._datamodule = datamodule

    def __getitem__(self, index: int) -> Batch:
        return self._datamodule.micro_batch(index)


class CountingSampler(Sampler[int]):
    """``start``, ``start + 1``, … without end; the budget, not the data, ends training."""

    def __init__(self, start: int) -> None:
        self._start = start

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self._start)


def _check_broken(dataset: Dataset, num_images: int, max_share: float) -> None:
    broken = [aside for split in dataset.splits.values() for aside in split.set_aside]
    if len(broken) > max_share * num_images:
        first = "; ".join(f"{aside.id}: {aside.reason}" for aside in broken[:_FIRST_BROKEN])
        raise UserError(
            f"{len(broken)} of {num_images} images of data '{dataset.name}' are missing or corrupt, more than "
            f"data.max_broken_share = {max_share:g} allows ({first}); mend them, or see them all with "
            "'mmbench data check'"
        )
