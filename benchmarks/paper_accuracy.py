"""The accuracies that the ShuffleNetV2-s and LDC papers print, trained again under their protocols.

    python benchmarks/paper_accuracy.py --dataset cifar10 --seeds 3 --slice 10m     # again and again, until it is done
    python benchmarks/paper_accuracy.py --dataset npz:cifar10 --train-images 5000 --test-images 2000 --epochs 20

Prints a table of printed, measured and difference. Each network and seed has a folder of its own with checkpoints: an
interrupted or killed call goes on where it stopped, and `--slice` ends a call by itself after so long. The seeds are
outermost, so every network has one before any has two.

With fewer images or epochs than the papers', the run is scaled down: the table says so and has no column of
differences, because its numbers cannot be compared with the printed ones. What can be read then is the order of its own
rows, with their spread.

What the papers do not state, and what was chosen instead, stands in the notes of `archsearch.training.protocols`. The
networks have the papers' own stem (stride 2, and max pool where the family has it) at the dataset's own image size;
`--scale` and `--input-size` change that.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from archsearch.cli.options import parse_duration
from archsearch.data.catalog import load_dataset
from archsearch.data.dataset import Dataset
from archsearch.data.images import Images
from archsearch.data.split import stratified_split
from archsearch.errors import ArchsearchError, DivergedError
from archsearch.files import write_atomically
from archsearch.models.variants import VARIANTS
from archsearch.papers.printed import find_paper
from archsearch.records import Epoch, Score
from archsearch.resources import parse_yaml
from archsearch.training.protocols import PROTOCOLS, Protocol
from archsearch.training.retrain import retrain_seed

PAPERS: Mapping[str, Mapping[str, str]] = {  # paper: dataset: protocol
    "shufflenet_v2_s": {"cifar10": "shufflenetv2-s", "cifar100": "shufflenetv2-s"},
    "ldc": {"cifar10": "ldc-cifar", "cifar100": "ldc-cifar", "caltech256": "ldc-caltech"},
}
# The paper's text describes another network than its parameter count: both are trained against the one printed number.
OTHER_READINGS = {"shufflenet_v2_s_counted": ("shufflenet_v2_s_described",)}


class SliceOver(Exception):  # noqa: N818 (no error: the call's time is up)
    """The time of this call is used up."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network of a printed table, and what was measured of it so far.

    `scores` has one for each seed that was trained to its end, `diverged` the reason of each that could not be.
    """

    paper: str
    model: str
    variant: str
    protocol: str
    printed_percent: float
    scores: tuple[Score, ...] = ()
    diverged: tuple[str, ...] = ()

    @property
    def mean_percent(self) -> float:
        """Mean top-1 over the seeds."""
        return statistics.fmean(score.top1_percent for score in self.scores)

    @property
    def std_points(self) -> float | None:
        """Sample standard deviation over the seeds; None with fewer than two."""
        return statistics.stdev(score.top1_percent for score in self.scores) if len(self.scores) > 1 else None


def printed_rows(papers: Sequence[str], dataset: str) -> Iterator[Row]:
    """The networks whose accuracy on this dataset is printed, each reading of one on its own."""
    for key in papers:
        if dataset not in PAPERS[key]:
            continue
        for table in find_paper(key).tables:
            for row in table.rows:
                for value in row.values:
                    for number in value.numbers:
                        if number.kind != "accuracy" or value.column != dataset or row.variant is None:
                            continue
                        for variant in (row.variant, *OTHER_READINGS.get(row.variant, ())):
                            yield Row(
                                paper=key,
                                model=row.model,
                                variant=variant,
                                protocol=PAPERS[key][dataset],
                                printed_percent=float(number.printed),
                            )


def smaller(dataset: Dataset, *, train_images: int | None, test_images: int | None) -> Dataset:
    """The dataset with fewer images, balanced over the classes: the same ones every time."""
    if train_images is None and test_images is None:
        return dataset
    test = dataset.load_test()
    train = _some(dataset.train, train_images)
    fewer_test = _some(test, test_images)
    return replace(
        dataset,
        train=train,
        load_test=lambda: fewer_test,
        fingerprint=f"{dataset.fingerprint}-{len(train)}-{len(fewer_test)}",
    )


def _some(images: Images, count: int | None) -> Images:
    return images if count is None else stratified_split(images, validation_images=count, train_images=None, seed=0)[1]


def train(
    row: Row, dataset: Dataset, arguments: argparse.Namespace, *, seed: int, epochs: int, until: float, bar: Progress
) -> Score:
    """Train one seed of one network, or read what an earlier call has finished. Raises SliceOver."""
    protocol: Protocol = PROTOCOLS[row.protocol]
    input_size = arguments.input_size or dataset.image_size
    scale = {name: value for name, value in arguments.scale.items() if _has(row.variant, name)}
    spec = VARIANTS[row.variant].spec.at_scale(scale).normalised(input_size)
    task = bar.add_task(f"{row.variant}, seed {seed}", total=epochs)

    def after_epoch(point: Epoch) -> None:
        bar.update(task, completed=point.epoch)
        if time.monotonic() > until and point.epoch < epochs:
            raise SliceOver

    try:
        return retrain_seed(
            spec,
            dataset,
            protocol,
            epochs=epochs,
            batch_size=None,
            seed=seed,
            input_size=input_size,
            device=arguments.device,
            folder=arguments.folder / f"{dataset.fingerprint}-{input_size}px-{epochs}ep" / row.variant / spec.arch_id,
            on_epoch=after_epoch,
        ).score
    finally:
        bar.remove_task(task)


def _has(variant: str, choice: str) -> bool:
    return choice in VARIANTS[variant].spec.choices()


def show(console: Console, rows: Sequence[Row], *, dataset: str, whole: bool, conditions: str) -> None:
    """The table; differences only where the run is the papers' own."""
    console.print(
        f"{dataset}: {conditions}" if whole else f"SCALED DOWN, not the papers' numbers. {dataset}: {conditions}"
    )
    for paper, protocol in dict.fromkeys((row.paper, row.protocol) for row in rows):
        table = Table(title=f"{paper}, protocol {protocol}", title_justify="left")
        table.add_column("network", no_wrap=True)
        for name in ("printed %", "measured %", "seeds", *(("difference",) if whole else ())):
            table.add_column(name, justify="right", no_wrap=True)
        for row in rows:
            if row.paper != paper:
                continue
            spread = "" if row.std_points is None else f" ± {row.std_points:.2f}"
            seeds = f"{len(row.scores)}" + (f", {len(row.diverged)} diverged" if row.diverged else "")
            cells = [f"{row.mean_percent:.2f}{spread}" if row.scores else "-", seeds]
            if whole:
                cells.append(f"{row.mean_percent - row.printed_percent:+.2f}" if row.scores else "-")
            table.add_row(row.variant, f"{row.printed_percent:.2f}", *cells)
        console.print(table)
    if not whole:
        console.print("The printed accuracies are of 100 epochs on the whole dataset: only rows of this run compare.")


