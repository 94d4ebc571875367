"""The stopping rules by name. Nothing here imports torch or Optuna."""

from __future__ import annotations

from collections.abc import Callable

from archsearch.noise import NoiseFloor
from archsearch.registry import Registry
from archsearch.search.stopping.base import StoppingRule
from archsearch.search.stopping.mo_asha import MultiObjectiveHalving
from archsearch.search.stopping.none import NeverStop
from archsearch.search.stopping.predicted import PredictedDomination
from archsearch.search.stopping.settings import RuleContext, StoppingSettings

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
