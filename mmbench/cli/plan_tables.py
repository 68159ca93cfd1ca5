"""A plan as tables in the terminal."""

from rich.console import Console

from mmbench.cli.terminal import result_console, result_table
from mmbench.config.settings import Settings
from mmbench.harness.plan import Plan, SystemPlan
from mmbench.report import numbers
from mmbench.report.matching import TOLERANCE

_NOT_MEASURED = "not measured"


def print_plan(plan: Plan, settings: Settings) -> None:
    """Print what each budget buys, what trains in each stage, and what is equal between the systems.

    Args:
        plan: of one comparison, or of a study of several budgets.
        settings: of the first of them.
    """
    console = result_console()
    _print_systems(plan, settings, console)
    _print_stages(plan, console)
    _print_matching(plan, settings, console)


def _print_systems(plan: Plan, settings: Settings, console: Console) -> None:
    """Parameters, and what each budget buys; one row a system and budget."""
    cells = len(settings.seeds)
    title = f"{settings.data.name} at scale {settings.scale}: {cells} {'cell' if cells == 1 else 'cells'} a system"
    console.print(title, style="bold", markup=False, highlight=False)
    columns = ["system", "budget", "parameters", "trainable", "active", "steps", "samples", "tokens", "FLOPs"]
    table = result_table([*columns, "memory", "time a cell"])
    for one in plan.systems:
        parameters = [numbers.millions(one.parameters[key]) for key in ("total", "trainable", "active")]
        table.add_row(one.system, str(one.budget), *parameters, *_bought(one), _memory(one), _time(one))
    console.print(table)
    if any(not one.exact for one in plan.systems):
        console.print("~ the first steps of a long stage were gone through one by one, the rest taken to cost as much")
    if plan.decided:
        decided = f"{plan.decided['device']}, {plan.decided['precision']}, {plan.decided['attention']} attention"
        rows = f"{plan.decided['micro_batch_rows']} of {settings.training.batch_rows} rows at once"
        console.print(f"Times: a few steps measured on {decided}, {rows}. They leave evaluation out.", markup=False)
    console.print(
        "Memory: weights, gradients, optimiser and what the longest step keeps for its backward pass, on a processor "
        "with the libraries: an estimate.",
        soft_wrap=True,
    )


def _bought(one: SystemPlan) -> list[str]:
    if one.spent is None:
        return [_NOT_MEASURED] * 4
    about = "" if one.exact and one.budget.unit != "s" else "~"
    counts = [numbers.count(value) for value in (one.spent.steps, one.spent.samples, one.spent.tokens)]
    return [*(about + count for count in counts), about + numbers.power(one.spent.flops)]


def _memory(one: SystemPlan) -> str:
    return f"~{numbers.memory(one.memory_bytes)}"


def _time(one: SystemPlan) -> str:
    if one.spent is None or not one.measured:
        return _NOT_MEASURED
    return f"~{numbers.seconds(one.spent.device_s)}"


def _print_stages(plan: Plan, console: Console) -> None:
    """What trains and what is frozen, and what a step costs."""
    table = result_table(["system", "budget", "share", "trainable", "FLOPs a step", "steps", "trains", "frozen"])
    for column in table.columns[-2:]:
        column.justify = "left"
    for one in plan.systems:
        for stage in one.stages:
            table.add_row(
                one.system,
                str(one.budget),
                f"{stage.share:.0%}",
                numbers.millions(stage.parameters_trainable),
                numbers.power(stage.flops_per_step),
                numbers.count(stage.steps),
                ", ".join(stage.trains),
                ", ".join(stage.frozen) or "-",
            )
    console.print(table)


def _print_matching(plan: Plan, settings: Settings, console: Console) -> None:
    """How far the systems differ in each quantity, flagged above 1%; and what matching did."""
    for one in plan.matched:
        console.print(str(one), markup=False, style="yellow" if one.reason else "")
    if settings.match == "none":
        console.print("Parameters are not matched: --match params, trainable or active does that.", markup=False)
    names = list(dict.fromkeys(one.system for one in plan.systems))
    table = result_table(["compared", "budget", *names, "difference", ""])
    budgets = list(dict.fromkeys(one.budget for one in plan.systems))
    for budget in budgets:
        under = [one for one in plan.systems if one.budget == budget]
        parameters = {f"{key} parameters": [one.parameters[key] for one in under] for key in under[0].parameters}
        quantities = (parameters if budget == budgets[0] else {}) | _bought_by(under)
        for label, values in quantities.items():
            difference = max(values) / max(1, min(values)) - 1
            shown = [numbers.power(v) if label == "FLOPs" else numbers.count(v) for v in values]
            of = "" if label in parameters else str(budget)
            table.add_row(label, of, *shown, f"{difference:.1%}", "▲" if difference > TOLERANCE else "")
    console.print(table)
    console.print(f"▲ the largest is more than {TOLERANCE:.0%} above the smallest.", highlight=False)


def _bought_by(under: list[SystemPlan]) -> dict[str, list[float]]:
    """Label -> what the budget buys each system."""
    spent = [one.spent for one in under if one.spent is not None]
    if not spent:
        return {}
    return {
        "steps": [meter.steps for meter in spent],
        "samples": [meter.samples for meter in spent],
        "tokens": [meter.tokens for meter in spent],
        "FLOPs": [meter.flops for meter in spent],
    }
