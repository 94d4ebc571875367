"""A domain as Optuna's distribution, and Optuna's values back as the domain's own."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from archsearch.search.optuna_study import OptunaStudy, Suggestion, _own_value, distribution
from archsearch.space.search_space import Domain
from archsearch.store.database import Database


def domain(*values: Any) -> Domain:
    return Domain(name="x", values=values)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((3, 4, 5, 6, 7), IntDistribution(3, 7, step=1)),
        ((3, 5, 7), IntDistribution(3, 7, step=2)),
        ((0, 1), IntDistribution(0, 1, step=1)),
        ((0.5, 1.0, 1.5, 2.0), FloatDistribution(0.5, 2.0, step=0.5)),
        ((0.25, 0.375, 0.5), FloatDistribution(0.25, 0.5, step=0.125)),
        ((0.3, 0.4, 0.5), FloatDistribution(0.3, 0.5, step=0.1)),
        ((1, 1.5, 2), FloatDistribution(1.0, 2.0, step=0.5)),
        ((128, 256, 512), CategoricalDistribution([128, 256, 512])),
        ((0.5, 1.0, 2.0), CategoricalDistribution([0.5, 1.0, 2.0])),
        ((7, 5, 3), CategoricalDistribution([7, 5, 3])),
        ((False, True), CategoricalDistribution([False, True])),
        (("none", "se"), CategoricalDistribution(["none", "se"])),
        ((1, 2, None), CategoricalDistribution([1, 2, None])),
        ((0, True), CategoricalDistribution([0, True])),
        ((0.5, "0.25,0.5,0.75"), CategoricalDistribution([0.5, "0.25,0.5,0.75"])),
        ((3,), CategoricalDistribution([3])),
    ],
)
def test_evenly_spaced_numbers_keep_their_order_and_all_else_is_categorical(
    values: tuple[Any, ...], expected: BaseDistribution
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Optuna warns where it cuts values off a range
        assert distribution(domain(*values)) == expected


@pytest.mark.parametrize(
    "values",
    [
        (0.3, 0.4, 0.5),
        (0.1, 0.4, 0.7, 1.0),
        (1.1, 1.2, 1.3, 1.4),
        (0.25, 0.375, 0.5, 0.625, 0.75),
        (3, 5, 7),
        (0.5, "0.25,0.5,0.75", 0.375),  # one ratio for all stages, or one for each
    ],
)
def test_every_value_of_a_domain_can_be_suggested_and_comes_back_as_it_was(values: tuple[Any, ...]) -> None:
    own = domain(*values)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = [_own_value(own, study.ask({"x": distribution(own)}).params["x"]) for _ in range(80)]
    assert set(found) == set(values)


@pytest.mark.parametrize(
    ("values", "given", "own"),
    [
        ((0.1, 0.2, 0.3), 0.1 + 0.2, 0.3),
        ((0.5, 1.0), 1.0, 1.0),
        ((3, 5), 5, 5),
        (("se", "none"), "none", "none"),
        ((False, True), True, True),
        ((0.5, None), 0.5, 0.5),
        (("0.25,0.5,0.75", 0.5), 0.5, 0.5),
    ],
)
def test_a_value_of_optuna_is_the_domains_own(values: tuple[Any, ...], given: Any, own: Any) -> None:
    found = _own_value(domain(*values), given)
    assert found == own
    assert type(found) is type(own)


class Numpys(optuna.samplers.RandomSampler):
    """The last value of every choice, as numpy picks it out of an array."""

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {"stage2.kernel": IntDistribution(3, 7, step=2), "residual": CategoricalDistribution([False, True])}

    def sample_relative(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {"stage2.kernel": np.array([3, 5, 7])[-1], "residual": np.array([False, True])[-1]}


def test_what_a_sampler_draws_with_numpy_is_its_suggestion(
    database: Database, make_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(
        space_text="""
name: two
family: shufflenet_v2
choices:
  stage2.kernel: {values: [3, 5, 7], source: test}
  residual: {values: [false, true], source: test}
"""
    )
    monkeypatch.setattr("archsearch.search.optuna_study.make_sampler", lambda *_, **__: Numpys())
    suggestion = OptunaStudy(database, config, config.search_space()).ask(1)
    assert suggestion == Suggestion(number=0, choices={"stage2.kernel": 7, "residual": True})
    assert {type(value) for value in suggestion.choices.values()} == {int, bool}
