"""Multi-objective asynchronous successive halving: at each rung the best third goes on, the others wait.

After Schmucker, Donini, Zafar, Salinas and Archambeau 2021, "Multi-objective Asynchronous Successive Halving",
arXiv:2106.12639, which gives ASHA (Li et al. 2020, "A system for massively parallel hyperparameter tuning",
arXiv:1810.05934) a non-dominated sorting in place of the order of one objective.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archsearch.search.stopping.base import Curve, Decision
from archsearch.search.stopping.settings import RuleContext, StoppingSettings
from archsearch.search.stopping.sorting import best_first


class MultiObjectiveHalving:
    """One in `reduction` of a rung's trials goes on; the others are stopped, and may be promoted later.

    The rungs are at `min_epochs`, `reduction` times that, and so on, below the schedule's end. A trial that has done a
    rung's epochs is ranked among all that ever did, by its error then and its other objectives (`sorting.best_first`):
    it goes on if it is among the best n // `reduction` of these n, or the best of fewer. It does not wait for others,
    so early trials meet little competition; a stopped one is promoted when the rung has grown and it is among the best.

    Latencies are compared as measured here, without the noise floor: a rank is no verdict.
    """

    def __init__(self, settings: StoppingSettings, context: RuleContext) -> None:
        del context
        self._first, self._reduction = settings.min_epochs, settings.reduction

    def rungs(self, epochs: int) -> list[int]:
        """The epochs after which a trial of a schedule this long is ranked, the first rung first."""
        return list(self._rungs(epochs))

    def decide(self, trial: Curve, others: Sequence[Curve]) -> Decision:
        """Stop at a rung unless the trial is among its best."""
        epoch = len(trial.errors)
        if trial.complete or epoch not in self.rungs(trial.epochs):
            return Decision(epoch=epoch, stop=False, would_stop=False)
        entered = sorted([trial, *others], key=lambda curve: curve.trial)
        members = [curve for curve in entered if len(curve.errors) >= epoch]
        best = self._best(members, epoch)
        if any(curve.trial == trial.trial for curve in best):
            return Decision(epoch=epoch, stop=False, would_stop=False)
        reason = (
            f"not among the best {len(best)} of {len(members)} trials after epoch {epoch} of {trial.epochs} "
            f"(error {trial.errors[-1]:.2f} %)"
        )
        return Decision(epoch=epoch, stop=True, would_stop=True, reason=reason)

    def promotable(self, curves: Sequence[Curve]) -> int | None:
        """The best trial that waits at the highest rung of whose best it is one."""
        rungs = sorted({rung for epochs in {curve.epochs for curve in curves} for rung in self._rungs(epochs)})
        for epoch in reversed(rungs):
            members = [curve for curve in curves if len(curve.errors) >= epoch]
            waiting = {curve.trial for curve in members if len(curve.errors) == epoch and not curve.running}
            best = self._best(members, epoch) if waiting else []
            for curve in best:
                if curve.trial in waiting and not curve.complete:
                    return curve.trial
        return None

    def _rungs(self, epochs: int) -> Iterator[int]:
        epoch = self._first
        while epoch < epochs:
            yield epoch
            epoch *= self._reduction

    def _best(self, members: Sequence[Curve], epoch: int) -> list[Curve]:
        if not members:
            return []
        values = [(curve.errors[epoch - 1], *curve.known) for curve in members]
        return [members[index] for index in best_first(values, max(1, len(members) // self._reduction))]
