"""What a stopping rule sees and says. Nothing here imports torch or Optuna.

Parameters are known before training begins and the latency is measured beside its first epochs (a training is stopped
by a whole measurement only), so of a study's objectives only the error has fidelity: a rule looks at the errors of the
epochs done, and at the values that are known already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from archsearch.noise import NoiseFloor


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


# What a study may say about its stopping rule, and what the rule is told of its study. Torch-free.

PolicyName = Literal["none", "predicted", "mo_asha"]
# The keys that each policy reads, beside its own name; the others change nothing under it.
_KEYS_OF: dict[str, tuple[str, ...]] = {
    "none": (),
    "predicted": ("min_epochs", "first_full", "share_full", "quantile"),
    "mo_asha": ("min_epochs", "reduction"),
}
_PROMOTING = ("mo_asha",)  # the policies whose stopped trials may go on later


class StoppingSettings(BaseModel):
    """When a proxy's training is ended before its schedule is.

    Attributes:
        policy: none: never; predicted: when even an optimistic prediction of its final error leaves a trial dominated
            by the front; mo_asha: multi-objective successive halving, whose stopped trials may go on later.
        min_epochs: epochs that every trial trains: `predicted` predicts from then on, and `mo_asha` has its first rung
            there.
        first_full: predicted: complete trainings that there must be before one is stopped.
        share_full: predicted: share of the trials, drawn at random, that run to the end whatever is predicted, so that
            the prediction is checked.
        quantile: predicted: how often a final error may fall below the optimistic prediction, as a share.
        reduction: mo_asha: a rung has so many times the epochs of the one before it, and one in so many trials goes on.
        checkpoint_seconds: seconds of training between two stored checkpoints of a trial; no effect on the result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    policy: PolicyName = "none"
    min_epochs: int = Field(default=1, ge=1)
    first_full: int = Field(default=20, ge=1)
    share_full: float = Field(default=0.1, ge=0, le=1)
    quantile: float = Field(default=0.1, gt=0, lt=0.5)
    reduction: int = Field(default=3, ge=2)
    checkpoint_seconds: float = Field(default=15.0, ge=0)

    @property
    def read_keys(self) -> tuple[str, ...]:
        """The keys that change something under its policy."""
        return _KEYS_OF[self.policy]

    @property
    def promotes(self) -> bool:
        """Whether its stopped trials may go on later: only then is the rule asked for one (`promotable`)."""
        return self.policy in _PROMOTING

    def protocol(self) -> dict[str, Any]:
        """What decides which trials are stopped: the policy and the keys that it reads. Empty for `none`."""
        keys = self.read_keys
        return {"policy": self.policy} | {key: getattr(self, key) for key in keys} if keys else {}


@dataclass(frozen=True, kw_only=True)
class RuleContext:
    """What a stopping rule is told of its study.

    Attributes:
        seed: the study's; with a trial's number it decides what a rule draws at random.
        noise_floor: the difference of two latencies from which on they differ.
    """

    seed: int
    noise_floor: NoiseFloor
