"""Optuna's samplers by the name that a study gives, each made anew for one suggestion with a seed of its own.

The seed is a function of the study's seed and the claim's sequence number: a resumed study does not repeat its first
suggestions, and parallel workers do not suggest the same thing.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable

import optuna
from optuna.samplers import BaseSampler

from archsearch.registry import Registry

STARTUP_TRIALS = 10  # suggested at random before a model is fitted; variants that lie in the space count


def _gp(seed: int) -> BaseSampler:
    return optuna.samplers.GPSampler(seed=seed, n_startup_trials=STARTUP_TRIALS)


def _tpe(seed: int) -> BaseSampler:
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS, multivariate=True)


def _nsga2(seed: int) -> BaseSampler:
    # Optuna's population of 50 would spend a quarter of a 200-trial study at random.
    return optuna.samplers.NSGAIISampler(seed=seed, population_size=16)


def _random(seed: int) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


SAMPLERS: Registry[Callable[[int], BaseSampler]] = Registry(
    "sampler", {"gp": _gp, "tpe": _tpe, "nsga2": _nsga2, "random": _random}
)


def make_sampler(name: str, *, study_seed: int, sequence: int) -> BaseSampler:
    """The sampler for one suggestion. Raises UnknownNameError for a name that is not in the table."""
    digest = hashlib.sha256(f"{study_seed}/{sequence}".encode()).digest()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return SAMPLERS[name](int.from_bytes(digest[:4], "big") & 0x7FFFFFFF)
