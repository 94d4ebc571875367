"""The device lease between real processes. No test asserts a time; waiting is by files and with generous limits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from archsearch.errors import MeasurementError
from archsearch.latency import lease as lease_module
from archsearch.latency.lease import DeviceLease, device_key, lease_folder

pytestmark = pytest.mark.skipif(lease_module.fcntl is None, reason="the lease needs fcntl")

LIMIT_SECONDS = 20.0
Start = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "lease"


@pytest.fixture
def start(folder: Path, tmp_path: Path) -> Iterator[Start]:
    """Start a process that has `lease`, `mark(name)` (makes a file) and `wait_for(name)`; all end with the test."""
    processes: list[subprocess.Popen[bytes]] = []
    prelude = f"""
        import time
        from pathlib import Path
        from archsearch.latency.lease import DeviceLease
        lease = DeviceLease("cpu", Path({str(folder)!r}))
        marks = Path({str(tmp_path)!r})
        mark = lambda name: (marks / name).touch()
        def wait_for(name):
            while not (marks / name).exists():
                time.sleep(0.002)
    """

    def launch(code: str) -> subprocess.Popen[bytes]:
        text = textwrap.dedent(prelude) + textwrap.dedent(code)
        processes.append(subprocess.Popen([sys.executable, "-c", text]))
        return processes[-1]

    yield launch
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()


def appears(path: Path, within: float = LIMIT_SECONDS) -> bool:
    until = time.monotonic() + within
    while time.monotonic() < until:
        if path.exists():
            return True
        time.sleep(0.002)
    return path.exists()


def test_a_measurement_waits_for_the_running_chunk_and_new_chunks_wait_for_it(start: Start, tmp_path: Path) -> None:
    start("with lease.shared():\n    mark('chunk_1')\n    wait_for('end_chunk_1')\nmark('chunk_1_over')")
    assert appears(tmp_path / "chunk_1")
    start("mark('writer_asks')\nwith lease.exclusive():\n    mark('writer')\n    wait_for('end_writer')")
    assert appears(tmp_path / "writer_asks")
    time.sleep(0.3)  # the writer now waits with the gate in its hand
    start("mark('reader_asks')\nwith lease.shared():\n    mark('chunk_2')")
    assert appears(tmp_path / "reader_asks")
    assert not appears(tmp_path / "writer", within=0.3)
    assert not (tmp_path / "chunk_2").exists()
    (tmp_path / "end_chunk_1").touch()
    assert appears(tmp_path / "writer")
    assert not appears(tmp_path / "chunk_2", within=0.3)
    (tmp_path / "end_writer").touch()
    assert appears(tmp_path / "chunk_2")


def test_chunks_of_several_processes_run_side_by_side(start: Start, tmp_path: Path) -> None:
    start("with lease.shared():\n    mark('a')\n    wait_for('b')\nmark('a_over')")
    start("with lease.shared():\n    mark('b')\n    wait_for('a')\nmark('b_over')")
    assert appears(tmp_path / "a_over")
    assert appears(tmp_path / "b_over")


@pytest.mark.parametrize("chunk_seconds", [0.0, 0.01])
def test_three_processes_in_a_tight_loop_never_starve_a_measurement(
    start: Start, tmp_path: Path, folder: Path, chunk_seconds: float
) -> None:
    loop = """
        count = 0
        while not (marks / 'stop').exists():
            with lease.shared():
                time.sleep({seconds}) if {seconds} else None
            count += 1
            if count == 10:
                mark('looping_{index}')
        mark('stopped_{index}')
    """
    for index in range(3):
        start(loop.format(seconds=chunk_seconds, index=index))
    assert all(appears(tmp_path / f"looping_{index}") for index in range(3))
    entered: list[int] = []

    def measure_often() -> None:
        lease = DeviceLease("cpu", folder)
        for visit in range(20):
            with lease.exclusive():
                entered.append(visit)

    thread = threading.Thread(target=measure_often, daemon=True)
    thread.start()
    thread.join(LIMIT_SECONDS)
    (tmp_path / "stop").touch()
    assert entered == list(range(20))
    assert all(appears(tmp_path / f"stopped_{index}") for index in range(3)), "nor do measurements starve chunks"


@pytest.mark.parametrize("how", ["shared", "exclusive"])
@pytest.mark.parametrize("then", ["shared", "exclusive"])
def test_a_killed_holder_never_blocks_the_rest(start: Start, tmp_path: Path, how: str, then: str) -> None:
    holder = start(f"with lease.{how}():\n    mark('held')\n    time.sleep(600)")
    assert appears(tmp_path / "held")
    start(f"with lease.{then}():\n    mark('next')")
    if (how, then) != ("shared", "shared"):
        assert not appears(tmp_path / "next", within=0.4)
    holder.send_signal(signal.SIGKILL)
    assert appears(tmp_path / "next")


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the system does not list its locks")
def test_a_long_wait_names_the_process_that_holds_the_device_and_that_it_is_stopped(
    start: Start, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    holder = start("with lease.exclusive():\n    mark('held')\n    time.sleep(60)")
    assert appears(tmp_path / "held")
    os.kill(holder.pid, signal.SIGSTOP)
    monkeypatch.setattr(lease_module, "_LONG_WAIT_SECONDS", 0.1)
    entered = threading.Event()

    def measure() -> None:
        with DeviceLease("cpu", folder).exclusive():
            entered.set()

    waiting = threading.Thread(target=measure, daemon=True)
    waiting.start()
    until = time.monotonic() + LIMIT_SECONDS
    while not caplog.messages and time.monotonic() < until:
        time.sleep(0.01)
    told = caplog.messages
    holder.kill()
    assert entered.wait(LIMIT_SECONDS)
    waiting.join(LIMIT_SECONDS)
    stopped = f"process {holder.pid} (stopped: `kill -CONT {holder.pid}` lets it go on)"
    assert told == [f"waiting for the device 'cpu' for 0 s: it is held by {stopped}"]


def test_a_killed_waiting_measurement_gives_the_gate_back(start: Start, tmp_path: Path) -> None:
    start("with lease.shared():\n    mark('chunk')\n    wait_for('end_chunk')")
    assert appears(tmp_path / "chunk")
    waiting = start("mark('asks')\nwith lease.exclusive():\n    mark('writer')")
    assert appears(tmp_path / "asks")
    time.sleep(0.3)
    waiting.send_signal(signal.SIGKILL)
    start("with lease.shared():\n    mark('other_chunk')")
    assert appears(tmp_path / "other_chunk")
    assert not (tmp_path / "writer").exists()


def test_two_measurements_never_overlap(start: Start, tmp_path: Path) -> None:
    # Each writes begin and end lines into one file; held alone, they come in pairs.
    code = """
        wait_for('go')
        for _ in range(100):
            with lease.exclusive():
                with open(marks / 'log', 'a') as log:
                    log.write('begin {name}\\n')
                    log.flush()
                    time.sleep(0.0005)
                    log.write('end {name}\\n')
        mark('done_{name}')
    """
    start(code.format(name="a"))
    start(code.format(name="b"))
    (tmp_path / "go").touch()
    assert appears(tmp_path / "done_a")
    assert appears(tmp_path / "done_b")
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 400
    for begin, end in zip(lines[::2], lines[1::2], strict=True):
        assert begin.startswith("begin")
        assert end == begin.replace("begin", "end")


def test_threads_of_one_process_exclude_each_other(folder: Path) -> None:
    lease, entered = DeviceLease("cpu", folder), threading.Event()

    def measure() -> None:
        with DeviceLease("cpu", folder).exclusive():
            entered.set()

    with lease.shared():
        thread = threading.Thread(target=measure, daemon=True)
        thread.start()
        assert not entered.wait(0.3)
    assert entered.wait(LIMIT_SECONDS)
    thread.join(LIMIT_SECONDS)


def test_the_same_thread_may_enter_again_but_not_measure_within_a_chunk(
    folder: Path, start: Start, tmp_path: Path
) -> None:
    lease, same = DeviceLease("cpu", folder), DeviceLease("cpu", folder)
    with lease.exclusive(), same.exclusive(), same.shared():
        pass
    with lease.shared(), same.shared():
        pass
    with lease.shared(), pytest.raises(RuntimeError, match="would wait for itself"), same.exclusive():
        pass
    start("with lease.exclusive():\n    mark('free_again')")
    assert appears(tmp_path / "free_again")


def test_an_error_within_the_lease_releases_it(folder: Path, start: Start, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), DeviceLease("cpu", folder).exclusive():
        _ = 1 / 0
    start("with lease.exclusive():\n    mark('free')")
    assert appears(tmp_path / "free")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_keep_the_lease_of_a_killed_parent(start: Start, tmp_path: Path) -> None:
    # A child that forks within the lease and lives on, as a data loader's worker would.
    parent = start(
        """
        import os
        with lease.exclusive():
            if os.fork() == 0:
                mark('child')
                wait_for('end_child')
                os._exit(0)
            wait_for('child')
            mark('held')
            time.sleep(600)
        """
    )
    assert appears(tmp_path / "held")
    parent.send_signal(signal.SIGKILL)
    start("with lease.exclusive():\n    mark('next')")
    assert appears(tmp_path / "next")
    (tmp_path / "end_child").touch()


def test_devices_have_leases_of_their_own(folder: Path) -> None:
    with DeviceLease("cpu", folder).exclusive(), DeviceLease("gpu-0", folder).exclusive():
        assert {path.name for path in folder.iterdir()} == {"cpu.gate", "cpu.room", "gpu-0.gate", "gpu-0.room"}
    assert device_key("cpu") == "cpu"


def test_a_removed_lock_file_is_noticed_by_who_waited_on_it(folder: Path) -> None:
    lease, entered = DeviceLease("cpu", folder), threading.Event()

    def measure() -> None:
        with lease.exclusive():
            entered.set()

    with lease.exclusive():
        thread = threading.Thread(target=measure, daemon=True)
        thread.start()
        assert not entered.wait(0.3)
        (folder / "cpu.gate").unlink()
    assert entered.wait(LIMIT_SECONDS)
    thread.join(LIMIT_SECONDS)
    assert (folder / "cpu.gate").exists(), "the waiter took the file that others will open"


@pytest.mark.parametrize("how", ["shared", "exclusive"])
def test_a_removed_folder_is_made_again_for_its_owner_alone(folder: Path, how: str) -> None:
    lease = DeviceLease("cpu", folder)
    folder.rmdir()
    with getattr(lease, how)():
        assert {path.name for path in folder.iterdir()} == {"cpu.gate", "cpu.room"}
        assert folder.stat().st_mode & 0o777 == 0o700


def test_the_folder_is_private_and_belongs_to_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    lease = DeviceLease("cpu")
    assert lease.folder == lease_folder() == tmp_path / "archsearch"
    assert lease.folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_for_temporary_files_of_one_job_or_of_all_machines_holds_no_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # it is looked for anew
    monkeypatch.setattr(os, "getuid", lambda: 987654321)  # who has no session
    assert lease_folder() == Path("/tmp/archsearch-987654321")


@pytest.mark.parametrize("how", ["shared", "exclusive"])
def test_the_lease_is_where_others_look_when_the_runtime_folder_comes_or_goes_with_a_session(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = iter(("run", "tmp", "run"))  # logged in, logged out, logged in again
    monkeypatch.setattr(lease_module, "lease_folder", lambda: tmp_path / place)
    place = next(places)
    lease = DeviceLease("cpu")
    for place in places:
        with getattr(lease, how)():
            assert (tmp_path / place / "cpu.room").exists()
            other = DeviceLease("cpu")
            assert other.folder == lease.folder == tmp_path / place


def test_who_waits_when_the_runtime_folder_goes_is_not_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, entered = "run", threading.Event()

    def folder_now() -> Path:
        return tmp_path / place

    monkeypatch.setattr(lease_module, "lease_folder", folder_now)
    lease = DeviceLease("cpu")

    def measure() -> None:
        with lease.exclusive():
            entered.set()

    with lease.exclusive():
        thread = threading.Thread(target=measure, daemon=True)
        thread.start()
        assert not entered.wait(0.3)
        place = "tmp"
        (tmp_path / "run").rename(tmp_path / "gone")
        (tmp_path / "run").touch()  # nothing can be made there again
    assert entered.wait(LIMIT_SECONDS)
    thread.join(LIMIT_SECONDS)
    assert (tmp_path / "tmp" / "cpu.gate").exists()


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MeasurementError, match="not a folder of yours"):
        DeviceLease("cpu", tmp_path / "link")


def test_a_system_without_file_locks_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "fcntl", None)
    with pytest.raises(MeasurementError, match="measure without a lease"):
        DeviceLease("cpu", tmp_path)
