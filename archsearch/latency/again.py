"""Which measurements are made again, and which of two is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from archsearch.latency.settings import LatencySettings
from archsearch.records import Latency

logger = logging.getLogger(__name__)


def drifted(latency: Latency, settings: LatencySettings) -> bool:
    """Whether the reference's p10 was further from the study's than `drift_tolerance`. Outside of a study: False."""
    return latency.drift is not None and abs(latency.drift) > settings.drift_tolerance


def needs_again(latency: Latency, settings: LatencySettings) -> bool:
    """Whether a measurement is to be made again: it drifted, or did not converge."""
    return drifted(latency, settings) or not latency.converged


def better(one: Latency, other: Latency, settings: LatencySettings) -> Latency:
    """The one of two measurements of a network that is kept.

    One that did not drift before one that did, then one that converged before one that did not, then the smaller
    difference of the halves; `one` if all are equal. Never by its milliseconds: that would favour the lucky.
    """

    def order(latency: Latency) -> tuple[bool, bool, float]:
        return drifted(latency, settings), not latency.converged, latency.half_split_difference

    return other if order(other) < order(one) else one


def until_trusted(
    measure_once: Callable[[Sequence[int]], list[Latency]], networks: int, settings: LatencySettings
) -> tuple[Latency, ...]:
    """Measure all networks (by their numbers), then those again that drifted or did not converge, `remeasure` times."""
    kept = measure_once(range(networks))
    for attempt in range(2, settings.remeasure + 2):
        again = [number for number, latency in enumerate(kept) if needs_again(latency, settings)]
        if not again:
            break
        logger.info("%d of %d networks drifted or did not converge: measured again", len(again), networks)
        for number, latency in zip(again, measure_once(again), strict=True):
            kept[number] = replace(better(kept[number], latency, settings), attempts=attempt)
    return tuple(kept)
