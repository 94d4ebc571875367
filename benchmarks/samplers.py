"""Every sampler on networks that a surrogate of real ones evaluates: the hypervolume after so many trials.

    python benchmarks/samplers.py [--samplers random,nsga2,tpe,gp:3:100,ehvi] [--seeds 20] [--results FILE.json]

`gp:3:100` is three seeds of 100 trials: Optuna's GP takes minutes of CPU time for a run. Every run is written to the
results at once, and a later call goes on where the last one stopped. Trials are counted as archsearch counts them:
distinct networks; how many repeats a sampler suggested beside them stands in its own column. Intervals are those of
Student's t over the seeds (95%). `hypervolume` is in percent of the box between zero and the reference point. With
`--noise` the samplers see noisy values, and the hypervolume is that of the same networks' values without noise.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student
from simulated import searched
from surrogate import DATA, Study, load

import archsearch.search.samplers
from archsearch.files import write_atomically

AT = (50, 100, 200)
_DEFAULT = "random,nsga2,nsga3,tpe,gp:3:100,ehvi"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One sampler's runs."""

    sampler: str
    seeds: int
    trials: int


def plans(text: str, *, seeds: int, trials: int) -> list[Plan]:
    """`random,gp:3:100`: each with its own seeds and trials, or the common ones."""
    found = []
    for part in text.split(","):
        name, *numbers = part.split(":")
        own = [int(number) for number in numbers]
        found.append(
            Plan(sampler=name, seeds=own[0] if own else seeds, trials=min(own[1] if len(own) > 1 else trials, trials))
        )
    return found


def run(study: Study, plan: Plan, seed: int) -> dict[str, Any]:
    """One run: shares at AT, repeats, CPU seconds of the sampler."""
    shares: dict[str, float] = {}
    step = None
    for step in searched(study, plan.sampler, seed=seed, trials=plan.trials):
        if step.trials in AT or step.trials == plan.trials:
            shares[str(step.trials)] = step.share
    return {
        "shares": shares,
        "trials": step.trials if step else 0,
        "repeats": step.repeats if step else 0,
        "cpu_seconds": step.suggest_seconds if step else 0.0,
    }


def interval(values: Sequence[float]) -> str:
    """Mean and half the width of its 95% interval."""
    if len(values) < 2:
        return f"{values[0]:.2f}" if values else "-"
    half = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.2f} ± {half:.2f}"


def rows(wanted: Sequence[Plan], results: dict[str, Any]) -> list[list[str]]:
    """A row a sampler, of the runs that there are."""
    found = []
    for plan in wanted:
        runs = [results[key] for seed in range(plan.seeds) if (key := _key(plan, seed)) in results]
        if not runs:
            continue
        at = [interval([100.0 * each["shares"][str(n)] for each in runs if str(n) in each["shares"]]) for n in AT]
        suggestions = sum(each["trials"] + each["repeats"] for each in runs)
        repeats = 100.0 * sum(each["repeats"] for each in runs) / suggestions
        cpu = np.mean([each["cpu_seconds"] / each["trials"] for each in runs])
        found.append([plan.sampler, str(len(runs)), *at, f"{repeats:.1f}%", f"{1000 * cpu:.0f}"])
    return found


def printed(study: Study, wanted: Sequence[Plan], results: dict[str, Any], *, noise: bool, markdown: bool) -> str:
    """The head and the table."""
    names = ["sampler", "seeds", *(f"hypervolume at {n}" for n in AT), "repeats", "CPU ms a suggestion"]
    table = [names, *rows(wanted, results)]
    head = f"{study.surrogate.describe()}; objectives {', '.join(study.objectives)}"
    head += "; with noise" if noise else ""
    if markdown:
        lines = ["| " + " | ".join(row) + " |" for row in table]
        lines.insert(1, "|---" * len(names) + "|")
        return "\n".join([head, "", *lines])
    widths = [max(len(row[column]) for row in table) for column in range(len(names))]
    return "\n".join([head, *("  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in table)])


def versions(study: Study, *, noise: bool) -> dict[str, Any]:
    """What makes stored runs comparable with new ones."""
    own = sorted(Path(archsearch.search.samplers.__file__).parent.glob("*.py"))
    here = [Path(__file__).with_name("surrogate.py"), Path(__file__).with_name("simulated.py")]
    sources = b"".join(path.read_bytes() for path in [*own, *here])
    return {
        "data": study.digest,
        "noise": noise,
        "objectives": list(study.objectives),
        "sources": hashlib.sha256(sources).hexdigest()[:12],
    }


def _key(plan: Plan, seed: int) -> str:
    return f"{plan.sampler}/{seed}/{plan.trials}"


def loaded(path: Path, head: dict[str, Any], *, keep: bool) -> dict[str, Any]:
    """The runs stored in a file, if versions like these made them."""
    if not path.is_file():
        return {}
    content = json.loads(path.read_text())
    if content["versions"] != head and not keep:
        print(f"{path} was written with {content['versions']}, now {head}: begun anew (--keep to go on with it)")
        return {}
    found: dict[str, Any] = content["runs"]
    return found


def main() -> None:
    """Make the runs that are missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help=f"exported study (default {DATA.name})")
    parser.add_argument("--study", default="cifar10_cpu", help="the study whose search space the points are of")
    parser.add_argument("--samplers", default=_DEFAULT, help=f"NAME[:SEEDS[:TRIALS]],... (default {_DEFAULT})")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--params", action="store_true", help="parameters as the third objective")
    parser.add_argument(
        "--noise",
        action="store_true",
        help="each network's curve gets the leftover of a real one, its latency one by the noise floor",
    )
    parser.add_argument(
        "--results", type=Path, default=Path("samplers.json"), help="runs so far (default samplers.json)"
    )
    parser.add_argument("--keep", action="store_true", help="go on with results of other versions of the code")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no run after so many")
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    if arguments.seeds < 1 or arguments.trials < 1:
        parser.error("--seeds and --trials: at least one")
    study = load(arguments.data, study=arguments.study, noise=arguments.noise)
    if arguments.params and "params" not in study.objectives:
        corner = (*study.reference_point, study.surrogate.largest_params)
        study = replace(study, objectives=(*study.objectives, "params"), reference_point=corner)
    wanted = plans(arguments.samplers, seeds=arguments.seeds, trials=arguments.trials)
    head = versions(study, noise=arguments.noise)
    results = loaded(arguments.results, head, keep=arguments.keep)
    began = time.monotonic()
    for seed in range(max(plan.seeds for plan in wanted)):  # seed by seed, so that a table of all is soon there
        for plan in wanted:
            if seed >= plan.seeds or _key(plan, seed) in results:
                continue
            if time.monotonic() - began < 60.0 * arguments.minutes:
                results[_key(plan, seed)] = run(study, plan, seed)
                text = json.dumps({"versions": head, "runs": results}, indent=1)
                write_atomically(arguments.results, text.encode())
    print(printed(study, wanted, results, noise=arguments.noise, markdown=arguments.markdown))


if __name__ == "__main__":
    main()