def machine(device: str) -> dict[str, str]:
    """What the numbers were trained on."""
    name = torch.cuda.get_device_name() if device.startswith("cuda") else platform.processor() or platform.machine()
    return {"device": device, "name": name, "torch": torch.__version__, "python": platform.python_version()}


def _duration(text: str) -> float:
    return parse_duration(text, option="--slice")


def _scale(text: str) -> dict[str, Any]:
    scale: dict[str, Any] = parse_yaml(text, "--scale")
    return scale


def parse() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--paper", choices=[*PAPERS, "all"], default="all")
    parser.add_argument("--dataset", default="cifar10", help="cifar10, cifar100, npz:FOLDER, folder:FOLDER")
    parser.add_argument("--printed", help="the printed column; default: the dataset's own name, else cifar10")
    parser.add_argument("--variants", nargs="*", help="only these networks")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="default: the protocol's own 100")
    parser.add_argument("--train-images", type=int)
    parser.add_argument("--test-images", type=int)
    parser.add_argument("--input-size", type=int)
    parser.add_argument("--scale", type=_scale, default={}, help="'{stem.stride: 2, stem.pool: false}'")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--slice", type=_duration, help="end this call after so long (10m); again continues")
    parser.add_argument("--folder", type=Path, default=Path("runs/paper_accuracy"))
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--json", type=Path, help="write the results with the machine's facts")
    return parser.parse_args()


def main() -> int:
    """Train what is left, until the slice is over; print what there is."""
    arguments = parse()
    console = Console()
    printed = arguments.printed or (arguments.dataset if ":" not in arguments.dataset else "cifar10")
    papers = list(PAPERS) if arguments.paper == "all" else [arguments.paper]
    rows = [row for row in printed_rows(papers, printed) if not arguments.variants or row.variant in arguments.variants]
    if not rows:
        console.print(f"no printed accuracy for {printed} and these networks")
        return 2
    full = load_dataset(arguments.dataset, data_dir=arguments.data_dir)
    dataset = smaller(full, train_images=arguments.train_images, test_images=arguments.test_images)
    whole = dataset is full and all(arguments.epochs in (None, PROTOCOLS[row.protocol].epochs) for row in rows)
    until = time.monotonic() + arguments.slice if arguments.slice else float("inf")
    stopped = ""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total} epochs"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        try:
            for seed in range(arguments.seeds):
                for place, row in enumerate(rows):
                    epochs = arguments.epochs or PROTOCOLS[row.protocol].epochs
                    try:
                        score = train(row, dataset, arguments, seed=seed, epochs=epochs, until=until, bar=bar)
                    except DivergedError as error:
                        rows[place] = replace(row, diverged=(*row.diverged, f"seed {seed}: {error}"))
                    else:
                        rows[place] = replace(row, scores=(*row.scores, score))
        except SliceOver:
            stopped = "the slice is over"
        except KeyboardInterrupt:
            stopped = "stopped"
    sizes = f"{len(dataset.train):,} training images, {len(dataset.load_test()):,} test images"
    lengths = sorted({arguments.epochs or PROTOCOLS[row.protocol].epochs for row in rows})
    conditions = f"{sizes}, {' / '.join(map(str, lengths))} epochs, top-1 after the last one, {arguments.device}"
    show(console, rows, dataset=dataset.name, whole=whole, conditions=conditions)
    if arguments.json:
        content: dict[str, Any] = {
            "scaled_down": not whole,
            "conditions": conditions,
            "scale": arguments.scale,
            "input_size": arguments.input_size or dataset.image_size,
            "dataset_fingerprint": dataset.fingerprint,
            "machine": machine(arguments.device),
            "rows": [
                {**asdict(replace(row, scores=())), "top1_percent": [score.top1_percent for score in row.scores]}
                for row in rows
            ],
        }
        write_atomically(arguments.json, (json.dumps(content, indent=2) + "\n").encode())
    if stopped:
        console.print(f"{stopped}: the same command continues")
    return 1 if stopped else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ArchsearchError as error:
        sys.exit(f"error: {error}")
