"""The rule that stops nothing: every proxy runs its whole schedule."""

from __future__ import annotations

from collections.abc import Sequence

from archsearch.search.stopping.base import Curve, Decision
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
