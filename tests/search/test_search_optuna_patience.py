"""Optuna's side of a study while its database goes away: a call waits, and is done once, whatever was done before."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from sqlalchemy.exc import OperationalError

from archsearch.search.optuna_study import OptunaStudy
from archsearch.store.database import Database


@pytest.fixture
def waits(database: Database) -> list[float]:
    """The pauses (seconds) that were made for a lost database."""
    found: list[float] = []
    database.wait = found.append
    return found


@pytest.fixture
def study(database: Database, make_config: Any, waits: list[float]) -> OptunaStudy:
    config = make_config()
    return OptunaStudy(database, config, config.search_space())


def lost() -> Exception:
    """What Optuna makes of a database that cannot be reached."""
    cause = OperationalError("BEGIN", None, sqlite3.OperationalError("database is locked"))
    error = optuna.exceptions.StorageInternalError("An exception is raised during the commit.")
    error.__cause__ = cause
    return error


def once(real: Callable[..., Any], *, before: bool) -> Callable[..., Any]:
    """A call whose first answer is lost: before it has done anything, or after it has done all."""
    failed: list[bool] = []

    def call(*arguments: Any, **more: Any) -> Any:
        if not failed and before:
            failed.append(True)
            raise lost()
        answer = real(*arguments, **more)
        if not failed:
            failed.append(True)
            raise lost()
        return answer

    return call


def test_a_suggestion_waits_for_the_database(
    study: OptunaStudy, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study._study, "ask", once(study._study.ask, before=True))
    asked = study.ask(1)
    assert asked.number == 0 and set(asked.choices) == {"stage2.attention", "residual"}
    assert waits == [0.25]


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("called", ["tell", "set_trial_system_attr"])
def test_an_end_whose_answer_was_lost_is_told_once(
    study: OptunaStudy,
    database: Database,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
    called: str,
    before: bool,
) -> None:
    number = study.ask(1).number
    home = study._study if called == "tell" else study._storage
    monkeypatch.setattr(home, called, once(getattr(home, called), before=before))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Optuna warns of a constraint that is set twice
        study.tell_values(number, [40.0, 2.0], {"params": 0.5, "early_stop": -1.0})
    assert waits == [0.25]
    (trial,) = optuna.load_study(study_name="tiny", storage=database.url).trials
    assert (trial.state.name, trial.values) == ("COMPLETE", [40.0, 2.0])
    assert trial.system_attrs["constraints"] == [0.5, -1.0]
    assert {name: trial.constraints[name] for name in ("params", "early_stop")} == {"params": 0.5, "early_stop": -1.0}


def test_another_error_is_not_waited_for(
    study: OptunaStudy, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: Any, **_more: Any) -> Any:
        raise ValueError("a surrogate cannot be fitted")

    monkeypatch.setattr(study._study, "ask", broken)
    with pytest.raises(ValueError, match="surrogate"):
        study.ask(1)
    assert waits == []
