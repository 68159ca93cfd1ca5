from mmbench.data.answers import FrequentAnswers, most_frequent
from mmbench.data.example import Question


def asked(*answers: str) -> Question:
    return Question("q", "?", list(answers), "")


def test_the_most_frequent_answers_of_the_annotators() -> None:
    assert most_frequent(asked("b", "a", "a ", "b", "c")) == ["b", "a"]
    assert most_frequent(asked("b", "a", "a")) == ["a"]


def test_classes_fall_in_frequency_and_spellings_are_one() -> None:
    questions = [
        asked("cat"),
        asked("Dog"),
        asked("a  bird", "cat"),
        asked("dog", "Dog", "rare"),
        asked("cat"),
        asked("dog"),
    ]
    frequent = FrequentAnswers(questions, 2)
    assert frequent.texts == ["Dog", "cat"], "4 dogs (two spellings that tie), 3 cats"
    assert [frequent.class_of(answer) for answer in ("DOG ", "cat", "a bird")] == [0, 1, None]
    assert [frequent.as_written(answer) for answer in (" dog", "CAT", "A bird ")] == ["Dog", "cat", "A bird "]
    assert frequent.covered == 7 / 9


def test_without_questions_there_is_nothing_to_miss() -> None:
    frequent = FrequentAnswers([], 5)
    assert frequent.texts == [] and frequent.covered == 1
