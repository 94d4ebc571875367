"""Training epochs until archsearch has the hypervolume that a plain Optuna script has after 200 trials.

    python benchmarks/search_efficiency.py [--seeds 20] [--results FILE.json]

Both evaluate networks with the surrogate of `benchmarks/surrogate.py`. The plain script is what Optuna's documentation
shows: `create_study(directions=[...], sampler=NSGAIISampler(seed=...))`, `optimize(objective, n_trials=200)`: a
population of 50, every proxy trained to its end, repeated networks trained again. archsearch runs with its default
sampler and a stopping rule; only complete trials count for its hypervolume. A run that has not got there after
`--limit` trials counts with all the epochs that it trained, and is counted in the last column.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from samplers import interval, loaded, versions
from simulated import Volume, searched
from surrogate import DATA, Study, load

from archsearch.files import write_atomically
from archsearch.search.config import StudyConfig
from archsearch.search.optuna_study import distribution
from archsearch.search.samplers.points import Points
from archsearch.search.stopping.base import StoppingSettings
from archsearch.search.stopping.rules import make_rule

PLAIN_TRIALS = 200
_COLUMNS = (
    "stopping",
    "seeds",
    "target hypervolume",
    "epochs, plain",
    "epochs, archsearch",
    "share",
    "trials",
    "stopped",
    "not reached",
)


def plain_script(study: Study, *, seed: int) -> tuple[float, int]:
    """The hypervolume (share) after PLAIN_TRIALS of Optuna's NSGA-II as it comes, and the epochs that they trained."""
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = study.surrogate.space
    points = Points({domain.name: distribution(domain) for domain in space.domains}, space)
    volume = Volume(study.reference_point)

    def objective(trial: optuna.Trial) -> list[float]:
        evaluated = study.surrogate(suggested(trial, points))
        volume.add(study.true_values(evaluated))
        return study.values(evaluated)

    plain = optuna.create_study(
        directions=["minimize"] * len(study.objectives), sampler=optuna.samplers.NSGAIISampler(seed=seed)
    )
    plain.optimize(objective, n_trials=PLAIN_TRIALS)
    return volume.share, PLAIN_TRIALS * study.surrogate.epochs


def suggested(trial: optuna.Trial, points: Points) -> dict[str, Any]:
    """One value for each choice, as a script asks for it."""
    for name, kind in points.distributions.items():
        if isinstance(kind, IntDistribution):
            trial.suggest_int(name, kind.low, kind.high, step=kind.step)
        elif isinstance(kind, FloatDistribution):
            trial.suggest_float(name, kind.low, kind.high, step=kind.step)
        elif isinstance(kind, CategoricalDistribution):
            trial.suggest_categorical(name, kind.choices)
    point = points.point(trial.params)
    if point is None:
        raise ValueError(f"not a point of the search space: {trial.params}")
    return points.choices(point)


def run(study: Study, *, seed: int, sampler: str, stopping: StoppingSettings, limit: int) -> dict[str, Any]:
    """One seed: epochs of both, and where archsearch was when it got there."""
    target, plain_epochs = plain_script(study, seed=seed)
    rule = make_rule(stopping, seed=seed, noise_floor=study.noise_floor)
    step = None
    for step in searched(study, sampler, seed=seed, trials=limit, rule=None if stopping.policy == "none" else rule):
        if step.share >= target:
            break
    if step is None:
        raise ValueError(f"--limit {limit}: at least one trial")
    return {
        "target": target,
        "plain_epochs": plain_epochs,
        "epochs": step.epochs,
        "trials": step.trials,
        "stopped": step.stopped,
        "reached": step.share >= target,
    }


def printed(study: Study, runs: dict[str, list[dict[str, Any]]], sampler: str) -> str:
    """A row for each stopping policy."""
    lines = [
        study.surrogate.describe(),
        f"target: NSGA-II as Optuna's documentation shows it, {PLAIN_TRIALS} trials of {study.surrogate.epochs} epochs "
        f"each; archsearch with sampler {sampler}; means over seeds with 95% intervals",
        "",
        "| " + " | ".join(_COLUMNS) + " |",
        "|---" * len(_COLUMNS) + "|",
    ]
    for policy, found in runs.items():
        if found:
            share = interval([100.0 * each["epochs"] / each["plain_epochs"] for each in found])
            cells = [
                policy,
                str(len(found)),
                interval([100.0 * each["target"] for each in found]),
                f"{np.mean([each['plain_epochs'] for each in found]):.0f}",
                interval([each["epochs"] for each in found]),
                f"{share}%",
                interval([each["trials"] for each in found]),
                interval([each["stopped"] for each in found]),
                str(sum(not each["reached"] for each in found)),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Make the runs that are missing, and print the table."""
    default = str(StudyConfig.model_fields["sampler"].default)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help=f"exported study (default {DATA.name})")
    parser.add_argument("--study", default="cifar10_cpu", help="the study whose search space the points are of")
    parser.add_argument("--sampler", default=default, help=f"of archsearch (default: a study's own, {default})")
    parser.add_argument("--policies", default="none,predicted", help="stopping rules (default none,predicted)")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--limit", type=int, default=PLAIN_TRIALS, help="trials of archsearch at most")
    parser.add_argument("--noise", action="store_true", help="noisy errors and latencies, as in samplers.py")
    parser.add_argument("--results", type=Path, default=Path("search_efficiency.json"))
    parser.add_argument("--keep", action="store_true", help="go on with results of other versions of the code")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no run after so many")
    arguments = parser.parse_args()
    if arguments.seeds < 1 or arguments.limit < 1:
        parser.error("--seeds and --limit: at least one")
    study = load(arguments.data, study=arguments.study, noise=arguments.noise)
    head = {**versions(study, noise=arguments.noise), "sampler": arguments.sampler, "limit": arguments.limit}
    results = loaded(arguments.results, head, keep=arguments.keep)
    policies = arguments.policies.split(",")
    began = time.monotonic()
    for seed in range(arguments.seeds):
        for policy in policies:
            if f"{policy}/{seed}" not in results and time.monotonic() - began < 60.0 * arguments.minutes:
                settings = StoppingSettings.model_validate({"policy": policy})
                results[f"{policy}/{seed}"] = run(
                    study, seed=seed, sampler=arguments.sampler, stopping=settings, limit=arguments.limit
                )
                write_atomically(arguments.results, json.dumps({"versions": head, "runs": results}, indent=1).encode())
    print(
        printed(
            study,
            {
                policy: [results[key] for seed in range(arguments.seeds) if (key := f"{policy}/{seed}") in results]
                for policy in policies
            },
            arguments.sampler,
        )
    )


if __name__ == "__main__":
    main()
