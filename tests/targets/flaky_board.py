"""A board that fails when it is told to: the real agent, whose visits are spoilt by the list in a file.

    python flaky_board.py PLAN.json COUNT ...

PLAN.json maps the number of a visit, counted over all connections, to what happens in it: `dies` before it answers,
`half` an answer and then dies, `reboot`s after it, `other` board from then on, `lies` about its time, `wrong` outputs.
COUNT holds the number of visits so far. Further arguments are the bootstrap's, which is done here.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

plan = json.loads(Path(sys.argv[1]).read_text())
count = Path(sys.argv[2])
source = sys.stdin.buffer.read(int(sys.stdin.buffer.readline()))
agent: dict[str, Any] = {"__name__": "agent"}
exec(compile(source, "agent", "exec"), agent)
real_visit, real_facts, real_open = agent["Agent"].visit, agent["facts"], agent["Agent"].open


def number() -> int:
    return int(count.read_text()) if count.exists() else 0


def happened(what: str) -> bool:
    return any(said == what and int(at) < number() for at, said in plan.items())


def visit(self: Any, request: dict[str, Any], body: bytes) -> dict[str, Any]:
    now = number()
    count.write_text(str(now + 1))
    what = plan.get(str(now))
    if what == "dies":
        os._exit(1)
    answer: dict[str, Any] = real_visit(self, request, body)
    if what in ("half", "reboot", "other"):
        text = json.dumps({"id": request["id"], **answer}).encode()
        os.write(answers, text[: len(text) // 2] if what == "half" else b"")
        os._exit(1)
    if what == "lies":
        answer["bursts_ns"] = [[[run * 1000 for run in runs] for runs in burst] for burst in answer["bursts_ns"]]
    return answer


def facts() -> dict[str, str]:
    found: dict[str, str] = real_facts()
    if happened("reboot"):
        found["boot_id"] = "anew"
    if happened("other"):
        found["cpu"] = "another processor"
    return found


def opened(self: Any, request: dict[str, Any], body: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = real_open(self, request, body)
    if plan.get("open") == "wrong":
        answer["outputs"] = [value + 1.0 for value in answer["outputs"]]
    return answer


agent["Agent"].visit, agent["facts"], agent["Agent"].open = visit, facts, opened
answers = os.dup(1)
agent["main"]()
