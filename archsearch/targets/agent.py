"""The part of archsearch that runs on the board. The host sends this file down the connection, each time anew.

It needs Python 3.9, numpy and onnxruntime there, writes no file, and opens no port. Requests come on standard input,
answers go to standard output: one JSON object on a line each, and after a request that says `bytes` so many bytes.
The newest models stay in memory. While runs are timed a lock is held, so that two hosts take turns.
"""

from __future__ import annotations

import ctypes
import gc
import hashlib
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MARK, LONGEST_LINE, MOST_BYTES = "archsearch-agent", 2**20, 2**29
COPIED_BYTES, COPIES = 16 * 2**20, 4  # as archsearch/latency/network.py
CPUS, CLASSES = Path("/sys/devices/system/cpu"), Path("/sys/class")


def read(path: Path | str, longest: int = 400, *, end: bool = False) -> str:
    """The text of a small file, or the end of a longer one; "" where there is none."""
    try:
        with Path(path).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - longest) if end else 0)
            return file.read(longest).decode("utf-8", "replace").strip("\0 \n\t")
    except OSError:
        return ""


def plain(text: str) -> str:
    """A text of printable characters, and not long: nothing else is taken by the host."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:400]


def number(text: str) -> int | None:
    """An integer, or None."""
    return int(text) if text.removeprefix("-").isdecimal() else None


def cores() -> list[int]:
    """Numbers of the CPU cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def capacities() -> dict[int, int]:
    """What each core can do, by the kernel's measure (1024: the fastest kind); 0 where it is not told."""
    return {core: number(read(CPUS / f"cpu{core}/cpu_capacity")) or 0 for core in cores()}


def facts() -> dict[str, str]:
    """What the board is: none of it changes while it runs, but somebody may set the governor."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it would write an identifier into the user's home, and send
    import numpy
    import onnxruntime

    lines = [line.partition(":") for line in read("/proc/cpuinfo", 200_000).splitlines()]
    named = {key.strip(): value.strip() for key, _, value in reversed(lines)}
    memory = [line.split()[1] for line in read("/proc/meminfo", 200).splitlines() if line.startswith("MemTotal")]
    machine = read("/etc/machine-id") or read("/proc/device-tree/serial-number")
    told = {
        "machine_id": hashlib.sha256(("archsearch" + machine).encode()).hexdigest()[:12] if machine else "",
        "boot_id": read("/proc/sys/kernel/random/boot_id"), "board": read("/proc/device-tree/model"),
        "cpu": named.get("model name", "") or named.get("Hardware", ""), "cores": str(len(cores())),
        "cpu_parts": ",".join(sorted({value.strip() for key, _, value in lines if key.strip() == "CPU part"})),
        "capacities": ",".join(str(value) for value in sorted(set(capacities().values())) if value),
        "governor": state()["governor"], "memory_kib": memory[0] if memory else "",
        "system": platform.system(), "machine": platform.machine(), "kernel": platform.release(),
        "python": platform.python_version(), "numpy": numpy.__version__, "onnxruntime": onnxruntime.__version__,
    }  # fmt: skip
    return {name: plain(text) for name, text in told.items()}


def vcgencmd(question: str) -> str:
    """What a Raspberry Pi's firmware says; "" on other boards."""
    if not shutil.which("vcgencmd"):
        return ""
    return subprocess.run(["vcgencmd", question], capture_output=True, text=True, timeout=5, check=False).stdout


def counters() -> dict[str, float]:
    """Energy so far by rail (microjoules): RAPL, where the kernel lets this user read it."""
    zones = {zone: number(read(zone / "energy_uj")) for zone in sorted(CLASSES.glob("powercap/intel-rapl:[0-9]"))}
    return {plain(read(zone / "name")): value for zone, value in zones.items() if value is not None}


def powers() -> dict[str, float]:
    """Power now by rail (watts): INA sensors (Jetson), a Raspberry Pi 5's regulators, a meter's file."""
    found: dict[str, float] = {}
    for volts in sorted(CLASSES.glob("hwmon/*/in[0-9]_input")):
        label = plain(read(volts.with_name(volts.name.replace("_input", "_label"))))
        milli = number(read(volts)), number(read(volts.with_name(volts.name.replace("in", "curr", 1))))
        if label and None not in milli:
            found[label] = milli[0] * milli[1] / 1e6  # type: ignore[operator]
    rails = {name: float(text) for name, text in re.findall(r"(\S+_[AV]) .+=([\d.]+)", vcgencmd("pmic_read_adc"))}
    found |= {name[:-2]: amps * rails.get(f"{name[:-1]}V", 0.0) for name, amps in rails.items() if name[-2:] == "_A"}
    meter = re.search(r"(\d+\.?\d*)\s+(\d+\.?\d*)$", read(os.environ.get("ARCHSEARCH_WATTS", ""), end=True))
    if meter and abs(time.time() - float(meter[1])) < 2.0:  # seconds old at most
        found["meter"] = float(meter[2])
    return {rail: watts for rail, watts in found.items() if watts >= 0}  # without a load a sensor may read below 0


