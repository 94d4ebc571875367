"""A careful user's script against `archsearch run`: the same space, images, cores and time, in turn, and one judge.

    python benchmarks/head_to_head.py race --dataset npz:CIFAR100 --out race [--minutes 60] [--seeds 2]
    python benchmarks/head_to_head.py judge --dataset npz:CIFAR100 --out race [--epochs 30] [--results FILE.json]

The script is what Optuna's documentation and torchvision's tutorial show together: TPE in two objectives, PIL
transforms and a DataLoader, a OneCycleLR schedule, the mean of 10 latencies after 5 warm-ups. It trains each network
with the study's epochs, batch and rate, on the images that the study trains on, and scores it on those that the study
scores on. Both arms know no published network. Times count from the start of each arm's process; what ends later does
not count.

`judge` trains every network that stood on either front after a tenth, a quarter, half and all of the time, by one
protocol on the whole training split, scores it on the test split, and measures all of them in turns. A race that was
killed begins that arm anew, since its time is what is compared; a judge that was killed goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from archsearch.analysis.front import front_of
from archsearch.analysis.pareto import hypervolume, non_dominated
from archsearch.data.dataset import Dataset
from archsearch.errors import ArchsearchError
from archsearch.files import write_atomically
from archsearch.models.families import FAMILIES, spec_from_json
from archsearch.models.spec import Spec
from archsearch.search.config import StudyConfig, load_study
from archsearch.space.search_space import ChoiceValue
from archsearch.text import level_text

ARMS = ("script", "archsearch")
SHARES = (0.1, 0.25, 0.5, 1.0)  # of the time, after which the fronts are judged
WARM_UPS, RUNS = 5, 10
JUDGE_SEED = 1000


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """A network that an arm had evaluated, and when (seconds after its start), with what it said of it itself."""

    seconds: float
    spec: Spec
    error_percent: float
    latency_ms: float


def changes_of(given: argparse.Namespace) -> list[str]:
    """What of the study's keys is otherwise here: no published networks, and no strides of other families."""
    config = load_study(given.study)
    own = FAMILIES[config.search_space().family].base.rules()
    scale = {name: value for name, value in config.scale.items() if name in own}
    return [f"dataset={given.dataset}", "variants=none", f"scale={json.dumps(scale)}", *given.set]


def config_of(given: argparse.Namespace) -> StudyConfig:
    """The study that both arms are about."""
    return load_study(given.study, changes_of(given))


# The script.


