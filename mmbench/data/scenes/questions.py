"""Chooses the questions of a split so that, given a question's exact words, its answers are equally frequent."""

from dataclasses import dataclass

import numpy as np

from mmbench.data.scenes.forms import UNDEFINED, Form, all_forms
from mmbench.data.scenes.stream import Stream
from mmbench.data.scenes.vocabulary import KINDS
from mmbench.data.scenes.world import Integers, World

NUM_PASSES = 4
"""In which the shares of the forms are handed out, a part in each, so that all forms get their turn."""
NUM_CHOICES = 4
"""Of each question, where it has that many possible answers."""


@dataclass(frozen=True)
class SceneQuestion:
    """A question of one scene."""

    text: str
    answer: str
    """The one true answer."""
    kind: str
    """One of ``KINDS``."""
    choices: tuple[str, ...]
    """``NUM_CHOICES`` answers of the question, or all it has, in no order; the true one is among them."""


def choose_questions(
    world: World, seed: int, split: int, num_questions: int, composition: bool
) -> list[list[SceneQuestion]]:
    """At least ``num_questions`` different questions of each scene, now and then one or two more.

    Questions are handed out in *rounds*: a round asks one form of as many scenes as it has possible answers, once
    with each. So a question's answers are exactly equally frequent within the split, and its words say nothing.
    A split too small for that (a handful of scenes) has its remaining places filled without balance.

    The kinds are asked about equally often, and a scene gets two questions of a kind only where too few others fit.
    With ``composition``, questions concern an object of a held-out combination where balance allows it.
    """
    chooser = _Chooser(world, Stream(seed, split, "questions"), num_questions, composition)
    for part in range(1, NUM_PASSES + 1):
        chooser.deal_shares(part / NUM_PASSES)
    chooser.deal_rest()
    chooser.fill()
    return chooser.questions(Stream(seed, split, "choices"))


