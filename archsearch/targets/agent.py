"""The part of archsearch that runs on the board. The host sends this file down the connection, each time anew.

It needs Python 3.9, numpy and onnxruntime there, writes no file, and opens no port. Requests come on standard input,
answers go to standard output: one JSON object on a line each, and after a request that says `bytes` so many bytes.
Models are kept in memory by their SHA-256 until the connection ends. Runs are timed by the board's own clock, while a
lock is held that every agent of this user on this board asks for, so that two hosts measure in turn.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MARK = "archsearch-agent"
LONGEST_LINE = 2**20
MOST_BYTES = 512 * 2**20  # of all models together; the oldest go first
COPIED_BYTES, COPIES = 16 * 2**20, 4  # as archsearch/latency/witness.py
CPUS, ZONES = Path("/sys/devices/system/cpu"), Path("/sys/class/thermal")


def read(path: Path | str, longest: int = 400) -> str:
    """The text of a small file, or "" where there is none."""
    try:
        with Path(path).open("rb") as file:
            return file.read(longest).decode("utf-8", "replace").strip("\0 \n\t")
    except OSError:
        return ""


def plain(text: str) -> str:
    """A text without control characters, and not long: nothing else is taken by the host."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:400]


def number(text: str) -> int | None:
    """An integer, or None."""
    try:
        return int(text)
    except ValueError:
        return None


def cores() -> list[int]:
    """Numbers of the CPU cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def capacities() -> dict[int, int]:
    """What each core can do, by the kernel's measure (1024: the fastest kind); 0 where it is not told."""
    return {core: number(read(CPUS / f"cpu{core}/cpu_capacity")) or 0 for core in cores()}


def facts() -> dict[str, str]:
    """What the board is: none of it changes while it runs."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it would write an identifier into the user's home, and send
    import numpy
    import onnxruntime

    info = read("/proc/cpuinfo", 200_000)
    lines = [line.partition(":") for line in info.splitlines()]
    named = {key.strip(): value.strip() for key, _, value in reversed(lines)}
    governors = {read(CPUS / f"cpu{core}/cpufreq/scaling_governor") for core in cores()}
    memory = [line.split()[1] for line in read("/proc/meminfo", 200).splitlines() if line.startswith("MemTotal")]
    machine = read("/etc/machine-id") or read("/proc/device-tree/serial-number")
    return {
        "machine_id": hashlib.sha256(("archsearch" + machine).encode()).hexdigest()[:12] if machine else "",
        "boot_id": read("/proc/sys/kernel/random/boot_id"),
        "board": read("/proc/device-tree/model"),
        "cpu": named.get("model name", "") or named.get("Hardware", ""),
        "cpu_parts": ",".join(sorted({value.strip() for key, _, value in lines if key.strip() == "CPU part"})),
        "capacities": ",".join(str(value) for value in sorted(set(capacities().values())) if value),
        "cores": str(len(cores())),
        "governor": ",".join(sorted(governors - {""})),
        "memory_kib": memory[0] if memory else "",
        "system": platform.system(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def state() -> dict[str, Any]:
    """What changes from second to second; what the board does not tell is absent: not known, and not clean."""
    clocks = [number(read(CPUS / f"cpu{core}/cpufreq/scaling_cur_freq")) for core in cores()[:64]]
    heat = {zone: number(read(zone / "temp")) for zone in sorted(ZONES.glob("thermal_zone*"))[:32]}
    passive = [
        [now, number(read(trip.with_name(trip.name.replace("_type", "_temp"))))]
        for zone, now in heat.items()
        for trip in zone.glob("trip_point_*_type")
        if now is not None and read(trip) == "passive"
    ]
    found: dict[str, Any] = {
        "clock_khz": [value for value in clocks if value is not None],
        "temperature_millidegrees": [value for value in heat.values() if value is not None],
        "passive_trips_millidegrees": [[now, trip] for now, trip in passive if trip is not None and trip > 0][:256],
    }
    if shutil.which("vcgencmd"):  # Raspberry Pi: bits of what happens now and what has happened since the boot
        done = subprocess.run(["vcgencmd", "get_throttled"], capture_output=True, text=True, timeout=5, check=False)
        throttled = done.stdout.strip().partition("=")[2]
        if throttled.startswith("0x"):
            found["throttled_bits"] = int(throttled, 16)
    ticks = read("/proc/stat").partition("\n")[0].split()
    if ticks[:1] == ["cpu"]:
        each = [int(tick) / os.sysconf("SC_CLK_TCK") for tick in ticks[1:9]]
        found["cpu_seconds"] = [sum(each), sum(each) - each[3] - each[4], sum(os.times()[:4])]
    energy = {zone: number(read(zone / "energy_uj")) for zone in Path("/sys/class/powercap").glob("intel-rapl:[0-9]")}
    rails = {read(zone / "name"): value for zone, value in energy.items() if value is not None}
    if rails:
        found["energy_microjoules"] = rails
    return found


class Lock:
    """Held by one agent of this user at a time. The kernel gives it up when the process ends, however it ends."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.socket: Any = None

    def __enter__(self) -> float:
        began = time.monotonic()
        name = f"\0{MARK}-{os.getuid()}" if sys.platform == "linux" else ""
        while name:  # an abstract socket: no file
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                self.socket.bind(name)
                break
            except OSError:
                self.socket.close()
                if time.monotonic() - began > self.patience:
                    raise TimeoutError("another host measures on this board") from None
                time.sleep(0.02)
        return time.monotonic() - began

    def __exit__(self, *_: object) -> None:
        if self.socket is not None:
            self.socket.close()


