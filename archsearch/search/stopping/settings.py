"""What a study may say about its stopping rule, and what the rule is told of its study. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from archsearch.noise import NoiseFloor

PolicyName = Literal["none", "predicted", "mo_asha"]
# The keys that each policy reads, beside its own name; the others change nothing under it.
_KEYS_OF: dict[str, tuple[str, ...]] = {
    "none": (),
    "predicted": ("min_epochs", "first_full", "share_full", "quantile"),
    "mo_asha": ("min_epochs", "reduction"),
}


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

    def protocol(self) -> dict[str, Any]:
        """What decides which trials are stopped: the policy and the keys that it reads. Empty for `none`."""
        keys = _KEYS_OF[self.policy]
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
