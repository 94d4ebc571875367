from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

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
        ({"threads": 0}, "threads"),
        ({"batch": 0}, "batch"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"budget_seconds": float("inf")}, "budget_seconds"),
        ({"burst": 3}, "burst\n.*Extra inputs are not permitted"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_wrong(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        LatencySettings(**changes)


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