class Agent:
    """What one connection has sent and opened."""

    def __init__(self) -> None:
        self.models: dict[str, bytes] = {}  # what was asked for last at the end
        self.kinds = capacities()  # before `open` keeps this process to some of the cores
        self.groups: dict[int, list[tuple[Any, dict[str, Any]]]] = {}  # networks that are measured together
        self.copied: Any = None

    def hello(self, request: dict[str, Any], _: bytes) -> dict[str, Any]:
        """Who answers."""
        return {
            "mark": MARK,
            "nonce": str(request["nonce"])[:64],
            "facts": {name: plain(text) for name, text in facts().items()},
            "state": state(),
        }

    def have(self, request: dict[str, Any], _: bytes) -> dict[str, Any]:
        """Whether a model is there."""
        if request["sha256"] in self.models:
            self.models[request["sha256"]] = self.models.pop(request["sha256"])
        return {"have": request["sha256"] in self.models}

    def put(self, request: dict[str, Any], body: bytes) -> dict[str, Any]:
        """Keep a model."""
        if hashlib.sha256(body).hexdigest() != request["sha256"]:
            raise ValueError("the model arrived damaged")
        if len(body) > MOST_BYTES // 2:
            raise ValueError("the model is too large")
        while sum(map(len, self.models.values())) + len(body) > MOST_BYTES:
            del self.models[next(iter(self.models))]
        self.models[request["sha256"]] = body
        return {"have": True}

    def open(self, request: dict[str, Any], _: bytes) -> dict[str, Any]:
        """Make one more network of a group ready, and run it once on the input that was sent: its first outputs."""
        import numpy
        import onnxruntime

        kinds = self.kinds
        wanted = {
            "all": list(kinds),
            "big": [core for core in kinds if kinds[core] == max(kinds.values())],
            "little": [core for core in kinds if kinds[core] == min(kinds.values())],
        }[request["cores"]]
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, wanted)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = request["threads"], 1
        options.log_severity_level = 3
        example = numpy.frombuffer(self.models[request["input"]], dtype=numpy.float32).reshape(request["shape"])
        session = onnxruntime.InferenceSession(
            self.models[request["sha256"]], sess_options=options, providers=["CPUExecutionProvider"]
        )
        fed = {session.get_inputs()[0].name: example}
        for group in request["forget"]:
            self.groups.pop(group, None)
        self.groups.setdefault(request["group"], []).append((session, fed))
        self.copied = self.copied or tuple(make(COPIED_BYTES, numpy.uint8) for make in (numpy.ones, numpy.zeros))
        outputs = session.run(None, fed)[0][0].ravel()[:1000]
        return {"outputs": [float(value) for value in outputs], "cores": wanted}

    def time(self, opened: tuple[Any, dict[str, Any]]) -> int:
        """One run (nanoseconds)."""
        session, fed = opened
        began = time.perf_counter_ns()
        session.run(None, fed)
        return time.perf_counter_ns() - began

    def copies(self) -> list[int]:
        """The memory witness (nanoseconds for each copy)."""
        import numpy

        found = []
        for _ in range(COPIES + 1):
            began = time.perf_counter_ns()
            numpy.copyto(self.copied[1], self.copied[0])
            found.append(time.perf_counter_ns() - began)
        return found[1:]

    def warm(self, request: dict[str, Any], _: bytes) -> dict[str, Any]:
        """Run each network until the medians of two windows agree; as archsearch/latency/group.py."""
        ends = []
        with Lock(request["patience_seconds"]) as waited:
            for opened in self.groups[request["group"]]:
                before, now, runs, spent = 0.0, 0.0, 0, 0
                for _window in range(request["windows"]):
                    times: list[int] = []
                    while len(times) < request["window"] and (runs == 0 or spent < request["most_ns"]):
                        times.append(self.time(opened))
                        spent, runs = spent + times[-1], runs + 1
                    if not times:
                        break
                    before, now = now, statistics.median(times)
                    whole = before and len(times) == request["window"]
                    if whole and abs(now / before - 1.0) <= request["tolerance"]:
                        break
                ends.append([now, runs])
        return {"ends": ends, "waited_seconds": waited}

    def visit(self, request: dict[str, Any], _: bytes) -> dict[str, Any]:
        """Some untimed runs of each network, then bursts of all in turn, every other one in reverse."""
        networks = self.groups[request["group"]]
        places = list(range(len(networks)))
        bursts: list[list[list[int]]] = []
        with Lock(request["patience_seconds"]) as waited:
            before = state()
            began, ran, copied = time.perf_counter_ns(), time.process_time_ns(), self.copies()
            for network in networks:
                for _run in range(request["untimed"]):
                    self.time(network)
            while len(bursts) < request["bursts"]:
                if request["before"] + len(bursts) >= 2 and time.perf_counter_ns() - began >= request["most_ns"]:
                    break
                order = places[::-1] if (request["before"] + len(bursts)) % 2 else places
                made = {place: [self.time(networks[place]) for _run in range(request["runs"])] for place in order}
                bursts.append([made[place] for place in places])
            copied += self.copies()
            held, ran = time.perf_counter_ns() - began, time.process_time_ns() - ran
        return {"bursts_ns": bursts, "copies_ns": copied, "held_ns": held, "ran_ns": ran, "waited_seconds": waited,
                "before": before, "after": state()}  # fmt: skip


def main() -> None:
    """Answer requests until the connection ends."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a library prints is no answer
    gc.disable()  # as timeit does: no collection falls into a run
    agent, stdin = Agent(), sys.stdin.buffer
    while True:
        line = stdin.readline(LONGEST_LINE)
        if not line:
            return
        request = json.loads(line)
        body = stdin.read(request["bytes"]) if request.get("bytes") else b""
        try:
            handler = {name: getattr(agent, name) for name in ("hello", "have", "put", "open", "warm", "visit")}
            answer = handler[request["op"]](request, body)
        except Exception as error:  # noqa: BLE001 (the host says what to do about it)
            answer = {"error": plain(f"{type(error).__name__}: {error}"), "passing": isinstance(error, OSError)}
        view = memoryview((json.dumps({"id": request["id"], **answer}) + "\n").encode())
        while view:
            view = view[answers.write(view):]  # fmt: skip


if __name__ == "__main__":
    main()
