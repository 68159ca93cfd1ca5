"""Chooses the questions of a split so that, given a question's exact words, its answers are equally frequent."""

from dataclasses import dataclass

import numpy as np

from mmbench.data.scenes.forms import UNDEFINED, Form, all_forms
from mmbench.data.scenes.stream import Stream
from mmbench.data.scenes.vocabulary import KINDS
from mmbench.data.scenes.world import Integers, World

NUM_PASSES = 4
"""In which the even shares of the forms are handed out, a part in each, so that all forms get their turn."""


@dataclass(frozen=True)
class SceneQuestion:
    """A question of one scene."""

    text: str
    answer: str
    """The one true answer."""
    kind: str
    """One of ``KINDS``."""


def choose_questions(
    world: World, seed: int, split: int, num_questions: int, composition: bool
) -> list[list[SceneQuestion]]:
    """At least ``num_questions`` questions of each scene (now and then one or two more), each of another kind.

    Questions are handed out in *rounds*: a round asks one form of as many scenes as it has possible answers, once
    with each. So a question's answers are exactly equally frequent within the split, and its words say nothing.
    A split too small for that (some tens of scenes) has its remaining places filled without balance.

    With ``composition``, a form is asked of scenes where it concerns an object of a held-out combination, unless all
    of those have the same answer.
    """
    chooser = _Chooser(world, Stream(seed, split, "questions"), num_questions, composition)
    for part in range(1, NUM_PASSES + 1):
        chooser.deal_shares(part / NUM_PASSES)
    chooser.deal_rest()
    chooser.fill()
    return chooser.questions()


class _Chooser:
    """Which forms are asked of which scenes, so far. F forms, n scenes."""

    def __init__(self, world: World, stream: Stream, num_questions: int, composition: bool) -> None:
        self._forms = all_forms()
        self._stream = stream
        self._target = num_questions
        self._kind_of = [KINDS.index(form.kind) for form in self._forms]
        self._answer = np.full((len(self._forms), len(world)), UNDEFINED, dtype=np.int8)  # [F, n]
        self._possible = [
            self._prepare(number, form, world, composition) for number, form in enumerate(self._forms)
        ]  # [F] lists of answers; fewer than two: never asked
        self._num_asked = np.zeros(len(world), dtype=np.int64)
        self._asked_kind = np.zeros((len(KINDS), len(world)), dtype=np.bool_)
        self._dealt = np.zeros(len(self._forms), dtype=np.int64)
        self._chosen: list[tuple[int, Integers]] = []  # form and scenes

    def _prepare(self, number: int, form: Form, world: World, composition: bool) -> list[int]:
        """Note the form's answers where it may be asked, and return the possible ones."""
        truth = form.truth(world)
        answer, possible = truth.answer, list(form.standard_answers)
        if composition:
            concerns = np.where((truth.about & world.held_out).any(axis=1), answer, UNDEFINED)
            concerned = [int(a) for a in np.unique(concerns) if a != UNDEFINED]
            answer, possible = (concerns, concerned) if len(concerned) > 1 else (answer, list(range(len(form.answers))))
        self._answer[number] = answer
        return possible if len(possible) > 1 else []

    def deal_shares(self, part: float) -> None:
        """Bring each form up to ``part`` of its even share of its kind's questions."""
        asked_kinds = [kind for kind, possible in zip(self._kind_of, self._possible, strict=True) if possible]
        num_forms = np.bincount(asked_kinds, minlength=len(KINDS))
        per_kind = self._target * len(self._num_asked) / len(KINDS)
        for form in self._shuffled_forms():
            possible = self._possible[form]
            if possible:
                share = int(part * per_kind / num_forms[self._kind_of[form]])
                num_rounds = max(1, round(share / len(possible))) - int(self._dealt[form])
                self._deal(form, num_rounds, self._target)

    def deal_rest(self) -> None:
        """Deal to scenes that lack questions, first among themselves, then with the help of others."""
        for extra in range(3):
            while (self._num_asked < self._target).any():
                before = self._num_asked.sum()
                for form in self._shuffled_forms():
                    self._deal(form, 1, self._target + extra)
                if self._num_asked.sum() == before:
                    break

    def fill(self) -> None:
        """Ask what can be asked where rounds could not reach."""
        for scene in np.flatnonzero(self._num_asked < self._target):
            for form in self._shuffled_forms():
                if self._num_asked[scene] >= self._target:
                    break
                fresh = not self._asked_kind[self._kind_of[form], scene]
                if fresh and self._possible[form] and self._answer[form, scene] in self._possible[form]:
                    self._ask(form, np.array([scene]))

    def questions(self) -> list[list[SceneQuestion]]:
        """By scene."""
        by_scene: list[list[SceneQuestion]] = [[] for _ in self._num_asked]
        for number, scenes in self._chosen:
            form = self._forms[number]
            for scene, answer in zip(scenes.tolist(), self._answer[number, scenes].tolist(), strict=True):
                by_scene[scene].append(SceneQuestion(form.text, form.answers[answer], form.kind))
        return by_scene

    def _deal(self, form: int, num_rounds: int, most: int) -> None:
        """Up to ``num_rounds`` rounds to scenes with fewer than ``most`` questions, those with the fewest first.

        Beyond the target, a round must reach at least one scene that lacks a question.
        """
        possible = self._possible[form]
        if num_rounds < 1 or not possible:
            return
        free = np.flatnonzero((self._num_asked < most) & ~self._asked_kind[self._kind_of[form]])
        answers = self._answer[form, free]
        groups = [free[answers == a] for a in possible]
        num_rounds = min(num_rounds, *(len(group) for group in groups))
        if num_rounds < 1:
            return
        taken = np.concatenate([self._neediest(group, num_rounds) for group in groups])
        if most > self._target and not (self._num_asked[taken] < self._target).any():
            return
        self._ask(form, taken)
        self._dealt[form] += num_rounds

    def _neediest(self, scenes: Integers, count: int) -> Integers:
        """``count`` of the scenes with the fewest questions, drawn among equals."""
        order = np.lexsort((self._stream.words(len(scenes)), self._num_asked[scenes]))
        return scenes[order[:count]]

    def _ask(self, form: int, scenes: Integers) -> None:
        self._num_asked[scenes] += 1
        self._asked_kind[self._kind_of[form], scenes] = True
        self._chosen.append((form, scenes))

    def _shuffled_forms(self) -> list[int]:
        return [int(f) for f in np.argsort(self._stream.words(len(self._forms)), kind="stable")]
