"""What a stopping rule sees and says. Nothing here imports torch or Optuna.

Parameters are known before training begins and the latency is measured beside its first epochs (a training is stopped
by a whole measurement only), so of a study's objectives only the error has fidelity: a rule looks at the errors of the
epochs done, and at the values that are known already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One trial's training, whole or so far.

    Attributes:
        trial: the trial's number.
        errors: validation error (percent) after each epoch done, the first epoch first.
        epochs: of the whole schedule; the training is complete when there are as many errors.
        known: the study's other objectives in their order (milliseconds, parameters, ...), lower is better.
        running: whether it is being trained now; neither it nor a complete one can be promoted.
        losses: mean training loss of each epoch done; empty where it is not known.
    """

    trial: int
    errors: tuple[float, ...]
    epochs: int
    known: tuple[float, ...]
    running: bool = False
    losses: tuple[float, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every epoch of the schedule is done."""
        return len(self.errors) >= self.epochs


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a rule says of one trial after one epoch; stored with the trial, so that the rule can be checked later.

    Attributes:
        epoch: epochs done when it was said.
        stop: whether the training ends here.
        would_stop: whether the rule's test spoke for stopping; with `stop` False, the trial goes on all the same so
            that the rule is checked (`exempt`).
        optimistic_error_percent: the final error that the rule still thought possible; None if it predicts none.
        expected_error_percent: the final error that it expects; None if it predicts none.
        exempt: why a trial that would be stopped goes on: "" if it does not.
        reason: in words, for the trial's record; "" while it goes on.
    """

    epoch: int
    stop: bool
    would_stop: bool
    optimistic_error_percent: float | None = None
    expected_error_percent: float | None = None
    exempt: str = ""
    reason: str = ""


class StoppingRule(Protocol):
    """Decides after each epoch whether a trial goes on, and which stopped trial deserves to."""

    def decide(self, trial: Curve, others: Sequence[Curve]) -> Decision:
        """Whether `trial` goes on after its last epoch.

        `others` are the study's other trainings, complete, running and stopped, in order of trial number.
        """
        ...

    def promotable(self, curves: Sequence[Curve]) -> int | None:
        """The number of a stopped trial that should go on from its checkpoint now; None if there is none."""
        ...
