"""The whole path of a GPU in under nine minutes, what matters most first; on a CPU a smoke run of the script itself.

    python benchmarks/gpu_check.py [--data npz:FOLDER] [--device cuda] [--out FOLDER] [--only PART ...]
    python benchmarks/gpu_check.py --small --device cpu

Each part is a process of its own with a time of its own, so that one that hangs or kills its context leaves the others
alone. What a part finds is printed as a line of JSON and appended to FOLDER/gpu_check.jsonl; a part that fails is named
at the end, and the exit code is 1 then. Without --data images are random, which says nothing of accuracies.

facts     device, libraries, what the driver tells and how long that takes
points    random points of the search space train, each in a CUDA graph
step      a replayed graph computes what the eager step computes; bfloat16 against float32
lease     the device is idle whenever a chunk of training or evaluation ends
latency   each precision and batch: width x1.0 over x0.5; the batch that a study would choose; host's clock over the
          device's; the first runs after a pause; the backends side by side; one network measured again
study     the command, with one worker and with two; what became of the trials, and what was warned of
speed     images a second by batch, with cuDNN's benchmark mode, of several graphs on streams; the dearest kernels
share     images a second of one, two and four trainings at once
train     one proxy as a study has it: accuracy, and where the seconds go
memory    given back between trainings; out of memory halves the batch
tests     the tests that need a GPU

Beside it: the 200-trial study on full CIFAR-10 is `archsearch run --study cifar10 --device cuda --trials 200`, the
comparison with a tutorial's recipe `training_throughput.py --device cuda --several 1 2 4`, and the table of backends in
docs/latency.md `latency_backends.py --device cuda --batch 8`.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PART_SECONDS = {
    "facts": 25, "points": 80, "step": 35, "lease": 35, "latency": 100, "study": 110, "speed": 60, "share": 50,
    "train": 45, "memory": 25, "tests": 90,
}  # fmt: skip
TOTAL_SECONDS = 535
_SMALL_PATIENCE = 4
_STARTING_SECONDS = 15  # of a part's process: importing torch, making a context
_NARROW, _REFERENCE, _WIDE = (f"shufflenet_v2_x{width}" for width in ("0_5", "1_0", "2_0"))
_SCALE = {"stem.stride": 1, "stem.pool": False}
_SIZE = 32
_CLASSES = 100


@dataclass
class Check:
    """One part under way: what it was asked for, and where it says what it finds."""

    part: str
    device: str
    out: Path
    small: bool
    data: str | None
    began: float = field(default_factory=time.monotonic)

    @property
    def gpu(self) -> bool:
        """Whether this is more than a smoke run."""
        return self.device.startswith("cuda")

    @property
    def limit_seconds(self) -> float:
        """When the part is ended; a smoke run may share its CPU."""
        return PART_SECONDS[self.part] * (_SMALL_PATIENCE if self.small else 1)

    @property
    def batch_size(self) -> int:
        """Of a training step."""
        return 8 if self.small else 256

    def say(self, **facts: Any) -> None:
        """One finding, as a line of JSON."""
        line = json.dumps({"part": self.part, "at_s": round(time.monotonic() - self.began, 1), **facts}, default=str)
        print(line, flush=True)
        with (self.out / "gpu_check.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def time_left(self) -> bool:
        """Whether another round may begin."""
        return time.monotonic() - self.began < self.limit_seconds - _STARTING_SECONDS

    def synchronize(self) -> None:
        """Wait for the device."""
        if self.gpu:
            import torch

            torch.cuda.synchronize()

    def network(self, spec: Any) -> Any:
        """A specification built, with fresh weights."""
        from archsearch.models.families import build

        return build(spec, num_classes=_CLASSES, input_size=_SIZE, seed=0)

    def images(self, count: int) -> Any:
        """Random images with labels of every class."""
        import torch

        from archsearch.data.images import Images

        pixels = torch.randint(0, 256, (count, 3, _SIZE, _SIZE), generator=torch.Generator().manual_seed(0))
        return Images(pixels.to(torch.uint8), torch.arange(count) % _CLASSES)

    def trainer(self, spec: Any, *, count: int | None = None, batch_size: int | None = None, **changes: Any) -> Any:
        """A training of a network on random images, as a study has it, ready to make steps."""
        from archsearch.training.protocols import proxy_protocol
        from archsearch.training.settings import ProxySettings
        from archsearch.training.trainer import Trainer, usual_step

        batch = batch_size or self.batch_size
        images = self.images(count or (64 if self.small else 4096))
        made = Trainer(
            self.network(spec), images, images, proxy_protocol(ProxySettings(batch_size=batch)),
            epochs=2, batch_size=batch, input_size=_SIZE, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), flip=True,
            seed=0, device=self.device, **{"make_step": usual_step(self.device), **changes},
        )  # fmt: skip
        made.model.train()
        return made


def named(name: str) -> Any:
    """A published network with the stem that small images take."""
    from archsearch.models.variants import VARIANTS

    return VARIANTS[name].spec.with_choices(_SCALE).normalised(_SIZE)


def losses_of(trainer: Any, steps: int, rate: float = 1e-4) -> list[float]:
    """Make so many steps, wait for them, and give their losses."""
    import torch

    losses: list[torch.Tensor] = []
    epoch = 0
    while len(losses) < steps:
        for inputs, labels in trainer.fed.epoch(epoch):
            losses.append(trainer.step(inputs, labels, rate))
            if len(losses) == steps:
                break
        epoch += 1
    return torch.stack(losses).tolist()


def step_ms(trainer: Any, steps: int) -> float:
    """Milliseconds of a step, after a few that are not counted."""
    losses_of(trainer, 3)
    began = time.perf_counter()
    losses_of(trainer, steps)
    return 1000 * (time.perf_counter() - began) / steps


def largest_relative(one: list[float], other: list[float]) -> float:
    """By how much two lists of losses differ at most."""
    return round(max(abs(first / second - 1) for first, second in zip(one, other, strict=True)), 4)


def facts(check: Check) -> None:
    """Device, libraries, and what asking the driver costs."""
    import torch

    from archsearch.latency import gpu
    from archsearch.latency.fingerprint import device_fingerprint
    from archsearch.latency.settings import LatencySettings

    plain = LatencySettings()
    backend, precision = plain.backend_on(check.device), plain.precision_on(check.device)
    check.say(torch=torch.__version__, fingerprint=device_fingerprint(check.device, backend, 1, precision).facts)
    if not check.gpu:
        return
    check.say(bf16=torch.cuda.is_bf16_supported(including_emulation=False), cudnn=torch.backends.cudnn.version())
    for name, ask in (("nvml", gpu.state_by_nvml), ("nvml or nvidia-smi", gpu.gpu_state)):
        began = time.perf_counter()
        state = ask(check.device)
        found = None if state is None else asdict(state)
        check.say(asked=name, seconds=round(time.perf_counter() - began, 3), state=found)


def points(check: Check) -> None:
    """Every kind of point trains, and in a graph."""
    import torch

    from archsearch.space.search_space import load_space

    space = load_space("shufflenet_v2").restricted({}, _SCALE, where="gpu_check")
    failed, eager = dict[int, str](), dict[int, str]()
    first_s, each_ms = list[float](), list[float]()
    tried = 0
    for seed in range(3 if check.small else 60):
        if not check.time_left():
            break
        spec, tried = space.spec(space.sample(seed)).normalised(_SIZE), tried + 1
        try:
            trainer = check.trainer(spec, count=64 if check.small else 1024)
            began = time.perf_counter()
            losses_of(trainer, 1)
            first_s.append(time.perf_counter() - began)
            each_ms.append(step_ms(trainer, 8))
        except Exception as error:  # noqa: BLE001 (whatever it is, it is what is looked for)
            failed[seed] = f"{type(error).__name__}: {str(error)[:120]}"
            continue
        if why := getattr(trainer.step, "eager_because", None):
            eager[seed] = why[:120]
        del trainer
        if check.gpu:
            torch.cuda.empty_cache()
    check.say(points=tried, failed=failed, eager=eager)
    if each_ms:
        check.say(
            first_step_s=round(statistics.median(first_s), 2),
            step_ms_median=round(statistics.median(each_ms), 2),
            step_ms_max=round(max(each_ms), 2),
        )


def step(check: Check) -> None:
    """What a replay reads and writes is what the eager step does."""
    import torch

    from archsearch.training.step import eagerly

    spec = named(_NARROW)
    count = 10 * check.batch_size
    plain, usual = check.trainer(spec, count=count, make_step=eagerly), check.trainer(spec, count=count)
    eager, replayed = losses_of(plain, 20, 0.05), losses_of(usual, 20, 0.05)
    check.say(
        step=type(usual.step).__name__,
        eager_because=getattr(usual.step, "eager_because", None),
        largest_relative=largest_relative(eager, replayed),
        first_and_last_loss=[round(replayed[0], 4), round(replayed[-1], 4)],
    )
    weights = [weight.detach().clone() for weight in usual.model.parameters()]
    norm = next(module for module in usual.model.modules() if isinstance(module, torch.nn.BatchNorm2d))
    mean, tracked = norm.running_mean.clone(), int(norm.num_batches_tracked)
    losses_of(usual, 3, 0.0)
    check.say(
        rate_0_leaves_weights=all(map(torch.equal, weights, usual.model.parameters())),
        statistics_move=not torch.equal(mean, norm.running_mean),
        batches_tracked_in_3_steps=int(norm.num_batches_tracked) - tracked,
    )
    exact = check.trainer(spec, count=count, precision="fp32")
    check.say(usual_against_fp32_largest=largest_relative(replayed, losses_of(exact, 20, 0.05)))


def lease(check: Check) -> None:
    """Whoever measures next must find an idle device: nothing may be left in its queue when a chunk ends."""
    import torch

    from archsearch.training.loop import top1_percent

    left: dict[str, list[tuple[bool, float]]] = {"training": [], "evaluation": []}

    def chunk_of(kind: str) -> Callable[[], contextlib.AbstractContextManager[None]]:
        @contextlib.contextmanager
        def chunk() -> Iterator[None]:
            yield
            began = time.perf_counter()
            idle = torch.cuda.current_stream().query() if check.gpu else True
            check.synchronize()
            left[kind].append((idle, 1000 * (time.perf_counter() - began)))

        return chunk

    trainer = check.trainer(named(_WIDE), count=64 if check.small else 5000)
    trainer.run(chunk=chunk_of("training"))
    top1_percent(trainer.result, trainer._evaluation.evaluation(500), chunk=chunk_of("evaluation"))
    for kind, chunks in left.items():
        busy = sum(not idle for idle, _ in chunks)
        check.say(kind=kind, chunks=len(chunks), left_busy=busy, worst_ms=round(max(ms for _, ms in chunks), 2))


def latency(check: Check) -> None:
    """Does the objective tell widths apart, and in which batch and precision?"""
    from archsearch.latency.backends import BACKENDS
    from archsearch.latency.group import _time_run
    from archsearch.latency.lease import DeviceLease
    from archsearch.latency.network import measure_network, measure_networks
    from archsearch.latency.prepare import random_input
    from archsearch.latency.settings import LatencySettings
    from archsearch.search.batch import measured_batch

    networks = [check.network(named(name)).eval() for name in (_NARROW, _REFERENCE, _WIDE)]
    quick = LatencySettings(
        bursts=4 if check.small else 10, visits=2, spread_seconds=0.2, budget_seconds=3.0, remeasure=0
    )
    held = DeviceLease.of_device(check.device)
    at: dict[str, Any] = {"device": check.device, "input_size": _SIZE, "lease": held}
    main = BACKENDS[quick.backend_on(check.device)]
    kind = check.device.partition(":")[0]

    def row(**changes: Any) -> dict[str, Any]:
        found = measure_networks(
            (networks[0], networks[2]), networks[1], reference_name=_REFERENCE,
            settings=quick.model_copy(update=changes), **at,
        )  # fmt: skip
        narrow, wide = found
        return {
            "x1_over_x05": round(1 / narrow.ratio_to_reference, 3),
            "x2_over_x05": round(wide.ratio_to_reference / narrow.ratio_to_reference, 3),
            "x1_ms": round(narrow.reference_p10_ms, 4),
            "converged": narrow.converged and wide.converged,
            "host_over_device": narrow.state.get("host_over_device"),
        }

    choice = measured_batch(networks[1], networks[0], names=(_REFERENCE, _NARROW), settings=quick, **at)
    check.say(study_would_choose=asdict(choice))
    for precision in main.precisions[kind]:
        for batch in (1,) if check.small else (1, 8, 64, 256):
            check.say(precision=precision, batch=batch, **row(precision=precision, batch=batch))
    for name in BACKENDS:
        if name in (main.name, "torch-compile") or kind not in BACKENDS[name].devices:
            continue
        try:
            check.say(backend=name, batch=choice.batch, **row(backend=name, batch=choice.batch))
        except Exception as error:  # noqa: BLE001 (onnxruntime-gpu need not be installed)
            check.say(backend=name, error=str(error)[:160])
    inputs = random_input(batch=choice.batch, input_size=_SIZE, device=check.device, seed=0)
    runner = main.prepare(networks[1], inputs, threads=1, precision=quick.precision_on(check.device))
    for pause_s in (0.0, 0.1) if check.small else (0.0, 1.25, 5.0):
        time.sleep(pause_s)
        with held.exclusive(), runner.ready():
            ms = [_time_run(runner, time.perf_counter_ns) / 1e6 for _ in range(120)]
        check.say(
            after_pause_s=pause_s,
            first_three_ms=[round(each, 4) for each in ms[:3]],
            runs_4_to_23_ms=round(statistics.median(ms[3:23]), 4),
            last_50_ms=round(statistics.median(ms[-50:]), 4),
        )
    again = [
        measure_network(
            networks[2], networks[1], reference_name=_REFERENCE,
            settings=quick.model_copy(update={"batch": choice.batch}), **at,
        ).ratio_to_reference
        for _ in range(2 if check.small else 4)
    ]  # fmt: skip
    check.say(measured_again=[round(ratio, 4) for ratio in again], apart=round(max(again) / min(again) - 1, 4))


def study(check: Check) -> None:
    """The command itself, with one worker and with two."""
    small = ("proxy.train_images=200", "proxy.validation_images=100", "proxy.batch_size=32", "dataset=digits")
    settings = ("proxy.epochs=2", "variants=[]", *(small if check.small else ()))
    if check.data is not None:
        settings = (*settings, f"dataset={check.data}")
    elif not check.small:
        check.say(skipped="it needs --data")
        return
    for workers in (1,) if check.small else (1, 2):
        home = Path(tempfile.mkdtemp())
        command = [
            sys.executable, "-c", "from archsearch.cli.main import main; main()", "run", "--study", "cifar100",
            "--trials", "1" if check.small else "6", "--workers", str(workers), "--device", check.device,
        ]  # fmt: skip
        command += [part for setting in settings for part in ("--set", setting)]
        began = time.perf_counter()
        text, code = _until(command, home, check.limit_seconds / 2)
        statuses = Counter(re.findall(r"\btrial \d+ .*?: (top-1|failed|rejected)", text))
        logs = "".join(path.read_text(errors="replace") for path in home.glob("runs/**/worker-*.log"))
        told = [line[-160:] for line in logs.splitlines() if " WARNING " in line or " ERROR " in line]
        check.say(
            workers=workers, exit_code=code, wall_s=round(time.perf_counter() - began, 1), trials=dict(statuses),
            batch=re.findall(r"^(?:batch  |warning: latencies lie).*", text, re.MULTILINE)[:1], warnings=told[:5],
            tail=text[-400:] if code else "",
        )  # fmt: skip
        shutil.rmtree(home, ignore_errors=True)
        if code:
            raise SystemExit(f"archsearch run ended with exit code {code}")


def _until(command: list[str], home: Path, seconds: float) -> tuple[str, int]:
    """What a command writes, and its exit code; ended as by Ctrl-C after so many seconds."""
    process = subprocess.Popen(command, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        return process.communicate(timeout=seconds)[0], process.returncode
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        return f"{process.communicate()[0]}\ntimed out after {seconds:g} s", process.returncode or 1


def speed(check: Check) -> None:
    """What bounds a training step."""
    import torch

    steps = 2 if check.small else 20
    for name in (_NARROW, _REFERENCE):
        for batch in (8,) if check.small else (128, 256, 512, 1024):
            if check.time_left():
                ms = step_ms(check.trainer(named(name), batch_size=batch), steps)
                check.say(network=name, batch=batch, step_ms=round(ms, 3), images_per_second=round(1000 * batch / ms))
        torch.backends.cudnn.benchmark = True
        trainer, began = check.trainer(named(name)), time.perf_counter()
        losses_of(trainer, 1)
        first = time.perf_counter() - began
        check.say(
            network=name, cudnn_benchmark=True, first_step_s=round(first, 2), step_ms=round(step_ms(trainer, steps), 3)
        )
        torch.backends.cudnn.benchmark = False
    for together in (1, 2) if check.small else (1, 2, 4):
        check.say(graphs_on_streams=together, images_per_second=_on_streams(check, together, steps))
    if check.gpu:
        _kernels(check)


def _on_streams(check: Check, together: int, steps: int) -> int:
    """Images a second of several trainings of one process, each on a stream of its own."""
    import torch

    trainers = [check.trainer(named(_REFERENCE)) for _ in range(together)]
    for trainer in trainers:
        losses_of(trainer, 3)
    streams = [torch.cuda.Stream() if check.gpu else None for _ in trainers]
    batches = [list(trainer.fed.epoch(0)) for trainer in trainers]
    check.synchronize()
    began = time.perf_counter()
    for number in range(steps):
        for trainer, stream, planned in zip(trainers, streams, batches, strict=True):
            with torch.cuda.stream(stream) if stream is not None else contextlib.nullcontext():
                trainer.step(*planned[number % len(planned)], 1e-4)
    check.synchronize()
    return round(steps * together * check.batch_size / (time.perf_counter() - began))


def _kernels(check: Check) -> None:
    from torch.profiler import ProfilerActivity, profile

    trainer = check.trainer(named(_REFERENCE))
    losses_of(trainer, 3)
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        losses_of(trainer, 2)
    rows = sorted(profiled.key_averages(), key=lambda row: -row.self_device_time_total)
    check.say(
        kernels_a_step=sum(row.count for row in rows) // 2,
        device_ms_a_step=round(sum(row.self_device_time_total for row in rows) / 2000, 3),
        dearest=[(row.key[:60], row.count // 2, round(row.self_device_time_total / 2000, 3)) for row in rows[:14]],
    )


def share(check: Check) -> None:
    """Several trainings on one device, each a process."""
    from archsearch.search.config import load_study
    from archsearch.search.sharing import job_of, measured_load
    from archsearch.training.precision import usual_precision

    proxy = {"proxy.batch_size": check.batch_size} | ({"proxy.validation_images": 64} if check.small else {})
    job = job_of(
        named(_REFERENCE), load_study("cifar100", proxy), device=check.device, num_classes=_CLASSES, input_size=_SIZE,
        train_images=64 if check.small else 45_000,
    ) | {"precision": usual_precision(check.device), "seconds": 1.0 if check.small else 3.0}  # fmt: skip
    for processes in (1, 2) if check.small else (1, 2, 4):
        began = time.monotonic()
        load = measured_load(job, processes)
        check.say(
            processes=processes, images_per_second=round(load.images_per_second), trial_mib=load.trial_bytes >> 20,
            took_s=round(time.monotonic() - began, 1),
        )  # fmt: skip


def train(check: Check) -> None:
    """One whole proxy as a study has it."""
    from archsearch.data.catalog import load_dataset
    from archsearch.data.split import stratified_split
    from archsearch.models.families import build
    from archsearch.training.proxy import train_proxy
    from archsearch.training.settings import ProxySettings

    images, validation, classes = check.images(400 if check.small else 45_000), check.images(100), _CLASSES
    if check.data is not None:
        data = load_dataset(check.data)
        images, validation = stratified_split(
            data.train, validation_images=min(5000, len(data.train.labels) // 5), train_images=None, seed=0
        )
        classes = data.num_classes
    network = build(named(_REFERENCE), num_classes=classes, input_size=_SIZE, seed=0).to(check.device)
    began = time.perf_counter()
    score = train_proxy(
        network, images, validation,
        ProxySettings(epochs=1 if check.small else 12, batch_size=32 if check.small else 256),
        seed=0, num_classes=classes, input_size=_SIZE, flip=True, device=check.device,
    )  # fmt: skip
    wall = time.perf_counter() - began
    check.say(
        top1_percent=[round(point.top1_percent, 2) for point in score.curve], wall_s=round(wall, 2),
        beside_training_s=round(wall - score.train_seconds, 2), images_per_second=round(score.images_per_second),
        first_and_last_epoch_s=[round(score.curve[place].train_seconds, 2) for place in (0, -1)],
    )  # fmt: skip


def memory(check: Check) -> None:
    """What a training leaves behind, and what it does where memory is short."""
    import torch

    if not check.gpu:
        check.say(skipped="it needs a GPU")
        return
    seen = []
    for _ in range(3):
        trainer = check.trainer(named(_REFERENCE))
        losses_of(trainer, 3)
        peak = torch.cuda.max_memory_reserved()
        del trainer
        gc.collect()
        torch.cuda.empty_cache()
        seen.append([each >> 20 for each in (torch.cuda.memory_allocated(), torch.cuda.memory_reserved(), peak)])
    check.say(mib_allocated_reserved_peak=seen)
    whole = torch.cuda.mem_get_info()[1]
    torch.cuda.set_per_process_memory_fraction(max(0.005, 0.5 * (seen[0][2] << 20) / whole))
    trainer = check.trainer(named(_REFERENCE), count=1024)
    curve = trainer.run()
    check.say(
        parts=trainer.step.parts, eager_because=trainer.step.eager_because,
        losses=[round(epoch.train_loss, 3) for epoch in curve],
    )  # fmt: skip


def tests(check: Check) -> None:
    """Those that are skipped elsewhere."""
    root = Path(__file__).resolve().parents[1]
    folders = ("tests/latency",) if check.small else ("tests/training", "tests/latency", "tests/data", "tests/search")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "gpu or cuda", *folders],
        cwd=root, capture_output=True, text=True, check=False, timeout=check.limit_seconds,
    )  # fmt: skip
    check.say(exit_code=done.returncode, tail=done.stdout[-700:])
    if done.returncode:
        raise SystemExit(f"pytest ended with exit code {done.returncode}")


PARTS: dict[str, Callable[[Check], None]] = {
    each.__name__: each for each in (facts, points, step, lease, latency, study, speed, share, train, memory, tests)
}


def main() -> int:
    """Run the parts one after the other, as long as there is time; 1 if one of them failed."""
    from archsearch.errors import last_words

    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.part:
        warnings.filterwarnings("ignore")
        import torch

        torch.set_num_threads(1)
        PARTS[options.part](Check(options.part, options.device, options.out, options.small, options.data))
        return 0
    began, failed = time.monotonic(), list[str]()
    for name in options.only or PARTS:
        left = TOTAL_SECONDS * (_SMALL_PATIENCE if options.small else 1) - (time.monotonic() - began)
        if left < _STARTING_SECONDS:
            print(f"== {name}: left out, the time is used up", flush=True)
            continue
        told = ["--part", name, "--device", options.device, "--out", str(options.out)]
        told += ["--data", options.data] if options.data else []
        told += ["--small"] if options.small else []
        start = time.monotonic()
        try:
            limit = Check(name, options.device, options.out, options.small, options.data).limit_seconds
            done = subprocess.run(
                [sys.executable, __file__, *told], stderr=subprocess.PIPE, text=True, check=False,
                timeout=min(limit + _STARTING_SECONDS, left),
            )  # fmt: skip
            why = last_words(done.stderr) if done.returncode else ""
        except subprocess.TimeoutExpired:
            why = "timed out"
        failed += [name] if why else []
        print(f"== {name}: {time.monotonic() - start:.1f} s {why}".rstrip(), flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", flush=True)
    return int(bool(failed))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--data", help="a dataset as studies name it; without it images are random")
    parser.add_argument("--device", help="torch device (default cuda; cpu with --small)")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ".")), help="folder (default $OUT or .)")
    parser.add_argument("--small", action="store_true", help="a smoke run: small batches, few rounds")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), metavar="PART", help="these parts, in this order")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.device = options.device or ("cpu" if options.small else "cuda")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
