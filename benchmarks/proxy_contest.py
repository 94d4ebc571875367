"""Which score of a short training ranks networks as a long one does? The contest that docs/results/proxy_plan.md plans.

    python benchmarks/proxy_contest.py --dataset npz:CIFAR100 --out contest --worker 0/2    # and 1/2, at the same time
    python benchmarks/proxy_contest.py --dataset npz:CIFAR100 --out contest --evaluate [--results FILE.json]

Each training is one line of `contest/WORKER.jsonl`; a command that was killed goes on where it stopped, and workers
wait for each other where they must. `--pool`, `--chosen`, `--train-images`, ... make it small, to see it work.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from archsearch.analysis.rank_correlation import ceilings_of, percentile_interval, resampled_correlations
from archsearch.cost.architecture import cost_of
from archsearch.cost.zero_cost import JACOB_COV_IMAGES, jacob_cov, synflow
from archsearch.data.catalog import load_dataset
from archsearch.data.dataset import Dataset
from archsearch.errors import DivergedError
from archsearch.files import write_atomically
from archsearch.models.families import build
from archsearch.models.spec import Spec
from archsearch.space.search_space import SearchSpace, load_space
from archsearch.table import plain
from archsearch.training.proxy import train_proxy
from archsearch.training.settings import ProxySettings

SCALE = {"stem.stride": 2, "stem.pool": False}
WIDTHS = [0.5, 1.0]
BATCH, RATE = 128, 0.2
SMALL_BATCHES = (64, 32)
TIMED_NETWORKS = 5
CHOOSING_SEED, CONTEST_SEED, TRUTH_SEED, SPLIT_SEED = 0, 1, 1000, 0
BASELINE, HYPOTHESIS = "last accuracy", "summed training loss"
WAIT_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training: of a network of the pool (its place), for a purpose."""

    purpose: str  # timing, pool, contest, truth
    network: int
    seed: int
    epochs: int
    batch_size: int = BATCH