class _Chooser:
    """Which forms are asked of which scenes, so far. F forms, n scenes."""

    def __init__(self, world: World, stream: Stream, num_questions: int, composition: bool) -> None:
        self._forms = all_forms()
        self._stream = stream
        self._target = num_questions
        self._kind_of = [KINDS.index(form.kind) for form in self._forms]
        self._answer = np.full((len(self._forms), len(world)), UNDEFINED, dtype=np.int8)  # [F, n]
        self._possible: list[list[int]] = []  # [F] answers; fewer than two: never asked
        self._preferred: list[bool] = []  # [F] whether the form gets a share, or is there for want of others
        for form in self._forms:
            self._prepare(form, world, composition)
        self._num_asked = np.zeros(len(world), dtype=np.int64)
        self._num_of_kind = np.zeros((len(KINDS), len(world)), dtype=np.int64)
        self._num_rounds = np.zeros(len(self._forms), dtype=np.int64)
        self._chosen: list[list[Integers]] = [[] for _ in self._forms]  # [F] scenes, round by round

    def _prepare(self, form: Form, world: World, composition: bool) -> None:
        """Note where the form may be asked, and with what answers."""
        truth = form.truth(world)
        answer, possible, preferred = truth.answer, list(form.standard_answers), True
        if composition:
            concerns = np.where((truth.about & world.held_out).any(axis=1), answer, UNDEFINED)
            concerned = [int(a) for a in np.unique(concerns) if a != UNDEFINED]
            # a form that always has the same answer where it concerns the held-out is asked everywhere, or not at all
            preferred = len(concerned) > 1
            answer, possible = (concerns, concerned) if preferred else (answer, list(range(len(form.answers))))
        self._answer[len(self._possible)] = answer
        self._possible.append(possible if len(possible) > 1 else [])
        self._preferred.append(preferred and len(possible) > 1)

    def deal_shares(self, part: float) -> None:
        """Bring each kind up to ``part`` of its even share of the questions, and its forms with it by their weights."""
        weights = np.array([form.weight for form in self._forms]) * self._preferred
        total_weights = np.bincount(self._kind_of, weights, minlength=len(KINDS))
        kind_share = part * self._target * len(self._num_asked) / len(KINDS)
        for form in self._shuffled_forms():
            kind = self._kind_of[form]
            if self._preferred[form] and self._num_of_kind[kind].sum() < kind_share:
                form_share = kind_share * weights[form] / total_weights[kind]
                rounds = max(1, round(form_share / len(self._possible[form])))
                self._deal(form, rounds - int(self._num_rounds[form]), most=self._target, most_of_kind=1)

    def deal_rest(self) -> None:
        """Deal to scenes that lack questions, under conditions that grow looser until none does."""
        conditions = [(True, 0, 1), (False, 0, 1), (True, 1, 1), (False, 1, 1), (False, 1, 2), (False, 2, 2)]
        for only_preferred, extra, most_of_kind in conditions:
            progress = True
            while progress and (self._num_asked < self._target).any():
                before = self._num_asked.sum()
                num_rounds = 1 + int((self._num_asked < self._target).sum()) // len(self._forms)
                for form in self._shuffled_forms():
                    if self._preferred[form] or not only_preferred:
                        self._deal(form, num_rounds, self._target + extra, most_of_kind)
                progress = bool(self._num_asked.sum() > before)

    def fill(self) -> None:
        """Ask what can be asked where rounds could not reach."""
        for scene in np.flatnonzero(self._num_asked < self._target):
            asked = {form for form, dealt in enumerate(self._chosen) if any(scene in scenes for scenes in dealt)}
            fitting = [
                f for f in self._shuffled_forms() if f not in asked and self._answer[f, scene] in self._possible[f]
            ]
            while fitting and self._num_asked[scene] < self._target:
                rarest = min(fitting, key=lambda form: self._num_of_kind[self._kind_of[form], scene])
                fitting.remove(rarest)
                self._ask(rarest, np.array([scene]))

    def questions(self, stream: Stream) -> list[list[SceneQuestion]]:
        """By scene; ``stream`` draws the choices."""
        asked: list[list[tuple[Form, int]]] = [[] for _ in self._num_asked]
        for number, form in enumerate(self._forms):
            for scene in (scene for scenes in self._chosen[number] for scene in scenes.tolist()):
                asked[scene].append((form, int(self._answer[number, scene])))
        most_asked = max(map(len, asked), default=0)
        most_answers = max(len(form.answers) for form in self._forms)
        keys = stream.words((len(asked), most_asked, 2, most_answers)).tolist()
        return [
            [
                SceneQuestion(
                    form.text, form.answers[answer], form.kind, _choices(form.answers, answer, *keys[scene][k])
                )
                for k, (form, answer) in enumerate(of_scene)
            ]
            for scene, of_scene in enumerate(asked)
        ]

    def _deal(self, form: int, num_rounds: int, most: int, most_of_kind: int) -> None:
        """Up to ``num_rounds`` rounds to scenes with fewer than ``most`` questions, those with the fewest first.

        Beyond the target, a round must reach at least one scene that lacks a question.
        """
        possible, kind = self._possible[form], self._kind_of[form]
        if num_rounds < 1 or not possible:
            return
        free = (self._num_asked < most) & (self._num_of_kind[kind] < most_of_kind)
        if most_of_kind > 1:
            for scenes in self._chosen[form]:
                free[scenes] = False
        groups = [np.flatnonzero(free & (self._answer[form] == answer)) for answer in possible]
        num_rounds = min(num_rounds, *(len(group) for group in groups))
        if num_rounds < 1:
            return
        taken = np.concatenate([self._neediest(group, num_rounds) for group in groups])
        if most > self._target and not (self._num_asked[taken] < self._target).any():
            return
        self._ask(form, taken)
        self._num_rounds[form] += num_rounds

    def _neediest(self, scenes: Integers, count: int) -> Integers:
        """``count`` of the scenes with the fewest questions, drawn among equals."""
        order = np.lexsort((self._stream.words(len(scenes)), self._num_asked[scenes]))
        return scenes[order[:count]]

    def _ask(self, form: int, scenes: Integers) -> None:
        self._num_asked[scenes] += 1
        self._num_of_kind[self._kind_of[form], scenes] += 1
        self._chosen[form].append(scenes)

    def _shuffled_forms(self) -> list[int]:
        return [int(f) for f in np.argsort(self._stream.words(len(self._forms)), kind="stable")]


def _choices(answers: tuple[str, ...], right: int, which: list[int], place: list[int]) -> tuple[str, ...]:
    """The right answer among up to ``NUM_CHOICES - 1`` others, drawn by one key an answer and ordered by another."""
    others = sorted((a for a in range(len(answers)) if a != right), key=which.__getitem__)
    chosen = sorted([right, *others[: NUM_CHOICES - 1]], key=place.__getitem__)
    return tuple(answers[a] for a in chosen)
