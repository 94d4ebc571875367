"""Who else used the device: from the text of /proc/stat, from lists of processes, and once for real."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from archsearch.latency import gpu
from archsearch.latency import watch as module
from archsearch.latency.gpu import GpuState
from archsearch.latency.lease import DeviceLease
from archsearch.latency.protocol import Conditions, measure_group
from archsearch.latency.settings import LatencySettings
from archsearch.latency.watch import CpuTime, DeviceWatch, cpu_time, is_archsearch

#          user nice system idle iowait irq softirq steal guest guest_nice
STAT = (
    "cpu  1000  50   200 8000    700   4      6    40   300          0\ncpu0 500 25 100 4000 350 2 3 20 150 0\nctxt 1\n"
)


def watched(device: str = "cpu", cpu: Iterable[CpuTime | None] = (), gpu: Iterable[GpuState] = ()) -> DeviceWatch:
    times, states = iter(cpu), iter(gpu)
    return DeviceWatch(
        device,
        read_cpu=lambda: next(times, None),
        read_gpu=lambda _: next(states),
        is_ours=lambda process: process in (1, 2),
    )


def visit(watch: DeviceWatch, times: int = 1) -> DeviceWatch:
    for _ in range(times):
        with watch.visit():
            pass
    return watch


def test_busy_time_is_all_but_idle_and_waiting_and_guests_count_once() -> None:
    # 1000 + 50 + 200 + 8000 + 700 + 4 + 6 + 40 = 10000 ticks, of them 8000 idle and 700 waiting; guests are in user.
    assert cpu_time(STAT, 2.5, 100) == CpuTime(total=100.0, busy=13.0, own=2.5)


@pytest.mark.parametrize("text", [None, "", "cpu  0 0 0 0 0 0 0 0 0 0\n", "intr 5\n", "cpu  1 2 3\n"])
def test_a_system_that_does_not_count_tells_nothing(text: str | None) -> None:
    assert cpu_time(text, 1.0, 100) is None


def test_the_share_of_others_is_what_this_process_did_not_use() -> None:
    # Two visits of one second on two cores. First: 1.5 s busy, 1.0 own. Second: 1.2 s busy, 1.0 own. 0.7 of 4 s.
    times = [
        CpuTime(total=100.0, busy=10.0, own=5.0),
        CpuTime(total=102.0, busy=11.5, own=6.0),
        CpuTime(total=110.0, busy=19.5, own=6.0),  # others were busy between the visits: of no concern
        CpuTime(total=112.0, busy=20.7, own=7.0),
    ]
    watch = visit(watched(cpu=times), 2)
    assert watch.foreign_cpu_share == pytest.approx(0.7 / 4)
    assert watch.disturbed  # 0.7 s is more than 10% of 4 s and the rounding of 4 ticks
    assert watch.state()["foreign_cpu_share"] == "0.175"


def test_a_quiet_machine_does_not_disturb() -> None:
    times = [CpuTime(total=100.0, busy=10.0, own=5.0), CpuTime(total=104.0, busy=11.3, own=6.0)]
    watch = visit(watched(cpu=times))
    assert watch.foreign_cpu_share == pytest.approx(0.075)
    assert not watch.disturbed


def test_rounding_of_the_counters_alone_does_not_disturb() -> None:
    # A visit of 50 ms on two cores: a tick of 10 ms is 10% of it.
    times = [CpuTime(total=100.0, busy=10.0, own=5.0), CpuTime(total=100.1, busy=10.07, own=5.052)]
    watch = visit(watched(cpu=times))
    assert watch.foreign_cpu_share == pytest.approx(0.18)
    assert not watch.disturbed


def test_a_share_is_never_negative_and_unknown_where_nothing_is_told() -> None:
    times = [CpuTime(total=100.0, busy=10.0, own=5.0), CpuTime(total=101.0, busy=10.5, own=5.6)]
    assert visit(watched(cpu=times)).foreign_cpu_share == 0.0
    unknown = visit(watched())
    assert unknown.foreign_cpu_share is None
    assert not unknown.disturbed
    assert "foreign_cpu_share" not in unknown.state()


def test_a_process_on_the_gpu_that_is_not_ours_disturbs_even_if_it_leaves_again() -> None:
    states = [
        GpuState(facts={"gpu_clocks.sm": "1200 MHz"}, processes=(1, 2, 77)),
        GpuState(facts={"gpu_clocks.sm": "1755 MHz"}, processes=(1, 2)),
    ]
    watch = visit(watched("cuda:0", gpu=states), 2)
    assert watch.disturbed
    state = watch.state()
    assert (state["gpu_clocks.sm"], state["gpu_processes"], state["gpu_foreign_processes"]) == ("1755 MHz", "2", "1")


def test_our_own_processes_on_the_gpu_wait_for_the_lease_and_do_not_disturb() -> None:
    watch = visit(watched("cuda:0", gpu=[GpuState(processes=(1, 2))]))
    assert not watch.disturbed
    assert watch.state()["gpu_foreign_processes"] == "0"


@pytest.mark.parametrize(("processes", "foreign"), [((), "0"), ((501,), "0"), ((501, 502), "unknown")])
def test_in_a_container_the_only_process_is_this_one_and_of_more_nothing_is_claimed(
    processes: tuple[int, ...], foreign: str
) -> None:
    watch = visit(watched("cuda:0", gpu=[GpuState(processes=processes)]))
    assert not watch.disturbed
    assert watch.state()["gpu_foreign_processes"] == foreign


def test_no_process_is_started_while_the_device_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without NVML the program nvidia-smi is asked, once a measurement, when the lease has been given back."""
    held, asked = [False], list[str]()

    @contextmanager
    def exclusive() -> Iterator[None]:
        held[0] = True
        yield
        held[0] = False

    def run(command: list[str], **_: object) -> SimpleNamespace:
        assert not held[0], f"{command[0]} was started while the device was held"
        asked.append(command[1])
        return SimpleNamespace(stdout="4711\n" if "apps" in command[1] else "")

    monkeypatch.setattr(gpu, "_gpu_id", lambda _: "GPU-0")
    monkeypatch.setattr(gpu, "_nvml", lambda: None)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("subprocess.run", run)
    runner = SimpleRunner()
    (latency,) = measure_group(
        (runner,),
        runner,
        LatencySettings(bursts=6, visits=3, runs_per_burst=2, spread_seconds=0.0),
        lease=SimpleNamespace(exclusive=exclusive),
        conditions=Conditions(
            reference="r", device="cuda:0", backend="cuda-graph", batch=8, threads=1, input_size=32, fingerprint="f"
        ),
        watch=DeviceWatch("cuda:0", read_cpu=lambda: None, is_ours=lambda process: process == 4711),
    )
    assert sorted(asked) == ["--query-compute-apps=pid", f"--query-gpu={','.join(gpu._QUERY.values())}"]
    assert latency.state["gpu_processes"] == "1"


