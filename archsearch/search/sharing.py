"""How many trials one GPU takes at once: as many as raise what they do together.

A trial trains, scores and measures its network, and while it prepares or measures one, the others train. So what is
compared is all of it, in the proportions of the study's own trials (`gpu_load.TrialDuty`), under the device's lease:
another study's measurements on that GPU are not disturbed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from archsearch.data.catalog import default_data_dir
from archsearch.errors import ArchsearchError, last_words
from archsearch.files import write_atomically
from archsearch.latency.settings import LOCAL
from archsearch.models.spec import Spec
from archsearch.search.config import StudyConfig

logger = logging.getLogger(__name__)

MOST = 8
GAIN = 1.15
"""How many times more images a second twice the trials must train: each has a process, a context and the images."""
GAIN_OF_TWO = 1.02
"""The same for two trials in place of one: the second one also works while the first does nothing on the GPU."""

# Of what is free of the device's memory: other points of the space are larger than the one that is measured.
_MEMORY_SHARE = 0.8
_SECONDS = 6.0


@dataclass(frozen=True, kw_only=True)
class Load:
    """Some equal trials at once on one device.

    Attributes:
        images_per_second: that all together train, in time that holds their scoring and measuring, too.
        trial_bytes: of the device's memory that one of them takes.
        free_bytes: of the device's memory before any of them began; what other programs hold is not in it.
    """

    images_per_second: float
    trial_bytes: int
    free_bytes: int


def best_share(measure: Callable[[int], Load]) -> int:
    """The number of trials at once: 1, doubled while that trains enough more, and memory allows it.

    `measure` is called with a number of trials. If it raises ArchsearchError, that number is not taken; of one trial
    it passes through.
    """
    trials, now = 1, measure(1)
    usable_bytes = _MEMORY_SHARE * now.free_bytes
    while 2 * trials <= MOST and 2 * trials * now.trial_bytes <= usable_bytes:
        try:
            more = measure(2 * trials)
        except ArchsearchError as error:
            logger.info("%d trials at once on one GPU: %s", 2 * trials, error)
            break
        logger.info(
            "trials at once on one GPU: %d train %.0f images/s, %d train %.0f",
            trials, now.images_per_second, 2 * trials, more.images_per_second,
        )  # fmt: skip
        if more.images_per_second < (GAIN_OF_TWO if trials == 1 else GAIN) * now.images_per_second:
            break
        trials, now = 2 * trials, more
    return trials


def workers_per_gpu(job: Mapping[str, Any], *, fingerprint: str) -> int:
    """`best_share` for one kind of trial, measured once for each kind of GPU and kept in the user's cache folder.

    1, with a warning, where it cannot be measured; where it cannot be kept, a warning.

    Args:
        job: see `job_of`.
        fingerprint: the device's.
    """
    key = json.dumps({**job, "fingerprint": fingerprint}, sort_keys=True)
    path: Path | None = None
    try:
        path = default_data_dir() / "calibration" / f"gpu-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
        return int(json.loads(path.read_text(encoding="utf-8"))["trials"])
    except (OSError, ValueError, KeyError, TypeError, ArchsearchError):
        logger.info("measuring how many trials at once one GPU takes best")
    try:
        trials = best_share(lambda number: measured_load(job, number))
    except ArchsearchError as error:
        logger.warning("one trial at a time on a GPU: %s", error)
        return 1
    if path is not None:
        try:
            write_atomically(path, json.dumps({"trials": trials, "key": json.loads(key)}, indent=2).encode())
        except ArchsearchError as error:
            logger.warning("how many trials one GPU takes is not kept: %s", error)
    return trials


def job_of(
    spec: Spec, config: StudyConfig, *, device: str, num_classes: int, input_size: int, train_images: int
) -> dict[str, Any]:
    """What `archsearch.search.gpu_load` is told: a network, and what a trial of the study does with it.

    Args:
        train_images: of one epoch.
    """
    proxy = config.proxy
    return {
        "spec": spec.canonical_json(), "device": device, "batch_size": proxy.batch_size, "num_classes": num_classes,
        "input_size": input_size, "precision": proxy.precision, "epochs": proxy.epochs,
        "train_images": train_images, "validation_images": proxy.validation_images,
        "latency": config.latency.at(LOCAL).model_dump(mode="json"), "seconds": _SECONDS,
    }  # fmt: skip


def measured_load(job: Mapping[str, Any], trials: int) -> Load:
    """Let so many processes do a trial's work at once for a while. Raises ArchsearchError if one of them fails."""
    processes = [_start(job) for _ in range(trials)]
    try:
        for process, answers in processes:  # all have captured their steps before one begins
            if answers.readline().strip() != "ready":
                raise ArchsearchError(f"a trial on {job['device']} failed: {_last_error(process)}")
        for process, _ in processes:
            with suppress(BrokenPipeError):  # it was killed meanwhile: that no answer comes says so
                process.stdin.write("go\n")  # type: ignore[union-attr]
                process.stdin.flush()  # type: ignore[union-attr]
        found = [_found(process, answers, job) for process, answers in processes]
        return Load(
            images_per_second=sum(each.images_per_second for each in found),
            trial_bytes=max(each.trial_bytes for each in found),
            free_bytes=max(each.free_bytes for each in found),  # the first one began before the others
        )
    finally:
        for process, answers in processes:
            process.kill()
            process.communicate()
            answers.close()


def _start(job: Mapping[str, Any]) -> tuple[subprocess.Popen[str], IO[str]]:
    """A process of `archsearch.search.gpu_load`, and where its answers are read: a pipe of its own."""
    read, write = os.pipe()
    try:
        told = json.dumps({**job, "answer_to": write})
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "archsearch.search.gpu_load", told],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=(write,),
        )
    finally:
        os.close(write)
    return process, os.fdopen(read, encoding="utf-8")


def _found(process: subprocess.Popen[str], answers: IO[str], job: Mapping[str, Any]) -> Load:
    try:
        return Load(**json.loads(answers.readline()))
    except (ValueError, TypeError) as error:
        raise ArchsearchError(f"a trial on {job['device']} failed: {_last_error(process)}") from error


def _last_error(process: subprocess.Popen[str]) -> str:
    process.kill()
    return last_words(process.communicate()[1])