class Contest:
    """The networks, the images and what was trained so far."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.dataset: Dataset = load_dataset(given.dataset)
        self.train, self.validation = self.dataset.split(
            validation_images=given.validation_images,
            train_images=given.train_images,
            seed=SPLIT_SEED,
            image_size=self.dataset.image_size,
        )
        self.pool = list(islice(networks(self.dataset.image_size), given.pool))

    def found(self) -> dict[Job, dict[str, Any]]:
        """Every training that has ended, by all workers."""
        results = {}
        for path in sorted(self.given.out.glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                if line.endswith("}"):  # a line that was being written when its worker was killed is made again
                    told = json.loads(line)
                    results[Job(**told["job"])] = told
        return results

    def jobs(self, found: Mapping[Job, dict[str, Any]]) -> tuple[list[Job], bool]:
        """What is to be trained as far as it is known, and whether that is all."""
        given = self.given
        known = [
            Job(purpose="timing", network=place, seed=CONTEST_SEED, epochs=1, batch_size=batch)
            for place in range(min(TIMED_NETWORKS, given.pool))
            for batch in (BATCH, *SMALL_BATCHES)
        ]
        first = [
            Job(purpose="pool", network=place, seed=CHOOSING_SEED, epochs=given.epochs) for place in range(given.pool)
        ]
        if any(job not in found for job in (*known, *first)):
            return known + first, False
        chosen = [place for places in self.chosen(found).values() for place in places]
        contest = [
            Job(purpose="contest", network=place, seed=CONTEST_SEED, epochs=epochs, batch_size=batch)
            for batch, epochs in self.epochs_of(found).items()
            for place in chosen
        ]
        truth = [
            Job(purpose="truth", network=place, seed=TRUTH_SEED + seed, epochs=given.truth_epochs)
            for seed in range(given.seeds)
            for place in chosen
        ]
        return known + first + contest + truth, True

    def chosen(self, found: Mapping[Job, dict[str, Any]]) -> dict[str, list[int]]:
        """Half of the networks from the best quarter of the choosing trainings, half from the rest."""
        top1 = {job.network: result["top1"][-1] for job, result in found.items() if job.purpose == "pool"}
        order = sorted(top1, key=lambda place: (-top1[place], place))
        generator, quarter, half = np.random.default_rng(0), len(order) // 4, self.given.chosen // 2
        best, rest = order[:quarter], order[quarter:]
        return {
            "best quarter": [int(place) for place in generator.permutation(best)[:half]],
            "rest": [int(place) for place in generator.permutation(rest)[: self.given.chosen - half]],
        }

    def epochs_of(self, found: Mapping[Job, dict[str, Any]]) -> dict[int, int]:
        """Batch size: as many epochs as take as many CPU seconds as the proxy's."""
        seconds = {
            batch: sum(r["cpu_seconds"] for j, r in found.items() if j.purpose == "timing" and j.batch_size == batch)
            for batch in (BATCH, *SMALL_BATCHES)
        }
        return {
            batch: max(1, round(self.given.epochs * seconds[BATCH] / spent)) if batch != BATCH else self.given.epochs
            for batch, spent in seconds.items()
        }

    def train_one(self, job: Job) -> dict[str, Any]:
        """The curve of one training; accuracies of 0 and infinite losses if it diverges."""
        spec, classes, size = self.pool[job.network], self.dataset.num_classes, self.dataset.image_size
        settings = ProxySettings(
            epochs=job.epochs,
            batch_size=job.batch_size,
            learning_rate=RATE * job.batch_size / BATCH,
            precision="fp32",
        )
        began = time.process_time()
        try:
            score = train_proxy(
                build(spec, num_classes=classes, input_size=size, seed=job.seed, by_name=True),
                self.train,
                self.validation,
                settings,
                seed=job.seed,
                num_classes=classes,
                input_size=size,
                flip=self.dataset.flip,
                device="cpu",
            )
            curve = {
                "top1": [point.top1_percent for point in score.curve],
                "loss": [point.train_loss for point in score.curve],
            }
        except DivergedError:
            curve = {"top1": [0.0] * job.epochs, "loss": [math.inf] * job.epochs}
        return {"job": asdict(job), "arch_id": spec.arch_id, "cpu_seconds": time.process_time() - began, **curve}

    def work(self) -> None:
        """Train what is this worker's, until all is done."""
        worker, workers = (int(part) for part in self.given.worker.split("/"))
        path = self.given.out / f"{worker}.jsonl"
        if path.exists() and not path.read_text(encoding="utf-8").endswith("\n"):
            path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
        while True:
            found = self.found()
            jobs, all_known = self.jobs(found)
            mine = [job for place, job in enumerate(jobs) if place % workers == worker and job not in found]
            if not mine and all_known:
                return
            if not mine:
                time.sleep(WAIT_SECONDS)  # for the others
            for place, job in enumerate(mine):
                result = self.train_one(job)
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(result) + "\n")
                print(
                    f"{place + 1} of {len(mine)}: {job.purpose}, network {job.network}, {result['top1'][-1]:.2f} %",
                    flush=True,
                )


def networks(image_size: int) -> Iterator[Spec]:
    """Distinct random networks of the space, at the contest's scale."""
    space: SearchSpace = load_space("shufflenet_v2").restricted({"width": WIDTHS}, SCALE, where="contest")
    seen: set[str] = set()
    seed = 0
    while True:
        spec = space.spec(space.sample(seed)).normalised(image_size)
        seed += 1
        if spec.arch_id not in seen:
            seen.add(spec.arch_id)
            yield spec


