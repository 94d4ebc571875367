"""Which precision trains faster on this CPU: a short trial, kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import torch
from torch import nn

from archsearch.errors import ArchsearchError
from archsearch.files import write_atomically
from archsearch.host import cpu_threads, keep_freed_memory
from archsearch.training.loop import Chunk
from archsearch.training.settings import Precision
from archsearch.training.step import EagerStep

log = logging.getLogger(__name__)

GAIN = 1.1
"""How many times faster bfloat16 must be to be taken: it rounds, and a trial this short is not exact."""

_MOST_IMAGES = 64  # of a step: the times are compared, not reported
_ROUNDS = 3
_BUDGET_SECONDS = 6.0  # of CPU time; the network in hand is measured to its end


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What was measured: CPU time of a step, added over the networks tried (milliseconds); inf: not supported."""

    fp32_ms: float
    bf16_ms: float

    @property
    def precision(self) -> Precision:
        """The one to train in."""
        return "bf16" if self.fp32_ms > GAIN * self.bf16_ms else "fp32"


def calibrate(
    networks: Sequence[Callable[[], nn.Module]],
    *,
    num_classes: int,
    input_size: int,
    batch_size: int,
    chunk: Chunk = nullcontext,
) -> Calibration:
    """Train some networks for a few steps on random images in both precisions, in one thread; the fastest step counts.

    It takes seconds: networks that a budget of time does not reach are left out.

    Args:
        networks: each builds one, at least one of them.
        num_classes, input_size, batch_size: as of the trainings that are decided on; more than 64 images are not
            taken at once.
        chunk: entered around every step.
    """
    if not _has_bfloat16():
        log.info("this CPU has no bfloat16 kernels: fp32")
        return Calibration(fp32_ms=math.inf, bf16_ms=math.inf)
    keep_freed_memory()
    with cpu_threads(1):
        begun = time.process_time()
        spent = dict.fromkeys(get_args(Precision), 0.0)
        for network in networks:
            for precision, seconds in _fastest(network, num_classes, input_size, batch_size, chunk).items():
                spent[precision] += 1000 * seconds
            if time.process_time() - begun > _BUDGET_SECONDS:
                break
    found = Calibration(fp32_ms=spent["fp32"], bf16_ms=spent["bf16"])
    log.info("a step takes %.1f ms in fp32, %.1f ms in bf16: %s", found.fp32_ms, found.bf16_ms, found.precision)
    return found


def cached_calibration(folder: Path, key: Mapping[str, str | int], measure: Callable[[], Calibration]) -> Calibration:
    """What `measure` gave for this key before, or gives now. A file that cannot be read is measured again.

    Args:
        folder: of the files; one that cannot be written costs the next call its time, and a warning.
        key: all that the result depends on: device, torch's version, networks, sizes.
    """
    text = json.dumps(dict(key), sort_keys=True)
    path = folder / f"precision-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        found = Calibration(fp32_ms=float(stored["fp32_ms"]), bf16_ms=float(stored["bf16_ms"]))
    except OSError:
        pass
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s cannot be read (%s): measured again", path, error)
    else:
        log.info("%s: fp32 %.1f ms, bf16 %.1f ms: %s", path, found.fp32_ms, found.bf16_ms, found.precision)
        return found
    found = measure()
    try:
        write_atomically(path, json.dumps({"key": dict(key), **asdict(found)}, indent=2).encode())
    except ArchsearchError as error:
        log.warning("the calibration is not kept: %s", error)
    return found


def _fastest(
    network: Callable[[], nn.Module], num_classes: int, input_size: int, batch_size: int, chunk: Chunk
) -> dict[Precision, float]:
    images = max(2, min(batch_size, _MOST_IMAGES))
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand((images, 3, input_size, input_size), generator=generator)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(images) % num_classes
    steps: dict[Precision, EagerStep] = {}
    for precision in get_args(Precision):
        model = network().to(memory_format=torch.channels_last).train()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9, fused=True)
        steps[precision] = EagerStep(model, optimizer, label_smoothing=0.0, device="cpu", amp=precision == "bf16")
    taken: dict[Precision, list[float]] = {precision: [] for precision in steps}
    for number in range(1 + _ROUNDS):  # the first one chooses kernels and takes memory
        for precision, step in steps.items():
            with chunk():
                start = time.process_time()
                step(inputs, labels, 1e-3)
                seconds = time.process_time() - start
            if number:
                taken[precision].append(seconds)
    return {precision: min(seconds) for precision, seconds in taken.items()}


def _has_bfloat16() -> bool:
    """Whether oneDNN has bfloat16 kernels here: without them PyTorch computes it element by element."""
    available = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    return available and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
