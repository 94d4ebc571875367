"""Training protocols against each other, in equal epochs on the same images: validation top-1 over seeds.

    python benchmarks/protocols.py --dataset npz:cifar10 --train-images 5000 --epochs 20 --out results.jsonl

Trains on a part of the training split and scores on another, so the test split stays unseen. Each training is one line
of `--out`; the same command again goes on where it stopped. Prints mean, sample standard deviation and n of each
network, what the last step's weights score beside their average where a protocol has one, and the best protocol against
the others, paired by network and seed.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import torch

from archsearch.analysis.intervals import mean_interval
from archsearch.api.networks import find_network
from archsearch.data.catalog import load_dataset
from archsearch.data.images import channel_statistics
from archsearch.data.split import stratified_split
from archsearch.models.families import build
from archsearch.text import interval_text
from archsearch.training.loop import EVALUATION_BATCH, top1_percent
from archsearch.training.protocols import PROTOCOLS
from archsearch.training.trainer import Trainer, usual_step

SPLIT_SEED = 0


def main() -> None:
    """Train what is not in the file yet, and print the tables."""
    given = arguments()
    torch.set_num_threads(given.threads)
    dataset = load_dataset(given.dataset)
    train, validation = stratified_split(
        dataset.train, validation_images=given.validation_images, train_images=given.train_images, seed=SPLIT_SEED
    )
    mean, std = channel_statistics(train)
    changes = dict(change.split("=", 1) for change in given.set)
    specs = {name: find_network(name).spec.with_choices(changes) for name in given.networks}
    conditions: dict[str, dict[str, object]] = {
        network: {
            "dataset": dataset.fingerprint,
            "train_images": len(train),
            "validation_images": len(validation),
            "epochs": given.epochs,
            "device": given.device,
            "arch_id": spec.arch_id,
        }
        for network, spec in specs.items()
    }
    for seed, network, name in product(range(given.seeds), specs, given.protocols):
        if seed in trained(lines(given.out), conditions[network], name):
            continue
        protocol = PROTOCOLS[name]
        trainer = Trainer(
            build(specs[network], num_classes=dataset.num_classes, input_size=dataset.image_size, seed=seed),
            train, validation, protocol, epochs=given.epochs, batch_size=protocol.batch_size,
            input_size=dataset.image_size, mean=mean, std=std, flip=dataset.flip, seed=seed, device=given.device,
            make_step=usual_step(given.device),
        )  # fmt: skip
        score = trainer.score(trainer.run(), split="validation")
        last = top1_percent(trainer.model, trainer._evaluation.evaluation(EVALUATION_BATCH))
        found = {
            **protocol.identity(),
            **conditions[network],
            "seed": seed,
            "top1_percent": score.top1_percent,
            "last_step_percent": last,
            "train_seconds": score.train_seconds,
        }
        with given.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
    told = lines(given.out)
    for network, those in conditions.items():
        print(f"\n{network}\n")
        report(told, those, given.protocols)
    compare(told, list(conditions.values()), given.protocols)


def report(found: list[dict[str, object]], conditions: dict[str, object], names: list[str]) -> None:
    """The table of what was trained under these conditions."""
    print("| protocol | top-1 (%) | seeds | last step's weights (%) | each seed |")
    print("|---|---:|---:|---:|---|")
    for name in names:
        rows = list(trained(found, conditions, name).values())
        if not rows:
            continue
        top1 = [float(str(row["top1_percent"])) for row in rows]
        last = statistics.fmean(float(str(row["last_step_percent"])) for row in rows)
        spread = f" ± {statistics.stdev(top1):.2f}" if len(top1) > 1 else ""
        each = ", ".join(f"{value:.2f}" for value in top1)
        print(f"| {name} | {statistics.fmean(top1):.2f}{spread} | {len(top1)} | {last:.2f} | {each} |")


def compare(found: list[dict[str, object]], conditions: Sequence[dict[str, object]], names: list[str]) -> None:
    """The best protocol against each other one, paired by network and seed."""
    top1 = {
        name: {
            (place, seed): float(str(row["top1_percent"]))
            for place, each in enumerate(conditions)
            for seed, row in trained(found, each, name).items()
        }
        for name in names
    }
    shared = set.intersection(*(set(values) for values in top1.values()))
    if not shared or len(names) < 2:
        return
    means = {name: statistics.fmean(values[pair] for pair in shared) for name, values in top1.items()}
    best = max(means, key=lambda name: means[name])
    print(f"\nbest over {len(shared)} pairs of network and seed: {best}, {means[best]:.2f} %")
    for name in names:
        if name != best:
            gain = mean_interval([top1[best][pair] - top1[name][pair] for pair in sorted(shared)])
            print(
                f"{best} against {name}: "
                + interval_text(gain.mean, gain.alone_low, gain.alone_high, decimals=2, signed=True, unit="points")
            )


def trained(
    found: list[dict[str, object]], conditions: dict[str, object], name: str
) -> dict[object, dict[str, object]]:
    """What was trained by a protocol under these conditions, by seed."""
    identity = {**PROTOCOLS[name].identity(), **conditions}
    return {line["seed"]: line for line in found if line.items() >= identity.items()}


def lines(path: Path) -> list[dict[str, object]]:
    """What was trained so far."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--networks", nargs="+", default=["shufflenet_v2_x0_5"])
    parser.add_argument("--set", nargs="*", default=[], metavar="CHOICE=VALUE", help="e.g. stem.pool=false")
    parser.add_argument("--protocols", nargs="+", default=["shufflenetv2-s", "one-cycle", "modern"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--train-images", type=int, default=None)
    parser.add_argument("--validation-images", type=int, default=5000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
