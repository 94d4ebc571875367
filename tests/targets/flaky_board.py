"""A board that fails when it is told to: the real agent, whose visits are spoilt by the list in a file.

    python flaky_board.py PLAN.json COUNT ...

PLAN.json maps the number of a visit, counted over all connections, to what happens then; COUNT holds the number of
visits so far. Further arguments are the bootstrap's, which is done here.

    dies      before it answers          upload    the line is cut within the next model that is sent
    half      of an answer, then dies    full      its disk is full, once, when the next network is opened
    reboot    after it                   away      dies, and is not there for `away_seconds` (of the plan)
    other     board from then on         second    another host measures there meanwhile, for a second
    lies      about its time             host      the process that asked is killed
    wrong, nan     outputs (the key is `open`)

Further keys, `warm` and `visit`, are parts of every such answer that are told instead of the true ones.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

plan = json.loads(Path(sys.argv[1]).read_text())
count = Path(sys.argv[2])
gone = count.with_suffix(".gone")  # until when the board is away
soon = count.with_suffix(".soon")  # what happens in the next upload or opening


def number() -> int:
    return int(count.read_text() or 0) if count.exists() else 0


def counted() -> int:
    """The number of this visit; two workers have an agent each."""
    with count.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        now = int(file.read() or 0)
        file.truncate(0)
        file.write(str(now + 1))
    return now


def happened(what: str) -> int:
    return sum(said == what and int(at) < number() for at, said in plan.items() if at.isdigit())


def is_soon(what: str) -> bool:
    if soon.exists() and soon.read_text() == what:
        soon.unlink(missing_ok=True)
        return True
    return False


if gone.exists() and time.time() < float(gone.read_text()):
    sys.exit("no route to host")
source = sys.stdin.buffer.read(int(sys.stdin.buffer.readline()))
agent: dict[str, Any] = {"__name__": "agent"}
exec(compile(source, "agent", "exec"), agent)
real_visit, real_facts, real_open = agent["Agent"].visit, agent["facts"], agent["Agent"].open
real_warm = agent["Agent"].warm


class Line:
    """Standard input, which may be cut within a model."""

    def __init__(self, file: Any) -> None:
        self.buffer, self.readline = self, file.readline
        self.file = file

    def read(self, size: int) -> bytes:
        if size > 10_000 and is_soon("upload"):
            self.file.read(size // 2)
            os._exit(1)
        found: bytes = self.file.read(size)
        return found


def visit(self: Any, request: dict[str, Any], body: bytes) -> dict[str, Any]:
    what = plan.get(str(counted()))
    if what == "host":
        os.kill(os.getppid(), signal.SIGKILL)
    if what == "away":
        gone.write_text(str(time.time() + float(plan["away_seconds"])))
    if what in ("upload", "full"):  # it comes with the next connection, on which all is sent and opened anew
        soon.write_text(what)
    if what in ("dies", "host", "away", "upload", "full"):
        os._exit(1)
    if what == "second":
        name = f"\\0{agent['MARK']}-{os.getuid()}"
        hold = f"import socket,time;s=socket.socket(socket.AF_UNIX);s.bind('{name}');print(flush=True);time.sleep(1)"
        other = subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert other.stdout is not None
        other.stdout.readline()
    answer: dict[str, Any] = real_visit(self, request, body)
    if what in ("half", "reboot", "other"):
        text = json.dumps({"id": request["id"], **answer}).encode()
        os.write(answers, text[: len(text) // 2] if what == "half" else b"")
        os._exit(1)
    if what == "lies":
        answer["bursts_ns"] = [[[run * 1000 for run in runs] for runs in burst] for burst in answer["bursts_ns"]]
    return answer | plan.get("visit", {})


def warm(self: Any, request: dict[str, Any], body: bytes) -> dict[str, Any]:
    return {**real_warm(self, request, body), **plan.get("warm", {})}


def facts() -> dict[str, str]:
    found: dict[str, str] = real_facts()
    if times := happened("reboot"):
        found["boot_id"] = f"anew {times}"
    if happened("other"):
        found["cpu"] = "another processor"
    return found


def opened(self: Any, request: dict[str, Any], body: bytes) -> dict[str, Any]:
    if is_soon("full"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    answer: dict[str, Any] = real_open(self, request, body)
    if what := plan.get("open"):
        answer["outputs"] = [{"wrong": value + 1.0, "nan": float("nan")}[what] for value in answer["outputs"]]
    return answer


agent["Agent"].visit, agent["facts"], agent["Agent"].open = visit, facts, opened
agent["Agent"].warm = warm
answers = os.dup(1)
sys.stdin = Line(sys.stdin.buffer)  # type: ignore[assignment]
agent["main"]()
