"""A process that trains one network for a while, when it is told to: what `sharing` measures with."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import torch

from archsearch.data.images import Images, channel_statistics
from archsearch.models.families import build, spec_from_json
from archsearch.search.sharing import Load, as_line
from archsearch.training.course import Course, usual_step
from archsearch.training.protocols import proxy_protocol
from archsearch.training.settings import ProxySettings

_IMAGES = 4096
_STEPS_AT_ONCE = 10
_CONTEXT_BYTES = 600 * 2**20  # what a process takes beside its tensors: libraries and kernels


def main() -> int:
    """Say `ready`, wait for a line, train, and say how many images a second it was."""
    job = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    course = _course(job)
    _train(course, 2 * _STEPS_AT_ONCE)
    answers = os.fdopen(job["answer_to"], "w", encoding="utf-8")
    answers.write("ready\n")
    answers.flush()
    sys.stdin.readline()
    images, start = 0, time.perf_counter()
    while (seconds := time.perf_counter() - start) < job["seconds"]:
        images += _train(course, _STEPS_AT_ONCE)
    taken, whole = 0, 0
    if course.device.startswith("cuda"):
        taken = torch.cuda.max_memory_reserved(course.device) + _CONTEXT_BYTES
        whole = torch.cuda.mem_get_info(course.device)[1]
    answers.write(as_line(Load(images_per_second=images / seconds, trial_bytes=taken, device_bytes=whole)) + "\n")
    answers.close()
    return 0


def _course(job: Mapping[str, Any]) -> Course:
    size, classes = job["input_size"], job["num_classes"]
    count = max(_IMAGES, job["batch_size"])
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, size, size), generator=generator, dtype=torch.uint8)
    images = Images(pixels, torch.arange(count) % classes)
    mean, std = channel_statistics(images)
    network = build(spec_from_json(job["spec"]), num_classes=classes, input_size=size, seed=0)
    return Course(
        network, images, images, proxy_protocol(ProxySettings(batch_size=job["batch_size"])), epochs=1,
        batch_size=job["batch_size"], input_size=size, mean=mean, std=std, flip=True, seed=0, device=job["device"],
        make_step=usual_step(job["device"]), precision=job["precision"],
    )  # fmt: skip


def _train(course: Course, steps: int) -> int:
    """Some steps at a rate that changes little; gives how many images they had."""
    course.model.train()
    losses: list[torch.Tensor] = []
    images, epoch = 0, 0
    while len(losses) < steps:
        for inputs, labels in course.fed.epoch(epoch):
            losses.append(course.step(inputs, labels, 1e-4))
            images += len(labels)
            if len(losses) == steps:
                break
        epoch += 1
    torch.stack(losses).tolist()  # waits for the device
    return images


if __name__ == "__main__":
    raise SystemExit(main())
