"""A run that ends before its total: no new trial starts, and the one in hand is finished."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from archsearch.errors import ConfigError
from archsearch.search.config import StudyConfig
from archsearch.search.evaluate import Evaluator
from archsearch.search.plan import plan_run
from archsearch.search.runtime import Runtime
from archsearch.search.worker import Worker
from archsearch.store.claims import trial_counts
from archsearch.store.database import Database
from archsearch.store.studies import find_study


def counts(database: Database) -> dict[str, int]:
    return dict(trial_counts(database, find_study(database, "tiny").id))


def test_a_worker_that_is_to_finish_ends_after_the_trial_in_hand(
    database: Database,
    make_config: Callable[..., StudyConfig],
    make_worker: Callable[..., Worker],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = make_worker(make_config(), total=5)
    evaluate = Evaluator.evaluate

    def asked_meanwhile(self: Evaluator, *arguments: Any, **more: Any) -> Any:
        worker.finish()
        return evaluate(self, *arguments, **more)

    monkeypatch.setattr(Evaluator, "evaluate", asked_meanwhile)
    worker.run()
    assert counts(database) == {"complete": 1}
    worker.run()  # it stays asked
    assert counts(database) == {"complete": 1}
    make_worker(make_config(), total=2).run()  # another one goes on
    assert counts(database)["complete"] == 2


def test_a_plateau_of_no_trials_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1 trial"):
        Runtime(plateau_trials=0)
    assert not Runtime().spent and Runtime(time_budget_seconds=0.0).spent and not Runtime(time_budget_seconds=1e9).spent


@pytest.mark.parametrize("number", [0, -3])
def test_fewer_workers_or_trials_than_one_are_refused(make_config: Callable[..., StudyConfig], number: int) -> None:
    with pytest.raises(ConfigError, match=f"workers {number}: at least 1"):
        Runtime(workers=number)
    with pytest.raises(ConfigError, match=f"trials {number}: at least 1"):
        plan_run(make_config(), Runtime(device="cpu", workers=1), trials=number)
