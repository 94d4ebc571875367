"""Which device each worker uses, and how many workers there are. Importing this imports no torch."""

from __future__ import annotations

import os
from typing import Literal

from archsearch.errors import ConfigError, UnknownNameError
from archsearch.host import usable_cores
from archsearch.latency.settings import CORES
from archsearch.targets.transports import Target, check_device_beside, parse_target

_MOST_CPU_WORKERS = 8  # each holds the dataset and a torch of its own; more are had by asking for them


def worker_devices(device: str, workers: int | None, per_gpu: int | Literal["auto"] = 1) -> tuple[str, ...]:
    """One torch device for each worker.

    `auto` takes the GPUs where torch sees any, else the CPU. Without a number of workers there are `per_gpu` for each
    GPU (`auto`: one, before it is measured), or one for each CPU core (at most 8): with one thread each, which trains
    more images a second than fewer workers with more threads. A torch.device is taken as the text that it is written
    as.

    Raises ConfigError for a device that is not there, or more CPU workers than cores.
    """
    import torch

    device = str(device)
    check_device(device)
    kind, _, index = device.partition(":")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "auto":
        kind = "cuda" if gpus else "cpu"
    if kind == "cpu":
        cores = usable_cores()
        if workers is not None and workers > cores:
            raise ConfigError(
                f"workers {workers}: only {cores} CPU cores may be used here", hint="one worker for each core at most"
            )
        return ("cpu",) * (workers or min(cores, _MOST_CPU_WORKERS))
    if not gpus:
        raise ConfigError(f"device {device}: torch sees no GPU", hint="use the device cpu")
    share = 1 if per_gpu == "auto" else per_gpu
    if index:
        if not (index.isascii() and index.isdigit() and len(index) < 6) or int(index) >= gpus:
            raise ConfigError(
                f"device {device}: torch sees {gpus} GPU{'s' if gpus > 1 else ''}", hint="cuda:0 is the first"
            )
        return (f"cuda:{int(index)}",) * (workers or share)
    return tuple(f"cuda:{number % gpus}" for number in range(workers or gpus * share))


def shares_gpus(devices: tuple[str, ...], workers: int | None, per_gpu: int | Literal["auto"]) -> bool:
    """Whether as many workers share each of these devices as is measured when a run begins."""
    return workers is None and per_gpu == "auto" and devices[0].startswith("cuda")


def check_device(device: str) -> None:
    """Raise ConfigError for what names no device, whether it is there or not."""
    kind, colon, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (colon and not (kind == "cuda" and index)):
        raise ConfigError(f"device {device}: unknown device", hint="auto, cpu, cuda or cuda:N")


def training_threads(threads: int | None, *, processes: int) -> int:
    """CPU threads of one of so many processes that train together on this machine.

    None: what OMP_NUM_THREADS says, where it is set to a number, else the process's share of the usable cores.
    Raises ConfigError for less than 1, or for more than the usable cores.
    """
    cores = usable_cores()
    if threads is not None:
        if not 1 <= threads <= cores:
            raise ConfigError(f"threads {threads}: 1 to {cores} CPU cores may be used here")
        return threads
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # "4,2": of nested levels the first
    if asked.isdecimal() and int(asked) > 0:
        return min(int(asked), cores)
    return max(1, cores // processes)


def measured_where(target: str, device: str, *, threads: int, cores: str) -> tuple[Target | None, str]:
    """The board, None for this machine, and the torch device. Raises ConfigError for what does not go together."""
    on_board = parse_target(target)
    check_device_beside(on_board, device)
    where = worker_devices("cpu" if on_board is not None else device, 1)[0]
    if cores not in CORES:
        raise UnknownNameError("kind of cores", cores, CORES)
    if on_board is None and cores != "all":
        raise ConfigError(f"cores {cores}: only a target's are chosen", hint="name the target, or leave it out")
    if threads < 1:
        raise ConfigError(f"threads must be at least 1, got {threads}")
    if on_board is None and where == "cpu":
        training_threads(threads, processes=1)  # no more than there are cores: they would wait for each other
    return on_board, where
