"""The words around a caption or an answer, in training, scoring and text pretraining alike.

A prompt ends without a space and what follows begins with one, which is how byte-level tokenizers cut text.
"""

CAPTION_PROMPT = "Caption:"
"""What a caption follows."""


def question_prompt(question: str) -> str:
    """What the answer to a question follows: the question itself, with its mark; every further word costs time."""
    text = one_line(question)
    return text if text.endswith(("?", ".", "!", ":")) else f"{text}?"


def continuation(text: str) -> str:
    """A caption or an answer as it stands behind its prompt, and as it is embedded for retrieval."""
    return f" {one_line(text)}"


def one_line(text: str) -> str:
    """The text with every run of white space as one space."""
    return " ".join(text.split())
