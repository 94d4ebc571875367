"""Studies by name, entered once; a reference point that is fixed once."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from archsearch.errors import StoreError, UnknownNameError
from archsearch.store.claims import claim_trial
from archsearch.store.database import Database
from archsearch.store.studies import (
    StudyInfo,
    begin_measuring,
    enter_study,
    find_study,
    fix_reference_latency,
    fix_reference_point,
    has_begun,
    latest_study,
    list_studies,
)


def test_a_study_is_found_as_it_was_entered(database: Database) -> None:
    config = {"seed": 7, "proxy": {"learning_rate": 5e-4, "flip": None}, "objectives": ["a", "b"]}
    entered = enter_study(
        database, name="mine", config=config, space={"fixed": {}}, space_fingerprint="f" * 12, facts={"cores": 2}
    )
    found = find_study(database, "mine")
    assert found == entered
    assert (found.config, found.space, found.facts) == (config, {"fixed": {}}, {"cores": 2})
    assert (found.space_fingerprint, found.reference_point) == ("f" * 12, None)


def test_entering_again_changes_nothing(database: Database, study: StudyInfo) -> None:
    again = enter_study(
        database, name="one", config={"seed": 99}, space={"x": 1}, space_fingerprint="c" * 12, facts={"new": True}
    )
    assert again == study


def test_many_workers_entering_one_study_get_one_study(
    database: Database, enter: Callable[[Database, str], StudyInfo]
) -> None:
    ids: list[int] = []
    together = threading.Barrier(5)  # as many as SQLAlchemy keeps connections

    def work() -> None:
        with database.engine.connect():  # so that no thread comes late because it connects
            together.wait()
        ids.append(enter(database, "shared").id)

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 5 and len(set(ids)) == 1


def test_an_unknown_study_is_answered_with_the_nearest_name(
    database: Database, enter: Callable[[Database, str], StudyInfo]
) -> None:
    enter(database, "quickstart")
    with pytest.raises(UnknownNameError, match="did you mean 'quickstart'"):
        find_study(database, "quikstart")


def test_the_latest_study_is_the_one_with_the_newest_trial(
    database: Database, enter: Callable[[Database, str], StudyInfo]
) -> None:
    with pytest.raises(StoreError, match="no study yet"):
        latest_study(database)
    first, second = enter(database, "first"), enter(database, "second")
    assert latest_study(database).name == "second"  # none has a trial: the newest study
    claim_trial(database, study_id=first.id, total=5, worker_id="w", variants=[])
    assert latest_study(database).name == "first"
    claim_trial(database, study_id=second.id, total=5, worker_id="w", variants=[])
    assert latest_study(database).name == "second"
    assert [info.name for info in list_studies(database)] == ["first", "second"]


def test_the_first_reference_point_stays(database: Database, study: StudyInfo) -> None:
    assert fix_reference_point(database, study.id, {"error_percent": 90.0, "latency_ms": 16.0})["latency_ms"] == 16.0
    assert fix_reference_point(database, study.id, {"error_percent": 50.0, "latency_ms": 1.0})["latency_ms"] == 16.0
    assert find_study(database, "one").reference_point == {"error_percent": 90.0, "latency_ms": 16.0}


def test_all_workers_agree_on_one_reference_latency(database: Database, study: StudyInfo) -> None:
    answers: list[float] = []
    together = threading.Barrier(4)

    def work(p10_ms: float) -> None:
        together.wait()
        answers.append(fix_reference_latency(database, study.id, p10_ms))

    threads = [threading.Thread(target=work, args=(float(number + 1),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4 and len(set(answers)) == 1


def test_a_study_begins_once_with_its_noise_floor_and_its_reference_latency(
    database: Database, study: StudyInfo
) -> None:
    assert not has_begun(database, study.id)
    assert find_study(database, "one").noise_floor == 0.0
    answers: list[bool] = []
    together = threading.Barrier(4)

    def work(number: int) -> None:
        together.wait()
        floor = {"relative": number / 100, "measure_seconds": 10.0 * number, "ratios": [1.0, 1.01]}
        answers.append(begin_measuring(database, study.id, reference_p10_ms=float(number), noise_floor=floor))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False, False, False, True]
    stored = find_study(database, "one")
    again = {
        "reference_p10_ms": fix_reference_latency(database, study.id, 99.0),
        "noise_floor": stored.facts["noise_floor"],
    }
    assert begin_measuring(database, study.id, **again)  # the answer to the commit was lost: it is this one's
    assert has_begun(database, study.id)
    reference_ms = fix_reference_latency(database, study.id, 99.0)
    found = find_study(database, "one")
    # both are of one worker
    assert (found.noise_floor, found.noise_floor_seconds) == (reference_ms / 100, 10.0 * reference_ms)
    assert found.facts["noise_floor"]["ratios"] == [1.0, 1.01]


def test_a_study_that_began_without_a_noise_floor_keeps_none(database: Database, study: StudyInfo) -> None:
    fix_reference_latency(database, study.id, 2.0)
    assert has_begun(database, study.id)
    assert not begin_measuring(database, study.id, reference_p10_ms=3.0, noise_floor={"relative": 0.5})
    assert find_study(database, "one").noise_floor == 0.0
    assert fix_reference_latency(database, study.id, 9.0) == 2.0
