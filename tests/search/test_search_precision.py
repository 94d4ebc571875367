"""One precision for all trainings of a study, decided when it is begun."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from archsearch.models.variants import VARIANTS
from archsearch.search.config import StudyConfig
from archsearch.search.precision import decided_precision, protocol_as_settled, settled
from archsearch.store.studies import StudyInfo
from archsearch.training import calibration
from archsearch.training.calibration import Calibration

SPECS = (VARIANTS["shufflenet_v2_x0_5"].spec,)


def config(**proxy: Any) -> StudyConfig:
    return StudyConfig.model_validate({"name": "s", "space": "shufflenet_v2", "dataset": "digits", "proxy": proxy})


def stored(proxy: Mapping[str, Any], **facts: Any) -> StudyInfo:
    return StudyInfo(
        id=1, name="s", config={"proxy": proxy}, space={}, space_fingerprint="", reference_point=None, facts=facts,
        created_at=datetime.now(UTC),
    )  # fmt: skip


def decided(given: StudyConfig, device: str = "cpu") -> str:
    return decided_precision(given, SPECS, device=device, fingerprint="f", num_classes=10, input_size=32)


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Calibrations come out as bf16; gives how many there were."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []

    def calibrate(networks: Any, **_: Any) -> Calibration:
        calls.append(len(networks))
        return Calibration(fp32_ms=20.0, bf16_ms=10.0)

    monkeypatch.setattr(calibration, "calibrate", calibrate)
    return lambda: len(calls)


def test_a_new_study_on_a_cpu_takes_what_is_faster_and_measures_it_once(measured: Callable[[], int]) -> None:
    assert [decided(config()), decided(config())] == ["bf16", "bf16"]
    assert measured() == 1
    assert decided(config(batch_size=32)) == "bf16"
    assert measured() == 2


def test_what_is_said_or_is_no_question_is_not_measured(measured: Callable[[], int]) -> None:
    assert decided(config(precision="fp32")) == "fp32"
    assert decided(config(precision="bf16")) == "bf16"
    assert decided(config(), "cuda:0") == "bf16"
    assert measured() == 0


def test_workers_get_the_precision_that_the_study_was_begun_with() -> None:
    begun = stored({"precision": "auto"}, proxy_precision="bf16", device={"device": "cpu"})
    assert settled(config(), begun).proxy.precision == "bf16"
    assert settled(config(), stored({}, device={"device": "cpu"})).proxy.precision == "fp32"
    assert settled(config(), stored({}, device={"device": "cuda"})).proxy.precision == "bf16"


def test_a_study_that_was_begun_before_weights_had_names_goes_on_as_it_began() -> None:
    older, newer = stored({"precision": "fp32"}), stored({"precision": "fp32", "initial_weights": "auto"})
    for study, way in ((older, "in_order"), (newer, "by_name")):
        assert settled(config(), study).proxy.initial_weights == way
        asked = protocol_as_settled(config().protocol(), study)["proxy"]["initial_weights"]
        assert asked == protocol_as_settled(study.config, study)["proxy"]["initial_weights"] == way
    other = protocol_as_settled(config(initial_weights="in_order").protocol(), newer)
    assert other["proxy"]["initial_weights"] == "in_order"  # another protocol: refused


@pytest.mark.parametrize(("said", "same"), [("auto", True), ("bf16", True), ("fp32", False)])
def test_another_precision_is_another_protocol(said: str, same: bool) -> None:
    begun = stored({"precision": "auto"}, proxy_precision="bf16", device={"device": "cpu"})
    before = protocol_as_settled(begun.config, begun)["proxy"]["precision"]
    now = protocol_as_settled(config(precision=said).protocol(), begun)["proxy"]["precision"]
    assert (before == now) is same
