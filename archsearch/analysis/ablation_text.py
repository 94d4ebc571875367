"""An ablation in words: what a change is called, what it does, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from archsearch.analysis.effects import Effect, Finding
from archsearch.designs import DesignPoint
from archsearch.text import count_text, level_text, significant

_ACCURACY = {
    Finding.BETTER: "pays in accuracy",
    Finding.WORSE: "costs accuracy",
    Finding.UNTOLD: "accuracy cannot be told",
}
_LATENCY = {
    Finding.BETTER: "saves latency",
    Finding.WORSE: "costs latency",
    Finding.UNTOLD: "latency cannot be told",
}
_OPPOSITE = {Finding.BETTER: Finding.WORSE, Finding.WORSE: Finding.BETTER}
_SCALE_WORDS = "cannot be told at this scale"


def base_level(name: str, point: DesignPoint, base: DesignPoint, known: Mapping[str, Any]) -> Any | None:
    """The base's level of a choice: the known one, else what its primitive choices that the point changes share.

    None if that is not one value, as for a macro such as `width`.
    """
    if name in known:
        return known[name]
    changed = {
        level_text(value): value
        for key, value in base.choices.items()
        if (key == name or key.endswith(f".{name}")) and point.choices.get(key, value) != value
    }
    return next(iter(changed.values())) if len(changed) == 1 else None


def change_text(point: DesignPoint, base: DesignPoint, known: Mapping[str, Any]) -> str:
    """`kernel 5 instead of 3`, `with residual`, both joined by "and"; the point's name if it changes nothing."""
    parts = []
    for name, level in point.changes.items():
        before = base_level(name, point, base, known)
        if isinstance(level, bool):
            parts.append(f"{'with' if level else 'without'} {name}")
        else:
            parts.append(
                f"{name} {level_text(level)}" + ("" if before is None else f" instead of {level_text(before)}")
            )
    return " and ".join(parts) or point.name


def held_text(point: DesignPoint, base: DesignPoint, known: Mapping[str, Any]) -> str:
    """What the base has that the point takes back: `kernel 5`, `residual`; the choice's name where it is not known."""
    parts = []
    for name, level in point.changes.items():
        before = base_level(name, point, base, known)
        if isinstance(level, bool):
            parts.append(f"{'no ' if level else ''}{name}")
        elif before is None:
            parts.append(f"the base's {name}")
        else:
            parts.append(f"{name} {level_text(before)}")
    return " and ".join(parts) or point.name


def answer_text(top1: Effect, latency: Effect, *, taken_back: bool = False) -> str:
    """`pays in accuracy, costs latency`: of the change, or of what it takes back."""
    accuracy, time = (
        _OPPOSITE.get(effect.finding, effect.finding) if taken_back else effect.finding for effect in (top1, latency)
    )
    if accuracy is time is Finding.UNTOLD:
        return _SCALE_WORDS
    return f"{_ACCURACY[accuracy]}, {_LATENCY[time]}"


def amount(effect: Effect) -> str:
    """`+1.30 points top-1`, `+12.1 % latency`, `+12.3 k params`."""
    if math.isnan(effect.estimate):
        return f"{_noun(effect).removeprefix('points ')} not known"
    if effect.exact:
        return f"{_sign(effect.estimate)}{count_text(abs(effect.estimate))} {_noun(effect)}"
    return f"{_number(effect.estimate, effect)} {_noun(effect)}"


def between(effect: Effect, *, word: str = "to") -> str:
    """`+0.40 to +2.20`, the simultaneous interval; "" if there is none."""
    if effect.low is None or effect.high is None:
        return ""
    return f"{_number(effect.low, effect, unit=False)} {word} {_number(effect.high, effect)}"


def with_interval(effect: Effect) -> str:
    """`+1.30 points top-1, +0.40 to +2.20`; why there is no interval, where there is none."""
    inside = between(effect) or f"no interval: {effect.note}"
    return f"{amount(effect)}, {inside}"


def row_sentence(
    label: str,
    top1: Effect,
    latency: Effect,
    params: Effect,
    macs: Effect,
    *,
    confidence: float,
    comparisons: int,
    answer: str,
) -> str:
    """One change in one sentence, with n, both intervals and the exact costs."""
    corrected = f"corrected for {comparisons} comparisons" if comparisons > 1 else "one comparison"
    seeds = f"n = {top1.n} seed{'' if top1.n == 1 else 's'}"
    parts = []
    if top1.low is None:
        parts.append(f"{amount(top1)} ({seeds}, no interval: {top1.note})")
    elif top1.finding is Finding.UNTOLD:
        parts.append(
            f"top-1 {_SCALE_WORDS}: between {between(top1, word='and')} points "
            f"({confidence * 100:g} % interval, {seeds}, {corrected})"
        )
    else:
        parts.append(f"{amount(top1)} ({confidence * 100:g} % interval {between(top1)}, {seeds}, {corrected})")
    inside = between(latency) or f"no interval: {latency.note}"
    parts.append(f"{amount(latency)} ({inside})")
    parts += [amount(effect) for effect in (params, macs) if effect.finding is not Finding.SAME]
    return f"{label}: {', '.join(parts)}: {answer}."


def interaction_sentence(label: str, top1: Effect, latency: Effect, *, confidence: float, comparisons: int) -> str:
    """Whether two changes add up."""
    corrected = f", corrected for {comparisons} comparisons" if comparisons > 1 else ""
    texts = []
    for effect, what in ((top1, "in accuracy"), (latency, "in latency")):
        if effect.low is None:
            texts.append(f"{what} {amount(effect)} beyond the sum, no interval: {effect.note}")
            continue
        said = {
            Finding.BETTER: "together they do better than their sum",
            Finding.WORSE: "together they do worse than their sum",
        }.get(effect.finding, "no interaction can be told")
        texts.append(f"{what} {said} ({_number(effect.estimate, effect)}, {between(effect)})")
    return f"{label}: {'; '.join(texts)} ({confidence * 100:g} % intervals, n = {top1.n} seeds{corrected})."


def _noun(effect: Effect) -> str:
    return {"top1": "points top-1", "latency": "latency", "latency_ms": "latency"}.get(effect.quantity, effect.quantity)


def _sign(value: float) -> str:
    return "-" if value < 0 else "+"


def _number(value: float, effect: Effect, *, unit: bool = True) -> str:
    if effect.unit == "%":
        text = f"{abs(value):.1f}" if abs(value) < 100 else f"{abs(value):.0f}"
        return f"{_sign(value)}{text}{' %' if unit else ''}"
    if effect.unit == "ms":
        return f"{_sign(value)}{significant(abs(value))}{' ms' if unit else ''}"
    return f"{_sign(value)}{abs(value):.2f}"
