"""Stop a trial when even an optimistic prediction of its final error leaves it dominated by the front."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archsearch.analysis.pareto import dominates, non_dominated
from archsearch.search.stopping.base import Curve, Decision
from archsearch.search.stopping.calibration import noisy_column, values_of
from archsearch.search.stopping.predictor import FinalErrorFit, Prediction, fit_final_error
from archsearch.search.stopping.settings import RuleContext, StoppingSettings

_FEWEST_CURVES = 2


class PredictedDomination:
    """Predicts the final error after every epoch, and stops what the front would dominate all the same.

    The prediction is learnt from the study's own complete trainings (`predictor.FinalErrorFit`): ridge regression on
    the last two errors and on the training losses. It is optimistic: the final error falls below it in a share of
    about `quantile` of cases. A trial is stopped if a complete one on the front is no worse in latency (within the
    study's noise floor) and in the other objectives, and better than that optimistic error, or as good and better
    elsewhere (`pareto.dominates`).

    Until there are `first_full` complete trainings nothing is stopped. A share `share_full` of all trials, drawn from
    the study's seed and the trial's number, runs to the end whatever is predicted: those would be missing among the
    curves that the next prediction is learnt from, and they show whether the predictions hold.
    """

    def __init__(self, settings: StoppingSettings, context: RuleContext) -> None:
        self._settings, self._seed = settings, context.seed
        self._noisy = noisy_column(context.noise_floor)
        self._learnt: _Learnt | None = None

    def decide(self, trial: Curve, others: Sequence[Curve]) -> Decision:
        """Stop if the optimistic prediction is dominated and nothing exempts the trial."""
        epoch = len(trial.errors)
        complete = tuple(curve for curve in others if curve.complete and curve.epochs == trial.epochs)
        if trial.complete or epoch < self._settings.min_epochs or len(complete) < _FEWEST_CURVES:
            return Decision(epoch=epoch, stop=False, would_stop=False)
        learnt = self._learn(complete)
        prediction = learnt.predict(trial, self._settings.quantile)
        if prediction is None:
            return Decision(epoch=epoch, stop=False, would_stop=False)
        by = self._dominating(learnt, (prediction.optimistic_error_percent, *trial.known))
        exempt = "" if by is None else self._exempt(trial, len(complete))
        stop = by is not None and not exempt
        return Decision(
            epoch=epoch,
            stop=stop,
            would_stop=by is not None,
            optimistic_error_percent=prediction.optimistic_error_percent,
            expected_error_percent=prediction.expected_error_percent,
            exempt=exempt,
            reason=_reason(trial, prediction, by) if stop and by is not None else "",
        )

    def promotable(self, curves: Sequence[Curve]) -> int | None:
        """Nothing: what it stops was not worth its last epochs."""
        return None

    def _learn(self, complete: tuple[Curve, ...]) -> _Learnt:
        if self._learnt is None or self._learnt.complete != complete:
            self._learnt = _Learnt(complete, non_dominated(values_of(complete), self._noisy))
        return self._learnt

    def _dominating(self, learnt: _Learnt, point: tuple[float, ...]) -> Curve | None:
        for curve in learnt.front:
            if dominates((curve.errors[-1], *curve.known), point, self._noisy):
                return curve
        return None

    def _exempt(self, trial: Curve, complete: int) -> str:
        if complete < self._settings.first_full:
            return f"fewer than {self._settings.first_full} complete trainings"
        if drawn_share(self._seed, trial.trial) < self._settings.share_full:
            return f"one of the {self._settings.share_full:.0%} that run to the end"
        return ""


class _Learnt:
    """What follows from one set of complete trainings, kept until there is another: the front, a fit for each epoch."""

    def __init__(self, complete: tuple[Curve, ...], on_front: NDArray[np.bool_]) -> None:
        self.complete = complete
        self.front = [curve for curve, member in zip(complete, on_front, strict=True) if member]
        self._errors = np.array([curve.errors for curve in complete], dtype=np.float64)
        known = all(len(curve.losses) == curve.epochs for curve in complete)
        self._losses = np.array([curve.losses for curve in complete], dtype=np.float64) if known else None
        self._fits: dict[tuple[int, bool], FinalErrorFit] = {}

    def predict(self, trial: Curve, quantile: float) -> Prediction | None:
        epoch = len(trial.errors)
        losses = self._losses if len(trial.losses) == epoch else None
        key = (epoch, losses is not None)
        if key not in self._fits:
            self._fits[key] = fit_final_error(self._errors, epoch, losses)
        return self._fits[key].predict(trial.errors, trial.losses if losses is not None else (), quantile=quantile)


def drawn_share(seed: int, trial: int) -> float:
    """A number in [0, 1) that follows from the study's seed and the trial's number alone, evenly spread."""
    digest = hashlib.sha256(f"archsearch early stopping {seed} {trial}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _reason(trial: Curve, prediction: Prediction, by: Curve) -> str:
    return (
        f"error {trial.errors[-1]:.2f} % after epoch {len(trial.errors)} of {trial.epochs}, at the end "
        f"{prediction.expected_error_percent:.2f} % expected and {prediction.optimistic_error_percent:.2f} % at best: "
        f"dominated by trial {by.trial} ({by.errors[-1]:.2f} %)"
    )
