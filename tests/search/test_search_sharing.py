"""How many trials share a GPU: by their total, within its memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from archsearch.errors import ArchsearchError
from archsearch.latency.lease import DeviceLease
from archsearch.latency.settings import LatencySettings
from archsearch.models.variants import VARIANTS
from archsearch.search import gpu_load
from archsearch.search.config import load_study
from archsearch.search.sharing import Load, best_share, job_of, measured_load, workers_per_gpu
from archsearch.training.settings import ProxySettings

GIB = 2**30


def load(rate: float, *, trial: int = GIB, free: int = 80 * GIB) -> Load:
    return Load(images_per_second=rate, trial_bytes=trial, free_bytes=free)


@pytest.mark.parametrize(
    ("rates", "best"),
    [
        ({1: 100.0, 2: 101.0}, 1),  # 1.01 times: no rise beyond what two measurements differ by
        ({1: 100.0, 2: 105.0, 4: 115.0}, 2),  # 1.05 times is enough for a second trial, 1.10 times not for four
        ({1: 100.0, 2: 190.0, 4: 200.0}, 2),
        ({1: 100.0, 2: 190.0, 4: 300.0, 8: 400.0}, 8),
        ({1: 100.0, 2: 80.0}, 1),
    ],
)
def test_trials_are_doubled_while_the_total_rises_enough(rates: dict[int, float], best: int) -> None:
    assert best_share(lambda trials: load(rates[trials])) == best


def test_memory_bounds_the_share() -> None:
    # 80% of 10 GiB hold two trials of 3 GiB, not four
    assert best_share(lambda trials: load(100.0 * trials, trial=3 * GIB, free=10 * GIB)) == 2
    assert best_share(lambda trials: load(100.0 * trials, trial=6 * GIB, free=10 * GIB)) == 1


def test_memory_is_what_was_free_before_any_trial_began() -> None:
    # 80% of 20 GiB hold four trials of 4 GiB; while two run, only 12 GiB are free, which would hold two
    assert best_share(lambda trials: load(100.0 * trials, trial=4 * GIB, free=(20 - 4 * (trials - 1)) * GIB)) == 4


def test_a_number_that_fails_is_not_taken() -> None:
    def measure(trials: int) -> Load:
        if trials == 4:
            raise ArchsearchError("out of memory")
        return load(100.0 * trials)

    assert best_share(measure) == 2


def tiny_job(device: str) -> dict[str, object]:
    spec = VARIANTS["shufflenet_v2_x0_5"].spec
    proxy = {"batch_size": 8, "epochs": 2, "validation_images": 16, "precision": "fp32"}
    latency = {
        "backend": "torch", "bursts": 2, "visits": 2, "runs_per_burst": 1, "spread_seconds": 0, "warmup_windows": 2,
        "warmup_runs": 1, "tolerance": 0.99, "budget_seconds": 600,
    }  # fmt: skip
    config = load_study("quickstart")
    config = config.model_copy(update={"proxy": ProxySettings(**proxy), "latency": LatencySettings(**latency)})
    job = job_of(spec, config, device=device, num_classes=4, input_size=32, train_images=8 * 20)
    return job | {"seconds": 0.05}


class SeenLease(DeviceLease):
    """A lease that says what it was held for."""

    def __init__(self, folder: Path) -> None:
        super().__init__("cpu", folder)
        self.held: str | None = None
        self.seen: list[str] = []

    @contextmanager
    def shared(self) -> Iterator[None]:
        with super().shared(), self.holding("shared"):
            yield

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with super().exclusive(), self.holding("exclusive"):
            yield

    @contextmanager
    def holding(self, how: str) -> Iterator[None]:
        self.held = how
        self.seen.append(how)
        yield
        self.held = None


def test_a_trial_s_work_is_training_scoring_and_measuring_in_its_proportions_and_under_the_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(float(seconds) for seconds in range(100))
    lease = SeenLease(tmp_path)
    duty = gpu_load.TrialDuty(tiny_job("cpu"), lease)
    steps = list[str | None]()
    real = duty._trainer.step
    monkeypatch.setattr(duty._trainer, "step", lambda *batch: (steps.append(lease.held), real(*batch))[1])
    monkeypatch.setattr(gpu_load.time, "perf_counter", lambda: next(clock))
    lease.seen.clear()
    done = duty.work(8.0)  # a second a round: the clock is read once when it begins, and once a round
    # A trial has two epochs of 20 steps, and two visits: one of each every 20 steps, the first after 10. Seven rounds
    # are 70 steps, with visits after 10, 30, 50 and 70 of them, and as many scorings.
    assert steps == ["shared"] * 70
    assert (done.images, done.visits, done.scored, done.seconds) == (560, 4, 4, 8.0)
    assert lease.seen.count("exclusive") == 4


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


def test_a_share_that_cannot_be_kept_is_taken_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "archsearch").write_text("a file where the folder would be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        "archsearch.search.sharing.measured_load", lambda _job, trials: load(100.0 * trials if trials < 4 else 200.0)
    )
    assert workers_per_gpu(tiny_job("cuda:0"), fingerprint="a") == 2
    assert "is not kept" in caplog.text


def test_a_process_that_was_killed_before_it_began_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    says_ready = "import os,sys,json; os.write(json.loads(sys.argv[1])['answer_to'], b'ready\\n')"
    real = subprocess.Popen

    def popen(command: list[str], **more: object) -> subprocess.Popen[str]:
        made = real([sys.executable, "-c", says_ready, command[-1]], **more)  # type: ignore[call-overload]
        made.wait()
        return made  # type: ignore[no-any-return]

    monkeypatch.setattr("archsearch.search.sharing.subprocess.Popen", popen)
    with pytest.raises(ArchsearchError, match="a trial on cpu failed"):
        measured_load(tiny_job("cpu"), 1)
