"""How many training epochs does early stopping save, and what does it cost in hypervolume?

    python benchmarks/early_stopping.py [--data FILE.json.gz | --study NAME [--storage URL]] [--orders 20]
        [--share 1.0] [--third params|macs] [--workers 1] [--set KEY=VALUE] [--out FILE.json]

Replays a stored study, by default 250 random networks of the width 0.5 space with CIFAR-10 proxies of 8 epochs
(`benchmarks/data/cifar10_random.json.gz`, made by `export_study.py`), under these rules, each in the same random orders
of the trials:

    predicted        archsearch's default rule: stop when even an optimistic final error would be dominated
    mo_asha          multi-objective successive halving; its stopped trials may go on later
    optuna median    Optuna's own MedianPruner with its defaults, told of the error alone, as a study of one objective
                     would use it; it is asked itself, not imitated

Printed for each: the share of the epochs that were not trained, the share of the hypervolume of all the trials (below
the study's reference point) that those which ran to the end lack, and how many of the front were stopped: means over
the orders with 95% intervals (Student's t). For `predicted` also what became of the trials that it would have stopped
but that ran to the end. Published networks are never stopped, whatever the rule.

A front of few networks is an easy test: nothing is lost unless one of these few is stopped. `--share 0.6` replays
another random 60% of the trials in each order, so that the front differs from order to order; `--third params` adds an
objective, with 1.1 times the largest value as its reference, so that the front has more networks.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from export_study import exported
from scipy.stats import t as student

from archsearch.api.replay import stopping_settings
from archsearch.errors import ArchsearchError
from archsearch.search.stopping.base import Curve, Decision, StoppingRule, StoppingSettings
from archsearch.search.stopping.replay import Replay, replay
from archsearch.search.stopping.rules import make_rule

DATA = Path(__file__).parent / "data" / "cifar10_random.json.gz"
TARGET_SAVED, TARGET_LOST = 0.40, 0.01


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A study read from an exported file."""

    name: str
    reference_point: tuple[float, ...]
    noise_floor: float
    curves: tuple[Curve, ...]
    published: frozenset[int]


class OptunaMedian:
    """Optuna's MedianPruner as a stopping rule: it sees the errors of complete trials, and nothing else."""

    def __init__(self) -> None:
        self._study = optuna.create_study(direction="minimize")
        self._pruner = optuna.pruners.MedianPruner()
        self._told: set[int] = set()

    def decide(self, trial: Curve, others: Sequence[Curve]) -> Decision:
        """What `MedianPruner.prune` says."""
        for curve in others:
            if curve.complete and curve.trial not in self._told:
                self._told.add(curve.trial)
                self._study.add_trial(
                    optuna.trial.create_trial(value=curve.errors[-1], intermediate_values=steps(curve))
                )
        running = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING, intermediate_values=steps(trial))
        stop = self._pruner.prune(self._study, running)
        return Decision(epoch=len(trial.errors), stop=stop, would_stop=stop)

    def promotable(self, curves: Sequence[Curve]) -> int | None:
        """Nothing: a pruned trial of Optuna's stays pruned."""
        return None


def steps(curve: Curve) -> dict[int, float]:
    """The errors as Optuna keeps them, by step."""
    return dict(enumerate(curve.errors, start=1))


def stored(content: dict[str, Any]) -> Stored:
    """An exported study; its objectives beside the error become what is known before training."""
    others = [name for name in content["objectives"] if name != "error_percent"]
    return Stored(
        name=content["study"],
        reference_point=tuple(content["reference_point"]),
        noise_floor=content["noise_floor"],
        curves=tuple(
            Curve(
                trial=trial["trial"],
                errors=tuple(trial["curve"]),
                epochs=len(trial["curve"]),
                known=tuple(float(trial[name]) for name in others),
                losses=tuple(trial.get("train_loss", ())),
            )
            for trial in content["trials"]
        ),
        published=frozenset(trial["trial"] for trial in content["trials"] if trial["variant"]),
    )


def with_third(content: dict[str, Any], name: str) -> dict[str, Any]:
    """An exported study with a third objective; its reference is 1.1 times the largest value."""
    corner = 1.1 * max(trial[name] for trial in content["trials"])
    return content | {
        "objectives": [*content["objectives"][:2], name],
        "reference_point": [*content["reference_point"][:2], corner],
    }


def in_order(study: Stored, seed: int, share: float) -> tuple[list[Curve], frozenset[int]]:
    """A share of the trials in a random order, numbered anew in it; and the new numbers of the published networks."""
    shuffled = random.Random(seed).sample(study.curves, round(share * len(study.curves)))
    published = frozenset(number for number, curve in enumerate(shuffled) if curve.trial in study.published)
    return [replace(curve, trial=number) for number, curve in enumerate(shuffled)], published


