"""How one GPU is best shared by several trials: processes, processes under CUDA MPS, or streams of one process.

    python benchmarks/gpu_sharing.py [--study cifar100] [--device cuda] [--trials 1 2 3 4] [--seconds 6]
                                     [--train-images 45000] [--classes 100] [--input-size 32]

It has not been run on a GPU yet. Prints images a second of all trials together, and how many times those of one trial
alone that is:

    processes       each does a trial's work in its proportions, training, scoring and measuring under the device's
                    lease: what `workers_per_gpu: auto` measures (`archsearch.search.sharing`), for every number
    under MPS       the same while CUDA's Multi-Process Service runs, which lets kernels of several processes run at
                    once; started by this script in a folder of its own where `nvidia-cuda-mps-control` is installed
    streams         training steps alone, each trial's captured step on a stream of its own in one process, beside the
                    same for one stream; archsearch does not train this way, so it is tried here only

On a CPU (`--device cpu`) only the first one runs, which tries the script and says nothing of a GPU.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from archsearch.errors import ArchsearchError
from archsearch.latency.lease import DeviceLease
from archsearch.models.variants import find_variant
from archsearch.search.config import load_study
from archsearch.search.gpu_load import TrialDuty
from archsearch.search.sharing import job_of, measured_load
from archsearch.search.variants import scaled
from archsearch.training.precision import usual_precision

MPS = "nvidia-cuda-mps-control"


@contextmanager
def mps() -> Iterator[None]:
    """CUDA's Multi-Process Service, for processes that are started meanwhile. Raises ArchsearchError without it."""
    if shutil.which(MPS) is None:
        raise ArchsearchError(f"{MPS} is not installed")
    with tempfile.TemporaryDirectory(prefix="archsearch-mps-") as folder:
        named = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        started = subprocess.run([MPS, "-d"], env=os.environ | named, capture_output=True, text=True, check=False)
        if started.returncode != 0:
            raise ArchsearchError(f"{MPS} did not start: {(started.stderr or started.stdout).strip()}")
        try:
            os.environ.update(named)
            yield
        finally:
            for name in named:
                del os.environ[name]
            subprocess.run([MPS], input="quit\n", text=True, env=os.environ | named, check=False)


def processes(job: dict[str, Any], trials: int) -> float:
    """Images a second of so many processes."""
    return measured_load(job, trials).images_per_second


def streams(job: dict[str, Any], trials: int) -> float:
    """Images a second of so many captured steps, each on a stream of its own, all launched by this process."""
    lease, device = DeviceLease.of_device(job["device"]), torch.device(job["device"])
    lanes = [torch.cuda.Stream(device) for _ in range(trials)]  # type: ignore[no-untyped-call]
    duties = []
    for lane in lanes:
        with torch.cuda.stream(lane):
            duties.append(TrialDuty(job, lease))
    images, start = 0, time.perf_counter()
    while (seconds := time.perf_counter() - start) < job["seconds"]:
        with lease.shared():
            launched = []
            for lane, duty in zip(lanes, duties, strict=True):
                with torch.cuda.stream(lane):
                    launched.append(duty.steps())
            for losses, count in launched:
                losses.tolist()
                images += count
    return images / seconds


def table(title: str, measure: Callable[[dict[str, Any], int], float], job: dict[str, Any], numbers: list[int]) -> None:
    """One line for each number of trials."""
    alone: float | None = None
    for trials in numbers:
        try:
            rate = measure(job, trials)
        except (ArchsearchError, RuntimeError) as error:
            print(f"{title:<12}{trials:>3}  {error}", flush=True)
            continue
        alone = rate if alone is None else alone
        print(f"{title:<12}{trials:>3}{rate:>12.0f} images/s{rate / alone:>8.2f} x", flush=True)


def main() -> None:
    """Print a table for each way."""
    parser = argparse.ArgumentParser(description="How one GPU is best shared by several trials.")
    parser.add_argument("--study", default="cifar100", help="whose proxy and latency protocol (default cifar100)")
    parser.add_argument("--network", default="shufflenet_v2_x1_0", help="a variant of the study's family")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--trials", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--train-images", type=int, default=45_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--input-size", type=int, default=32)
    options = parser.parse_args()
    config = load_study(options.study)
    spec = scaled(find_variant(options.network).name, config).normalised(options.input_size)
    job = job_of(
        spec, config, device=options.device, num_classes=options.classes, input_size=options.input_size,
        train_images=options.train_images,
    ) | {"precision": usual_precision(options.device), "seconds": options.seconds}  # fmt: skip
    table("processes", processes, job, options.trials)
    if not options.device.startswith("cuda"):
        return
    print(torch.cuda.get_device_name(options.device))
    try:
        with mps():
            table("under MPS", processes, job, options.trials)
    except ArchsearchError as error:
        print(f"under MPS: {error}")
    table("streams", streams, job, options.trials)


if __name__ == "__main__":
    main()
