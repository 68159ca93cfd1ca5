"""The text that a tokenizer is trained on."""

from mmbench.data.example import Example
from mmbench.data.prompts import CAPTION_PROMPT, continuation, question_prompt


def training_texts(examples: list[Example]) -> list[str]:
    """What a tokenizer is trained on: captions and questions with every answer, as they stand behind their prompts."""
    texts = []
    for example in examples:
        texts += [CAPTION_PROMPT + continuation(caption) for caption in example.captions]
        for question in example.questions:
            answers = "".join(continuation(answer) for answer in dict.fromkeys(question.answers))
            texts.append(question_prompt(question.text) + answers)
    return texts
