"""The one batch that all latencies of a study share: decided when it is begun, then stored with it.

It is measured in a process of its own, so that the coordinator of a run keeps no memory of a GPU.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from archsearch.errors import ArchsearchError, ConfigError, MeasurementError, last_words
from archsearch.latency.lease import DeviceLease
from archsearch.latency.network import measure_network
from archsearch.latency.settings import LatencySettings
from archsearch.models.families import FAMILIES, build, spec_from_json
from archsearch.models.spec import Spec
from archsearch.models.variants import VARIANTS
from archsearch.records import CLEAR_RATIO, StudyBatch
from archsearch.search.config import StudyConfig
from archsearch.search.variants import scaled
from archsearch.space.search_space import SearchSpace

# The batch in which a device tells networks apart: where work, and not the launch of kernels, takes the time.

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


_WIDTH = "width"
Named = tuple[str, Spec]


def decided_batch(
    config: StudyConfig, space: SearchSpace, *, device: str, num_classes: int, input_size: int
) -> StudyBatch | None:
    """The batch of a study that is begun now, as `measured_batch` finds it.

    None where there is no question: on a board, on a CPU unless `latency.batch` is `auto`, and for a space without two
    networks of different width.

    Raises MeasurementError if the networks cannot be measured on this device.
    """
    if config.latency.runs_on(device).partition(":")[0] == "cpu" and not config.latency.chooses_batch_on(device):
        return None
    pair = width_pair(config, space, input_size=input_size)
    if pair is None:
        logger.warning("no network of another width than %s: latency.batch is not checked", config.reference)
        return None
    job: dict[str, Any] = {
        "names": [name for name, _ in pair],
        "specs": [spec.canonical_json() for _, spec in pair],
        "settings": config.latency.model_dump(mode="json"),
        "device": device,
        "num_classes": num_classes,
        "input_size": input_size,
    }
    logger.info("measuring in which batch %s and %s differ", *job["names"])
    command = [sys.executable, "-P", "-m", "archsearch.search.batch"]
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "batch.json"
        told = json.dumps({**job, "answer": str(answer)})
        done = subprocess.run(command, input=told, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise MeasurementError(
                f"the batch of the study's latencies could not be measured: {last_words(done.stderr)}"
            )
        return StudyBatch.from_dict(json.loads(answer.read_text(encoding="utf-8")))


def width_pair(config: StudyConfig, space: SearchSpace, *, input_size: int) -> tuple[Named, Named] | None:
    """Two networks at the study's scale that differ in width alone, the wide one first; None if there are none.

    The study's reference, or the base of the space's family for a reference from another, beside itself at half its
    width, or at the nearest width below; at the nearest above if it is the narrowest; without a choice of width, beside
    the smallest named network of its family.
    """
    name, spec = config.reference, scaled(config.reference, config, key="reference").normalised(input_size)
    if spec.family != space.family:
        name = f"the base of {space.family}"
        spec = FAMILIES[space.family].base.at_scale(config.scale).normalised(input_size)
    at_width = dict(_widths(spec, space, input_size))
    own = next((width for width, other in at_width.items() if other == spec), None)
    if own is not None and len(at_width) > 1:
        below = [width for width in at_width if width < own]
        if below:
            width = min(below, key=lambda each: (abs(each - own / 2), each))
            return (name, spec), (f"{name} at width {width:g}", at_width[width])
        width = min(each for each in at_width if each > own)
        return (f"{name} at width {width:g}", at_width[width]), (name, spec)
    smallest = min(_named(spec, config, input_size), key=lambda each: _params(each[1], input_size), default=None)
    if smallest is None or _params(smallest[1], input_size) >= _params(spec, input_size):
        return None
    return (name, spec), smallest


def _widths(spec: Spec, space: SearchSpace, input_size: int) -> Iterator[tuple[float, Spec]]:
    """The network at each width that its family, or the space, knows as a number, and at half of each."""
    macro = type(spec).macros().get(_WIDTH)
    known = [*(macro.levels if macro is not None else ()), spec.choices().get(_WIDTH)]
    known += [value for domain in space.domains if domain.name == _WIDTH for value in domain.values]
    numbers = {float(value) for value in known if isinstance(value, int | float)}
    for width in sorted(numbers | {width / 2 for width in numbers}):
        try:
            yield width, spec.with_choices({_WIDTH: width}).normalised(input_size)
        except ArchsearchError:  # the family has no such width
            continue


def _named(spec: Spec, config: StudyConfig, input_size: int) -> Iterator[Named]:
    for variant in (VARIANTS[name] for name in VARIANTS):
        if variant.spec.family == spec.family:
            try:
                yield variant.name, scaled(variant.name, config).normalised(input_size)
            except ConfigError:  # it has not the strides and pools of this scale
                continue


def _params(spec: Spec, input_size: int) -> int:
    network = build(spec, num_classes=10, input_size=input_size, seed=0)
    return sum(parameter.numel() for parameter in network.parameters())


def main() -> int:
    """Read the job from standard input, and write what was found where it says; 1 after an error that is told."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    job: Mapping[str, Any] = json.loads(sys.stdin.read())
    torch.set_num_threads(1)
    size = job["input_size"]
    wide, narrow = (spec_from_json(text) for text in job["specs"])
    try:
        found = measured_batch(
            build(wide, num_classes=job["num_classes"], input_size=size, seed=0),
            build(narrow, num_classes=job["num_classes"], input_size=size, seed=0),
            names=tuple(job["names"]),
            settings=LatencySettings.model_validate(job["settings"]),
            device=job["device"],
            input_size=size,
            lease=DeviceLease.of_device(job["device"]),
        )
    except ArchsearchError as error:
        logger.error("%s", error)
        return 1
    Path(job["answer"]).write_text(json.dumps(asdict(found)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
