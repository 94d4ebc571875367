"""A process that does a trial's work with one network for a while, when it is told to: what `sharing` measures with."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import torch

from archsearch.data.images import Images, channel_statistics
from archsearch.latency.lease import DeviceLease
from archsearch.latency.network import open_measurement
from archsearch.latency.prepare import ExportedNetwork, prepare_reference
from archsearch.latency.protocol import Measurement
from archsearch.latency.settings import LatencySettings
from archsearch.models.families import build, spec_from_json
from archsearch.search.sharing import Load
from archsearch.training.loop import EVALUATION_BATCH, top1_percent
from archsearch.training.protocols import proxy_protocol
from archsearch.training.settings import ProxySettings
from archsearch.training.trainer import Trainer, device_batches, usual_step

_IMAGES = 4096
_STEPS_AT_ONCE = 10
_CONTEXT_BYTES = 600 * 2**20  # what a process takes beside its tensors: libraries and kernels


def main() -> int:
    """Say `ready`, wait for a line, work, and say how many images a second were trained."""
    job = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    gpu = job["device"].startswith("cuda")
    free = torch.cuda.mem_get_info(job["device"])[0] if gpu else 0
    duty = TrialDuty(job, DeviceLease.of_device(job["device"]))
    answers = os.fdopen(job["answer_to"], "w", encoding="utf-8")
    answers.write("ready\n")
    answers.flush()
    sys.stdin.readline()
    done = duty.work(job["seconds"])
    taken = torch.cuda.max_memory_reserved(job["device"]) + _CONTEXT_BYTES if gpu else 0
    load = Load(images_per_second=done.images / done.seconds, trial_bytes=taken, free_bytes=free)
    answers.write(json.dumps(asdict(load)) + "\n")
    answers.close()
    return 0


@dataclass(kw_only=True)
class Done:
    """What was done: images trained, networks made ready and visited, sets scored, in so many seconds."""

    images: int = 0
    measurements: int = 0
    visits: int = 0
    scored: int = 0
    seconds: float = 0.0


class TrialDuty:
    """What a trial does, in its proportions, over and over: an epoch's steps, scoring, a measurement's visits.

    A trial has `epochs` of `train_images` and one measurement, whose visits are divided evenly over its steps here,
    so that a short time holds its share of each. Everything on the device is done under the lease, as by a worker.

    Args:
        job: see `sharing.job_of`. The images are random, and at most some thousands.
        lease: of the device.
    """

    def __init__(self, job: Mapping[str, Any], lease: DeviceLease) -> None:
        self._lease = lease
        self._settings = LatencySettings(**job["latency"])
        size, classes, batch = job["input_size"], job["num_classes"], job["batch_size"]
        self._epoch_steps = max(1, job["train_images"] // batch)
        self._visit_steps = max(1, job["epochs"] * self._epoch_steps // self._settings.visits)
        self._network = build(spec_from_json(job["spec"]), num_classes=classes, input_size=size, seed=0)
        self._reference = prepare_reference(
            self._network, name="itself", settings=self._settings, device=job["device"], input_size=size, lease=lease
        )
        images = random_images(max(_IMAGES, batch), size=size, classes=classes)
        scored = images.subset(range(min(job["validation_images"], len(images))))
        with lease.shared():
            mean, std = channel_statistics(images)
            self._trainer = Trainer(
                self._network, images, scored, proxy_protocol(ProxySettings(batch_size=batch)), epochs=1,
                batch_size=batch, input_size=size, mean=mean, std=std, flip=True, seed=0, device=job["device"],
                make_step=usual_step(job["device"]), precision=job["precision"],
            )  # fmt: skip
            self._scored = device_batches(scored, device=job["device"], input_size=size, mean=mean, std=std)
        self._stream = self._batches()
        self._measurement: Measurement | None = None
        for _ in range(2):  # captures the step, and makes a network and a visit ready
            self._train()
        self._visit(Done())

    def work(self, seconds: float) -> Done:
        """Work for so long. The first visit and the first scoring come after half of their share of steps."""
        done, start, steps = Done(), time.perf_counter(), 0
        next_visit, next_score = self._visit_steps / 2, self._epoch_steps / 2
        while (passed := time.perf_counter() - start) < seconds:
            done.images += self._train()
            steps += _STEPS_AT_ONCE
            while steps >= next_visit:
                next_visit += self._visit_steps
                self._visit(done)
            while steps >= next_score:
                next_score += self._epoch_steps
                top1_percent(self._trainer.result, self._scored.evaluation(EVALUATION_BATCH), chunk=self._lease.shared)
                done.scored += 1
        done.seconds = passed
        return done

    def _batches(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        epoch = 0
        while True:
            yield from self._trainer.fed.epoch(epoch)
            epoch += 1

    def steps(self) -> tuple[torch.Tensor, int]:
        """Some steps at a rate that changes little: their losses, on the device, and how many images they had."""
        self._trainer.model.train()
        losses: list[torch.Tensor] = []
        images = 0
        for inputs, labels in islice(self._stream, _STEPS_AT_ONCE):
            losses.append(self._trainer.step(inputs, labels, 1e-4))
            images += len(labels)
        return torch.stack(losses), images

    def _train(self) -> int:
        with self._lease.shared():
            losses, images = self.steps()
            losses.tolist()
        return images

    def _visit(self, done: Done) -> None:
        """The next visit of a measurement; when it is done, of another one."""
        if self._measurement is None or self._measurement.done:
            network = ExportedNetwork(self._network, self._reference.conditions, what="the network", lease=self._lease)
            self._measurement = open_measurement(network, self._reference, settings=self._settings, lease=self._lease)
            done.measurements += 1
        self._measurement.visit()
        done.visits += 1


def random_images(count: int, *, size: int, classes: int) -> Images:
    """So many images of square size (pixels), of all classes in turn."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, size, size), generator=generator, dtype=torch.uint8)
    return Images(pixels, torch.arange(count) % classes)


if __name__ == "__main__":
    raise SystemExit(main())
