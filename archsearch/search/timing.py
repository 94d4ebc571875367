"""What a study's trials will take, before it has any: networks trained for a few steps here, and one measured."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from archsearch.cost.architecture import outline_cost
from archsearch.errors import MeasurementError
from archsearch.host import cpu_threads
from archsearch.latency.lease import DeviceLease
from archsearch.latency.settings import LOCAL
from archsearch.models.families import build
from archsearch.models.spec import Spec
from archsearch.search.config import StudyConfig
from archsearch.search.estimate import Estimate
from archsearch.search.gpu_load import random_images
from archsearch.search.places import PlaceSetup, place_here
from archsearch.search.sharing import job_of, measured_load
from archsearch.search.variants import StudyVariant, design_specs, scaled
from archsearch.space.search_space import SearchSpace
from archsearch.text import plural
from archsearch.training.loop import scored
from archsearch.training.protocols import proxy_protocol
from archsearch.training.settings import Precision
from archsearch.training.trainer import Trainer, usual_step

logger = logging.getLogger(__name__)

_TIMED_NETWORKS = 3
_SAMPLED = 8  # suggestions that stand for those to come: how large they are, not how long they take
_STEPS = 3  # timed, after one that is not
_MOST_IMAGES = 32  # of a step: what an image takes hardly changes beyond
_MOST_MACS = 3e9  # of a step: half a second on a core
_BUSY, _CROWDED = ", beside other programs that are busy now", 1.5
# What a trial takes beside its phases, and a worker before its first one (`benchmarks/trial_timeline.py`: quickstart,
# 0.4 s and 8 s): the database, the sampler, memory given back; starting Python, torch and Optuna, and reading the data.
_BESIDE_SECONDS = 0.4
_BEGIN_SECONDS = 8.0


@dataclass(frozen=True, kw_only=True)
class NetworkTime:
    """What one image takes of one network (seconds), trained and scored; `macs`: its size."""

    macs: float
    train_seconds: float
    score_seconds: float


@dataclass(frozen=True, kw_only=True)
class MeasuringTime:
    """What a network's latency takes of a trial (seconds).

    Attributes:
        ready_seconds: making the network ready, beside other workers.
        held_seconds: with the device held, so that no other worker of it trains.
    """

    ready_seconds: float
    held_seconds: float


def timed_estimate(
    config: StudyConfig,
    space: SearchSpace,
    variants: Sequence[StudyVariant],
    *,
    trials: int,
    devices: tuple[str, ...],
    precision: Precision,
    num_classes: int,
    input_size: int,
    train_images: int,
    validation_images: int,
    decode_seconds: float = 0.0,
) -> Estimate:
    """What a study that is not begun will take, on random images; it takes some seconds itself.

    On a CPU three of its networks are trained for a few steps, and one is measured here, which is said where the study
    measures on a board; on a GPU one does all that a trial does, in a process of its own. What other programs leave of
    the processors now is part of it.

    Args:
        trials: of the study in all, of which the published networks come first.
        devices: one for each worker.
        precision: of the trainings.
        train_images, validation_images: of one epoch.
        decode_seconds: of pictures, before the first trial.

    Raises BuildError or MeasurementError if a network cannot be run; on a GPU ArchsearchError if its process fails.
    """
    first, others = _expected_networks(config, space, variants, input_size=input_size, trials=trials)
    networks = {spec.arch_id: spec for spec in (*first, *others)}
    sizes = {
        arch_id: outline_cost(spec, num_classes=num_classes, input_size=input_size)[1]
        for arch_id, spec in networks.items()
    }
    by_size = sorted(networks.values(), key=lambda spec: sizes[spec.arch_id])
    if devices[0] != "cpu":
        job = job_of(
            by_size[len(by_size) // 2], config, device=devices[0], num_classes=num_classes, input_size=input_size,
            train_images=train_images,
        ) | {"precision": precision}  # fmt: skip
        rate = measured_load(job, 1).images_per_second
        share = len(devices) / len(set(devices))  # of a GPU: its workers take turns at worst
        each = share * config.proxy.epochs * train_images / rate + _BESIDE_SECONDS
        return Estimate(
            others=trials,
            other_seconds=each,
            workers=len(devices),
            basis=f"one network timed for {job['seconds']:.0f} s",
            at_most=True,  # several trials may share a GPU, and do more together
            before_seconds=_BEGIN_SECONDS + decode_seconds,
        )
    chosen = [by_size[position] for position in _spread(len(by_size), _TIMED_NETWORKS)]
    with cpu_threads(1):  # as a worker computes
        lease = DeviceLease.of_device("cpu")
        began = time.perf_counter(), time.process_time()
        times = [
            _network_time(spec, config, sizes[spec.arch_id], precision, num_classes, input_size, lease)
            for spec in chosen
        ]
        wall, own = time.perf_counter() - began[0], time.process_time() - began[1]
        measuring = _measuring_time(chosen[len(chosen) // 2], config, num_classes, input_size, lease)
    crowded = max(1.0, wall / own)
    boards = [target for target in config.latency.targets if target != LOCAL]
    elsewhere = f", latencies as if measured here and not on {' and '.join(boards)}" if boards else ""

    def seconds(spec: Spec) -> float:
        network = time_at(times, sizes[spec.arch_id])
        return trial_seconds(
            config, network, measuring, workers=len(devices), trials=trials, crowded=crowded,
            train_images=train_images, validation_images=validation_images,
        )  # fmt: skip

    return Estimate(
        first_seconds=tuple(map(seconds, first)),
        others=trials - len(first),
        other_seconds=_suggested([seconds(spec) for spec in others], "random" if config.design else config.sampler),
        workers=len(devices),
        basis=f"{plural(len(chosen), 'network')} timed for {_STEPS} steps{elsewhere}"
        f"{_BUSY if crowded > _CROWDED else ''}",
        at_most=config.stopping.policy != "none",
        before_seconds=_BEGIN_SECONDS + decode_seconds,
    )


def trial_seconds(
    config: StudyConfig,
    network: NetworkTime,
    measuring: MeasuringTime,
    *,
    workers: int,
    trials: int,
    crowded: float,
    train_images: int,
    validation_images: int,
) -> float:
    """What a trial takes one of so many workers of one device.

    A measurement has the device alone: while one worker holds it, the others wait. The visits of a training that is
    shorter than their spread are slept for. `crowded`: how much longer all takes beside what other programs do.
    """
    proxy, latency = config.proxy, config.latency
    images = train_images * network.train_seconds + validation_images * network.score_seconds
    training = crowded * proxy.epochs * images
    backends = 1 + len(latency.also_on("cpu"))
    repeats = 0.0 if config.design or not latency.repeat_every else (min(3, trials) / trials + 1 / latency.repeat_every)
    held = measuring.held_seconds * (backends + repeats)
    waiting = (workers - 1) * held
    if workers > 1:  # a visit waits for the step that another worker is at
        waiting += latency.visits * backends * crowded * network.train_seconds * proxy.batch_size / 2
    beside = crowded * (measuring.ready_seconds * backends + _BESIDE_SECONDS)
    return training + held + waiting + beside + max(0.0, latency.spread_seconds - training)


def time_at(times: Sequence[NetworkTime], macs: float) -> NetworkTime:
    """What a network of this size takes, between the timed ones in proportion, as the nearest one beyond them."""
    ordered = sorted(times, key=lambda each: each.macs)
    below = [each for each in ordered if each.macs <= macs] or ordered[:1]
    above = [each for each in ordered if each.macs >= macs] or ordered[-1:]
    low, high = below[-1], above[0]
    share = 0.0 if high.macs == low.macs else (macs - low.macs) / (high.macs - low.macs)

    def between(first: float, second: float) -> float:
        return first + share * (second - first)

    return NetworkTime(
        macs=macs,
        train_seconds=between(low.train_seconds, high.train_seconds),
        score_seconds=between(low.score_seconds, high.score_seconds),
    )


def _expected_networks(
    config: StudyConfig, space: SearchSpace, variants: Sequence[StudyVariant], *, input_size: int, trials: int
) -> tuple[list[Spec], list[Spec]]:
    """Networks that a study will evaluate: the first ones, in order, and some that stand for the others."""
    if config.design is not None:
        points = design_specs(config.design, input_size=input_size)
        return [], [points[at] for at in _spread(len(points), _SAMPLED)]
    first = [variant.spec.normalised(input_size) for variant in variants][:trials]
    sampled = range(_SAMPLED if trials > len(first) else 0)
    return first, [space.spec(space.sample(at)).normalised(input_size) for at in sampled]


def _suggested(seconds: Sequence[float], sampler: str) -> float:
    """What a suggestion takes in the mean, from what random points take.

    A sampler that looks for fast networks suggests the smaller ones: it is taken for the faster half of the points.
    (docs/results: `ehvi` suggested 2.4 M MACs in the mean in cifar10_cpu; random points of that space have 3.8 M, the
    smaller half of them 2.6 M.)
    """
    ordered = sorted(seconds)
    kept = ordered if sampler in ("random", "exhaustive") else ordered[: max(len(ordered) // 2, 1)]
    return statistics.fmean(kept) if kept else 0.0


def _spread(length: int, most: int) -> list[int]:
    """So many positions at equal distances, the first and the last among them; all if there are no more."""
    if length <= most:
        return list(range(length))
    return [round(at * (length - 1) / (most - 1)) for at in range(most)]


def _network_time(
    spec: Spec,
    config: StudyConfig,
    macs: int,
    precision: Precision,
    num_classes: int,
    input_size: int,
    lease: DeviceLease,
) -> NetworkTime:
    """Processor time of an image, trained and scored, in one thread: the median step, and the second scoring."""
    images = max(4, min(config.proxy.batch_size, _MOST_IMAGES, int(_MOST_MACS / max(macs, 1))))
    data = random_images(images, size=input_size, classes=num_classes)
    with lease.shared():
        trainer = Trainer(
            build(spec, num_classes=num_classes, input_size=input_size, seed=0), data, data,
            proxy_protocol(config.proxy), epochs=1, batch_size=images, input_size=input_size, mean=(0.5,) * 3,
            std=(0.25,) * 3, flip=True, seed=0, device="cpu", make_step=usual_step("cpu"), precision=precision,
        )  # fmt: skip
    trained, scoring = [], []
    for epoch in range(1 + _STEPS):
        with lease.shared():
            start = time.process_time()
            for inputs, labels in trainer.fed.epoch(epoch):
                trainer.step(inputs, labels, 0.0).item()
            trained.append(time.process_time() - start)
            start = time.process_time()
            if epoch < 2:
                scored(trainer.result, [(inputs, labels)])
                scoring.append(time.process_time() - start)
    return NetworkTime(
        macs=macs, train_seconds=statistics.median(trained[1:]) / images, score_seconds=scoring[-1] / images
    )


def _measuring_time(
    spec: Spec, config: StudyConfig, num_classes: int, input_size: int, lease: DeviceLease
) -> MeasuringTime:
    """What the latency of one network takes, from its first visit; nothing where it cannot be measured, which the
    run will say."""
    reference = scaled(config.reference, config, key="reference").normalised(input_size)
    settings = config.latency.with_backend(config.latency.backend_on("cpu"))
    networks = [build(each, num_classes=num_classes, input_size=input_size, seed=0) for each in (reference, spec)]
    setup = PlaceSetup(
        device="cpu", input_size=input_size, seed=0, lease=lease, reference=lambda: networks[0],
        reference_name=config.reference,
    )  # fmt: skip
    try:
        place = place_here(settings, setup)
        place.exported_reference  # noqa: B018 (once a worker, before its first network)
        start = time.process_time()
        measurement = place.device().open(place.export(networks[1]))
        ready = time.process_time() - start
        measurement.visit()
        if not measurement.done:
            held, start = measurement.samples.held_seconds, time.monotonic()
            measurement.visit()  # begins with opening the networks anew
            opening = time.monotonic() - start - (measurement.samples.held_seconds - held)
            ready += (settings.visits - 1) * max(0.0, opening)
    except MeasurementError as error:
        logger.warning("no latency is in the estimated time: %s", error)
        return MeasuringTime(ready_seconds=0.0, held_seconds=0.0)
    samples = measurement.samples
    runs_seconds = sum(sum(samples.runs_ns(network)) for network in (0, 1)) / 1e9
    later = (settings.bursts / samples.bursts - 1.0) * runs_seconds
    return MeasuringTime(ready_seconds=ready, held_seconds=samples.held_seconds + later)
