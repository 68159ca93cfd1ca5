"""A family that looks answers up: what an evaluation must give for it is known."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mmbench.data.datamodule import MultimodalDataModule
from mmbench.data.prompts import continuation, question_prompt
from mmbench.families.family import Family, Task
from mmbench.harness.classification import TEMPLATE

_NOTHING = -1


@dataclass
class Known:
    """Which images are seen."""

    places: Tensor

    def take(self, index: Tensor) -> "Known":
        return Known(self.places[index])


class Knowing(Family):
    """Knows the images of a data module by their pixels, and all that is said of them; silent without an image."""

    tasks: ClassVar[frozenset[Task]] = frozenset(("caption", "answer", "choose", "match", "retrieve", "rerank", "text"))

    def __init__(self, datamodule: MultimodalDataModule) -> None:
        tokenizer = datamodule.tokenizer
        super().__init__(SimpleNamespace(bos_id=tokenizer.bos_id, eos_id=tokenizer.eos_id, pad_id=0), {})
        self.anchor = nn.Parameter(torch.zeros(1))
        self.tokenizer = tokenizer
        splits = [datamodule.split(name) for name in datamodule.dataset.splits]
        self.examples = [example for split in splits for example in split.examples]
        pixels = [image.numpy().tobytes() for split in splits for image in split.images(range(len(split)))]
        self.place = {image: number for number, image in enumerate(pixels)}
        self.images_seen = 0

    @property
    def size_step(self) -> int:
        return 4

    def parts(self) -> dict[str, nn.Module]:
        return {}

    def see(self, images: Tensor, sizes: Tensor | None = None) -> Known:
        assert sizes is not None and sizes.shape == (len(images), 2)
        self.images_seen += len(images)
        return Known(torch.tensor([self.place.get(image.numpy().tobytes(), _NOTHING) for image in images]))

    def see_nothing(self, num: int) -> Known:
        return Known(torch.full((num,), _NOTHING))

    def caption(self, sight: Known, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        return [self._encode(example.captions[0])[:max_new_tokens] if example else [] for example in self._of(sight)]

    def answer(self, sight: Known, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
        return [self._encode(self._answer(e, p)) if e else [] for e, p in zip(self._of(sight), prompts, strict=True)]

    def choice_scores(self, sight: Known, prompts: list[list[int]], choices: list[list[list[int]]]) -> list[Tensor]:
        right = self.answer(sight, prompts, 8)
        return [torch.tensor([float(c == answer) for c in given]) for given, answer in zip(choices, right, strict=True)]

    def match_scores(self, sight: Known, texts: list[list[int]]) -> Tensor:
        return torch.tensor([float(self._says(e, t)) for e, t in zip(self._of(sight), texts, strict=True)])

    def log_likelihood(self, sight: Known, prompts: list[list[int]], texts: list[list[int]]) -> Tensor:
        """Short texts are likelier, by far; the image makes its captions a little likelier."""
        return self.match_scores(sight, texts) - 100.0 * torch.tensor([len(text) for text in texts])

    def embed_images(self, images: Tensor, sizes: Tensor | None = None) -> Tensor:
        return self._one_hot([self.examples[place].label for place in self.see(images, sizes).places.tolist()])

    def embed_texts(self, texts: list[list[int]]) -> Tensor:
        """A label's text is near its images; captions are as near to any image."""
        words = {tuple(self._encode(TEMPLATE.format(label))): label for label in self._labels()}
        return self._one_hot([words.get(tuple(text), "") for text in texts])

    def text_nats(self, texts: list[list[int]]) -> Tensor:
        return torch.ones(len(texts))

    def image_features(self, images: Tensor, sizes: Tensor | None = None) -> Tensor:
        return self.embed_images(images, sizes)

    def cost(self, images: Tensor, sizes: Tensor | None = None) -> dict[str, int]:
        return {
            "image_tokens": images.shape[-1] ** 2,
            "context_tokens": 0,
            "parameters_total": 1,
            "parameters_active": 1,
        }

    def _of(self, sight: Known) -> list[Any]:
        return [None if place == _NOTHING else self.examples[place] for place in sight.places.tolist()]

    def _answer(self, example: Any, prompt: list[int]) -> str:
        asked = {question_prompt(q.text): q.answers[0] for q in example.questions}
        return asked.get(self.tokenizer.decode(prompt), "")

    def _says(self, example: Any, text: list[int]) -> bool:
        return example is not None and any(self._encode(caption)[: len(text)] == text for caption in example.captions)

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(continuation(text))

    def _labels(self) -> list[str]:
        return sorted({example.label for example in self.examples} - {""})

    def _one_hot(self, labels: list[str]) -> Tensor:
        names = self._labels()
        return torch.stack(
            [torch.tensor([1.0 if name in (label, "") or not label else 0.0 for name in names]) for label in labels]
        )
