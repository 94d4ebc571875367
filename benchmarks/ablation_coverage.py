"""Do all intervals of an ablation hold together as often as they say? Simulated, with the product's own analysis.

    python benchmarks/ablation_coverage.py [--experiments 1000] [--seed 0]

Takes two minutes on one core with the default. In each experiment a base and 21 changes of it, none of which changes
anything, are trained with 5 seeds: top-1 and the logarithm of the latency are normal, with an effect of the seed on
top-1 that all share. Counted is how often every interval of top-1 and of latency holds 0, which is to be 95%, and how
often spreads were not pooled although that was asked for, for either quantity. The spreads of the networks:

    alike       all the same
    base        the base's is 3 times the others'
    fourfold    from 1 to 4 times, evenly on a logarithmic scale, in random order
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import numpy as np
from noisy_records import point_of, record_of

from archsearch.analysis.ablation import PooledOrOwn, ablation_of
from archsearch.designs import Design

POINTS, SEEDS = 22, 5
SEED_POINTS, SHARED_POINTS, LATENCY_NOISE = 1.3, 1.0, 0.01
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
SPREADS: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "alike": lambda draw, points: np.ones(points),
    "base": lambda draw, points: np.where(np.arange(points) == 0, 3.0, 1.0),
    "fourfold": lambda draw, points: draw.permutation(np.geomspace(1.0, 4.0, points)),
}


def held(
    spreads: str, spread: PooledOrOwn, experiments: int, *, seed: int, points: int = POINTS, seeds: int = SEEDS
) -> tuple[float, float]:
    """Share of the experiments in which every interval holds 0, and of those in which pooling was refused."""
    design = Design(
        purpose="ablation",
        of="simulated",
        points=tuple(point_of(at) for at in range(points)),
        seeds=tuple(range(seeds)),
    )
    good = refused = 0
    for experiment in range(experiments):
        draw = np.random.default_rng([seed, experiment])
        times = SPREADS[spreads](draw, points)[:, None]
        errors = 40.0 + draw.normal(0.0, SHARED_POINTS, seeds) + SEED_POINTS * times * draw.normal(size=(points, seeds))
        latencies = np.exp(LATENCY_NOISE * times * draw.normal(size=(points, seeds)))
        found = ablation_of(
            [
                record_of(
                    one * points + at,
                    point,
                    error_percent=float(errors[at, one]),
                    latency_ms=float(latencies[at, one]),
                    seed=one,
                )
                for one in design.seeds
                for at, point in enumerate(design.points)
            ],
            design,
            spread=spread,
        )
        effects = [effect for row in found.rows for effect in (row.top1, row.latency)]
        good += all(each.low is not None and each.high is not None and each.low <= 0.0 <= each.high for each in effects)
        refused += any("Brown-Forsythe" in warning for warning in found.warnings)
    return good / experiments, refused / experiments


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=1000, help="of each cell")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print("| spreads | `--spread own` | `--spread pooled` | pooling refused |")
    print("|---|---:|---:|---:|")
    for spreads in SPREADS:
        own, _ = held(spreads, "own", arguments.experiments, seed=arguments.seed)
        pooled, refused = held(spreads, "pooled", arguments.experiments, seed=arguments.seed)
        print(f"| {spreads} | {own:.1%} | {pooled:.1%} | {refused:.0%} |", flush=True)
    print(f"\n+-{1.96 * math.sqrt(0.95 * 0.05 / arguments.experiments):.1%}, {arguments.experiments} experiments")


if __name__ == "__main__":
    main()