def scores_of(contest: Contest, found: Mapping[Job, dict[str, Any]], places: Sequence[int]) -> dict[str, list[float]]:
    """What every contestant says of these networks, higher is better."""
    scores: dict[str, list[float]] = {}
    for batch, epochs in contest.epochs_of(found).items():
        made = {
            job.network: result for job, result in found.items() if job.purpose == "contest" and job.batch_size == batch
        }
        if any(place not in made for place in places):
            continue
        name = "" if batch == BATCH else f", batch {batch}, {epochs} epochs"
        curves = [made[place] for place in places]
        scores[BASELINE + name] = [each["top1"][-1] for each in curves]
        scores[HYPOTHESIS + name] = [-sum(min(loss, 1e9) for loss in each["loss"]) for each in curves]
        if batch == BATCH:
            scores["mean accuracy"] = [statistics.fmean(each["top1"]) for each in curves]
    scores |= untrained(contest, places)
    return scores


def untrained(contest: Contest, places: Sequence[int]) -> dict[str, list[float]]:
    """Scores of networks that were not trained, worked out once."""
    path = contest.given.out / "untrained.json"
    known: dict[str, dict[str, float]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    classes, size = contest.dataset.num_classes, contest.dataset.image_size
    pixels = contest.train.read(range(JACOB_COV_IMAGES)).pixels
    assert isinstance(pixels, torch.Tensor)  # an array's images are in memory
    images = pixels.float().div(255.0).sub(0.5).div(0.25)
    for place in places:
        if str(place) not in known:
            spec = contest.pool[place]
            model = build(spec, num_classes=classes, input_size=size, seed=CONTEST_SEED, by_name=True)
            cost = cost_of(spec, num_classes=classes, input_size=size)
            known[str(place)] = {
                "parameters": float(cost.params),
                "multiply-adds": float(cost.macs),
                "synflow": synflow(model, input_size=size),
                "jacob_cov": jacob_cov(model, images),
            }
            write_atomically(path, json.dumps(known).encode())
    return {name: [known[str(place)][name] for place in places] for name in known[str(places[0])]}


def evaluate(contest: Contest) -> dict[str, Any]:
    """The table of the plan. Raises SystemExit before the data are whole."""
    given, found = contest.given, contest.found()
    jobs, known = contest.jobs(found)
    if not known:
        raise SystemExit("the pool is not trained yet")
    groups = contest.chosen(found)
    truths: dict[int, list[float]] = {}
    for job, result in found.items():
        if job.purpose == "truth":
            truths.setdefault(job.network, []).append(result["top1"][-1])
    contested = {job.network for job in found if job.purpose == "contest" and job.batch_size == BATCH}
    wanted = [place for places in groups.values() for place in places]
    places = [
        place
        for place in wanted
        if place in contested and len(truths.get(place, [])) >= given.seeds and min(truths[place]) > 0.0
    ]
    whole = all(job in found for job in jobs)
    if not whole and not given.early:
        missing = sum(job not in found for job in jobs)
        raise SystemExit(f"{missing} trainings are to come; --early looks all the same, which the plan does not")
    if len(places) < 4:
        raise SystemExit(f"{len(places)} networks have their truth: too few to rank")
    truth = [statistics.fmean(truths[place]) for place in places]
    scores = {name: _finite(values) for name, values in scores_of(contest, found, places).items()}
    variance = statistics.fmean(statistics.variance(truths[place]) for place in places) if given.seeds > 1 else math.nan
    chosen_by = {job.network: result["top1"][-1] for job, result in found.items() if job.purpose == "pool"}
    best = [place for place, network in enumerate(places) if network in groups["best quarter"]]
    subsets = {"all": list(range(len(places))), "best quarter": best}
    ceilings = ceilings_of(
        list(chosen_by.values()),
        scores[BASELINE],
        truth,
        subsets,
        proxy_noise=_noise([chosen_by[place] for place in places], scores[BASELINE], best),
        long_noise=[math.sqrt(variance / given.seeds)] * len(places),
    )
    rows = []
    for group, members in subsets.items():
        if len(members) < 3:
            continue
        resampled = resampled_correlations(
            [truth[i] for i in members], {name: [values[i] for i in members] for name, values in scores.items()}
        )
        for name, each in resampled.items():
            rows.append(
                {
                    "networks": group,
                    "n": len(members),
                    "contestant": name,
                    "tau": each.tau,
                    "tau_interval": percentile_interval(each.taus, 0.95),
                    "ceiling": ceilings[group].exact,
                    "difference": each.tau - resampled[BASELINE].tau,
                    "difference_interval": percentile_interval(each.taus - resampled[BASELINE].taus, 0.95),
                }
            )
    missing = [place for place in wanted if place not in places]
    facts = {"planned": whole, "networks": len(places), "left_out": missing, "seeds": given.seeds}
    return {**facts, "truth_sd": math.sqrt(variance), "epochs": contest.epochs_of(found), "rows": rows}


def _finite(values: Sequence[float]) -> list[float]:
    """Values that can be ranked: what is not finite is the worst."""
    good = [value for value in values if math.isfinite(value)]
    worst = min(good, default=0.0) - 1.0
    return [value if math.isfinite(value) else worst for value in values]


def _noise(one: Sequence[float], other: Sequence[float], best: Sequence[int]) -> float:
    """Standard deviation of one proxy score over its seeds, from two; those of the best quarter were chosen by one."""
    found = []
    for group in (best, [i for i in range(len(one)) if i not in best]):
        if len(group) > 1:
            found.append(statistics.variance([one[i] - other[i] for i in group]) / 2.0)
    return math.sqrt(statistics.fmean(found)) if found else 0.0


def verdict(result: Mapping[str, Any]) -> str:
    """What the plan's rule says."""
    by_group = {row["networks"]: row for row in result["rows"] if row["contestant"] == HYPOTHESIS}
    over_all, best = by_group["all"], by_group.get("best quarter")
    interval = over_all["difference_interval"]
    if interval is None or best is None:
        return "cannot be told"
    if interval[0] > 0.0 and best["difference"] >= -0.05:
        return "holds"
    return "refuted" if interval[1] < 0.0 else "cannot be told"


def report(result: Mapping[str, Any]) -> None:
    """The table in Markdown, and the verdict."""
    print("| networks | contestant | tau | 95 % | of the ceiling | against last accuracy | 95 % |")
    print("|---|---|---:|---|---:|---:|---|")
    for row in result["rows"]:
        share = "" if not row["ceiling"] > 0.0 else f"{row['tau'] / row['ceiling']:.2f} of {row['ceiling']:.2f}"
        print(
            f"| {row['networks']} ({row['n']}) | {row['contestant']} | {row['tau']:.2f} | "
            f"{_ends(row['tau_interval'])} | {share} | {row['difference']:+.2f} | {_ends(row['difference_interval'])} |"
        )
    early = "" if result["planned"] else " (an early look, which the plan does not have)"
    print(f"\nThe hypothesis: {verdict(result)}{early}; {result['networks']} networks, {result['seeds']} seeds each.")


def _ends(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{interval[0]:+.2f} to {interval[1]:+.2f}"


def main() -> None:
    """Train, or evaluate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="cifar100")
    parser.add_argument("--out", type=Path, required=True, help="folder of the trainings")
    parser.add_argument("--worker", default="0/1", metavar="I/N", help="which part of the trainings is this process's")
    parser.add_argument("--evaluate", action="store_true", help="train nothing, evaluate")
    parser.add_argument("--early", action="store_true", help="evaluate before all is trained")
    parser.add_argument("--results", type=Path, default=None, help="JSON of the evaluation")
    parser.add_argument("--pool", type=int, default=200)
    parser.add_argument("--chosen", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=8, help="of a proxy")
    parser.add_argument("--truth-epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=2, help="of the truth")
    parser.add_argument("--train-images", type=int, default=10_000)
    parser.add_argument("--validation-images", type=int, default=5_000)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    contest = Contest(given)
    if not given.evaluate:
        contest.work()
        return
    result = evaluate(contest)
    report(result)
    if given.results is not None:
        write_atomically(given.results, json.dumps(plain(result), indent=1).encode())


if __name__ == "__main__":
    main()
