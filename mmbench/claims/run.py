"""Running claims by the harness: each run once, however many claims rest on it; then one judgement a claim."""

from collections.abc import Callable, Mapping
from pathlib import Path

from mmbench.claims.claim import Claim
from mmbench.claims.evidence import gather
from mmbench.claims.library import Asked, runs_of
from mmbench.claims.verdict import Judgement, judge, not_judged
from mmbench.config.errors import UserError
from mmbench.config.settings import Settings
from mmbench.harness import tasks
from mmbench.harness.compare import run_comparison
from mmbench.harness.processes import Processes, Task
from mmbench.harness.run_files import RunFiles


def run_claims(
    claims: Mapping[Path, Claim],
    asked: Asked,
    runs_dir: Path,
    *,
    jobs: int | None,
    command: str,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[dict[Path, Judgement], dict[Path, dict[str, Settings]]]:
    """Run what the claims need, or go on with it, and judge them.

    A run that fails leaves its claims undecided, with the reason, and the others go on.

    Returns:
        The judgement of each claim; and of each that was run, the settings of its arms.

    Raises:
        UserError: a claim names what does not exist; nothing has been run then.
    """
    arms = {path: runs_of(claim, asked) for path, claim in claims.items() if not claim.needs}
    failed: dict[str, str] = {}
    for settings in {each.name: each for of_claim in arms.values() for each in of_claim.values()}.values():
        of_run = [claims[path].number for path, each in arms.items() if settings.name in _names(each)]
        say(f"Claim{'s' if len(of_run) > 1 else ''} {', '.join(map(str, of_run))}: run {settings.name}")
        try:
            run = run_comparison(settings, runs_dir, jobs=jobs, command=command)
            say("Counting costs over rising resolution")
            _count_costs(run)
        except UserError as error:
            failed[settings.name] = str(error)
            say(f"The run {settings.name} failed: {error}")
    return {path: _judged(claim, arms.get(path, {}), failed, runs_dir) for path, claim in claims.items()}, arms


def _judged(claim: Claim, arms: Mapping[str, Settings], failed: Mapping[str, str], runs_dir: Path) -> Judgement:
    reasons = [failed[name] for name in _names(arms) if name in failed]
    if claim.needs or reasons:
        return not_judged(claim, "; ".join(reasons))
    try:
        return judge(claim, gather({arm: runs_dir / settings.name for arm, settings in arms.items()}))
    except UserError as error:
        return not_judged(claim, str(error))


def _names(arms: Mapping[str, Settings]) -> list[str]:
    return [settings.name for settings in arms.values()]


def _count_costs(run: RunFiles) -> None:
    (outcome,) = Processes().run([Task(tasks.count_costs, (run.root,))], 1)
    if outcome.error is not None:
        raise UserError(f"counting costs: {outcome.error}")
