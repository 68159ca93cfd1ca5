"""Every answer is true, and nobody gains by knowing the question's words alone."""

import re
from collections import Counter, defaultdict
from itertools import chain

import pytest

from mmbench.data.scenes.forms import all_forms
from mmbench.data.scenes.questions import NUM_CHOICES, SceneQuestion, choose_questions
from mmbench.data.scenes.vocabulary import COLORS, KINDS
from mmbench.data.scenes.world import World, sample_world
from tests.data.scenes.oracle import HELD_OUT, answer, fitting, things

Asked = tuple[World, list[list[SceneQuestion]]]


def ask(split: int, num_scenes: int, num_questions: int = 4, composition: bool = False) -> Asked:
    world = sample_world(0, split, num_scenes, composition)
    return world, choose_questions(world, 0, split, num_questions, composition)


@pytest.fixture(scope="module")
def train() -> Asked:
    return ask(0, 6000, 6)


@pytest.fixture(scope="module")
def test() -> Asked:
    return ask(2, 400)


@pytest.fixture(scope="module")
def composition() -> Asked:
    return ask(3, 200, composition=True)


def by_text(asked: Asked) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for question in list(chain(*asked[1])):
        counts[question.text][question.answer] += 1
    return counts


@pytest.mark.parametrize("split", ["train", "test", "composition"])
def test_every_answer_is_true(split: str, request: pytest.FixtureRequest) -> None:
    world, questions = request.getfixturevalue(split)
    for scene, asked in enumerate(questions):
        for question in asked:
            assert answer(question.text, things(world, scene)) == question.answer, (question, things(world, scene))


@pytest.mark.parametrize("split", ["train", "test", "composition"])
def test_answers_are_equally_frequent_given_the_words(split: str, request: pytest.FixtureRequest) -> None:
    counts = by_text(request.getfixturevalue(split))
    possible = {form.text: form for form in all_forms()}
    for text, answers in counts.items():
        assert len(answers) > 1 and len(set(answers.values())) == 1, (text, answers)
        if split == "train":
            form = possible[text]
            assert set(answers) == {form.answers[number] for number in form.standard_answers}


def test_the_majority_by_exact_words_gains_nothing(train: Asked, test: Asked) -> None:
    seen = by_text(train)
    learnt = {text: answers.most_common(1)[0][0] for text, answers in seen.items()}
    questions = list(chain(*test[1]))
    correct = sum(learnt[question.text] == question.answer for question in questions) / len(questions)
    chance = sum(1 / len(seen[question.text]) for question in questions) / len(questions)
    assert correct <= chance + 0.03
    assert correct < 0.4


def test_no_kind_is_short(train: Asked, test: Asked, composition: Asked) -> None:
    for asked in (train, test, composition):
        kinds = Counter(question.kind for question in list(chain(*asked[1])))
        assert set(kinds) == set(KINDS)
        assert min(kinds.values()) > 0.7 * kinds.total() / len(KINDS)


@pytest.mark.parametrize("num_scenes", [0, 1, 2, 8, 50])
def test_every_scene_has_its_questions_however_small_the_split(num_scenes: int) -> None:
    for composition in (False, True):
        _, questions = ask(1, num_scenes, 6, composition)
        assert len(questions) == num_scenes
        for asked in questions:
            assert 6 <= len(asked) <= 8
            assert len({question.text for question in asked}) == len(asked)
            assert len({question.kind for question in asked}) >= 3


def test_training_questions_never_name_a_held_out_pair(train: Asked) -> None:
    for text in by_text(train):
        assert not any(f"{color} {shape}" in text for color, shape in HELD_OUT)


def test_composition_questions_are_mostly_about_held_out_objects(composition: Asked) -> None:
    world, questions = composition
    about = total = 0
    for scene, asked in enumerate(questions):
        shapes = [thing for thing in things(world, scene) if (thing.color, thing.shape) in HELD_OUT]
        for question in asked:
            total += 1
            if re.match(r"are there more objects (on|at) the", question.text):
                about += 1  # of every object
                continue
            named = any(f"{color} {shape}" in question.text for color, shape in HELD_OUT)
            words = [word for word in question.text.rstrip("?").replace("crosses", "cross").split() if word != "is"]
            nouns = [phrase for phrase in _phrases(words) if any(thing in fitting(phrase, shapes) for thing in shapes)]
            about += named or bool(nouns)
    assert about / total > 0.9


def _phrases(words: list[str]) -> list[str]:
    """The runs of attribute words: ``["small circle", "red object"]``."""
    attributes = {"top", "bottom", "left", "right", "small", "large", "red", "green", "blue", "yellow", "purple"}
    attributes |= {"orange", "object", "objects", "circle", "circles", "square", "squares", "triangle", "triangles"}
    attributes |= {"cross"}
    runs: list[list[str]] = [[]]
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in attributes and following != "of":
            runs[-1].append(word)
        else:
            runs.append([])
    return [" ".join(run) for run in runs if run]


def test_the_right_choice_is_among_four_and_stands_anywhere(train: Asked, composition: Asked) -> None:
    for _, questions in (train, composition):
        places: Counter[int] = Counter()
        for question in chain.from_iterable(questions):
            assert len(set(question.choices)) == len(question.choices) <= NUM_CHOICES
            assert question.answer in question.choices
            few = {"existence": 2, "relation": 2, "comparison": 2}
            assert question.kind == "count" or len(question.choices) == few.get(question.kind, NUM_CHOICES)
            if len(question.choices) == NUM_CHOICES:
                places[question.choices.index(question.answer)] += 1
        assert max(places.values()) < 1.15 * places.total() / NUM_CHOICES


def test_wrong_choices_are_drawn_from_all_answers(train: Asked) -> None:
    colours = [q for q in chain.from_iterable(train[1]) if q.kind == "colour" and q.answer == "red"]
    wrong = Counter(choice for question in colours for choice in question.choices if choice != "red")
    assert set(wrong) == set(COLORS) - {"red"} and min(wrong.values()) > 0.8 * wrong.total() / 5
