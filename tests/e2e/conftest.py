"""One small study, run once by a real process; each test works on a copy of its folder."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from archsearch.api.study import Study, open_study
from archsearch.errors import ArchsearchError
from archsearch.files import locked
from archsearch.search.estimate import Estimate
from archsearch.store.database import Database
from archsearch.store.workers import process_start

STUDY = """
name: tiny
space: shufflenet_v2
dataset: npz:{data}
trials: {trials}
workers: {workers}
sampler: random
fixed: {{width: 0.5}}
scale: {{stem.stride: 2, stem.pool: true}}
variants: [shufflenet_v2_x0_5]
reference: shufflenet_v2_x0_5
proxy: {{epochs: 1, batch_size: 32, train_images: 64, validation_images: 40}}
latency: {{bursts: 2, visits: {visits}, runs_per_burst: 2, spread_seconds: {spread}, budget_seconds: 4,
  warmup_windows: 2, tolerance: 0.9, repeat_every: 2, remeasure: 0}}
"""
NOT_TIMED = Estimate(basis="not timed here", others=3, other_seconds=1.0)
TIMEOUT_SECONDS = 400.0  # until a test gives up; no test says how long anything takes


@contextmanager
def _killed_at_the_end(process: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@dataclass(frozen=True)
class Workplace:
    """A folder with `tiny.yaml` in which commands are typed."""

    folder: Path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "archsearch.cli.main", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"},
            # A test run in the background of a script ignores Ctrl-C, and its children would inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (no threads here)
        )

    def type_anew(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command in a process of its own."""
        process = self.start(*arguments)
        with _killed_at_the_end(process):
            out, err = process.communicate(timeout=TIMEOUT_SECONDS)
        assert "Traceback" not in out + err
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def type(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The same in this process, which has imported torch already; the workers that it starts are processes.

        No network is timed for an estimate, which takes five seconds: `start` and `type_anew` do time them.
        """
        from archsearch.cli.console import console, error_console
        from archsearch.cli.main import main

        out, err, code = io.StringIO(), io.StringIO(), 0
        with (
            contextlib.chdir(self.folder),
            mock.patch.dict(os.environ, {"OMP_NUM_THREADS": "1", "COLUMNS": "120"}),
            mock.patch.object(sys, "argv", ["archsearch", *arguments]),
            mock.patch.object(console, "_width", 120),
            mock.patch.object(error_console, "_width", 120),
            mock.patch("archsearch.api.run.timed_estimate", return_value=NOT_TIMED),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                main()
            except SystemExit as ended:
                code = int(ended.code or 0)
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    @property
    def storage(self) -> str:
        return f"sqlite:///{self.folder / 'runs' / 'archsearch.db'}"

    def study(self) -> Study:
        return open_study("tiny", storage=self.storage)

    def counts(self) -> dict[str, int]:
        """Trials by status; empty while there is no study yet."""
        try:
            return dict(self.study().counts)
        except Exception:  # noqa: BLE001 (another process is just making the database)
            return {}

    def workers(self) -> dict[int, str]:
        """Process ids and start times of the worker processes that the database knows."""
        from sqlalchemy import text

        database = Database(self.storage, create=False)
        try:
            with database.reading() as session:
                rows = session.execute(text("select pid, process_start from archsearch_workers")).all()
            return {int(pid): str(start) for pid, start in rows}
        finally:
            database.close()

    def optuna_states(self) -> list[str]:
        import optuna

        found = optuna.load_study(study_name="tiny", storage=self.storage)
        return [trial.state.name for trial in found.get_trials(deepcopy=False)]


def wait_until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.2)  # each look opens the database, and takes time from what it waits for


def is_alive(pid: int, started: str) -> bool:
    return process_start(pid) == started


@pytest.fixture(autouse=True)
def curves_are_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """No browser is started for the learning curves of every retraining; fixtures of a file start one."""

    def missing(*_: object, **__: object) -> None:
        raise ArchsearchError("png: not in this test")

    monkeypatch.setattr("archsearch.api.retrain.write_png", missing)


@pytest.fixture(scope="session")
def tiny_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four classes of 32x32 noise around a colour of their own."""
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for split, number in (("train", 160), ("test", 48)):
        labels = np.arange(number) % 4
        colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [120, 120, 120]])[labels]
        images = colours[:, None, None, :] + generator.integers(-40, 40, (number, 32, 32, 3))
        np.savez(folder / f"{split}.npz", images=images.astype(np.uint8), labels=labels)
    return folder


@pytest.fixture(scope="session")
def new_workplace(tmp_path_factory: pytest.TempPathFactory, tiny_images: Path) -> Callable[..., Workplace]:
    def make(*, trials: int = 3, workers: int = 1, spread: float = 0.0) -> Workplace:
        folder = tmp_path_factory.mktemp("workplace")
        text = STUDY.format(data=tiny_images, trials=trials, workers=workers, spread=spread, visits=2 if spread else 1)
        (folder / "tiny.yaml").write_text(text)
        return Workplace(folder)

    return make


@pytest.fixture(scope="session")
def first_run(
    new_workplace: Callable[..., Workplace], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workplace, subprocess.CompletedProcess[str]]:
    """Whichever of pytest's processes needs it first runs it; each has a copy, so that nobody opens what is copied."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    told = shared / "first_run.json"
    with locked(shared / "first_run.lock"):
        if not told.exists():
            workplace = new_workplace()
            done = workplace.type_anew("run", "--study", "./tiny.yaml", "--device", "cpu")
            told.write_text(json.dumps([str(workplace.folder), done.args, done.returncode, done.stdout, done.stderr]))
        folder, *ended = json.loads(told.read_text())
        shutil.copytree(folder, own / "first_run")
    return Workplace(own / "first_run"), subprocess.CompletedProcess(*ended)


@pytest.fixture
def finished(first_run: tuple[Workplace, object], tmp_path: Path) -> Workplace:
    """A copy of the folder in which the study was run to its total."""
    shutil.copytree(first_run[0].folder, tmp_path / "copy")
    return Workplace(tmp_path / "copy")


@pytest.fixture(scope="module")
def shared_finished(first_run: tuple[Workplace, object], tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """One copy for all tests of a file."""
    folder = tmp_path_factory.mktemp("shared") / "copy"
    shutil.copytree(first_run[0].folder, folder)
    return Workplace(folder)


@pytest.fixture
def in_the_folder(shared_finished: Workplace, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in the file's copy; a command run in this process may set torch's threads."""
    monkeypatch.chdir(shared_finished.folder)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def watched() -> Callable[[subprocess.Popen[str]], object]:
    """`with watched(process):` leaves no process behind, whatever the test finds."""
    return _killed_at_the_end


@pytest.fixture
def wait() -> Callable[[Callable[[], bool], str], None]:
    return wait_until


@pytest.fixture
def alive() -> Callable[[int, str], bool]:
    return is_alive
