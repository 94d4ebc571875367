"""Studies by name, entered once; a reference point that is fixed once."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from archsearch.errors import StoreError, UnknownNameError
from archsearch.noise import NO_FLOOR, FloorSource, Repeat, noise_floor_of
from archsearch.store.claims import claim_trial
from archsearch.store.database import Database
from archsearch.store.studies import (
    StudyInfo,
    add_repeat,
    enter_study,
    find_study,
    fix_reference_latency,
    fix_reference_point,
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


def test_of_many_studies_the_command_that_lists_them_names_their_database(
    database: Database, enter: Callable[[Database, str], StudyInfo]
) -> None:
    for number in range(13):
        enter(database, f"study-{number}")
    typed = shlex.join(["archsearch", "studies", "--storage", database.safe_url])
    with pytest.raises(UnknownNameError) as caught:
        find_study(database, "absent")
    assert f"{typed} lists the 13 known names" in str(caught.value)


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


def test_studies_whose_configuration_names_one_are_found_by_all_of_its_name(database: Database) -> None:
    named = {"a_b": {}, "a_b_c": {}, "axb": {}, "d": {"design": {"of": "a_b"}}, "e": {"design": {"of": "axb"}}}
    for name, more in named.items():
        config = {"name": name, **more}
        enter_study(database, name=name, config=config, space={}, space_fingerprint="f" * 12, facts={})
    assert [info.name for info in list_studies(database, naming="a_b")] == ["a_b", "d"]  # `_` is no joker


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


def entered(database: Database, latency: Mapping[str, Any], facts: Mapping[str, Any] | None = None) -> StudyInfo:
    """A study "one" with this latency protocol, and these facts."""
    return enter_study(
        database, name="one", config={"latency": dict(latency)}, space={}, space_fingerprint="f" * 12, facts=facts or {}
    )


def repeat_of(arch_id: str, second_ms: float, *, sound: bool = True) -> Repeat:
    return Repeat(arch_id=arch_id, first_ms=2.0, second_ms=second_ms, sound=sound, measure_seconds=4.0)


def test_a_studys_noise_floor_is_that_of_its_repeats_once_there_are_three_sound_ones(
    database: Database, facts: Any
) -> None:
    study = entered(database, {"tolerance": 0.03, "repeat_every": 8})
    assumed = find_study(database, "one").noise_floor
    assert (assumed.relative, assumed.source, assumed.repeats) == (0.03, FloorSource.ASSUMED, 0)
    given = [repeat_of("a" * 12, 2.02), repeat_of("b" * 12, 9.0, sound=False), repeat_of("c" * 12, 1.99)]
    for repeat in given:
        assert find_study(database, "one").noise_floor.source is FloorSource.ASSUMED
        assert add_repeat(database, study.id, repeat, facts.latency)
    noisy = find_study(database, "one").noise_floor  # too few are sound: the flagged one counts
    assert (noisy.repeats, noisy.flagged) == (3, 1) and noisy.relative > 1.0
    assert add_repeat(database, study.id, repeat_of("d" * 12, 2.01), facts.latency)
    found = find_study(database, "one")
    assert found.repeats == (*given, repeat_of("d" * 12, 2.01))
    assert found.noise_floor == noise_floor_of(found.repeats) and (
        found.noise_floor.repeats,
        found.noise_floor.flagged,
    ) == (3, 0)
    assert found.noise_floor.source is FloorSource.REPEATS
    assert found.noise_floor_seconds == 16.0
    assert list_studies(database)[0].noise_floor == found.noise_floor


def test_of_one_network_the_first_repeat_stays(database: Database, study: StudyInfo, facts: Any) -> None:
    assert add_repeat(database, study.id, repeat_of("a" * 12, 2.02), facts.latency)
    assert not add_repeat(database, study.id, repeat_of("a" * 12, 2.5), facts.latency)
    assert find_study(database, "one").repeats == (repeat_of("a" * 12, 2.02),)


def test_a_study_of_an_older_version_keeps_the_floor_of_its_start_until_it_has_repeats(
    database: Database, facts: Any
) -> None:
    start = {"noise_floor": {"relative": 0.015, "measure_seconds": 40.0}}
    study = entered(database, {"tolerance": 0.03, "noise_rounds": 6}, start)
    floor = find_study(database, "one").noise_floor
    assert (floor.relative, floor.source) == (0.015, FloorSource.START)
    assert find_study(database, "one").noise_floor_seconds == 40.0
    for name in "abc":
        add_repeat(database, study.id, repeat_of(name * 12, 2.02), facts.latency)
    assert find_study(database, "one").noise_floor.source is FloorSource.REPEATS


def test_a_study_that_began_without_a_noise_floor_has_none(database: Database) -> None:
    entered(database, {"tolerance": 0.03})
    assert find_study(database, "one").noise_floor == NO_FLOOR
