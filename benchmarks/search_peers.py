"""How many networks until a search has the front of a plain script: archsearch's samplers, and a ten-line local search.

    python benchmarks/search_peers.py [--seeds 8] [--noise] [--results FILE.json]

The target is the hypervolume that Optuna's NSGA-II as its documentation shows it has after 200 trials, of the same
seed, on the same surrogate (`benchmarks/surrogate.py`). Counted are distinct networks until a search has it; one that
has not got there after 200 counts with 200, and in the last column. `--noise`: noisy errors and latencies are told, and
the hypervolume is that of the values without noise, as in samplers.py.

local: 10 random networks, then always one choice of a random member of the front so far changed at random.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from samplers import interval, loaded, versions
from search_efficiency import PLAIN_TRIALS, plain_script
from simulated import Volume, searched
from surrogate import DATA, Study, load

from archsearch.analysis.pareto import non_dominated
from archsearch.files import write_atomically

SEARCHES = ("ehvi", "tpe", "local", "nsga2", "random")
FIRST = 10  # random networks of the local search


def local_search(study: Study, *, seed: int, trials: int) -> Iterator[float]:
    """The share of the hypervolume after each network of a local search."""
    generator = np.random.default_rng(seed)
    space, volume = study.surrogate.space, Volume(study.reference_point)
    points: list[dict[str, Any]] = []
    values: list[list[float]] = []
    seen: set[str] = set()
    while len(points) < trials:
        point = space.sample(int(generator.integers(2**31)))
        if len(points) >= FIRST:
            changed = space.domains[generator.integers(len(space.domains))].name
            point = points[generator.choice(np.flatnonzero(non_dominated(values)))] | {changed: point[changed]}
        evaluated = study.surrogate(point)
        if evaluated.arch_id not in seen:
            seen.add(evaluated.arch_id)
            points.append(point)
            values.append(study.values(evaluated))
            volume.add(study.true_values(evaluated))
            yield volume.share


def networks_needed(study: Study, search: str, *, seed: int, target: float) -> tuple[int, bool]:
    """Distinct networks until the target, and whether it was reached at all."""
    shares = (
        local_search(study, seed=seed, trials=PLAIN_TRIALS)
        if search == "local"
        else (step.share for step in searched(study, search, seed=seed, trials=PLAIN_TRIALS))
    )
    for count, share in enumerate(shares, 1):
        if share >= target:
            return count, True
    return PLAIN_TRIALS, False


def main() -> None:
    """Make the runs that are missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help=f"exported study (default {DATA.name})")
    parser.add_argument("--study", default="cifar10_cpu", help="the study whose search space the points are of")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--noise", action="store_true", help="noisy errors and latencies, as in samplers.py")
    parser.add_argument("--results", type=Path, default=Path("search_peers.json"))
    parser.add_argument("--keep", action="store_true", help="go on with results of other versions of the code")
    arguments = parser.parse_args()
    study = load(arguments.data, study=arguments.study, noise=arguments.noise)
    head = versions(study, noise=arguments.noise)
    results = loaded(arguments.results, head, keep=arguments.keep)
    for seed in range(arguments.seeds):
        target: float | None = None
        for search in SEARCHES:
            if f"{search}/{seed}" not in results:
                if target is None:
                    target, _ = plain_script(study, seed=seed)
                count, reached = networks_needed(study, search, seed=seed, target=target)
                results[f"{search}/{seed}"] = {"target": target, "networks": count, "reached": reached}
                write_atomically(arguments.results, json.dumps({"versions": head, "runs": results}, indent=1).encode())
    print(study.surrogate.describe())
    print(
        f"\n| search | seeds | networks{' with noise' if arguments.noise else ''} | not reached |\n|---|---:|---:|---:|"
    )
    for search in SEARCHES:
        found = [results[f"{search}/{seed}"] for seed in range(arguments.seeds)]
        networks = interval([each["networks"] for each in found])
        print(f"| {search} | {len(found)} | {networks} | {sum(not each['reached'] for each in found)} |")


if __name__ == "__main__":
    main()
