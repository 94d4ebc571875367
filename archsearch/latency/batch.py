"""The batch in which a device tells networks apart: where work, and not the launch of kernels, takes the time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from torch import nn

from archsearch.errors import MeasurementError
from archsearch.latency.lease import DeviceLease
from archsearch.latency.network import measure_network
from archsearch.latency.settings import LatencySettings
from archsearch.records import CLEAR_RATIO, StudyBatch

logger = logging.getLogger(__name__)

LARGEST_BATCH = 1024
# Enough for a ratio to a few percent: the question is whether it is above 1.5.
_QUICK = {"also": (), "bursts": 8, "visits": 2, "spread_seconds": 0.3, "budget_seconds": 4.0, "remeasure": 0}


def measured_batch(
    wide: nn.Module,
    narrow: nn.Module,
    *,
    names: tuple[str, str],
    settings: LatencySettings,
    device: str,
    input_size: int,
    lease: DeviceLease | None,
    clock: Callable[[], int] = time.perf_counter_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> StudyBatch:
    """How two networks of different width differ in the batch of the settings, or in the one that is chosen here.

    Where the settings choose (`chooses_batch_on`), batches are doubled from the smallest that they allow until the wide
    network takes `CLEAR_RATIO` times as long as the narrow one, up to `LARGEST_BATCH` or to what the device's memory
    holds. The smallest such batch is taken, or else the largest that ran.

    Args:
        wide, narrow: of the study's kind; copied, not changed.
        names: of the two, in this order.
        settings: backend, threads, precision and batch are taken from it.
        device, input_size, lease, clock, sleep: as in `measure_networks`.

    Raises ConfigError or MeasurementError if they cannot be measured even in the first batch.
    """
    chooses = settings.chooses_batch_on(device)
    ratios: list[tuple[int, float]] = []
    batch = settings.batch_on(device)
    while True:
        try:
            found = measure_network(
                wide,
                narrow,
                reference_name=names[1],
                settings=settings.model_copy(update={**_QUICK, "batch": batch}),
                device=device,
                input_size=input_size,
                lease=lease,
                clock=clock,
                sleep=sleep,
            )
        except MeasurementError as error:
            if not ratios:
                raise
            logger.info("a batch of %d was not measured: %s", batch, error)
            break
        ratios.append((batch, found.ratio_to_reference))
        logger.info("in a batch of %d %s takes %.2f times as long as %s", batch, names[0], ratios[-1][1], names[1])
        if not chooses or ratios[-1][1] >= CLEAR_RATIO or 2 * batch > LARGEST_BATCH:
            break
        batch *= 2
    return StudyBatch(batch=ratios[-1][0], chosen=chooses, wide=names[0], narrow=names[1], ratios=tuple(ratios))
