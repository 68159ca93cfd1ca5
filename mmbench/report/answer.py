"""The answer of a comparison in sentences, each with its interval and how sure it is."""

from itertools import combinations
from typing import Any

from mmbench.harness.looks import METRICS
from mmbench.report import numbers
from mmbench.report.abilities import no_score_of
from mmbench.report.catalogue import FURTHER, HEADLINES, Metric, describe
from mmbench.report.looks import interval_name, sure_words
from mmbench.report.systems import MANY, Summary, names_of
from mmbench.report.text import Span, Text, bold, join_systems, system, text


def question(summary: Summary) -> Text:
    """What the comparison asks."""
    names = names_of(summary, "system")
    data = summary["data"]["name"] or "this data"
    budget = budget_words(summary["budget"])
    seeds = len(summary["seeds"])
    runs = f"{seeds} training seeds each" if seeds != 1 else "one training seed"
    if len(names) > MANY:
        return text(f"Which of {len(names)} systems does best on {data} after the same {budget}, with {runs}?")
    if len(names) == 1:
        return text("How well does ", system(names[0]), f" do on {data} after {budget}, with {runs}?")
    return text("Which of ", join_systems(names), f" does best on {data} after the same {budget}, with {runs}?")


def budget_words(budget: str) -> str:
    """``20000samples`` as ``20,000 samples``."""
    amount = budget.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = {"s": "seconds of training", "min": "minutes of training", "flops": "FLOPs"}
    try:
        value = float(amount.replace("_", ""))
    except ValueError:
        return budget or "budget"
    written = numbers.power(value) if value >= 1e9 else numbers.count(value)
    name = budget[len(amount) :]
    return f"{written} {unit.get(name, name)}"


def verdict(summary: Summary) -> Text:
    """One sentence: who is ahead on what, and where the top is not decided."""
    ahead: dict[str, list[str]] = {}
    tied: dict[tuple[tuple[str, ...], int, bool], list[str]] = {}
    total = len(names_of(summary, "system"))
    for metric in _headlines(summary):
        leaders, scored = leading(summary, metric), len(ranked(summary, metric))
        if len(leaders) == 1:
            of = "" if scored == total else f" (of the {scored} that have it)"
            ahead.setdefault(leaders[0], []).append(describe(metric).label + of)
        elif leaders:
            at_top = tuple(name for name in names_of(summary, "system") if name in leaders)
            # All may be within reach of the best, and two of them be apart nevertheless.
            alike = not any(pair_of(summary, metric, a, b)["distinguishable"] for a, b in combinations(at_top, 2))
            tied.setdefault((at_top, scored, alike), []).append(describe(metric).label)
    parts: Text = []
    for name, labels in ahead.items():
        parts += text("; " if parts else "", system(name), f" is ahead of all others on {numbers.join(labels)}")
    for (names, scored, alike), labels in tied.items():
        parts += text("; " if parts else "", f"on {numbers.join(labels)} ")
        if len(names) > MANY:
            parts += text(f"{len(names)} of the {scored} systems cannot be told apart from the best")
        elif not alike:
            parts += text("none of ", join_systems(list(names)), " can be told apart from the best")
        else:
            parts += join_systems(list(names))
            words = " cannot be told apart" if len(names) == scored else " are at the top and cannot be told apart"
            parts += text(words)
    if not parts:
        return text("No two systems have been scored yet.")
    first = parts[0] if parts[0].style == "system" else Span(parts[0].text[:1].upper() + parts[0].text[1:])
    return [first, *parts[1:], Span(".")]


def leading(summary: Summary, metric: str) -> list[str]:
    """The best system of a metric and all that are not distinguishable from it; empty with fewer than two."""
    means = ranked(summary, metric)
    if len(means) < 2:
        return []
    best = means[0]
    return [name for name in means if name == best or not pair_of(summary, metric, best, name)["distinguishable"]]


def ranked(summary: Summary, metric: str) -> list[str]:
    """The compared systems that have this metric, best first."""
    means = {
        name: summary["systems"][name]["metrics"][metric]["mean"]
        for name in names_of(summary, "system")
        if metric in summary["systems"][name]["metrics"]
    }
    return sorted(means, key=lambda name: means[name], reverse=describe(metric).higher_is_better)


