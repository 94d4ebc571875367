"""How many trials share a GPU: by their total, within its memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from archsearch.errors import ArchsearchError
from archsearch.models.variants import VARIANTS
from archsearch.search.sharing import Load, best_share, job_of, measured_load, workers_per_gpu

GIB = 2**30


def load(rate: float, *, trial: int = GIB, device: int = 80 * GIB) -> Load:
    return Load(images_per_second=rate, trial_bytes=trial, device_bytes=device)


@pytest.mark.parametrize(
    ("rates", "best"),
    [
        ({1: 100.0, 2: 105.0}, 1),  # 1.05 times
        ({1: 100.0, 2: 190.0, 4: 200.0}, 2),
        ({1: 100.0, 2: 190.0, 4: 300.0, 8: 400.0}, 8),
        ({1: 100.0, 2: 80.0}, 1),
    ],
)
def test_trials_are_doubled_while_the_total_rises_enough(rates: dict[int, float], best: int) -> None:
    assert best_share(lambda trials: load(rates[trials])) == best


def test_memory_bounds_the_share() -> None:
    # 80% of 10 GiB hold two trials of 3 GiB, not four
    assert best_share(lambda trials: load(100.0 * trials, trial=3 * GIB, device=10 * GIB)) == 2
    assert best_share(lambda trials: load(100.0 * trials, trial=6 * GIB, device=10 * GIB)) == 1


def test_a_number_that_fails_is_not_taken() -> None:
    def measure(trials: int) -> Load:
        if trials == 4:
            raise ArchsearchError("out of memory")
        return load(100.0 * trials)

    assert best_share(measure) == 2


def tiny_job(device: str) -> dict[str, object]:
    spec = VARIANTS["shufflenet_v2_x0_5"].spec
    job = job_of(spec, device=device, batch_size=8, num_classes=4, input_size=32, precision="fp32")
    return job | {"seconds": 0.05}


def test_processes_train_at_once_and_say_how_fast() -> None:
    found = measured_load(tiny_job("cpu"), 1)
    assert found.images_per_second > 0
    assert found.trial_bytes == 0  # of a GPU's memory


def test_what_cannot_be_measured_is_one_trial_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert workers_per_gpu(tiny_job("nowhere"), fingerprint="a") == 1
    assert "nowhere" in caplog.text
    assert not list(tmp_path.rglob("*.json"))


def test_a_share_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []

    def measured(_job: object, trials: int) -> Load:
        calls.append(trials)
        return load(100.0 * trials if trials < 4 else 200.0)

    monkeypatch.setattr("archsearch.search.sharing.measured_load", measured)
    assert [workers_per_gpu(tiny_job("cuda:0"), fingerprint="a") for _ in range(2)] == [2, 2]
    assert calls == [1, 2, 4]
    assert workers_per_gpu(tiny_job("cuda:0"), fingerprint="b") == 2
    assert len(calls) == 6
