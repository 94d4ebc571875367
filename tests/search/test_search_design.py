"""A study with a design: each point once with each seed, every trial measured by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import optuna
import pytest

from archsearch.data.dataset import Dataset
from archsearch.designs import Design, DesignPoint
from archsearch.errors import ConfigError, StoreError
from archsearch.models.variants import find_variant
from archsearch.records import Record, TrialStatus
from archsearch.search import evaluate
from archsearch.search.config import StudyConfig, parse_study
from archsearch.search.evaluate import StopRequested
from archsearch.search.optuna_study import OptunaStudy
from archsearch.search.variants import design_specs
from archsearch.search.worker import DesignWorker
from archsearch.store.claims import trial_counts
from archsearch.store.database import Database
from archsearch.store.rows import widen_design
from archsearch.store.studies import find_study
from archsearch.store.trials import load_records

BASE = find_variant("shufflenet_v2_x0_5").spec.normalised(32)
MakeDesign = Callable[..., DesignWorker]


def point(name: str, **changes: Any) -> DesignPoint:
    spec = BASE.with_choices(changes).normalised(32)
    return DesignPoint(
        name=name,
        family=spec.family,
        choices=spec.choices(),
        arch_id=spec.arch_id,
        changes=changes,
        variant=None if changes else "shufflenet_v2_x0_5",
    )


DESIGN = Design(
    purpose="ablation", of="tiny", points=(point("base"), point("residual=true", residual=True)), seeds=(7, 3)
)
ORDER = [("base", 7), ("residual=true", 7), ("base", 3), ("residual=true", 3)]  # seeds outermost


def with_design(config: StudyConfig, design: Design) -> StudyConfig:
    content = config.model_dump(mode="json") | {"design": design}
    return parse_study(content, source="a test")


@pytest.fixture
def make_design(database: Database, tiny_dataset: Dataset, make_config: Any, enter: Any) -> MakeDesign:
    """A worker of a design's study on the CPU."""

    def make(design: Design = DESIGN, *, of: Database | None = None) -> DesignWorker:
        opened, config = of or database, with_design(make_config(), design)
        study = enter(opened, config)
        widen_design(opened, study.id, design.seeds)
        OptunaStudy(opened, config, config.search_space())
        return DesignWorker(opened, find_study(opened, "tiny"), config, tiny_dataset, device="cpu", total=design.size)

    return make


def records(database: Database) -> tuple[Record, ...]:
    return load_records(database, find_study(database, "tiny").id)


def done(database: Database) -> list[tuple[str | None, int | None]]:
    """Point and seed of every complete trial, in order."""
    return [
        (record.point, record.score.seed if record.score else None)
        for record in records(database)
        if record.status is TrialStatus.COMPLETE
    ]


def test_each_point_is_evaluated_once_with_each_seed_and_measured_each_time(
    storage_url: str, make_design: MakeDesign
) -> None:
    database = Database(storage_url)
    make_design(of=database).run()
    found = records(database)
    assert done(database) == ORDER
    assert [record.variant for record in found] == ["shufflenet_v2_x0_5", None] * 2
    assert [record.arch_id for record in found] == [each.arch_id for each in DESIGN.points] * 2
    assert len({record.latency.measure_seconds for record in found if record.latency}) == 4  # each has its own
    assert {record.latency.reference for record in found if record.latency} == {"shufflenet_v2_x0_5"}
    make_design(of=database).run()
    assert records(database) == found
    database.close()


def test_optuna_knows_the_values_point_and_seed_of_every_trial(database: Database, make_design: MakeDesign) -> None:
    make_design().run()
    trials = optuna.load_study(study_name="tiny", storage=database.url).trials
    for record, trial in zip(records(database), trials, strict=True):
        assert record.latency is not None and record.score is not None
        assert trial.values == [100.0 - record.score.top1_percent, record.latency.corrected_ms]
        noted = trial.user_attrs["archsearch"]
        assert (noted["point"], noted["seed"]) == (record.point, record.score.seed)


def test_a_design_that_optuna_has_lost_is_not_told_to_take_another_name(database: Database, make_config: Any) -> None:
    for config, named in ((make_config(), True), (with_design(make_config(), DESIGN), False)):
        opened = OptunaStudy(database, config, config.search_space())
        with pytest.raises(StoreError, match="they were deleted") as caught:
            opened.check_goes_on([0])
        opened.close()
        assert "put a copy of the database back" in str(caught.value)
        assert ("--set name=NEW" in str(caught.value)) is named