def energy(network: tuple[Any, ...], least_ns: int) -> dict[str, Any]:
    """Runs of one network alone for so long, and the microjoules of all of them by rail."""
    runs, before, began = 0, counters(), time.perf_counter_ns()
    while (spent := time.perf_counter_ns() - began) < least_ns:
        runs += timed(*network) > 0
    watts, after = powers(), counters()
    used = {rail: float(after[rail] - before[rail]) for rail in before if after.get(rail, 0) > before[rail]}
    return {"runs": runs, "microjoules": {**used, **{rail: power * spent / 1000 for rail, power in watts.items()}}}


def state() -> dict[str, Any]:
    """What changes from second to second; what the board does not tell is absent: not known, and not clean."""
    clocks = [number(read(CPUS / f"cpu{core}/cpufreq/scaling_cur_freq")) for core in cores()[:64]]
    heat = {zone: number(read(zone / "temp")) for zone in sorted(CLASSES.glob("thermal/thermal_zone*"))[:256]}
    passive = [
        [now, number(read(trip.with_name(trip.name.replace("_type", "_temp"))))]
        for zone, now in heat.items()
        for trip in zone.glob("trip_point_*_type")
        if now is not None and read(trip) == "passive"
    ]
    found: dict[str, Any] = {
        "governor": ",".join(sorted({read(CPUS / f"cpu{core}/cpufreq/scaling_governor") for core in cores()} - {""})),
        "clock_khz": [value for value in clocks if value is not None],
        "temperature_millidegrees": [value for value in heat.values() if value is not None],
        "passive_trips_millidegrees": [[now, trip] for now, trip in passive if trip is not None and trip > 0][:256],
    }
    throttled = vcgencmd("get_throttled").strip().partition("=")[2]  # bits of now, and of all since the boot
    if throttled.startswith("0x"):
        found["throttled_bits"] = int(throttled, 16)
    ticks = read("/proc/stat").partition("\n")[0].split()
    if ticks[:1] == ["cpu"]:
        each = [int(tick) / os.sysconf("SC_CLK_TCK") for tick in ticks[1:9]]
        found["cpu_seconds"] = [sum(each), sum(each) - each[3] - each[4], sum(os.times()[:4])]
    return found


@contextmanager
def locked(patience: float) -> Iterator[float]:
    """Held by one agent of this user at a time, and the seconds waited. The kernel gives it up with the process."""
    began = time.monotonic()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as held:
        while sys.platform in ("linux", "android"):  # a phone is called linux before Python 3.13
            try:
                held.bind(f"\0{MARK}-{os.getuid()}")  # an abstract name: no file
                break
            except OSError:
                if time.monotonic() - began > patience:
                    raise TimeoutError("another host measures on this board") from None
                time.sleep(0.02)
        yield time.monotonic() - began


