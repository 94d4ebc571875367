"""Learning rate schedules: frozen facts, and the rate of each step as a pure function. Torch-free.

Steps and epochs count from 0 here. Each schedule has `rate(step, epochs=..., steps_per_epoch=...)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

Schedule = Callable[[int], float]
"""The learning rate of a training step; the first step is 0."""


class ScheduleRule(Protocol):
    """What a protocol states about its learning rate, independent of how long one training is."""

    def rate(self, step: int, *, epochs: int, steps_per_epoch: int) -> float:
        """Learning rate of one step of a training of `epochs` epochs."""
        ...


@dataclass(frozen=True)
class OneCycle:
    """Linear warm-up to `peak`, then linear to zero: the last step uses one decrement, and zero would be the next.

    Attributes:
        peak: highest learning rate.
        warmup_fraction: share of all steps spent rising; a warm-up of W steps uses peak/W, 2 peak/W, ..., peak.
    """

    peak: float
    warmup_fraction: float = 0.2

    def rate(self, step: int, *, epochs: int, steps_per_epoch: int) -> float:
        """Learning rate of one step."""
        total = epochs * steps_per_epoch
        warmup = int(self.warmup_fraction * total)
        if step < warmup:
            return self.peak * (step + 1) / warmup
        return self.peak * max(0, total - step) / (total - warmup)


@dataclass(frozen=True)
class Stepped:
    """A constant rate for each part of the training.

    Attributes:
        parts: (percent of the epochs, rate): the rate holds for every epoch that begins before that percentage of
            the training is done. ((70, 0.01), (90, 0.001), (100, 0.0001)) over 100 epochs is 0.01 in epochs 1-70,
            0.001 in 71-90 and 0.0001 in 91-100, and the boundaries move along with another number of epochs.
    """

    parts: tuple[tuple[int, float], ...]

    def rate(self, step: int, *, epochs: int, steps_per_epoch: int) -> float:
        """Learning rate of one step: the same for all steps of an epoch."""
        epoch = step // steps_per_epoch
        for until_percent, rate in self.parts:
            if 100 * epoch < until_percent * epochs:
                return rate
        return self.parts[-1][1]


@dataclass(frozen=True)
class WarmRestarts:
    """Cosine annealing with warm restarts (SGDR, Loshchilov and Hutter, arXiv 1608.03983, equation 5; T_mult = 1).

    In period after period the rate falls from `peak` to `lowest` along half a cosine. It changes after each epoch, as
    `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts` does when it is stepped once an epoch.

    Attributes:
        peak: rate of the first epoch of each period.
        period_epochs: T_0 of the source. Of a training that does not end with a period it is as near to this as lets
            its last one do so: a training that ends at a high rate looks like one that failed.
        lowest: eta_min of the source; the first epoch of the next period comes before it is reached.
    """

    peak: float
    period_epochs: int
    lowest: float = 0.0

    def rate(self, step: int, *, epochs: int, steps_per_epoch: int) -> float:
        """Learning rate of one step: the same for all steps of an epoch."""
        epoch, period = step // steps_per_epoch, self.period_epochs
        done = epoch % period
        if epochs % period:
            done, period = epoch * max(1, round(epochs / period)) % epochs, epochs
        share = 0.5 * (1.0 + math.cos(math.pi * done / period))
        return self.lowest + (self.peak - self.lowest) * share


def schedule_of(rule: ScheduleRule, *, epochs: int, steps_per_epoch: int) -> Schedule:
    """The rule as a function of the step alone, for a training of this length."""
    return lambda step: rule.rate(step, epochs=epochs, steps_per_epoch=steps_per_epoch)
