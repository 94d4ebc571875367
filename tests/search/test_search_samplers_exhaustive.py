"""Enumeration: every distinct network once, whoever asks and however often the study is begun again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState

from archsearch.errors import ConfigError
from archsearch.search.optuna_study import OptunaStudy, distribution
from archsearch.search.samplers import SpaceUsedUpError, check_left, check_sampler, make_sampler
from archsearch.search.samplers.exhaustive import LARGEST_SPACE
from archsearch.search.samplers.points import Points
from archsearch.space.search_space import load_space
from archsearch.store.database import Database

# 12 suggestions of 9 networks: without a hidden layer its two widths are the same network (3 of 6).
SPACE = """
name: few
family: shufflenet_v2
fixed: {width: 0.5}
choices:
  stage2.kernel: {values: [3, 5, 7], source: test}
  head.type: {values: [gap, gap_hidden], source: test}
  head.hidden: {values: [128, 256], source: test}
"""
NETWORKS = 9


@pytest.fixture
def points(tmp_path: Path) -> Points:
    path = tmp_path / "few.yaml"
    path.write_text(SPACE)
    space = load_space(str(path))
    return Points({domain.name: distribution(domain) for domain in space.domains}, space, input_size=32)


def ask(study: optuna.Study, points: Points, *, sequence: int, seed: int = 0) -> tuple[int, object]:
    """The trial's number, and its network."""
    sampler = make_sampler("exhaustive", study_seed=seed, sequence=sequence, points=points)
    check_left(sampler, study)
    study.sampler = sampler
    trial = study.ask(points.distributions)
    point = points.point(trial.params)
    assert point is not None
    return trial.number, points.identity(point)


def test_every_network_is_suggested_once_and_then_the_space_is_used_up(points: Points) -> None:
    study = optuna.create_study(directions=["minimize"] * 2)
    found = []
    for sequence in range(1, NETWORKS + 1):
        number, network = ask(study, points, sequence=sequence)
        found.append(network)
        if sequence % 3:  # every third is still under way when the next is asked for
            study.tell(number, [1.0, 1.0])
    assert len(set(found)) == NETWORKS
    with pytest.raises(SpaceUsedUpError):
        ask(study, points, sequence=NETWORKS + 1)
    assert len(study.trials) == NETWORKS


def test_the_order_is_the_seeds_whatever_the_claims_numbers(points: Points) -> None:
    orders = []
    for seed, first in ((0, 1), (0, 40), (1, 1)):
        study = optuna.create_study(directions=["minimize"] * 2)
        orders.append([ask(study, points, sequence=first + index, seed=seed)[1] for index in range(NETWORKS)])
    assert orders[0] == orders[1] != orders[2]
    assert set(orders[0]) == set(orders[2])


def test_a_network_whose_worker_was_killed_before_it_was_stored_comes_back(points: Points) -> None:
    study = optuna.create_study(directions=["minimize"] * 2)
    number, lost = ask(study, points, sequence=1)
    study.tell(number, state=TrialState.FAIL)
    assert ask(study, points, sequence=2)[1] == lost


def test_a_failed_network_of_the_study_does_not_come_back(points: Points) -> None:
    study = optuna.create_study(directions=["minimize"] * 2)
    number, failed = ask(study, points, sequence=1)
    study._storage.set_trial_user_attr(study.trials[0]._trial_id, "archsearch", {"arch_id": failed})
    study.tell(number, state=TrialState.FAIL)
    rest = [ask(study, points, sequence=2 + index)[1] for index in range(NETWORKS - 1)]
    assert failed not in rest and len(set(rest)) == NETWORKS - 1


def test_workers_that_ask_at_the_same_moment_take_one_network_each(points: Points) -> None:
    study = optuna.create_study(directions=["minimize"] * 2)
    other = study._storage.create_new_trial(study._study_id)  # its choices are not stored yet
    mine = ask(study, points, sequence=2)[1]
    sampler = make_sampler("exhaustive", study_seed=0, sequence=1, points=points)
    frozen = study._storage.get_trial(other)
    theirs = sampler.sample_relative(study, frozen, sampler.infer_relative_search_space(study, frozen))
    point = points.point(theirs)
    assert point is not None and points.identity(point) != mine


def test_the_only_network_of_a_space_is_suggested_after_published_ones_outside_it(
    database: Database, make_config: Any
) -> None:
    one = "name: one\nfamily: shufflenet_v2\nchoices: {residual: {values: [true], source: test}}\n"
    config = make_config(space_text=one, sampler="exhaustive")
    space = config.search_space()
    study = OptunaStudy(database, config, space, input_size=32)
    outside = study.ask_outside()
    study.note(outside, {"arch_id": "0" * 12})
    study.tell_failed(outside)
    suggested = study.ask(2)
    assert (suggested.number, suggested.choices) == (1, {})
    study.note(suggested.number, {"arch_id": space.spec({}).normalised(32).arch_id})
    study.tell_values(suggested.number, [50.0, 2.0], {})
    with pytest.raises(SpaceUsedUpError):
        study.ask(3)


def test_a_space_too_large_to_enumerate_is_refused_before_a_trial_is_made() -> None:
    sizes = {f"size{index}": IntDistribution(1, 10) for index in range(5)}
    enough, too_many = Points(sizes), Points({**sizes, "word": CategoricalDistribution(["a", "b"])})
    assert (enough.size, too_many.size) == (LARGEST_SPACE, 2 * LARGEST_SPACE)
    make_sampler("exhaustive", study_seed=0, sequence=1, points=enough)
    with pytest.raises(ConfigError, match="has 200,000 points, at most 100,000 are enumerated"):
        make_sampler("exhaustive", study_seed=0, sequence=1, points=too_many)
    check_sampler("ehvi", size=too_many.size)
    with pytest.raises(ConfigError, match="200,000 points"):
        check_sampler("exhaustive", size=too_many.size)
