"""From the findings of a claim's rules to its verdict."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from mmbench.claims.claim import Claim, Rule
from mmbench.claims.evidence import Evidence
from mmbench.claims.rules import ALPHA, Finding, find
from mmbench.stats.multiple import holm

Verdict = Literal["supported", "refuted", "undecided", "not yet"]


@dataclass(frozen=True)
class Decided:
    """A rule with its finding, among the others of its claim."""

    rule: Rule
    """The rule."""
    finding: Finding
    """What it found."""
    p_holds: float
    """Holm's adjustment over the claim's rules; NaN where nothing can be said."""
    p_refutes: float
    """The same, of the opposite."""

    @property
    def verdict(self) -> Verdict:
        """Of this rule alone."""
        if self.p_refutes < ALPHA:
            return "refuted"
        return "supported" if self.p_holds < ALPHA else "undecided"


@dataclass(frozen=True)
class Judgement:
    """A claim's verdict and what it rests on."""

    verdict: Verdict
    """supported, refuted, undecided; or not yet, where parts are missing."""
    rules: list[Decided] = field(default_factory=list)
    """One a rule."""
    reason: str = ""
    """Why there is no verdict."""


def judge(claim: Claim, evidence: Evidence) -> Judgement:
    """Supported if all rules that decide hold, refuted if any of them is refuted, else undecided.

    The rules' p values are adjusted together (Holm), those that hold and those that refute each; what is counted
    exactly is no test and takes no part in it.
    """
    findings = [find(rule, evidence) for rule in claim.rules]
    p_holds = _adjusted(findings, [finding.p_holds for finding in findings])
    p_refutes = _adjusted(findings, [finding.p_refutes for finding in findings])
    rules = [Decided(*each) for each in zip(claim.rules, findings, p_holds, p_refutes, strict=True)]
    verdicts = {decided.verdict for decided in rules if decided.rule.decides}
    verdict: Verdict = "refuted" if "refuted" in verdicts else "undecided"
    if verdicts == {"supported"}:
        verdict = "supported"
    return Judgement(verdict, rules)


def not_judged(claim: Claim, reason: str = "") -> Judgement:
    """The judgement of a claim that could not be run: not yet where it needs parts, else undecided with the reason."""
    if claim.needs:
        return Judgement("not yet", reason=f"needs {'; '.join(claim.needs)}")
    return Judgement("undecided", reason=reason)


def _adjusted(findings: list[Finding], p: list[float]) -> list[float]:
    tested = [index for index, finding in enumerate(findings) if not finding.exact]
    adjusted = list(p)
    for index, value in zip(tested, holm(np.array([p[index] for index in tested])), strict=True):
        adjusted[index] = float(value)
    return adjusted
