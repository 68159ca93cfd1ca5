"""Scores of answers: the official VQA files of questions, annotations and results."""

from pathlib import Path
from typing import Any

from mmbench.config.errors import UserError
from mmbench.metrics.answers.vqa import mean_by_group, num_answers, vqa_accuracy
from mmbench.scoring.files import read_json
from mmbench.scoring.rows import (
    Id,
    Row,
    column,
    ids,
    json_type,
    named,
    one_each,
    only_one_each,
    other_type,
    rows_of,
    rows_under,
    strings,
)
from mmbench.scoring.scores import ExampleScores, Progress, Scores, counted, heard, mean, unheard

_USUAL_ANSWERS = 10
_FEW_ANSWERS = 4  # with fewer, the metric itself speaks of their numbers


def score_vqa(
    questions: Path, annotations: Path, results: Path, question_types: bool = False, progress: Progress = unheard
) -> Scores:
    """The official VQA accuracy: of all questions, of each answer type, and of each question type if asked for.

    Args:
        questions: `{"questions": [{"question_id", "image_id"}, …]}`.
        annotations: `{"annotations": [{"question_id", "answers": [{"answer"}, …], "answer_type"}, …]}`.
        results: `[{"question_id", "answer"}, …]`, one for each question.
        question_types: whether to add `vqa_accuracy/question_type/…`.
        progress: told of each file.

    Raises:
        UserError: a file that cannot be read or has another shape; results that are not those of the questions, two
            different ones for one question; questions without annotation or without answers; an answer that is not
            text.
    """
    progress("questions", 0, 4)
    asked = rows_under(read_json(questions), "questions", questions)
    question_ids = ids(asked, "question_id", questions)
    only_one_each(question_ids, "question", questions)
    image_of = dict(zip(question_ids, ids(asked, "image_id", questions), strict=True))
    progress("annotations", 1, 4)
    annotated = _read_annotations(annotations)
    progress("results", 2, 4)
    given, repeated = _read_results(results)
    _check_same(image_of, given, questions, results)
    _check_annotated(image_of, annotated, questions, annotations)

    order = sorted(image_of)
    rows = [annotated[question] for question in order]
    answers, notes = _human_answers(order, rows, annotations)
    if repeated:
        notes.append(f"{counted(repeated, 'row')} of the results repeat another and are dropped")
    if unused := len(annotated) - len(order):
        notes.append(f"{counted(unused, 'annotation')} without a question: left out")
    progress("scores", 3, 4)
    with heard(notes):
        scores = vqa_accuracy({question: given[question] for question in order}, answers)

    values = {"vqa_accuracy": mean(scores.values())}
    groups = [("answer_type", "vqa_accuracy/")]
    if question_types:
        groups.append(("question_type", "vqa_accuracy/question_type/"))
    elif not any("answer_type" in row for row in rows):
        groups = []
        notes.append(f"'{annotations}' has no 'answer_type': only the overall accuracy is given")
    for field, prefix in groups:
        kinds = dict(zip(order, strings(rows, field, order, "question", annotations), strict=True))
        by_kind = mean_by_group(scores, kinds)
        values |= {prefix + kind: by_kind[kind] for kind in sorted(by_kind)}
    progress("scores", 4, 4)
    return Scores(
        title=f"{results.name}: {counted(len(order), 'question')}, {counted(len(set(image_of.values())), 'image')}",
        values=values,
        per_example=[
            ExampleScores("vqa_accuracy", order, [image_of[question] for question in order], list(scores.values()))
        ],
        notes=notes,
    )


def _read_annotations(path: Path) -> dict[Id, Row]:
    rows = rows_under(read_json(path), "annotations", path)
    question_ids = ids(rows, "question_id", path)
    only_one_each(question_ids, "question", path)
    return dict(zip(question_ids, rows, strict=True))


def _read_results(path: Path) -> tuple[dict[Id, str], int]:
    rows = rows_of(read_json(path), path)
    question_ids = ids(rows, "question_id", path)
    return one_each(question_ids, strings(rows, "answer", question_ids, "question", path), "question", path)


def _check_same(asked: dict[Id, Any], given: dict[Id, str], questions: Path, results: Path) -> None:
    unknown, absent = given.keys() - asked.keys(), asked.keys() - given.keys()
    if unknown:
        raise UserError(
            f"{len(unknown):,} of {len(given):,} results in '{results}' are for questions that are not in "
            f"'{questions}': {named(unknown)}{other_type(given, asked)}"
        )
    if absent:
        raise UserError(
            f"{len(absent):,} of {len(asked):,} questions in '{questions}' have no result in '{results}': "
            f"{named(absent)}"
        )


def _check_annotated(asked: dict[Id, Any], annotated: dict[Id, Row], questions: Path, annotations: Path) -> None:
    absent = asked.keys() - annotated.keys()
    if absent:
        raise UserError(
            f"{len(absent):,} of {len(asked):,} questions in '{questions}' have no annotation in '{annotations}': "
            f"{named(absent)}{other_type(asked, annotated)}"
        )


def _human_answers(order: list[Id], rows: list[Row], path: Path) -> tuple[dict[Id, list[str]], list[str]]:
    """The answers to each question, and notes on what is unusual about them."""
    lists = column(rows, "answers", path)
    try:
        answers = {
            question: [given["answer"] for given in people] for question, people in zip(order, lists, strict=True)
        }
        identified = all("answer_id" in given for people in lists for given in people)
    except (KeyError, TypeError):
        raise _not_answers(order, lists, path) from None
    if not all(answers.values()):
        raise UserError(
            f"{sum(not people for people in answers.values()):,} questions have no answers in '{path}': "
            f"{named(question for question, people in answers.items() if not people)}"
        )
    if {type(answer) for people in answers.values() for answer in people} != {str}:
        raise _not_answers(order, lists, path)
    notes = []
    if not identified:
        notes.append(f"answers in '{path}' have no 'answer_id': each counts as another person's")
    sizes = num_answers(answers)
    if set(sizes) != {_USUAL_ANSWERS} and min(sizes) >= _FEW_ANSWERS:
        numbers = ", ".join(f"{count:,} with {size}" for size, count in sizes.items())
        notes.append(f"questions by number of human answers: {numbers}")
    return answers, notes


def _not_answers(order: list[Id], lists: list[Any], path: Path) -> UserError:
    """The error for the first question whose answers are not `[{"answer": text}, …]`."""
    for question, people in zip(order, lists, strict=True):
        if not isinstance(people, list):
            found = json_type(people)
        else:
            wrong = [
                given for given in people if not (isinstance(given, dict) and isinstance(given.get("answer"), str))
            ]
            if not wrong:
                continue
            found = f"a list with {json_type(wrong[0])}"
            if isinstance(wrong[0], dict):
                found += f" whose 'answer' is {json_type(wrong[0].get('answer'))}"
        return UserError(
            f"'answers' of question {question!r} in '{path}' is {found}; a list of objects with the text 'answer' "
            f"is needed"
        )
    raise AssertionError("all answers are as they should be")