def script(given: argparse.Namespace) -> None:
    """What the user would write: an objective that trains, scores and times, and Optuna's study around it."""
    import optuna
    import torch
    from PIL import Image
    from torch import nn
    from torch.utils.data import DataLoader
    from torchvision import transforms

    from archsearch.data.catalog import load_dataset
    from archsearch.data.images import Images, channel_statistics
    from archsearch.models.families import build

    config = config_of(given)
    space, dataset, proxy = config.search_space(), load_dataset(config.dataset), config.proxy
    size, classes = dataset.image_size, dataset.num_classes
    parts = dataset.split(**proxy.split, image_size=size)
    mean, std = channel_statistics(parts[0])
    plain = [transforms.ToTensor(), transforms.Normalize(mean, std)]
    augmented = [transforms.RandomCrop(size, padding=4), *([transforms.RandomHorizontalFlip()] * dataset.flip), *plain]

    class Pictures(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
        """Pictures of PIL with their labels, through transforms."""

        def __init__(self, images: Images, steps: Sequence[Any]) -> None:
            pixels = images.read(range(len(images))).pixels
            assert isinstance(pixels, torch.Tensor)
            self.pictures = [Image.fromarray(each.permute(1, 2, 0).numpy()) for each in pixels]
            self.labels, self.transform = images.labels.tolist(), transforms.Compose(steps)

        def __len__(self) -> int:
            return len(self.pictures)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return self.transform(self.pictures[index]), self.labels[index]

    workers = given.cores
    train = DataLoader(
        Pictures(parts[0], augmented), batch_size=proxy.batch_size, shuffle=True, num_workers=workers, drop_last=True
    )
    validation = DataLoader(Pictures(parts[1], plain), batch_size=500, num_workers=workers)

    def top1_percent(model: nn.Module) -> float:
        model.eval()
        right = 0
        with torch.no_grad():
            for images, labels in validation:
                right += int((model(images).argmax(1) == labels).sum())
        return 100.0 * right / len(parts[1])

    def latency_ms(model: nn.Module) -> float:
        model.eval()
        image, times = torch.randn(1, 3, size, size), []
        torch.set_num_threads(1)
        with torch.no_grad():
            for run in range(WARM_UPS + RUNS):
                began = time.perf_counter()
                model(image)
                if run >= WARM_UPS:
                    times.append(1000.0 * (time.perf_counter() - began))
        torch.set_num_threads(given.cores)
        return statistics.fmean(times)

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        point: dict[str, ChoiceValue] = {}
        for domain in space.domains:
            values = {level_text(value): value for value in domain.values}
            point[domain.name] = values[trial.suggest_categorical(domain.name, list(values))]
        spec = space.spec(point).normalised(size)
        trial.set_user_attr("spec", spec.canonical_json())
        model = build(spec, num_classes=classes, input_size=size, seed=trial.number)
        optimizer = torch.optim.SGD(
            model.parameters(), lr=proxy.learning_rate, momentum=0.9, weight_decay=proxy.weight_decay, nesterov=True
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=proxy.learning_rate, epochs=proxy.epochs, steps_per_epoch=len(train)
        )
        criterion = nn.CrossEntropyLoss(label_smoothing=proxy.label_smoothing)
        for _ in range(proxy.epochs):
            model.train()
            for images, labels in train:
                optimizer.zero_grad()
                criterion(model(images), labels).backward()
                optimizer.step()
                schedule.step()
        return 100.0 - top1_percent(model), latency_ms(model)

    torch.manual_seed(given.seed)
    torch.set_num_threads(given.cores)
    study = optuna.create_study(
        study_name="script", directions=["minimize", "minimize"], sampler=optuna.samplers.TPESampler(seed=given.seed),
        storage=f"sqlite:///{given.out / f'script-{given.seed}.db'}",
    )  # fmt: skip
    study.optimize(objective, timeout=60.0 * given.minutes, catch=(ArchsearchError, RuntimeError, ValueError))


# The race.


def race(given: argparse.Namespace) -> None:
    """Each arm with each seed, one after the other; those that ended are left as they are."""
    given.out.mkdir(parents=True, exist_ok=True)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: given.cores])  # the arms inherit it
    for seed in range(given.seeds):
        for arm in ARMS if seed % 2 == 0 else ARMS[::-1]:
            marker, database = given.out / f"{arm}-{seed}.json", given.out / f"{arm}-{seed}.db"
            if marker.exists():
                continue
            for left in given.out.glob(f"{database.name}*"):
                left.unlink()  # of an arm that was killed
            command = [sys.executable, *_command(arm, seed, given, database)]
            threads = given.cores if arm == "script" else 1
            print(f"{arm}, seed {seed}: {given.minutes:g} minutes from now", flush=True)
            began = time.time()
            subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
            facts = {"began": began, "ended": time.time(), "minutes": given.minutes, "command": shlex.join(command)}
            write_atomically(marker, json.dumps(facts).encode())


def _command(arm: str, seed: int, given: argparse.Namespace, database: Path) -> list[str]:
    common = [*("--out", str(given.out)), "--dataset", given.dataset, "--study", given.study]
    if arm == "script":
        more = [word for change in given.set for word in ("--set", change)]
        numbers = ("--seed", str(seed), "--minutes", str(given.minutes), "--cores", str(given.cores))
        return [__file__, "script", *common, *numbers, *more]
    return [
        *("-m", "archsearch.cli.main", "run", "--study", given.study, "--seed", str(seed), "--trials", "100000"),
        *("--workers", str(given.cores), "--device", "cpu", "--time-budget", f"{60.0 * given.minutes:g}s"),
        *("--storage", f"sqlite:///{database}"),
        *(word for change in changes_of(given) for word in ("--set", change)),
    ]


# The judge.


