"""Samplers by the name that a study gives, each made anew for one suggestion with a seed of its own.

The seed is a function of the study's seed and the claim's sequence number: a resumed study does not repeat its first
suggestions, and parallel workers do not suggest the same thing.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import optuna
from optuna.samplers import BaseSampler, GPSampler, NSGAIIISampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import Study

from archsearch.errors import ArchsearchError
from archsearch.registry import Registry
from archsearch.search.samplers.exhaustive import ExhaustiveSampler, check_size
from archsearch.search.samplers.points import Points

STARTUP_TRIALS = 10  # suggested at random before a model is fitted; variants that lie in the space count
_POPULATION = 16  # Optuna's population of 50 would spend a quarter of a 200-trial study at random


class SpaceUsedUpError(ArchsearchError):
    """Every network of the search space is known to the study."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What one suggestion's sampler is made from.

    Attributes:
        seed: of this suggestion.
        study_seed: of the whole study.
        points: of the study's search space; None: what its finished trials share.
        reference_point: the corner of the study's hypervolume, one value for each objective; None: not fixed yet.
    """

    seed: int
    study_seed: int
    points: Points | None = None
    reference_point: Sequence[float] | None = None


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """One way to choose the next network.

    Attributes:
        make: the Optuna sampler of one suggestion; it takes its state from the study's trials.
        distinct: whether it never suggests a network that the study has, while there is another.
    """

    make: Callable[[Request], BaseSampler]
    distinct: bool = False


def _ehvi(asked: Request) -> BaseSampler:
    from archsearch.search.samplers.guided import GuidedSampler  # scipy.optimize takes long, and others go without

    return GuidedSampler(
        seed=asked.seed, startup=STARTUP_TRIALS, points=asked.points, reference_point=asked.reference_point
    )


SAMPLERS: Registry[Sampler] = Registry(
    "sampler",
    {
        "ehvi": Sampler(make=_ehvi, distinct=True),
        "gp": Sampler(make=lambda asked: GPSampler(seed=asked.seed, n_startup_trials=STARTUP_TRIALS)),
        "tpe": Sampler(
            make=lambda asked: TPESampler(
                seed=asked.seed, n_startup_trials=STARTUP_TRIALS, multivariate=True, group=True
            )
        ),
        "nsga2": Sampler(make=lambda asked: NSGAIISampler(seed=asked.seed, population_size=_POPULATION)),
        "nsga3": Sampler(make=lambda asked: NSGAIIISampler(seed=asked.seed, population_size=_POPULATION)),
        "random": Sampler(make=lambda asked: RandomSampler(seed=asked.seed)),
        "exhaustive": Sampler(
            make=lambda asked: ExhaustiveSampler(study_seed=asked.study_seed, seed=asked.seed, points=asked.points),
            distinct=True,
        ),
    },
)


def check_sampler(name: str, *, size: int) -> None:
    """Raises UnknownNameError for a name that is not in the table, ConfigError if it cannot search `size` points."""
    SAMPLERS[name]
    if name == "exhaustive":
        check_size(size)


def make_sampler(
    name: str,
    *,
    study_seed: int,
    sequence: int,
    points: Points | None = None,
    reference_point: Sequence[float] | None = None,
) -> BaseSampler:
    """The sampler for one suggestion.

    Args:
        name: in SAMPLERS.
        study_seed, sequence: the study's seed, and the claim's sequence number.
        points: of the study's search space. Without them the samplers of our own draw at random until a trial has
            ended, and take different suggestions for different networks.
        reference_point: the corner of the study's hypervolume, in the order of its objectives.

    Raises UnknownNameError for a name that is not in the table, ConfigError for a space too large to enumerate.
    """
    digest = hashlib.sha256(f"{study_seed}/{sequence}".encode()).digest()
    request = Request(
        seed=int.from_bytes(digest[:4], "big") & 0x7FFFFFFF,
        study_seed=study_seed,
        points=points,
        reference_point=reference_point,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return SAMPLERS[name].make(request)


def check_left(sampler: BaseSampler, study: Study) -> None:
    """Raises SpaceUsedUpError if the sampler enumerates the space and the study has every network of it."""
    if isinstance(sampler, ExhaustiveSampler) and sampler.used_up(study.get_trials(deepcopy=False)):
        raise SpaceUsedUpError("every network of the search space is evaluated, or runs")
