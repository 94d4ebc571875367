"""Which measurements are made again, and which of two is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from archsearch.latency.settings import LatencySettings
from archsearch.noise import is_crowded
from archsearch.records import Latency

logger = logging.getLogger(__name__)


def drifted(latency: Latency, settings: LatencySettings) -> bool:
    """Whether the reference's p10 was further from the study's than `drift_tolerance`. Outside of a study: False."""
    return latency.drift is not None and abs(latency.drift) > settings.drift_tolerance


def is_doubtful(latency: Latency, settings: LatencySettings, quiet_ms: float | None = None) -> bool:
    """Whether a measurement is to be made again: it drifted, did not converge, or the memory was crowded.

    `quiet_ms`: what the memory witness takes in quiet measurements (milliseconds); None: not known.
    """
    crowded = is_crowded(latency.memory_ms, quiet_ms, settings.memory_tolerance)
    return drifted(latency, settings) or not latency.converged or crowded


def better(one: Latency, other: Latency, settings: LatencySettings, quiet_ms: float | None = None) -> Latency:
    """The one of two measurements of a network that is kept.

    One that did not drift before one that did, then one that converged before one that did not, then one beside which
    the memory was not crowded, then the smaller difference of the halves; `one` if all are equal. Never by its
    milliseconds: that would favour the lucky.
    """

    def order(latency: Latency) -> tuple[bool, bool, bool, float]:
        crowded = is_crowded(latency.memory_ms, quiet_ms, settings.memory_tolerance)
        return drifted(latency, settings), not latency.converged, crowded, latency.half_split_difference

    return other if order(other) < order(one) else one


def until_trusted(
    measure_once: Callable[[Sequence[int]], list[Latency]],
    networks: int,
    settings: LatencySettings,
    *,
    quiet_ms: Callable[[], float | None] = lambda: None,
) -> tuple[Latency, ...]:
    """Measure all networks (by their numbers), then those again that `is_doubtful` names, at most `remeasure` times.

    `quiet_ms` gives what the memory witness takes in quiet measurements, as far as that is known by then.
    """
    kept = measure_once(range(networks))
    for attempt in range(2, settings.remeasure + 2):
        again = [number for number, latency in enumerate(kept) if is_doubtful(latency, settings, quiet_ms())]
        if not again:
            break
        logger.info("%d of %d networks are in doubt: measured again", len(again), networks)
        for number, latency in zip(again, measure_once(again), strict=True):
            kept[number] = replace(better(kept[number], latency, settings, quiet_ms()), attempts=attempt)
    return tuple(kept)