def sentences(summary: Summary) -> list[tuple[str, list[Text]]]:
    """For each headline metric its label and its sentences: all pairs of up to three systems, else the telling ones."""
    found = []
    for metric in _headlines(summary):
        order = ranked(summary, metric)
        if len(order) < 2:
            continue
        pairs = [(a, b) for number, a in enumerate(order) for b in order[number + 1 :]]
        sure = [pair for pair in pairs if pair_of(summary, metric, *pair)["distinguishable"]]
        if not sure:
            said = [_none_sure(summary, metric, order)]
        elif len(order) <= 3:
            said = [pair_sentence(summary, metric, *pair) for pair in pairs]
        else:
            said = [pair_sentence(summary, metric, order[0], order[-1])]
            said.append(text(f"Of the {len(pairs)} pairs of systems {len(sure)} can be told apart."))
        alike = [pair for pair in pairs if len(order) > 2 and not sure and _same(pair_of(summary, metric, *pair))]
        said += [pair_sentence(summary, metric, *pair) for pair in alike[:MANY]]
        without = [name for name in names_of(summary, "system") if name not in order]
        said += no_score_of(summary, metric, without)
        found.append((describe(metric).label, said))
    return found


def _same(pair: dict[str, Any]) -> bool:
    """Whether two systems agree so far that there is nothing to tell apart: on every example and seed."""
    return bool(pair["difference"] == 0 and pair["ci_low"] == 0 and pair["ci_high"] == 0)


def pair_sentence(summary: Summary, metric: str, a: str, b: str) -> Text:
    """One pair: who is better by how much, or that it cannot be told; ``a`` stands higher in the table."""
    shown = describe(metric)
    pair = pair_of(summary, metric, a, b)
    if pair["ci_low"] is None:
        return text(system(a), " and ", system(b), " share no seed or too few images to be compared.")
    if _same(pair):
        over = " (one seed, over examples only)" if pair["covers"] == "examples only" else ""
        return text(
            system(a), " and ", system(b), f" have the same score on every example{over}: nothing tells them apart."
        )
    size, words, digits = _size_and_interval(pair, shown)
    if pair["distinguishable"]:
        before, between = shown.more
        words = f" ({words}, {sure_words(pair)})."
        return text(system(a), f"{before} {size}{_unit(shown)} {between} ", system(b), words)
    words = f" are not distinguishable: {size}{_unit(shown)} apart ({words}), where {_likely(pair, shown, digits)}."
    return text(system(a), " and ", system(b), words)


def _none_sure(summary: Summary, metric: str, order: list[str]) -> Text:
    """One sentence for a metric on which no pair can be told apart: the best against the last."""
    shown = describe(metric)
    pair = pair_of(summary, metric, order[0], order[-1])
    if pair["ci_low"] is None:
        return text("The systems share no seed or too few images to be compared.")
    if _same(pair):
        if len(order) == 2:
            return pair_sentence(summary, metric, *order)
        return text("All systems have the same mean score.")
    size, words, digits = _size_and_interval(pair, shown)
    start = text("No two can be told apart. ") if len(order) > 2 else text("Not distinguishable. ")
    words = f"{size}{_unit(shown)} ({words}, {sure_words(pair)}); "
    words += _likely(pair, shown, digits)
    if pair["seeds_needed"] is not None:
        words += f"; this one would take about {numbers.count(pair['seeds_needed'])} seeds"
    return text(start, system(order[0]), " is ahead of ", system(order[-1]), f" by {words}.")


def against_blind(summary: Summary) -> Text:
    """Whether each system sees: its distance from the language model that was shown no image.

    Each system is held against it on the first of the metrics to decide on that both have.
    """
    of_blind = summary["systems"].get("blind", {}).get("metrics", {})
    if not any(metric in summary["pairs"] for metric in METRICS if metric in of_blind):
        return text("There is no finished blind baseline: nothing here shows that the systems look at the image.")
    groups: dict[str, list[str]] = {}
    for name in names_of(summary, "system"):
        metrics = summary["systems"][name]["metrics"]
        shared = next((m for m in METRICS if m in metrics and m in of_blind and m in summary["pairs"]), "")
        if metrics:
            groups.setdefault(shared, []).append(name)
    said: Text = []
    for metric, names in groups.items():
        if metric:
            said += _against_blind(summary, metric, names)
        else:
            said += text(join_systems(names), " share no score with blind. ")
    return said