def use_huge_pages() -> None:
    """As archsearch/latency/prepare.py, of all memory."""
    size = number(read("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")) or 2**30
    for line in read("/proc/self/maps", 2**20).splitlines() if size <= 2**25 else ():
        if (part := line.split())[1:5:3] == ["rw-p", "0"] and part[5:] in ([], ["[heap]"]):
            begin, end = (int(edge, 16) // size * size for edge in part[0].split("-"))
            ctypes.CDLL(None).madvise(ctypes.c_void_p(begin + size), ctypes.c_size_t(max(end - begin - size, 0)), 25)


def timed(work: Callable[..., object], *given: object) -> int:
    """Nanoseconds that a call takes."""
    began = time.perf_counter_ns()
    work(*given)
    return time.perf_counter_ns() - began


class Agent:
    """What one connection has sent and opened."""

    def __init__(self) -> None:
        self.models: dict[str, bytes] = {}  # what was asked for last at the end
        self.kinds = capacities()  # before `open` keeps this process to some of the cores
        self.groups: dict[int, list[tuple[Any, ...]]] = {}  # networks that are measured together, as `timed` takes them
        self.copied: tuple[Any, ...] = ()

    def hello(self, request: dict[str, Any], _: bytes) -> dict[str, Any]:
        """Who answers."""
        return {"mark": MARK, "nonce": str(request["nonce"])[:64], "facts": facts(), "state": state()}

    def put(self, request: dict[str, Any], body: bytes) -> dict[str, Any]:
        """Keep a model, if one is sent; whether it is there. Of more than MOST_BYTES the oldest go, but one."""
        if body and hashlib.sha256(body).hexdigest() != request["sha256"]:
            raise ValueError("the model arrived damaged")
        if len(body) > max(MOST_BYTES // 2, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 8):
            raise ValueError("a model or a batch of images is larger than 256 MiB and than an eighth of the memory")
        while body and len(self.models) > 1 and sum(map(len, self.models.values())) + len(body) > MOST_BYTES:
            del self.models[next(iter(self.models))]
        if found := body or self.models.pop(request["sha256"], b""):
            self.models[request["sha256"]] = found  # the newest now
        return {"have": bool(found)}

    def open(self, request: dict[str, Any], _: bytes) -> dict[str, Any]:
        """Make a network ready, before those of its group that are; its first outputs for the input that was sent."""
        import numpy
        import onnxruntime

        kinds = {"all": self.kinds.values(), "big": [max(self.kinds.values())], "little": [min(self.kinds.values())]}
        wanted = [core for core, capacity in self.kinds.items() if capacity in kinds[request["cores"]]]
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, wanted)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = request["threads"], 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.force_spinning_stop", "1")
        example = numpy.frombuffer(self.models[request["input"]], dtype=numpy.float32).reshape(request["shape"])
        session = onnxruntime.InferenceSession(self.models[request["sha256"]], options, ["CPUExecutionProvider"])
        if not session.get_inputs():
            raise ValueError("the exported network does not read its input: torch's operators do not compute it")
        bound = session.io_binding()  # a run copies nothing
        bound.example = onnxruntime.OrtValue.ortvalue_from_numpy(example)  # it is read where it lies, forgotten or not
        bound.bind_ortvalue_input(session.get_inputs()[0].name, bound.example)
        bound.bind_output(session.get_outputs()[0].name)
        for group in request["forget"]:  # not before: the same memory would be taken again
            self.groups.pop(group, None)
        self.groups.setdefault(request["group"], []).insert(0, (session.run_with_iobinding, bound))
        self.copied = self.copied or (numpy.copyto, numpy.zeros(COPIED_BYTES, "u1"), numpy.ones(COPIED_BYTES, "u1"))
        for _run in range(2):  # the second one lays out the memory
            session.run_with_iobinding(bound)
        use_huge_pages()
        return {"outputs": bound.copy_outputs_to_cpu()[0][0].ravel()[:1000].tolist(), "cores": wanted}

    def copies(self) -> list[int]:
        """The memory witness (nanoseconds for each copy)."""
        return [timed(*self.copied) for _ in range(COPIES + 1)][1:]

    def warm(self, request: dict[str, Any], _: bytes) -> dict[str, Any]:
        """Run each network until the medians of two windows agree; as archsearch/latency/group.py."""
        ends = []
        with locked(request["patience_seconds"]) as waited:
            for opened in self.groups[request["group"]]:
                before, now, runs, spent = 0.0, 0.0, 0, 0
                for _window in range(request["windows"]):
                    times: list[int] = []
                    while len(times) < request["window"] and (runs == 0 or spent < request["most_ns"]):
                        times.append(timed(*opened))
                        spent, runs = spent + times[-1], runs + 1
                    before, now = (now, statistics.median(times)) if times else (before, now)
                    if before and len(times) == request["window"] and abs(now / before - 1.0) <= request["tolerance"]:
                        break
                ends.append([now, runs])
        return {"ends": ends, "waited_seconds": waited}

    def visit(self, request: dict[str, Any], _: bytes) -> dict[str, Any]:
        """Some untimed runs of each network, then bursts of all in turn, every other one in reverse."""
        networks, bursts = self.groups[request["group"]], list[list[list[int]]]()
        places = list(range(len(networks)))
        with locked(request["patience_seconds"]) as waited:
            entered, before = time.perf_counter_ns(), state()
            began, ran, copied = time.perf_counter_ns(), time.thread_time_ns(), self.copies()
            for network in [each for each in networks for _run in range(request["untimed"])]:
                timed(*network)
            while len(bursts) < request["bursts"]:
                if request["before"] + len(bursts) >= 2 and time.perf_counter_ns() - began >= request["most_ns"]:
                    break
                order = places[::-1] if (request["before"] + len(bursts)) % 2 else places
                made = {place: [timed(*networks[place]) for _run in range(request["runs"])] for place in order}
                bursts.append([made[place] for place in places])
            copied += self.copies()
            held, ran = time.perf_counter_ns() - began, time.thread_time_ns() - ran
            told = request["energy_ns"] > 0 and (counters() or powers())
            used = [energy(network, request["energy_ns"]) for network in networks] if told else []
        return {"bursts_ns": bursts, "copies_ns": copied, "held_ns": held, "ran_ns": ran, "waited_seconds": waited,
                "energy": used, "before": before, "after": state(),
                "worked_ns": time.perf_counter_ns() - entered}  # fmt: skip


def main() -> None:
    """Answer requests until the connection ends."""
    answers = os.fdopen(os.dup(1), "w", 1)  # a line at a time
    os.dup2(2, 1)  # whatever a library prints is no answer
    gc.disable()  # as timeit does: no collection falls into a run
    agent, stdin = Agent(), sys.stdin.buffer
    handlers = {name: getattr(agent, name) for name in ("hello", "put", "open", "warm", "visit")}
    while line := stdin.readline(LONGEST_LINE):
        request = json.loads(line)
        try:
            answer = handlers[request["op"]](request, stdin.read(request.get("bytes", 0)))
        except Exception as error:  # noqa: BLE001 (the host says what to do about it)
            answer = {"error": plain(f"{type(error).__name__}: {error}"), "passing": isinstance(error, OSError)}
        answers.write(json.dumps({"id": request["id"], **answer}) + "\n")


if __name__ == "__main__":
    main()