def replays(
    study: Stored, rule: Callable[[int], StoppingRule], *, orders: int, workers: int, share: float
) -> list[Replay]:
    """One replay for each order."""
    found = []
    for seed in range(orders):
        curves, published = in_order(study, seed, share)
        found.append(
            replay(
                curves,
                rule(seed),
                reference_point=study.reference_point,
                noise_floor=study.noise_floor,
                workers=workers,
                spare=published,
            )
        )
    return found


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95% interval (NaN for one value)."""
    if len(values) < 2:
        return values[0], math.nan
    spread = statistics.stdev(values) / math.sqrt(len(values))
    return statistics.fmean(values), float(student.ppf(0.975, len(values) - 1)) * spread


def summary(found: Sequence[Replay]) -> dict[str, Any]:
    """What is printed of a rule, as plain data."""
    return {
        "epochs_saved_share": interval([each.epochs_saved_share for each in found]),
        "hypervolume_lost_share": interval([each.hypervolume_lost_share for each in found]),
        "hypervolume_lost_share_max": max(each.hypervolume_lost_share for each in found),
        "of_the_front_stopped": interval([float(len(each.false_stops)) for each in found]),
        "of_the_front": statistics.fmean(len(each.true_front) for each in found),
        "spared": sum(len(each.calibration.spared) for each in found),
        "spared_below": sum(len(each.calibration.below) for each in found),
        "spared_on_front": sum(len(each.calibration.on_front) for each in found),
        "predictions": sum(each.calibration.predictions for each in found),
        "predictions_below": sum(each.calibration.predictions_below for each in found),
    }


def print_summary(name: str, of: dict[str, Any]) -> None:
    """One line of the table."""
    (saved, saved_half), (lost, lost_half) = of["epochs_saved_share"], of["hypervolume_lost_share"]
    stopped, stopped_half = of["of_the_front_stopped"]
    print(
        f"{name:14s}  {saved:6.1%} +- {saved_half:5.1%}   {lost:7.2%} +- {lost_half:5.2%}   "
        f"{of['hypervolume_lost_share_max']:7.2%}   {stopped:5.1f} +- {stopped_half:3.1f} of {of['of_the_front']:.1f}"
    )


def main() -> None:
    """Replay, print, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--study", help="a stored study in place of --data")
    parser.add_argument("--storage")
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--third", choices=("params", "macs"))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        settings = {
            name: stopping_settings(StoppingSettings(), arguments.overrides, policy=name)
            for name in ("predicted", "mo_asha")
        }
        content = (
            exported(arguments.study, arguments.storage)
            if arguments.study
            else json.loads(gzip.decompress(arguments.data.read_bytes()))
        )
    except (ArchsearchError, OSError) as error:
        sys.exit(f"error: {error}")
    study = stored(with_third(content, arguments.third) if arguments.third else content)

    def ours(name: str) -> Callable[[int], StoppingRule]:
        return lambda seed: make_rule(settings[name], seed=seed, noise_floor=study.noise_floor)

    rules: dict[str, Callable[[int], StoppingRule]] = {
        "predicted": ours("predicted"), "mo_asha": ours("mo_asha"), "optuna median": lambda _seed: OptunaMedian()
    }  # fmt: skip
    print(
        f"'{study.name}': {arguments.share:.0%} of {len(study.curves)} trials of {study.curves[0].epochs} epochs, "
        f"{2 + bool(arguments.third)} objectives, {arguments.orders} random orders, workers {arguments.workers}, noise "
        f"floor {study.noise_floor:.1%}"
    )
    for name, each in settings.items():
        print(f"{name}: {', '.join(f'{key} {value}' for key, value in each.protocol().items() if key != 'policy')}")
    print(f"\n{'rule':14s}  {'epochs saved':>15s}   {'hypervolume lost':>17s}   {'at most':>7s}   of the front stopped")
    found = {}
    for name, rule in rules.items():
        found[name] = summary(
            replays(study, rule, orders=arguments.orders, workers=arguments.workers, share=arguments.share)
        )
        print_summary(name, found[name])
    checked = found["predicted"]
    print(
        f"\npredicted: {checked['spared']} trials that it would have stopped ran to the end: {checked['spared_below']} "
        f"({checked['spared_below'] / max(1, checked['spared']):.1%}) ended below the optimistic prediction (expected "
        f"{settings['predicted'].quantile:.0%}), {checked['spared_on_front']} on the front; of all "
        f"{checked['predictions']} predictions {checked['predictions_below'] / max(1, checked['predictions']):.1%} "
        "were not optimistic enough"
    )
    if arguments.share == 1.0 and not arguments.third:
        saved, lost = checked["epochs_saved_share"][0], checked["hypervolume_lost_share"][0]
        met = saved >= TARGET_SAVED and lost <= TARGET_LOST
        print(f"at least {TARGET_SAVED:.0%} saved with at most {TARGET_LOST:.0%} lost: {'met' if met else 'NOT met'}")
    if arguments.out:
        facts = {
            "study": study.name, "trials": len(study.curves), "share": arguments.share, "third": arguments.third,
            "orders": arguments.orders, "workers": arguments.workers,
        }  # fmt: skip
        used = {name: each.protocol() for name, each in settings.items()}
        arguments.out.write_text(json.dumps(facts | {"settings": used, "rules": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
