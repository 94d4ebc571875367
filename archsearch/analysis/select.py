"""A network by a rule of one's own: `knee`, `accuracy`, `latency`, or a budget such as `latency<=3.5`.

    rule   = "recommended" | "knee" | "accuracy" | "latency" | budget
    budget = ("latency" | "error" | "params" | "macs") "<=" number [unit]  |  "accuracy" ">=" number ["%"]
    unit   = "ms" after latency; "%" after error; "k", "M" or "G" after params and macs

A budget on latency, params or macs takes the most accurate network within it; a budget on error (or accuracy) takes
the fastest. Budgets look at every complete record, since the best within one on `params` need not be on a front of
error and latency. `recommended` is no rule on a front alone: `archsearch.analysis.recommendation` has it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from archsearch.analysis.front import Front
from archsearch.analysis.objectives import OBJECTIVES
from archsearch.errors import ArchsearchError, ConfigError, nearest
from archsearch.records import Record
from archsearch.text import plural

RECOMMENDED = "recommended"
RULES = ("knee", "accuracy", "latency")
GRAMMAR = (
    "recommended, knee, accuracy, latency, latency<=MS, error<=PERCENT, accuracy>=PERCENT, "
    "params<=N or macs<=N (k, M, G)"
)

_BUDGET = re.compile(r"([a-z_0-9]+)\s*(<=|>=|<|>|==?)\s*(.*)")
_NUMBER = re.compile(r"([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*(ms|%|[kKmMgG])?")
_SCALE = {"k": 1e3, "m": 1e6, "g": 1e9}
# budget name -> objective that it limits, units that may follow its number
_BUDGETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "latency": ("latency_ms", ("ms",)),
    "error": ("error_percent", ("%",)),
    "accuracy": ("error_percent", ("%",)),
    "params": ("params", ("k", "m", "g")),
    "macs": ("macs", ("k", "m", "g")),
}


@dataclass(frozen=True, kw_only=True)
class SelectionRule:
    """A parsed rule: the knee, or what is minimised, of all or where an `objective` is at most so much (its unit)."""

    knee: bool = False
    minimise: str = "error_percent"
    objective: str | None = None
    at_most: float = math.inf


def parse_rule(text: str) -> SelectionRule:
    """The rule that a person wrote. Raises ConfigError saying what is allowed."""
    rule = text.strip()
    if rule in RULES:
        return SelectionRule(knee=rule == "knee", minimise="latency_ms" if rule == "latency" else "error_percent")
    budget = _BUDGET.fullmatch(rule)
    if budget is None or budget[1] not in _BUDGETS:
        near = nearest(text, (RECOMMENDED, *RULES))
        meant = f"did you mean '{near}'? " if near else ""
        raise ConfigError(f"unknown rule '{text}'", hint=f"{meant}rules are {GRAMMAR}")
    name, sign, amount = budget.groups()
    if name == "accuracy" and sign != ">=":
        raise _wrong(text, "accuracy can only be asked to be >= a percentage")
    if name != "accuracy" and sign != "<=":
        raise _wrong(text, f"{name} can only be limited with <=")
    objective, units = _BUDGETS[name]
    limit = _amount(text, amount, units)
    return SelectionRule(
        minimise="latency_ms" if objective == "error_percent" else "error_percent",
        objective=objective,
        at_most=100.0 - limit if name == "accuracy" else limit,
    )


def select(front: Front, rule: str) -> Record:
    """The record that a rule chooses; ties go to the lower latency, then error, params and trial number.

    Raises ConfigError for a rule that cannot be read or that nothing satisfies (naming the nearest; a front may have
    no knee), and ArchsearchError if there is no complete trial to choose from.
    """
    parsed = parse_rule(rule)
    if not front.rows:
        raise ArchsearchError("no complete trial to choose from", hint="run the study first")
    if parsed.knee:
        if front.knee is None:
            raise ConfigError(
                f"the front ({plural(len(front.members), 'network')}) has no knee between its ends",
                hint="choose by another rule: recommended, accuracy or latency",
            )
        return front.knee.record
    records = [row.record for row in front.rows]
    if parsed.objective is not None:
        limited = OBJECTIVES[parsed.objective]
        # 100 - x is not exact in binary, so a limit also admits what differs from it by rounding alone
        slack = 1e-9 * max(1.0, abs(parsed.at_most))
        within = [record for record in records if limited.extract(record) <= parsed.at_most + slack]
        if not within:
            closest = min(records, key=lambda record: (limited.extract(record), record.trial))
            raise ConfigError(
                f"no complete trial satisfies '{rule.strip()}'",
                hint=f"the nearest is {closest.label} with {limited.show(limited.extract(closest))}",
            )
        records = within
    order = [OBJECTIVES[name].extract for name in (parsed.minimise, "latency_ms", "error_percent", "params")]
    return min(records, key=lambda record: (*(extract(record) for extract in order), record.trial))


def _amount(rule: str, text: str, units: tuple[str, ...]) -> float:
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise _wrong(rule, f"'{text.strip()}' is not a number" if text.strip() else "lacks the number")
    number, unit = float(match.group(1)), (match.group(2) or "").lower()
    if unit and unit not in units:
        raise _wrong(rule, f"the unit '{match.group(2)}' does not fit; allowed: {', '.join(units)}")
    if not math.isfinite(number):
        raise _wrong(rule, f"'{text.strip()}' is not finite")
    return number * _SCALE.get(unit, 1.0)


def _wrong(rule: str, what: str) -> ConfigError:
    return ConfigError(f"rule '{rule}': {what}", hint=f"rules are {GRAMMAR}")