class SimpleRunner:
    """A network that takes a tenth of a millisecond."""

    def __call__(self) -> None:
        time.sleep(1e-4)

    def synchronize(self) -> None:
        return

    def device_ms(self) -> float | None:
        return None

    def ready(self) -> AbstractContextManager[None]:
        return nullcontext()


def test_a_busy_cpu_is_recorded_beside_a_gpu_but_does_not_make_it_contended() -> None:
    times = [CpuTime(total=100.0, busy=10.0, own=5.0), CpuTime(total=102.0, busy=12.0, own=5.0)]
    watch = visit(watched("cuda", cpu=times, gpu=[GpuState()]))
    assert watch.state()["foreign_cpu_share"] == "1.000"
    assert "gpu_processes" not in watch.state()
    assert not watch.disturbed


def test_archsearch_is_known_by_its_command_line(tmp_path: Path) -> None:
    assert is_archsearch(os.getpid())
    wait = "import sys; print(flush=True); sys.stdin.read()"
    program = tmp_path / "archsearch"
    program.write_text(wait)
    folder = tmp_path / "archsearch-work"
    folder.mkdir()
    (folder / "other.py").write_text(wait)
    for path, ours in ((program, True), (folder / "other.py", False)):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen([sys.executable, str(path)], **pipes) as process:
            process.stdout.readline()
            assert is_archsearch(process.pid) is ours
            process.communicate()
    assert not is_archsearch(process.pid)  # it has ended


@pytest.mark.skipif(module._read_cpu() is None, reason="this system does not tell the time that its cores were busy")
def test_another_process_at_work_is_seen_and_a_worker_that_waits_for_the_lease_is_not(tmp_path: Path) -> None:
    def used_while(source: str) -> float:
        """Seconds of CPU that a process of this source used within a visit, of which the watch must have seen all."""
        with subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            before = _ticks_of(process.pid)
            watch = DeviceWatch("cpu")
            with watch.visit():
                time.sleep(0.5)
            used = _ticks_of(process.pid) - before
            process.kill()
        seconds = used / module._ticks_per_second()
        assert watch._foreign >= seconds - 0.05  # counters of two files, each rounded to ticks
        assert watch.foreign_cpu_share is not None
        assert watch.foreign_cpu_share <= 1.0
        return seconds

    lease = DeviceLease("cpu", tmp_path / "lease")
    waiting = (
        "from pathlib import Path; from archsearch.latency.lease import DeviceLease; print(flush=True)\n"
        f"with DeviceLease('cpu', Path({str(lease.folder)!r})).shared(): pass"
    )
    with lease.exclusive():
        assert used_while(waiting) <= 0.05
    assert used_while("print(flush=True)\nwhile True: pass") > 0.05


def _ticks_of(process: int) -> int:
    """proc_pid_stat(5): utime and stime are fields 14 and 15; the name before may hold blanks."""
    after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(after_name[11]) + int(after_name[12])
