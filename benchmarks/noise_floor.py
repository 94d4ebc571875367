"""Does the noise floor hold for as many pairs of measurements as it says? Simulated, with the product's own estimator.

    python benchmarks/noise_floor.py [--draws 4000] [--seed 0]

Takes about 5 minutes on one core with the default. For each kind of noise and each number of repeats: the share of
further pairs of measurements of one network, with its 95% interval half-width at the end, that lie within the floor
computed from that many repeats; it is to be 93% to 97%. Latencies are log-normal (a deviation of 0.7: the slowest
network of 40 is about 20 times as slow as the fastest). Kinds of noise, the logarithm of a pair's ratio:

    normal      one deviation for all pairs
    t3          Student's t with 3 degrees of freedom: heavy tails
    laplace     exponential tails
    episodes    normal, and one pair in ten with 5 times the deviation
    growing     normal, the deviation proportional to the latency
    growing t3  t with 3 degrees of freedom, the scale proportional to the latency

For the growing ones the shares of fast and of slow networks (below and above the middle by half) stand in brackets.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import numpy as np

from archsearch.noise import Repeat, noise_floor_of

COUNTS = (3, 6, 9, 12, 15, 18, 19, 20, 25, 30, 40, 60)
SPREAD = 0.7  # of the logarithm of the latencies
SCALE = 0.01  # of the noise
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
KINDS: dict[str, Callable[[np.random.Generator, Floats], Floats]] = {
    "normal": lambda draw, sizes: draw.standard_normal(len(sizes)),
    "t3": lambda draw, sizes: draw.standard_t(3, len(sizes)),
    "laplace": lambda draw, sizes: draw.laplace(size=len(sizes)),
    "episodes": lambda draw, sizes: draw.standard_normal(len(sizes)) * np.where(draw.random(len(sizes)) < 0.1, 5, 1),
    "growing": lambda draw, sizes: draw.standard_normal(len(sizes)) * sizes,
    "growing t3": lambda draw, sizes: draw.standard_t(3, len(sizes)) * sizes,
}


def covered(kind: str, count: int, draws: int, seed: int) -> tuple[float, float, float]:
    """Share of further pairs within the floor of so many repeats: of all networks, of fast and of slow ones."""
    generator = np.random.default_rng([seed, count, *kind.encode()])
    within, sizes = np.zeros(draws, dtype=bool), np.zeros(draws)
    for draw in range(draws):
        latencies = np.exp(generator.normal(0.0, SPREAD, count + 1))
        logs = SCALE * KINDS[kind](generator, latencies)
        floor = noise_floor_of(
            [
                Repeat(arch_id="", first_ms=float(ms), second_ms=float(ms * math.exp(log)))
                for ms, log in zip(latencies[:-1], logs[:-1], strict=True)
            ]
        )
        within[draw] = math.expm1(abs(logs[-1])) <= float(floor.of(latencies[-1]))
        sizes[draw] = latencies[-1]
    return float(within.mean()), float(within[sizes < 1 / 1.5].mean()), float(within[sizes > 1.5].mean())


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=4000, help="of each cell")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print("| repeats | " + " | ".join(KINDS) + " |")
    print("|---:|" + "---:|" * len(KINDS))
    for count in COUNTS:
        cells = []
        for kind in KINDS:
            share, fast, slow = covered(kind, count, arguments.draws, arguments.seed)
            cells.append(f"{share:.1%}" + (f" ({fast:.0%}, {slow:.0%})" if kind.startswith("growing") else ""))
        print(f"| {count} | " + " | ".join(cells) + " |", flush=True)
    print(f"\n+-{1.96 * math.sqrt(0.95 * 0.05 / arguments.draws):.1%}, {arguments.draws} draws")


if __name__ == "__main__":
    main()
