"""How many epochs does early stopping save in a search that is guided to the front, and what hypervolume does it lose?

    python benchmarks/stopping_guided.py [--seeds 3] [--trials 200] [--sampler ehvi] [--results FILE.json]

Random networks are easy to stop (`early_stopping.py`); a sampler that learns suggests networks near the front. Here the
same search is run with and without the rule `predicted` on the surrogate of `benchmarks/surrogate.py`, with its curves.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from samplers import interval, loaded, versions
from simulated import searched
from surrogate import DATA, load

from archsearch.files import write_atomically
from archsearch.search.config import StudyConfig
from archsearch.search.stopping.base import StoppingSettings
from archsearch.search.stopping.rules import make_rule


def main() -> None:
    """Make the runs that are missing, and print the table."""
    default = str(StudyConfig.model_fields["sampler"].default)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help=f"exported study (default {DATA.name})")
    parser.add_argument("--study", default="cifar10_cpu", help="the study whose search space the points are of")
    parser.add_argument("--sampler", default=default, help=f"of the searches (default: a study's own, {default})")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--noise", action="store_true", help="noisy errors and latencies, as in samplers.py")
    parser.add_argument("--results", type=Path, default=Path("stopping_guided.json"))
    parser.add_argument("--keep", action="store_true", help="go on with results of other versions of the code")
    arguments = parser.parse_args()
    study = load(arguments.data, study=arguments.study, noise=arguments.noise)
    head = {**versions(study, noise=arguments.noise), "sampler": arguments.sampler, "trials": arguments.trials}
    results = loaded(arguments.results, head, keep=arguments.keep)
    for seed in range(arguments.seeds):
        for policy in ("none", "predicted"):
            if f"{policy}/{seed}" not in results:
                settings = StoppingSettings.model_validate({"policy": policy})
                rule = None if policy == "none" else make_rule(settings, seed=seed, noise_floor=study.noise_floor)
                *_, last = searched(study, arguments.sampler, seed=seed, trials=arguments.trials, rule=rule)
                results[f"{policy}/{seed}"] = {"epochs": last.epochs, "stopped": last.stopped, "share": last.share}
                write_atomically(arguments.results, json.dumps({"versions": head, "runs": results}, indent=1).encode())
    pairs = [(results[f"none/{seed}"], results[f"predicted/{seed}"]) for seed in range(arguments.seeds)]
    print(study.surrogate.describe())
    print(f"{arguments.sampler}, {arguments.trials} trials, {arguments.seeds} seeds")
    print("epochs saved (%)", interval([100.0 * (1.0 - ruled["epochs"] / whole["epochs"]) for whole, ruled in pairs]))
    print("hypervolume lost (%)", interval([100.0 * (1.0 - ruled["share"] / whole["share"]) for whole, ruled in pairs]))


if __name__ == "__main__":
    main()
