"""The stopping rules by name. Nothing here imports torch or Optuna.

The rule that stops nothing: every proxy runs its whole schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from archsearch.noise import NoiseFloor
from archsearch.registry import Registry
from archsearch.search.stopping.base import Curve, Decision, StoppingRule
from archsearch.search.stopping.mo_asha import MultiObjectiveHalving
from archsearch.search.stopping.predicted import PredictedDomination
from archsearch.search.stopping.settings import RuleContext, StoppingSettings


class NeverStop:
    """Stops nothing and promotes nothing."""

    def __init__(self, settings: StoppingSettings, context: RuleContext) -> None:
        del settings, context  # it has nothing to set

    def decide(self, trial: Curve, others: Sequence[Curve]) -> Decision:
        """Go on."""
        return Decision(epoch=len(trial.errors), stop=False, would_stop=False)

    def promotable(self, curves: Sequence[Curve]) -> int | None:
        """Nothing: nothing was stopped."""
        return None


STOPPING: Registry[Callable[[StoppingSettings, RuleContext], StoppingRule]] = Registry(
    "stopping policy",
    {"none": NeverStop, "predicted": PredictedDomination, "mo_asha": MultiObjectiveHalving},
)


def make_rule(settings: StoppingSettings, *, seed: int, noise_floor: NoiseFloor | float) -> StoppingRule:
    """The rule that a study asks for.

    What a rule says follows from the curves that it is shown: what it remembers only saves time, so every worker may
    have its own.

    Args:
        settings: the study's `stopping`.
        seed: the study's seed.
        noise_floor: the difference of two latencies from which on they differ; a number is a share.
    """
    return STOPPING[settings.policy](settings, RuleContext(seed=seed, noise_floor=NoiseFloor.given(noise_floor)))
