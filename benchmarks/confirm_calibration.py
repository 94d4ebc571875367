"""Are networks as often on the front as `confirm` says? Simulated, with the product's own search front and analysis.

    python benchmarks/confirm_calibration.py [--experiments 500] [--draws 400] [--seed 0]

Takes about 10 minutes on one core with the default. In each experiment networks have true errors and latencies; those
that are confirmed get seeds of training noise (1.3 points, of which 0.5 are a seed's own and shared) and latency noise
(1%), and `confirmed_of` says how probably each is on the front. Latencies within 2% are ties. Settings:

    scattered   12 networks, 3 seeds, normal about a line over the log latency, deviation 1.5 points
    close       the same, deviation 0.5 points: less than a mean's noise
    curved      20 networks, 2 seeds, about a curve, heavy tails (Student's t with 3 degrees of freedom)
    searched    100 networks, deviation 2 points, searched with one noisy training each; those on the front that it
                finds and the nearest, 12 in all, with 3 seeds
    edge        the same, but no network is better than the line, and many lie on it: what the model does not know

In the table, for the networks that were said to be on the front with a probability within each fifth: what was said in
the mean, the share that truly was, and how many there were.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from noisy_records import point_of, record_of

from archsearch.analysis.confirmed import confirmed_of
from archsearch.analysis.front import front_of, noisy_latency
from archsearch.analysis.pareto import non_dominated
from archsearch.api.confirm import near_front
from archsearch.designs import Design, DesignPoint
from archsearch.noise import NoiseFloor
from archsearch.records import Record

OBJECTIVES = ("error_percent", "latency_ms")
SEED_POINTS, SHARED_POINTS, LATENCY_NOISE, FLOOR = 1.3, 0.5, 0.01, 0.02
CONFIRMED = 12
BINS = 5
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


@dataclass(frozen=True)
class Setting:
    """Networks, seeds, and (generator, log latencies) -> true errors; `searched`: only the front's are confirmed."""

    networks: int
    seeds: int
    errors: Callable[[np.random.Generator, Floats], Floats]
    searched: bool = False


SETTINGS = {
    "scattered": Setting(CONFIRMED, 3, lambda draw, log: 40.0 - 6.0 * log + draw.normal(0.0, 1.5, len(log))),
    "close": Setting(CONFIRMED, 3, lambda draw, log: 40.0 - 6.0 * log + draw.normal(0.0, 0.5, len(log))),
    "curved": Setting(20, 2, lambda draw, log: 35.0 + 12.0 * np.exp(-1.2 * log) + 0.8 * draw.standard_t(3, len(log))),
    "searched": Setting(100, 3, lambda draw, log: 40.0 - 5.0 * log + draw.normal(0.0, 2.0, len(log)), searched=True),
    "edge": Setting(100, 3, lambda draw, log: 40.0 - 5.0 * log + abs(draw.normal(0.0, 3.0, len(log))), searched=True),
}


def said_and_true(setting: Setting, experiments: int, *, draws: int, seed: int) -> tuple[Floats, Floats]:
    """Of every confirmed network of all experiments: the probability that was said, and whether it was so (0 or 1)."""
    said: list[float] = []
    true: list[bool] = []
    for experiment in range(experiments):
        generator = np.random.default_rng([seed, experiment])
        log = generator.uniform(0.0, math.log(6.0), setting.networks)
        errors = setting.errors(generator, log)
        chosen = np.arange(setting.networks)
        if setting.searched:
            chosen = _searched(errors, log, generator)
            errors, log = errors[chosen], log[chosen]
        design = Design(
            purpose="confirm",
            of="simulated",
            points=tuple(point_of(int(at)) for at in chosen),
            seeds=tuple(range(setting.seeds)),
        )
        shared = generator.normal(0.0, SHARED_POINTS, setting.seeds)
        records = [
            record
            for one in design.seeds
            for record in _trained(design.points, errors + shared[one], log, generator, seed=one)
        ]
        found = confirmed_of(records, design, OBJECTIVES, noise_floor=FLOOR, draws=draws, seed=experiment)
        said += [point.probability_on_front or 0.0 for point in found.points]
        noisy = noisy_latency(OBJECTIVES, NoiseFloor.given(FLOOR))
        true += non_dominated(np.column_stack([errors, np.exp(log)]), noisy).tolist()
    return np.array(said), np.array(true, dtype=np.float64)


def _searched(errors: Floats, log: Floats, generator: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """The places of the front that a search of these networks finds, and of its nearest."""
    points = [point_of(at) for at in range(len(errors))]
    front = front_of(list(_trained(points, errors, log, generator, seed=99)), OBJECTIVES, noise_floor=FLOOR)
    members = front.members[:CONFIRMED]
    rows = (*members, *near_front(front, top=CONFIRMED - len(members)))
    return np.array([row.record.trial for row in rows], dtype=np.intp)


def _trained(
    points: Sequence[DesignPoint], errors: Floats, log: Floats, generator: np.random.Generator, *, seed: int
) -> Iterator[Record]:
    """One record for each point, with noise."""
    noisy = errors + generator.normal(0.0, SEED_POINTS, len(errors))
    measured = np.exp(log + generator.normal(0.0, LATENCY_NOISE, len(log)))
    for at, (point, error, ms) in enumerate(zip(points, noisy.tolist(), measured.tolist(), strict=True)):
        yield record_of(at, point, error_percent=error, latency_ms=ms, seed=seed)


def binned(said: Floats, true: Floats) -> list[tuple[float, float, int]]:
    """For each fifth of the probabilities: said in the mean, true share, networks; without those that have none."""
    places = np.minimum((said * BINS).astype(int), BINS - 1)
    return [
        (float(said[places == place].mean()), float(true[places == place].mean()), int((places == place).sum()))
        for place in range(BINS)
        if (places == place).any()
    ]


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=500, help="of each setting")
    parser.add_argument("--draws", type=int, default=400, help="fronts drawn in each")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(
        "| setting | " + " | ".join(f"{place / BINS:.1f} to {(place + 1) / BINS:.1f}" for place in range(BINS)) + " |"
    )
    print("|---|" + "---|" * BINS)
    for name, setting in SETTINGS.items():
        said, true = said_and_true(setting, arguments.experiments, draws=arguments.draws, seed=arguments.seed)
        cells = [f"{one:.2f}, {other:.2f} ({count:,})" for one, other, count in binned(said, true)]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
