"""Many workers, several coordinators, and everything that can be killed is: exactly the trials that were asked for.

Each coordinator stands for one machine: it is the same command in a folder of its own on one database.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from archsearch.analysis.objectives import is_complete
from archsearch.api.study import Study, open_study
from archsearch.host import usable_cores
from archsearch.records import TrialStatus
from archsearch.store.claims import MAX_ATTEMPTS
from archsearch.store.database import Database
from archsearch.store.trials import load_records

STUDY = """
name: chaos
space: shufflenet_v2
dataset: digits
trials: {trials}
sampler: random
fixed: {{width: 0.5}}
scale: {{stem.stride: 2, stem.pool: true}}
variants: [shufflenet_v2_x0_5]
reference: shufflenet_v2_x0_5
proxy: {{epochs: 1, batch_size: 32, train_images: 64, validation_images: 40}}
constraints: {{guidelines: "off"}}
latency: {{backend: torch-eager, bursts: 2, visits: 1, runs_per_burst: 2, spread_seconds: 0, budget_seconds: 2,
  warmup_runs: 2, warmup_windows: 2, tolerance: 0.9, repeat_every: 2, remeasure: 0}}
"""
TIMEOUT_SECONDS = 1800.0
# A trial whose worker was killed before Optuna had numbered it has nothing to tell.
UNTOLD = "select count(*) from archsearch_trials where not told and number is not null"
WORKERS_EACH = min(2, usable_cores())  # more workers than cores are refused


@dataclass
class Machine:
    """A coordinator in a folder of its own; `prefix` puts it into a network of its own."""

    folder: Path
    url: str
    trials: int
    workers: int = WORKERS_EACH
    prefix: Sequence[str] = ()
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "chaos.yaml").write_text(STUDY.format(trials=self.trials))
        command = [*self.prefix, sys.executable, "-m", "archsearch.cli.main", "run", "--study", "./chaos.yaml"]
        with (self.folder / "said").open("ab") as said:
            self.process = subprocess.Popen(
                [*command, "--device", "cpu", "--workers", str(self.workers), "--storage", self.url],
                cwd=self.folder,
                stdout=said,
                stderr=said,
                env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"},
            )

    @property
    def said(self) -> str:
        return (self.folder / "said").read_text()

    @property
    def logs(self) -> str:
        return "".join(log.read_text() for log in sorted(self.folder.rglob("worker-*.log")))


@dataclass(frozen=True)
class Trials:
    """What the database says now, or nothing while it is away."""

    url: str

    def rows(self, query: str) -> list[Any]:
        try:
            database = Database(self.url, create=False)
            try:
                with database.reading() as session:
                    return list(session.execute(text(query)).all())
            finally:
                database.close()
        except Exception:  # noqa: BLE001 (it is being made, or restarted by this very test)
            return []

    def ended(self) -> int:
        found = self.rows("select count(*) from archsearch_trials where status in ('complete', 'failed')")
        return int(found[0][0]) if found else -1

    def doomed(self) -> set[int]:
        """Process ids of workers at choices that fail when their worker is killed once more."""
        query = (
            "select w.pid from archsearch_workers w join archsearch_trials t on t.worker_id = w.id "
            f"where t.status = 'running' and t.attempt >= {MAX_ATTEMPTS}"
        )
        return {int(pid) for (pid,) in self.rows(query)}


def workers_of(machines: Sequence[Machine]) -> list[int]:
    """Process ids of the worker processes that run now: the children of the coordinators."""
    coordinators = {machine.process.pid for machine in machines}
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            fields = stat.read_text().rsplit(")", 1)[1].split()
            if int(fields[1]) in coordinators and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return sorted(found)


def run_with_kills(
    machines: Sequence[Machine],
    url: str,
    *,
    total: int,
    kills: int,
    restart: Callable[[], None] | None = None,
    restarts: int = 0,
    seed: int = 0,
) -> list[float]:
    """Run all machines to their end; at random moments a worker is killed, or the server is restarted.

    The moments are numbers of ended trials, so that all of them come however fast the machine is. Returns when each
    kill came, as a number of ended trials.
    """
    chance = random.Random(seed)
    moments = sorted(
        [(chance.uniform(1, 0.9 * total), "kill") for _ in range(kills)]
        + [(total * (number + 1) / (restarts + 2), "restart") for number in range(restarts)]
    )
    trials, killed = Trials(url), []
    for machine in machines:
        machine.start()
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while any(machine.process.poll() is None for machine in machines):
        assert time.monotonic() < deadline, f"not at an end: {[machine.said[-500:] for machine in machines]}"
        time.sleep(chance.uniform(0.02, 0.3))
        ended = trials.ended()
        if not moments or ended < moments[0][0]:
            continue
        if moments[0][1] == "restart":
            assert restart is not None
            restart()
            moments.pop(0)
        elif running := sorted(set(workers_of(machines)) - trials.doomed()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(running), signal.SIGKILL)
                killed.append(ended)
                moments.pop(0)
    assert not moments, f"the run ended before all of it had happened: {moments}"
    return killed


@contextlib.contextmanager
def no_process_left(machines: Sequence[Machine]) -> Iterator[None]:
    try:
        yield
    finally:
        for machine in machines:
            if hasattr(machine, "process") and machine.process.poll() is None:
                machine.process.kill()
            if hasattr(machine, "process"):
                machine.process.wait()


def check_whole(url: str, total: int) -> Study:
    """Exactly `total` finished trials, none twice, none running in either set of tables, every record full."""
    import optuna

    study = open_study("chaos", storage=url)
    database = Database(url, create=False)
    try:
        records = load_records(database, study.info.id, with_curves=True)
    finally:
        database.close()
    finished = [record for record in records if record.status in (TrialStatus.COMPLETE, TrialStatus.FAILED)]
    assert [record.reason for record in finished if record.status is TrialStatus.FAILED] == []
    assert len(finished) == total
    assert study.counts["complete"] == total
    assert study.counts.get("running", 0) == 0
    assert len({record.arch_id for record in finished}) == total
    for record in finished:
        assert is_complete(record)
        assert record.suggested and record.choices and record.seconds
        assert record.score.epochs == 1 == len(record.score.curve)
        assert record.score.train_images == 64
        assert 0.0 < record.latency.p10_ms <= record.latency.median_ms <= record.latency.p90_ms
        assert record.cost.params > 0
    database = Database(url, create=False)
    try:
        with database.reading() as session:
            twice = session.execute(
                text("select arch_id, count(*) from archsearch_trainings group by arch_id, seed having count(*) > 1")
            ).all()
            assert twice == []
            assert session.execute(text(UNTOLD)).scalar() == 0
    finally:
        database.close()

    known = optuna.load_study(study_name="chaos", storage=database.url).get_trials(deepcopy=False)
    assert not {"RUNNING", "WAITING"} & {trial.state.name for trial in known}
    assert [trial.number for trial in known] == list(range(len(known)))
    told = {trial.number: trial for trial in known if trial.state.name == "COMPLETE"}
    for record in finished:
        assert told[record.trial].values == [record.error_percent, record.latency.corrected_ms]
        assert dict(told[record.trial].params) == dict(record.suggested)
    return study


def machines_on(url: str, folder: Path, *, workers: int, trials: int) -> list[Machine]:
    each = [min(WORKERS_EACH, workers - begun) for begun in range(0, workers, WORKERS_EACH)]
    return [Machine(folder / f"machine-{number}", url, trials, workers=count) for number, count in enumerate(each)]


def check_ends(machines: Sequence[Machine]) -> None:
    for machine in machines:
        assert machine.process.returncode == 0, machine.said
        assert "Traceback" not in machine.said
        assert "database is locked" not in machine.said + machine.logs


SIZES = [
    pytest.param(2, 8, 2, 1, id="small"),
    pytest.param(8, 200, 30, 2, id="large", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("workers", "trials", "kills", "_restarts"), SIZES)
def test_killed_workers_on_sqlite(tmp_path: Path, workers: int, trials: int, kills: int, _restarts: int) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    machines = machines_on(url, tmp_path, workers=workers, trials=trials)
    with no_process_left(machines):
        killed = run_with_kills(machines, url, total=trials, kills=kills)
    assert len(killed) == kills
    check_ends(machines)
    study = check_whole(url, trials)
    print(f"{workers} workers, killed at {killed}: {dict(study.counts)}")


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "trials", "kills", "restarts"), SIZES)
def test_killed_workers_and_a_server_that_restarts(
    tmp_path: Path,
    new_postgres: Callable[..., Any],
    workers: int,
    trials: int,
    kills: int,
    restarts: int,
    two_networks: list[tuple[str, str]],
) -> None:
    server = new_postgres(listen=",".join(address for address, _ in two_networks))
    url = server.new_database()
    machines = machines_on(url, tmp_path, workers=workers, trials=trials)
    for number, machine in enumerate(machines):  # every other machine in each network
        if two_networks:
            address, name = two_networks[number % 2]
            machine.url = re.sub(r"@[^:]+:", f"@{address}:", url)
            machine.prefix = ("ip", "netns", "exec", name)

    def restart() -> None:
        server.stop("fast" if chance.random() < 0.5 else "immediate")
        time.sleep(2.0)
        server.start()

    chance = random.Random(1)
    with no_process_left(machines):
        killed = run_with_kills(machines, url, total=trials, kills=kills, restart=restart, restarts=restarts)
    assert len(killed) == kills
    check_ends(machines)
    study = check_whole(url, trials)
    print(f"{workers} workers in {len(two_networks) or 1} networks, killed at {killed}: {dict(study.counts)}")


@pytest.fixture
def two_networks() -> Iterator[list[tuple[str, str]]]:
    """(address of this host as seen from it, name) of two network namespaces; none where they cannot be made."""
    made: list[tuple[str, str]] = []

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        for number in (1, 2):
            name, link = f"archsearch{os.getpid()}-{number}", f"as{os.getpid() % 100000}h{number}"
            here, there = f"10.231.{number}.1", f"10.231.{number}.2"
            ip("netns", "add", name)
            made.append((here, name))
            ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("address", "add", f"{here}/30", "dev", link)
            ip("link", "set", link, "up")
            ip("-n", name, "address", "add", f"{there}/30", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
    whole = len(made) == 2 and subprocess.run(
        ["ip", "-n", made[1][1], "-o", "address", "show", "dev", "eth0"], capture_output=True, text=True, check=False
    ).stdout.count("10.231.2.2")
    yield made if whole else []
    for _, name in made:
        subprocess.run(["ip", "netns", "delete", name], check=False, stdout=subprocess.DEVNULL)
