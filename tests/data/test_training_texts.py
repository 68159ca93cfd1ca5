from mmbench.data.example import Example, Question
from mmbench.data.training_texts import training_texts


def test_prompts_are_included_and_every_answer_once() -> None:
    question = Question("q", "is it red?", ["yes", "no", "yes"], "k")
    assert training_texts([Example("a", "", ["a dog"], [question])]) == ["Caption: a dog", "is it red? yes no"]