def _against_blind(summary: Summary, metric: str, names: list[str]) -> Text:
    """Some systems, on one metric."""
    shown = describe(metric)
    beats: list[Text] = []
    ahead: list[Text] = []
    fails: list[str] = []
    for name in names:
        pair = pair_of(summary, metric, name, "blind")
        if pair["difference"] is None or pair["difference"] <= 0:
            fails.append(name)
        elif pair["distinguishable"]:
            digits = shown.digits
            low, high = (numbers.fixed(pair[key] * shown.scale, digits) for key in ("ci_low", "ci_high"))
            beats.append(text(system(name), f" (+{_scaled(pair['difference'], shown, digits)}, {low} to {high})"))
        else:
            ahead.append(_ahead_of_blind(name, pair, shown))
    said: Text = []
    if beats:
        said += text(f"On {shown.label} the blind baseline (the shared language model, no image) is beaten by ")
        for number, part in enumerate(beats):
            said += [*text((", " if number < len(beats) - 1 else " and ") if number else ""), *part]
        said += text(" points. " if shown.scale == 100 else ". ")
    for part in ahead:
        said += part
    if fails:
        verb = "does" if len(fails) == 1 else "do"
        said += text(join_systems(fails), f" {verb} not beat blind on {shown.label}: ")
        said += text(
            bold("nothing shows that it looks at the image." if len(fails) == 1 else "they may not look at it."), " "
        )
    return said


def _ahead_of_blind(name: str, pair: dict[str, Any], shown: Metric) -> Text:
    """A lead over blind that may be chance: neither shown nor to be read as blindness."""
    if pair["ci_low"] is None:
        return text(system(name), " and blind share no seed or too few images to be compared. ")
    size, words, digits = _size_and_interval(pair, shown)
    words += f", {sure_words(pair)}"
    start = f" is ahead of blind by {size}{_unit(shown)} on {shown.label} ({words}), but "
    return text(system(name), start, bold("not distinguishable"), f" from it: {_likely(pair, shown, digits)}. ")


def pair_of(summary: Summary, metric: str, a: str, b: str) -> dict[str, Any]:
    """The pair's row, turned so that ``a`` comes first."""
    for row in summary["pairs"][metric]:
        if (row["system_a"], row["system_b"]) == (a, b):
            return dict(row)
        if (row["system_a"], row["system_b"]) == (b, a):
            turned = dict(row) | {"system_a": a, "system_b": b}
            for key, source in (
                ("difference", "difference"),
                ("ci_low", "ci_high"),
                ("ci_high", "ci_low"),
                ("effect", "effect"),
            ):
                turned[key] = None if row[source] is None else -row[source]
            return turned
    raise KeyError(f"no pair of {a} and {b} for {metric}")


def _headlines(summary: Summary) -> list[str]:
    """What is spoken of: the further headlines only where two systems could not be compared without them."""
    found = [metric for metric in HEADLINES if metric in summary["pairs"]]
    held = [{m for m in found if m in summary["systems"][name]["metrics"]} for name in names_of(summary, "system")]
    strangers = [a & b for a, b in combinations(held, 2) if (a & b) <= set(FURTHER)]
    needed = set().union(*strangers) if strangers else set()
    alone = all(metrics <= set(FURTHER) for metrics in held)
    return [metric for metric in found if metric not in FURTHER or metric in needed or alone]


def _size_and_interval(pair: dict[str, Any], shown: Metric) -> tuple[str, str, int]:
    """The size of a difference, its interval in words, and the decimals of both."""
    low, high = pair["ci_low"] * shown.scale, pair["ci_high"] * shown.scale
    difference = pair["difference"] * shown.scale
    if difference < 0:
        low, high, difference = -high, -low, -difference
    digits = numbers.digits_for([(high - low) / 2], shown.digits)
    words = f"{interval_name(pair)} {numbers.fixed(low, digits)} to {numbers.fixed(high, digits)}"
    if pair["covers"] == "examples only":
        words += " over examples only"
    return numbers.fixed(difference, digits), words, digits


def _likely(pair: dict[str, Any], shown: Metric, digits: int) -> str:
    """What this comparison could have shown."""
    least = detectable(pair["smallest_detectable"], shown, digits)
    if least.startswith(">"):
        return "so few seeds could hardly have shown any difference"
    return f"a difference of {least} would likely have been found"


def detectable(value: float | None, shown: Metric, digits: int) -> str:
    """The smallest detectable difference; no more than the metric's whole range."""
    if not value:
        return numbers.DASH
    scaled = value * shown.scale
    return f"> {shown.bounds[1]:.0f}" if scaled > shown.bounds[1] else numbers.fixed(scaled, digits)


def _unit(shown: Metric) -> str:
    return " points" if shown.scale == 100 else " nats per token"


def _scaled(value: float | None, shown: Metric, digits: int) -> str:
    return numbers.fixed(None if value is None else value * shown.scale, digits)
