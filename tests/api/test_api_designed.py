"""What a plan of a design says before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from makers import make_record

from archsearch.api.designed import DesignBase, DesignPlan, design_config, plan_design
from archsearch.api.run import estimate
from archsearch.designs import Design, DesignPoint
from archsearch.errors import ConfigError
from archsearch.image_rules import CURRENT_RULES, RULES_FACT
from archsearch.latency.settings import LatencySettings
from archsearch.models.variants import find_variant
from archsearch.overrides import SectionChanges
from archsearch.records import Record, TrialStatus
from archsearch.search import devices
from archsearch.search.config import StudyConfig
from archsearch.search.runtime import Runtime
from archsearch.training.settings import ProxySettings


def planned(
    records: list[Record] | None, *, epochs: int, size: int, workers: int, shares_gpus: bool = False
) -> DesignPlan:
    config: Any = SimpleNamespace(
        name="searched", proxy=SimpleNamespace(epochs=epochs), stopping=SimpleNamespace(policy="none")
    )
    study: Any = None if records is None else SimpleNamespace(records=records)
    run: Any = SimpleNamespace(
        config=config, devices=("cpu",) * workers, total=size, train_images=10_000, shares_gpus=shares_gpus
    )
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


@pytest.mark.parametrize(("shares_gpus", "said"), [(False, "2 min"), (True, "at most 2 min")])
def test_where_it_is_not_known_yet_how_many_trials_share_a_gpu_an_estimate_from_own_trials_is_a_bound(
    shares_gpus: bool, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    records = [replace(make_record(number, top1=60.0, p10=5.0), seconds=30.0) for number in range(3)]
    epochs = records[0].score.epochs  # type: ignore[union-attr]
    expected = estimate(planned(records, epochs=epochs, size=4, workers=1, shares_gpus=shares_gpus))
    assert expected.text == f"{said} with 1 worker (from this study's own trials)"


def test_a_study_that_was_never_run_says_so_and_what_to_type() -> None:
    with pytest.raises(ConfigError, match="'searched' is not stored") as caught:
        _ = planned(None, epochs=3, size=6, workers=1).base.stored
    assert caught.value.hint == "archsearch run --study searched"


@pytest.mark.parametrize(
    ("own", "changes", "spread"),
    [
        ({}, {"visits": 1}, 0.0),
        ({"visits": 1}, {"visits": 5}, 5.0),  # the default of several
        ({"visits": 1}, {"visits": 4, "spread_seconds": 2.0}, 2.0),
        ({"spread_seconds": 8.0}, {"visits": 4}, 8.0),
    ],
)
def test_a_design_of_one_visit_has_no_spread_and_one_of_several_that_of_a_study(
    own: dict[str, Any], changes: dict[str, Any], spread: float
) -> None:
    config = StudyConfig(name="any", space="shufflenet_v2", dataset="digits", latency=LatencySettings(**own))
    base = DesignBase(config=config, space=config.search_space())
    design = Design(purpose="ablation", of="any", points=(), seeds=())
    assert design_config(base, design, SectionChanges(latency=changes)).latency.spread_seconds == spread


def test_a_design_measures_with_no_more_threads_than_cores_unless_its_study_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "usable_cores", lambda: 1)
    proxy, latency = ProxySettings(train_images=64, validation_images=64), LatencySettings(threads=2)
    config = StudyConfig(name="any", space="shufflenet_v2", dataset="digits", proxy=proxy, latency=latency)
    base = DesignBase(config=config, space=config.search_space())
    spec = find_variant("shufflenet_v2_x0_5").spec.normalised(8)
    point = DesignPoint(name="x0.5", family=spec.family, choices=spec.choices(), arch_id=spec.arch_id)
    design = Design(purpose="ablation", of="any", points=(point,), seeds=(0,))
    runtime = Runtime(device="cpu", storage=f"sqlite:///{tmp_path / 'none.db'}")
    with pytest.raises(ConfigError, match="threads 2: 1 to 1 CPU cores may be used here"):
        plan_design(base, design, runtime)
    study: Any = SimpleNamespace(
        info=SimpleNamespace(facts={RULES_FACT: CURRENT_RULES}, check_images=lambda fingerprint: None)
    )
    stored = replace(base, study=study)
    with pytest.raises(ConfigError, match="threads 4: 1 to 1 CPU cores may be used here"):
        plan_design(stored, design, runtime, changes=SectionChanges(latency={"threads": 4}))
    assert plan_design(stored, design, runtime).plan.config.latency.threads == 2
