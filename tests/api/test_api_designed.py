"""What a plan of a design says before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from makers import make_record

from archsearch.api.designed import DesignBase, DesignPlan
from archsearch.api.run import estimate
from archsearch.errors import ConfigError
from archsearch.records import Record, TrialStatus


def planned(records: list[Record] | None, *, epochs: int, size: int, workers: int) -> DesignPlan:
    config: Any = SimpleNamespace(
        name="searched", proxy=SimpleNamespace(epochs=epochs), stopping=SimpleNamespace(policy="none")
    )
    study: Any = None if records is None else SimpleNamespace(records=records)
    run: Any = SimpleNamespace(config=config, devices=("cpu",) * workers, total=size)
    design: Any = SimpleNamespace(size=size)
    return DesignPlan(base=DesignBase(config=config, space=SimpleNamespace(), study=study), design=design, plan=run)  # type: ignore[arg-type]


def test_the_time_is_what_the_whole_trials_of_its_study_took_scaled_to_its_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    taken = [10.0, 20.0, 60.0]
    records = [replace(make_record(number, top1=60.0, p10=5.0), seconds=each) for number, each in enumerate(taken)]
    failed = replace(make_record(3, top1=60.0, p10=5.0, status=TrialStatus.FAILED), seconds=1000.0)
    epochs = records[0].score.epochs  # type: ignore[union-attr]
    # they take 30 s in the mean; twice the epochs take 60 s; six of those on two workers 180 s
    expected = estimate(planned([*records, failed], epochs=2 * epochs, size=6, workers=2))
    assert expected.seconds == pytest.approx(180.0) and expected.basis == "from this study's own trials"


def test_a_study_that_was_never_run_says_so_and_what_to_type() -> None:
    with pytest.raises(ConfigError, match="'searched' is not stored") as caught:
        _ = planned(None, epochs=3, size=6, workers=1).base.stored
    assert caught.value.hint == "archsearch run --study searched"