def evaluated(arm: str, seed: int, given: argparse.Namespace) -> list[Evaluated]:
    """What an arm had when."""
    import optuna

    from archsearch.api.study import open_study

    began = json.loads((given.out / f"{arm}-{seed}.json").read_text(encoding="utf-8"))["began"]
    url = f"sqlite:///{given.out / f'{arm}-{seed}.db'}"
    name = "script" if arm == "script" else config_of(given).name
    trials = optuna.load_study(study_name=name, storage=url).trials
    ended = {trial.number: trial.datetime_complete.timestamp() - began for trial in trials if trial.datetime_complete}
    if arm == "script":
        done = [trial for trial in trials if trial.state is optuna.trial.TrialState.COMPLETE]
        return [
            Evaluated(
                seconds=ended[trial.number],
                spec=spec_from_json(trial.user_attrs["spec"]),
                error_percent=trial.values[0],
                latency_ms=trial.values[1],
            )
            for trial in done
        ]
    study = open_study(name, storage=url)
    return [
        Evaluated(
            seconds=ended.get(row.record.trial, 0.0),
            spec=FAMILIES[row.record.family].base.with_choices(row.record.choices),
            error_percent=row.record.error_percent,
            latency_ms=row.latency.corrected_ms,
        )
        for row in front_of(study.records).rows
    ]


def own_front(known: Sequence[Evaluated]) -> list[Spec]:
    """The networks on an arm's own front, each once."""
    keep = non_dominated(np.array([(each.error_percent, each.latency_ms) for each in known]).reshape(-1, 2))
    return list({each.spec.arch_id: each.spec for each, member in zip(known, keep, strict=True) if member}.values())


def judge(given: argparse.Namespace) -> None:
    """Train and measure the fronts by one protocol, and print the hypervolumes."""
    from archsearch.data.catalog import load_dataset

    judged: dict[tuple[int, str, float], tuple[int, list[Spec]]] = {}
    own: list[dict[str, Any]] = []
    for seed in range(given.seeds):
        for arm in ARMS:
            found = evaluated(arm, seed, given)
            own += [
                {
                    "seed": seed,
                    "arm": arm,
                    "seconds": each.seconds,
                    "network": each.spec.arch_id,
                    "choices": each.spec.choices(),
                    "error_percent": each.error_percent,
                    "latency_ms": each.latency_ms,
                }
                for each in sorted(found, key=lambda each: each.seconds)
            ]
            minutes = json.loads((given.out / f"{arm}-{seed}.json").read_text(encoding="utf-8"))["minutes"]
            for share in SHARES:
                known = [each for each in found if each.seconds <= 60.0 * minutes * share]
                judged[seed, arm, share] = len(known), own_front(known)
    specs = list({spec.arch_id: spec for _, front in judged.values() for spec in front}.values())
    if not specs:
        raise SystemExit("neither arm had evaluated a network when its time was over")
    dataset = load_dataset(given.dataset)
    errors, latencies = _errors(specs, given), _latencies(specs, given, dataset)
    corner = (100.0 - 100.0 / dataset.num_classes, 1.05 * max(latencies.values()))
    rows = []
    for (seed, arm, share), (networks, front) in judged.items():
        points = np.array([(errors[spec.arch_id], latencies[spec.arch_id]) for spec in front]).reshape(-1, 2)
        volume = hypervolume(points, corner) / (corner[0] * corner[1]) if front else 0.0
        rows.append(
            {
                "seed": seed,
                "arm": arm,
                "share_of_time": share,
                "networks": networks,
                "front": {spec.arch_id: [errors[spec.arch_id], latencies[spec.arch_id]] for spec in front},
                "hypervolume": volume,
            }
        )
    report(rows)
    if given.results is not None:
        facts = {"corner": corner, "protocol": given.protocol, "epochs": given.epochs, "judge_seeds": given.judge_seeds}
        write_atomically(given.results, json.dumps({**facts, "rows": rows, "evaluated": own}, indent=1).encode())


