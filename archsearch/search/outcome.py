"""How one evaluation ended, and what the sampler is told of it. Nothing here imports torch or Optuna."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from archsearch.limits import GUIDELINES
from archsearch.records import Cost, EarlyStop, Latency, Record, Score, TrialStatus
from archsearch.search.config import Constraints, StudyConfig

# The constraint that a stopped trial breaks, the one that is no bound; Optuna's tools then leave it off the front.
EARLY_STOP = "early_stop"
_TRAINED = -1.0  # of a trial that ran to its end: clear of the bound, so that a model of the constraint has two sides


class Blame(Enum):
    """Whom the error speaks of that ended a trial."""

    NETWORK = "the network: its training diverged, or it does not fit into memory"
    UNCLEAR = "the network, the study or the machine: an error that archsearch raises itself"
    PROGRAM = "the program: any other error"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an evaluation ended, with all that was found before it did.

    Attributes:
        status: COMPLETE, STOPPED, REJECTED or FAILED.
        reason: why, if it is not complete.
        early_stop: what the stopping rule said, if it spoke for stopping.
        excess: for each constraint of the study, how far its bound is exceeded as a share of it.
        blame: of a failed one.
    """

    status: TrialStatus
    reason: str | None = None
    cost: Cost | None = None
    latency: Latency | None = None
    score: Score | None = None
    early_stop: EarlyStop | None = None
    excess: Mapping[str, float] = field(default_factory=dict)
    blame: Blame | None = None


def outcome_of(record: Record, constraints: Constraints) -> Outcome:
    """A stored record as the outcome that it was; a replay counts as what it repeats."""
    excess = constraint_excess(constraints, record.cost, record.latency)
    status = record.status
    if status is TrialStatus.REPLAY:
        stopped = record.early_stop is not None and record.early_stop.stopped
        status = TrialStatus.STOPPED if stopped else TrialStatus.COMPLETE
        status = TrialStatus.REJECTED if rejecting(constraints, excess) else status
    return Outcome(
        status=status,
        reason=record.reason,
        cost=record.cost,
        latency=record.latency,
        score=record.score,
        early_stop=record.early_stop,
        excess=excess,
    )


def told_excess(outcome: Outcome, config: StudyConfig) -> dict[str, float]:
    """What Optuna is told of an outcome's constraints: positive breaks one. Every trial of a study has the same names.

    Under a stopping rule `early_stop` is one of them: the share of the epochs that a stopped trial was spared, -1 for
    a complete one, and 0, which says nothing, for one that was rejected.
    """
    if config.stopping.policy == "none":
        return dict(outcome.excess)
    early = 0.0
    if outcome.status is TrialStatus.COMPLETE:
        early = _TRAINED
    elif outcome.status is TrialStatus.STOPPED and outcome.score is not None:
        early = 1.0 - outcome.score.epochs / config.proxy.epochs
    return {**outcome.excess, EARLY_STOP: early}


def constrained_values(cost: Cost | None, latency: Latency | None) -> dict[str, float]:
    """The values that constraints bound, as far as they are known."""
    values: dict[str, float] = {}
    if cost is not None:
        values |= {"params": float(cost.params), "macs": float(cost.macs), **cost.guidelines}
        if cost.memory_bytes is not None:
            values["memory_bytes"] = float(cost.memory_bytes)
    if latency is not None:
        values["latency_ms"] = latency.corrected_ms
    return values


def constraint_excess(constraints: Constraints, cost: Cost | None, latency: Latency | None) -> dict[str, float]:
    """For each constraint that is set, soft or hard, value / bound - 1: positive breaks it.

    A value that was never found (a latency, where the parameters alone were too many) stands at the bound: it says
    nothing. Deciding on a trial never comes to that, because a failed measurement is an error, not a value.
    """
    values = constrained_values(cost, latency)
    return {name: values[name] / bound - 1.0 if name in values else 0.0 for name, bound in constraints.bounds().items()}


def broken(excess: Mapping[str, float]) -> tuple[str, ...]:
    """Names of the constraints that are broken, soft ones included."""
    return tuple(name for name, value in excess.items() if value > 0)


def rejecting(constraints: Constraints, excess: Mapping[str, float]) -> tuple[str, ...]:
    """Names of the hard constraints that are broken: those that end a trial."""
    return tuple(name for name in broken(excess) if not constraints.is_soft(name))


def rejection(constraints: Constraints, excess: Mapping[str, float], values: Mapping[str, float]) -> str | None:
    """Why a trial ends, in words, or None if it keeps its hard constraints."""
    bounds = constraints.bounds()

    def said(value: float) -> str:
        return f"{value:,.0f}" if value % 1 == 0 else f"{value:,.6g}"

    def reason(name: str) -> str:
        called = f"{name} ({GUIDELINES[name].title})" if name in GUIDELINES else name
        return f"{called} {said(values[name])} exceeds {said(bounds[name])}"

    return "; ".join(map(reason, rejecting(constraints, excess))) or None


def values_of(outcome: Outcome, objectives: tuple[str, ...], reference_point: Mapping[str, float]) -> list[float]:
    """The objectives' values for the sampler; what is not known is as bad as the reference point.

    Only rejected outcomes lack values: they are told as infeasible, never as points of the front. So are stopped ones,
    with the final error that the rule expected, or with their last one under a rule that predicts none: it is what a
    sampler best learns from.
    """
    known = constrained_values(outcome.cost, outcome.latency)
    if outcome.score is not None:
        known["error_percent"] = 100.0 - outcome.score.top1_percent
        if outcome.score.balanced_top1_percent is not None:
            known["balanced_error_percent"] = 100.0 - outcome.score.balanced_top1_percent
    if outcome.status is TrialStatus.STOPPED and outcome.early_stop is not None:
        expected = outcome.early_stop.expected_error_percent
        known["error_percent"] = known["error_percent"] if expected is None else expected
    return [known.get(name, reference_point[name]) for name in objectives]


def reference_point_of(
    config: StudyConfig, *, num_classes: int, latency: Latency, reference_cost: Cost
) -> dict[str, float]:
    """The study's own reference point, or the default one.

    Default: the error of guessing (the balanced one of any answer that ignores the image), and 4 times the reference
    network's latency, params and macs. Points beyond it add nothing to the hypervolume.
    """
    default = {
        "error_percent": 100.0 * (1.0 - 1.0 / num_classes),
        "balanced_error_percent": 100.0 * (1.0 - 1.0 / num_classes),
        "latency_ms": 4.0 * (latency.study_reference_ms or latency.reference_p10_ms),
        "params": 4.0 * reference_cost.params,
        "macs": 4.0 * reference_cost.macs,
    }
    given = dict(config.reference_point or {})
    return {name: float(given.get(name, default[name])) for name in config.objectives}