def test_more_seeds_and_other_seeds_are_added_to_those_that_are_there(
    database: Database, make_design: MakeDesign
) -> None:
    make_design(replace(DESIGN, seeds=(7,))).run()
    first = records(database)
    make_design(replace(DESIGN, seeds=(3,))).run()  # as many trainings as are there: none of them is counted for it
    assert records(database)[:2] == first
    assert done(database) == ORDER
    assert find_study(database, "tiny").config["design"]["seeds"] == [7, 3]


def test_two_workers_share_a_design(storage_url: str, make_design: MakeDesign) -> None:
    database, other = Database(storage_url), Database(storage_url)
    workers = [make_design(of=database), make_design(of=other)]
    threads = [threading.Thread(target=each.run) for each in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done(database)) == sorted(ORDER)
    assert dict(trial_counts(database, find_study(database, "tiny").id)) == {"complete": 4}
    database.close()
    other.close()


def test_an_interrupted_trial_goes_on_first_with_its_own_latency_and_seed(
    database: Database, make_design: MakeDesign, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = evaluate.train_proxy
    worker = make_design()
    calls: list[int] = []

    def stopped_at_the_second(*args: Any, **kwargs: Any) -> Any:
        calls.append(kwargs["seed"])
        if len(calls) == 2:
            worker.stop()
            raise StopRequested
        return trained(*args, **kwargs)

    monkeypatch.setattr(evaluate, "train_proxy", stopped_at_the_second)
    worker.run()
    left = records(database)
    assert [record.status for record in left] == [TrialStatus.COMPLETE, TrialStatus.INTERRUPTED]
    monkeypatch.setattr(evaluate, "train_proxy", trained)
    make_design().run()
    found = records(database)
    assert found[2].latency == left[1].latency  # of its own interrupted attempt
    assert done(database) == ORDER
    assert len({record.latency.measure_seconds for record in found if record.latency}) == 4


def test_a_point_that_fails_is_stored_for_each_seed_and_the_others_go_on(
    database: Database, make_design: MakeDesign, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = evaluate.build

    def build(spec: Any, **kwargs: Any) -> Any:
        if spec.arch_id == DESIGN.points[1].arch_id:
            raise RuntimeError("out of memory")
        return built(spec, **kwargs)

    monkeypatch.setattr(evaluate, "build", build)
    make_design().run()
    assert [(record.point, record.status.value) for record in records(database)] == [
        ("base", "complete"),
        ("residual=true", "failed"),
    ] * 2
    make_design().run()
    assert len(records(database)) == 4  # a failed trial is not tried again


def test_a_design_is_part_of_the_protocol_only_where_there_is_one(make_config: Any) -> None:
    assert "design" not in make_config().protocol()
    protocol = with_design(make_config(), DESIGN).protocol()
    assert protocol["design"]["purpose"] == "ablation"
    assert [each["name"] for each in protocol["design"]["points"]] == ["base", "residual=true"]


@pytest.mark.parametrize(
    ("design", "what"),
    [
        (replace(DESIGN, points=(point("a"), point("a", residual=True))), "names"),
        (replace(DESIGN, points=(point("a"), point("b"))), "networks"),
        (replace(DESIGN, seeds=(1, 1)), "seeds"),
    ],
)
def test_a_design_lists_nothing_twice(make_config: Any, design: Design, what: str) -> None:
    with pytest.raises(ConfigError, match=f"two of its {what} are equal"):
        with_design(make_config(), design)


def test_choices_that_mean_another_network_now_are_refused() -> None:
    wrong = replace(DESIGN, points=(replace(point("base"), arch_id="0" * 12),))
    with pytest.raises(ConfigError, match="point 'base' is network 000000000000"):
        design_specs(wrong, input_size=32)


def test_the_digest_is_of_everything_but_the_seeds() -> None:
    assert replace(DESIGN, seeds=(1, 2, 3)).digest == DESIGN.digest
    assert replace(DESIGN, mode="pairs").digest != DESIGN.digest
    assert replace(DESIGN, points=DESIGN.points[:1]).digest != DESIGN.digest