def _errors(specs: Sequence[Spec], given: argparse.Namespace) -> dict[str, float]:
    """Test error (percent) of each network by one protocol, the mean over the seeds; a training a core at a time."""
    jobs = [(spec, JUDGE_SEED + seed, given) for spec in specs for seed in range(given.judge_seeds)]
    found: dict[str, list[float]] = {}
    with ProcessPoolExecutor(given.cores, mp_context=get_context("spawn")) as pool:
        for place, (spec, error_percent) in enumerate(pool.map(_error_of, jobs), start=1):
            found.setdefault(spec.arch_id, []).append(error_percent)
            print(f"{place} of {len(jobs)}: {spec.arch_id}, test error {error_percent:.2f} %", flush=True)
    return {arch_id: statistics.fmean(errors) for arch_id, errors in found.items()}


def _error_of(job: tuple[Spec, int, argparse.Namespace]) -> tuple[Spec, float]:
    """Train one network with one seed, or read what it had."""
    import torch

    from archsearch.data.catalog import load_dataset
    from archsearch.training.protocols import PROTOCOLS
    from archsearch.training.retrain import retrain_seed

    spec, seed, given = job
    torch.set_num_threads(1)
    dataset = load_dataset(given.dataset)
    trained = retrain_seed(
        spec,
        dataset,
        PROTOCOLS[given.protocol],
        epochs=given.epochs,
        batch_size=None,
        seed=seed,
        input_size=dataset.image_size,
        device="cpu",
        folder=given.out / "judge" / spec.arch_id / f"{given.protocol}-{given.epochs}",
    )
    return spec, 100.0 - trained.score.top1_percent


def _latencies(specs: Sequence[Spec], given: argparse.Namespace, dataset: Dataset) -> dict[str, float]:
    """Latency of each (p10, ms), all measured in turns with one reference; read where it was measured before."""
    from archsearch.api.measure import measure

    folder = given.out / "judge"
    path = folder / "latencies.json"
    known: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if {spec.arch_id for spec in specs} <= set(known):
        return known
    files = [folder / spec.arch_id / "network.json" for spec in specs]
    for file, spec in zip(files, specs, strict=True):
        write_atomically(file, spec.canonical_json().encode())
    measured = measure(
        [str(file) for file in files],
        input_size=dataset.image_size,
        num_classes=dataset.num_classes,
        device="cpu",
    )
    base = statistics.median(each.latency.reference_p10_ms for each in measured)
    known = {each.spec.arch_id: each.latency.ratio_to_reference * base for each in measured}
    write_atomically(path, json.dumps(known).encode())
    return known


def report(rows: Sequence[dict[str, Any]]) -> None:
    """Hypervolumes by time, and when archsearch had what the script had at the end."""
    print(
        "| seed | arm | share of the time | networks | on its front | hypervolume (%) |\n|---:|---|---:|---:|---:|---:|"
    )
    for row in rows:
        print(
            f"| {row['seed']} | {row['arm']} | {row['share_of_time']:g} | {row['networks']} | {len(row['front'])} | "
            f"{100.0 * row['hypervolume']:.1f} |"
        )
    for seed in dict.fromkeys(row["seed"] for row in rows):
        target = next(
            r["hypervolume"] for r in rows if (r["seed"], r["arm"], r["share_of_time"]) == (seed, "script", SHARES[-1])
        )
        reached = [
            row["share_of_time"]
            for row in rows
            if row["seed"] == seed and row["arm"] == "archsearch" and row["hypervolume"] >= target > 0.0
        ]
        when = f"after {min(reached):g} of the time" if reached else "not within the time"
        print(f"\nseed {seed}: archsearch had the script's last hypervolume ({100.0 * target:.1f} %) {when}.")


def main() -> None:
    """Race or judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("race", "judge", "script"), help="script: the user's script alone")
    parser.add_argument("--dataset", default="cifar100")
    parser.add_argument("--study", default="cifar100_cpu", help="its space, proxy and scale are those of both arms")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the study, for both arms")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=2, help="races; arms begin in turn")
    parser.add_argument("--seed", type=int, default=0, help="of the script alone")
    parser.add_argument("--protocol", default="one-cycle", help="of the judge")
    parser.add_argument("--epochs", type=int, default=30, help="of the judge")
    parser.add_argument("--judge-seeds", type=int, default=1)
    parser.add_argument("--results", type=Path, default=None, help="JSON of the judge")
    given = parser.parse_args()
    given.out = given.out.absolute()
    {"race": race, "judge": judge, "script": script}[given.what](given)


if __name__ == "__main__":
    main()
