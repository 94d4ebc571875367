from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from archsearch.errors import ConfigError
from archsearch.latency.backends import BACKENDS
from archsearch.latency.settings import LatencySettings


def test_batch_is_one_on_a_cpu_and_eight_on_a_gpu_as_in_the_paper() -> None:
    assert LatencySettings().batch_on("cpu") == 1
    assert LatencySettings().batch_on("cuda:1") == 8
    assert LatencySettings(batch=3).batch_on("cuda") == LatencySettings(batch=3).batch_on("cpu") == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bursts": 4, "visits": 5}, r"visits \(5\) may not exceed bursts \(4\)"),
        ({"spread_seconds": 20.0}, r"spread_seconds \(20\) must be below budget_seconds \(20\)"),
        ({"visits": 1, "spread_seconds": 3.0}, "needs at least two visits"),
        ({"backend": "torhc"}, "did you mean 'torch'"),
        ({"also": ("torhc",)}, "did you mean 'torch'"),
        ({"also": ("auto",)}, "unknown latency backend 'auto'"),
        ({"also": ("torch", "torch")}, "may stand once in also"),
        ({"backend": "torch", "also": ("torch",)}, "'torch' is the backend already"),
        ({"drift_tolerance": 0.0}, "drift_tolerance"),
        ({"remeasure": -1}, "remeasure"),
        ({"repeat_every": -1}, "repeat_every"),
        ({"memory_tolerance": 0.0}, "memory_tolerance"),
        ({"threads": 0}, "threads"),
        ({"batch": 0}, "batch"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"budget_seconds": float("inf")}, "budget_seconds"),
        ({"budget_seconds": 1e300}, "budget_seconds"),
        ({"burst": 3}, "burst\n.*Extra inputs are not permitted"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_wrong(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        LatencySettings(**changes)


def test_a_key_of_older_versions_is_answered_with_what_became_of_it() -> None:
    with pytest.raises(ConfigError, match=r"latency\.noise_rounds is no longer a key") as caught:
        LatencySettings(noise_rounds=6)  # type: ignore[call-arg]
    assert "repeat_every" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("device", "backend"),
    [("cpu", "onnxruntime"), ("cuda", "cuda-graph"), ("cuda:1", "cuda-graph"), ("mps", "torch")],
)
def test_without_a_word_the_backend_is_that_of_the_device(device: str, backend: str) -> None:
    assert LatencySettings().backend_on(device) == backend
    assert LatencySettings(backend="torch-eager").backend_on(device) == "torch-eager"


def test_every_backend_that_auto_may_mean_exists_and_runs_on_its_device() -> None:
    for device in ("cpu", "cuda"):
        assert device in BACKENDS[LatencySettings().backend_on(device)].devices


def test_one_visit_alone_is_a_protocol_that_a_worker_is_told_and_a_study_stores() -> None:
    settings = LatencySettings(visits=1)
    assert (settings.spread_seconds, settings.gap_seconds) == (0.0, 0.0)
    assert LatencySettings(**settings.model_dump(mode="json")) == settings


def test_a_kind_of_cores_is_a_board_s_and_not_this_machine_s_beside_it() -> None:
    study = LatencySettings(target="ssh:pi5", also_targets=("local",), cores="big")
    assert (study.at("ssh:pi5").cores, study.at("local").cores) == ("big", "all")
    assert LatencySettings(**study.at("local").model_dump(mode="json")) == study.at("local")  # as a process is told


def test_a_further_backend_that_auto_means_already_is_not_measured_twice() -> None:
    settings = LatencySettings(also=("torch", "onnxruntime"))
    assert settings.also_on("cpu") == ("torch",)
    assert settings.also_on("cuda:0") == ("torch", "onnxruntime")
    assert settings.with_backend("torch").also_on("cpu") == ()
    assert settings.with_backend("torch").backend_on("cpu") == "torch"


def test_a_group_has_the_budget_that_its_networks_have_in_pairs() -> None:
    settings = LatencySettings(budget_seconds=20)
    assert settings.group_budget_seconds(2) == 20  # one candidate and the reference
    assert settings.group_budget_seconds(9) == 90  # eight candidates: 90 s in place of 160


@pytest.mark.parametrize(("bursts", "visits"), [(30, 5), (7, 3), (2, 1), (5, 5)])
def test_the_planned_visits_hold_exactly_the_planned_bursts(bursts: int, visits: int) -> None:
    settings = LatencySettings(bursts=bursts, visits=visits, spread_seconds=0)
    planned = [settings.bursts_of_visit(visit) for visit in range(visits)]
    assert sum(planned) == bursts
    assert max(planned) - min(planned) <= 1
    assert settings.bursts_of_visit(visits + 3) == max(planned)


def test_settings_and_backend_names_are_known_without_importing_torch() -> None:
    code = (
        "import sys; from archsearch.latency.settings import LatencySettings; "
        "from archsearch.latency.backends import BACKENDS; from archsearch.latency import lease; "
        "LatencySettings(backend=BACKENDS.names()[0]); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
