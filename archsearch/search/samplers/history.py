"""What a study's trials in Optuna say: which networks are known, which are being suggested now, and how they ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from archsearch.search.samplers.points import Point, Points

# The one constraint that is no bound: a trial whose training was stopped early has an expected error as its value.
EARLY_STOP = "early_stop"
_NOTED = "archsearch"  # the attribute that a trial gets once its network is in archsearch's own tables


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One network that the study knows.

    Attributes:
        point: its choices.
        values: its objectives; None while it runs, if it failed, and if it broke a bound: some values of such a trial
            may stand for unknown ones.
        stopped: whether its training was stopped early, so that the values are what was expected of it.
        excess: of each bound, how far it is exceeded; positive breaks it, 0 says nothing (the value was not found).
        running: whether it runs now.
    """

    point: Point
    values: tuple[float, ...] | None
    stopped: bool
    excess: dict[str, float]
    running: bool


def seen_in(trials: Sequence[FrozenTrial], points: Points) -> list[Seen]:
    """The trials with choices of this space, in order; trials that the study has forgotten left out."""
    return [found for trial in trials if (found := _seen(trial, points)) is not None]


def finished_or_running(trial: FrozenTrial) -> bool:
    """Whether a trial's network needs no other suggestion.

    A trial that failed in Optuna failed in the study, too, or comes back from the study's own tables; except one whose
    worker was killed before it was stored there.
    """
    return trial.state in (TrialState.COMPLETE, TrialState.RUNNING) or _NOTED in trial.user_attrs


def waiting_before(trials: Sequence[FrozenTrial], number: int, points: Points) -> int:
    """How many earlier trials are being suggested at this moment: running, without all their choices yet."""
    return sum(
        trial.state is TrialState.RUNNING
        and trial.number < number
        and _NOTED not in trial.user_attrs
        and points.point(trial.params) is None
        for trial in trials
    )


def _seen(trial: FrozenTrial, points: Points) -> Seen | None:
    if not finished_or_running(trial) or (point := points.point(trial.params)) is None:
        return None
    if arch_id := trial.user_attrs.get(_NOTED, {}).get("arch_id"):
        points.learn(point, arch_id)
    constraints = trial.constraints
    stopped = constraints.pop(EARLY_STOP, 0.0) > 0.0
    kept = trial.state is TrialState.COMPLETE and all(value <= 0.0 for value in constraints.values())
    return Seen(
        point=point,
        values=tuple(trial.values) if kept and trial.values is not None else None,
        stopped=stopped,
        excess=constraints if trial.state is TrialState.COMPLETE else {},
        running=trial.state is TrialState.RUNNING,
    )
