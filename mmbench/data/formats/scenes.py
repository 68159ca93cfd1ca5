"""The built-in data: rendered scenes with captions and questions, made from a seed without any file."""

from mmbench.config.data import SourceSettings
from mmbench.data.example import SPLITS, Example, Question, SceneImage
from mmbench.data.formats.parsed import Parsed

NUM_ANNOTATORS = 10
"""Each scene question has so many (identical) human answers, as VQA v2 has them."""


def read(source: SourceSettings) -> Parsed:
    """All splits of the scenes; an image's id is ``SPLIT-INDEX``."""
    from mmbench.data.scenes import Scenes

    scenes = Scenes(source.scenes)
    splits: dict[str, list[Example]] = {}
    for split in (name for name in SPLITS if name in scenes.splits):
        texts = scenes.texts(split)
        splits[split] = [
            Example(
                image_id=f"{split}-{index:06d}",
                image=SceneImage(source.scenes, split, index),
                captions=list(captions),
                questions=[
                    Question(
                        f"{split}-{index:06d}#question{k}", q.text, [q.answer] * NUM_ANNOTATORS, q.kind, list(q.choices)
                    )
                    for k, q in enumerate(questions)
                ],
                label=label,
            )
            for index, (captions, questions, label) in enumerate(
                zip(texts.captions, texts.questions, texts.labels, strict=True)
            )
        ]
    return Parsed(splits, redistributable=True)
