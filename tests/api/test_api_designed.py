"""What a plan of a design says before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from makers import make_record

from archsearch.api.designed import DesignBase, DesignPlan
from archsearch.errors import ConfigError
from archsearch.records import Record, TrialStatus


def planned(records: list[Record] | None, *, epochs: int, size: int, workers: int) -> DesignPlan:
    config: Any = SimpleNamespace(name="searched", proxy=SimpleNamespace(epochs=epochs))
    study: Any = None if records is None else SimpleNamespace(records=records)
    run: Any = SimpleNamespace(config=config, devices=("cpu",) * workers)
    design: Any = SimpleNamespace(size=size)
    return DesignPlan(base=DesignBase(config=config, space=SimpleNamespace(), study=study), design=design, plan=run)  # type: ignore[arg-type]


def test_the_time_is_the_median_of_complete_trials_scaled_to_the_epochs_and_shared_by_the_workers() -> None:
    taken = [10.0, 20.0, 60.0]
    records = [replace(make_record(number, top1=60.0, p10=5.0), seconds=each) for number, each in enumerate(taken)]
    failed = replace(make_record(3, top1=60.0, p10=5.0, status=TrialStatus.FAILED), seconds=1000.0)
    epochs = records[0].score.epochs  # type: ignore[union-attr]
    # half of them take 20 s or less; twice the epochs take 40 s; six of those on two workers 120 s
    assert planned([*records, failed], epochs=2 * epochs, size=6, workers=2).seconds == pytest.approx(120.0)
    assert planned([failed], epochs=epochs, size=6, workers=2).seconds is None


def test_a_study_that_was_never_run_says_so_and_what_to_type() -> None:
    plan = planned(None, epochs=3, size=6, workers=1)
    assert plan.seconds is None
    with pytest.raises(ConfigError, match="'searched' is not stored") as caught:
        _ = plan.base.stored
    assert caught.value.hint == "archsearch run --study searched"
