"""Boards behind a pipe: the same networks, faults on the way, and answers that cannot be."""

from __future__ import annotations

import ast
import copy
import gc
import hashlib
import json
import os
import random
import resource
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from pydantic import BaseModel, ValidationError

import archsearch
from archsearch.errors import ConfigError, MeasurementError
from archsearch.latency import lease
from archsearch.latency.backends.torch_backend import plain_output
from archsearch.latency.group import VisitPlan
from archsearch.latency.prepare import conditions_of
from archsearch.latency.settings import LatencySettings
from archsearch.models.guideline_blocks import guideline_network
from archsearch.models.guideline_spec import printed_network
from archsearch.records import Latency
from archsearch.search.plan import _boards
from archsearch.targets import agent as agent_module
from archsearch.targets import board as board_module
from archsearch.targets.board import (
    Board,
    BoardGroup,
    BoardNetwork,
    _check_visit,
    measure_on,
    measure_on_board,
    own_agent,
)
from archsearch.targets.transports import BOOTSTRAP, OWN, Target, parse_target
from archsearch.targets.wire import (
    AgentEndsError,
    BoardAwayError,
    BoardChangedError,
    BoardState,
    Connection,
    Energy,
    Have,
    Hello,
    Visited,
    Warmed,
    _Refused,
    longest_visit,
)

HERE = Path(__file__).parent
PYTHON = f"command:{shlex.quote(sys.executable)}"
FEW = LatencySettings(
    backend="onnxruntime", bursts=10, runs_per_burst=2, visits=5, spread_seconds=0.0, warmup_windows=2, remeasure=0
)


def networks() -> tuple[torch.nn.Module, torch.nn.Module]:
    one, other = (
        archsearch.create_model(name, num_classes=10, input_size=32, seed=0)
        for name in ("shufflenet_v2_x0_5", "shufflenet_v2_x1_0")
    )
    return one, other


def measured(board: Board, settings: LatencySettings = FEW) -> Latency:
    one, reference = networks()
    (latency,) = measure_on_board(
        [one], reference, board=board, names=["one"], reference_name="reference", settings=settings, input_size=32,
        sleep=lambda _seconds: None,
    )  # fmt: skip
    return latency


@pytest.fixture
def flaky(tmp_path: Path) -> Iterator[Callable[..., Board]]:
    """A board whose visits go wrong as told."""
    boards = []

    def make(plan: dict[str, Any], *, patience_seconds: float = 60.0) -> Board:
        (tmp_path / "plan.json").write_text(json.dumps(plan))
        script, state = str(HERE / "flaky_board.py"), str(tmp_path / "count")
        target = Target(name="command:flaky", argv=(sys.executable, script, str(tmp_path / "plan.json"), state))
        boards.append(Board(target, patience_seconds=patience_seconds, sleep=lambda _seconds: None))
        return boards[-1]

    yield make
    for board in boards:
        board.close()


def test_a_network_on_a_cpu_is_measured_by_a_process_of_its_own_under_the_conditions_of_this_device() -> None:
    one, reference = networks()
    measure = measure_on("cpu", None, FEW)
    (latency,) = measure(
        [one], reference, names=["one"], reference_name="reference", input_size=32, sleep=lambda _seconds: None
    )
    assert latency.device == "cpu" and latency.by == "onnxruntime"
    conditions = conditions_of("reference", FEW, "cpu", 32)
    assert (latency.fingerprint, latency.batch, latency.threads) == (conditions.fingerprint, 1, 1)
    assert "target" not in latency.state and "stopped_visits" in latency.state
    assert latency.memory_ms is not None and latency.memory_ms > 0
    agent = own_agent().connection()._process
    assert agent.pid != os.getpid() and agent.poll() is None  # it waits for the next measurement
    assert b"agent" in Path(f"/proc/{agent.pid}/cmdline").read_bytes() if sys.platform == "linux" else True


def test_an_agent_opens_every_network_anew_in_each_visit_while_others_may_train(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line, done = own_agent().connection(), []
    ask = line.ask

    def told(operation: str, *given: Any, **named: Any) -> Any:
        done.append((operation, *lease._THREAD.__dict__.get("held", {}).values()))
        return ask(operation, *given, **named)

    monkeypatch.setattr(line, "ask", told)
    one, reference = networks()
    measure_on("cpu", None, FEW)(
        [one], reference, names=["one"], reference_name="reference", input_size=32, sleep=lambda _seconds: None
    )
    asked = [each for each in done if each[0] != "put"]
    opened = [("open", "shared")] * 2
    assert asked[:6] == [*opened, ("warm", "exclusive"), ("visit", "exclusive"), *opened]
    assert asked.count(opened[0]) == 2 * asked.count(("visit", "exclusive")) >= 2 * FEW.visits


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_does_not_speak_on_the_line_of_its_parent() -> None:
    own_agent()
    child = os.fork()
    if child == 0:
        os._exit(own_agent.cache_info().currsize)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert own_agent.cache_info().currsize == 1


def test_a_killed_agent_of_this_process_is_started_anew_and_the_visit_made_again() -> None:
    own_agent().connection().end()
    one, reference = networks()
    (latency,) = measure_on("cpu", None, FEW)(
        [one], reference, names=["one"], reference_name="reference", input_size=32, sleep=lambda _seconds: None
    )
    assert latency.bursts >= FEW.bursts and own_agent().connection()._process.poll() is None


def test_networks_of_other_channels_than_their_reference_are_measured_on_a_board() -> None:
    maps = guideline_network(printed_network("2", "g=4 c=128 x2"), seed=0)
    _, reference = networks()
    exported = [
        BoardNetwork.of(model, what="it", settings=FEW, input_size=size, seed=0)
        for model, size in ((maps, 56), (reference, 32))
    ]
    assert exported[0].images.shape[1] == maps.input_channels != exported[1].images.shape[1] == 3
    group = BoardGroup(own_agent(), exported)
    visit = group.visit(FEW, VisitPlan(number=0, bursts=2, before=0, runs=1, left_ns=1e9))
    assert len(visit.bursts_ns) == 2 and all(len(burst) == 2 for burst in visit.bursts_ns)


def test_of_a_batch_one_image_is_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    images = []

    def noted(model: torch.nn.Module, given: torch.Tensor) -> torch.Tensor:
        images.append(len(given))
        return plain_output(model, given)

    monkeypatch.setattr(board_module, "plain_output", noted)
    tiny = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 10))
    many = FEW.model_copy(update={"batch": 64})
    network = BoardNetwork.of(tiny, what="it", settings=many, input_size=8, seed=0)
    assert (images, len(network.images), network.expected.shape) == ([1], 64, (1, 10))


def test_a_batch_that_no_memory_holds_is_named_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "MOST_BYTES", 8)
    monkeypatch.setattr(os, "sysconf", lambda _name: 0)
    with pytest.raises(ValueError, match="a batch of images is larger than"):
        agent_module.Agent().put({"sha256": hashlib.sha256(b"images").hexdigest()}, b"images")


def test_an_eighth_of_the_memory_is_one_whatever_the_size_of_its_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "MOST_BYTES", 8)
    told = {"SC_PHYS_PAGES": 2, "SC_PAGE_SIZE": 16384}  # as a Raspberry Pi 5's kernel: an eighth of 32768 is 4096
    monkeypatch.setattr(os, "sysconf", told.__getitem__)
    for size in (4096, 4097):
        body = bytes(size)
        with nullcontext() if size == 4096 else pytest.raises(ValueError, match="than an eighth of the memory"):
            assert agent_module.Agent().put({"sha256": hashlib.sha256(body).hexdigest()}, body) == {"have": True}


def test_a_network_that_does_not_read_its_input_is_refused() -> None:
    class Constant(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.ones(len(images), 10)

    _, reference = networks()
    with pytest.raises(MeasurementError, match="does not read its input"):
        measure_on("cpu", None, FEW)(
            [Constant()], reference, names=["constant"], reference_name="reference", input_size=32
        )


def test_a_network_is_measured_on_a_board_and_the_board_is_part_of_the_number(tmp_path: Path) -> None:
    board = Board(parse_target(PYTHON) or pytest.fail("local"))
    try:
        latency = measured(board)
    finally:
        board.close()
    assert latency.bursts >= 10
    assert (latency.n, latency.device) == (2 * latency.bursts, PYTHON)
    assert 0.0 < latency.p10_ms <= latency.median_ms <= latency.p90_ms
    assert latency.fingerprint == board.fingerprint(threads=1).id
    assert latency.fingerprint != board.fingerprint(threads=2).id != board.fingerprint(threads=2, cores="big").id
    assert latency.memory_ms is not None
    assert latency.state["throttled"] in ("not known", "yes", "no")  # never "clean" where it cannot be read
    assert "not known" in board.fingerprint(threads=1).facts.values() or board.facts["board"]


def test_a_measurement_with_faults_counts_each_run_once_and_says_no_number_that_was_not_timed(
    flaky: Callable[..., Board],
) -> None:
    latency = measured(flaky({"0": "dies", "2": "half", "4": "reboot", "5": "dies", "6": "dies"}))
    assert latency.bursts >= 10
    assert latency.n == 2 * latency.bursts
    assert 0.001 < latency.p10_ms < 1000.0


def test_a_board_that_stays_away_ends_the_measurement_with_what_to_do(flaky: Callable[..., Board]) -> None:
    board = flaky({str(number): "dies" for number in range(100)}, patience_seconds=1.0)
    with pytest.raises(BoardAwayError, match="it has been away for") as caught:
        measured(board)
    assert caught.value.hint == "bring it back and type the same command"  # of a measurement nothing was kept


def test_what_ends_the_agent_each_time_is_a_fault_of_the_network_and_no_board_that_is_away(
    flaky: Callable[..., Board], monkeypatch: pytest.MonkeyPatch
) -> None:
    # After pauses of 0.5, 1, 2 and 5 s, and no other time by this clock, one of 10 s would end at 18.5 s.
    paused: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: sum(paused), monotonic_ns=time.monotonic_ns)
    board = flaky({str(number): "dies" for number in range(100)}, patience_seconds=9.0)
    board._sleep = paused.append
    monkeypatch.setattr(board_module, "time", clock)
    with pytest.raises(AgentEndsError, match="so it went 5 times in a row, and it answered in between") as caught:
        measured(board)
    assert paused == [0.5, 1.0, 2.0, 5.0] and "memory" in (caught.value.hint or "")


def test_what_ends_the_agent_of_this_process_five_times_is_not_tried_for_ten_minutes() -> None:
    board, tried = Board(OWN, sleep=lambda _seconds: None), []

    def dies(line: Connection) -> Any:
        tried.append(line)
        line.end()
        line.ask("put", Have, seconds=60.0, sha256="0" * 64)

    with pytest.raises(AgentEndsError, match="5 times in a row"):
        board.insistently(dies)
    board.close()
    assert len(set(map(id, tried))) == 5


def test_a_board_that_is_back_and_refuses_a_network_is_not_away() -> None:
    board, tried = Board(parse_target(PYTHON) or pytest.fail("local"), sleep=lambda _seconds: None), []

    def breaks_once(line: Connection) -> Any:
        tried.append(line)
        if len(tried) == 1:
            line.end()
        line.ask("open", Have, seconds=60.0, input="none", cores="all", threads=1)

    with pytest.raises(MeasurementError, match="KeyError") as caught:
        board.insistently(breaks_once)
    assert not isinstance(caught.value, BoardAwayError)
    assert len(tried) == 2 and not board.is_away
    board.close()


def test_another_board_behind_the_same_name_is_refused(flaky: Callable[..., Board]) -> None:
    with pytest.raises(MeasurementError, match="another board answers than before, or it was changed: cpu"):
        measured(flaky({"1": "other"}))


@pytest.mark.parametrize("fact", ["cores", "capacities", "onnxruntime", "governor", "kernel"])
def test_a_board_is_known_again_by_all_that_its_fingerprint_holds_and_by_nothing_else(fact: str) -> None:
    target = parse_target(PYTHON) or pytest.fail("local")
    first = Board(target)
    now = Board(target, known={**first.facts, fact: "another"})
    with nullcontext() if fact == "kernel" else pytest.raises(BoardChangedError, match=f"it was changed: {fact} "):
        assert now.fingerprint(threads=1) != first.fingerprint(threads=1) or fact == "kernel"
        now.connection()
    for board in (first, now):
        board.close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_board_whose_governor_is_set_while_the_line_holds_is_refused(flaky: Callable[..., Board], when: str) -> None:
    with pytest.raises(BoardChangedError, match="it was changed: governor "):
        measured(flaky({"visit": {when: {"governor": "another"}}}))


def test_the_agent_tells_the_governors_that_its_cores_have_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "CPUS", tmp_path)
    monkeypatch.setattr(agent_module, "cores", lambda: [0, 1, 2])  # the last one tells none
    for set_now, told in (("performance", "performance"), ("powersave", "performance,powersave")):
        written(tmp_path / "cpu0" / "cpufreq", scaling_governor="performance")
        written(tmp_path / "cpu1" / "cpufreq", scaling_governor=set_now)
        assert agent_module.state()["governor"] == agent_module.facts()["governor"] == told


@pytest.mark.parametrize("computed", ["wrong", "nan"])
def test_a_board_that_computes_something_else_is_refused(flaky: Callable[..., Board], computed: str) -> None:
    with pytest.raises(MeasurementError, match="changed the network's output") as caught:
        measured(flaky({"open": computed}, patience_seconds=1.0))
    assert not isinstance(caught.value, BoardAwayError)  # nobody waits for it to come back


def test_times_that_do_not_fit_into_the_visit_are_refused(flaky: Callable[..., Board]) -> None:
    with pytest.raises(MeasurementError, match=r"runs of .* ms in a visit of"):
        measured(flaky({"1": "lies"}))


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ({"warm": {"waited_seconds": 999_999.0}}, r"ms of waiting and runs in a warm-up that took"),
        ({"warm": {"ends": [[1e11, 10]] * 2}}, r"ms of waiting and runs in a warm-up that took"),
        ({"warm": {"ends": [[1e5, 10], [1e5, -5]]}}, "a network that was warmed up in -5 runs"),
        ({"warm": {"ends": [[1e5, 10]]}}, "1 of 2 networks were warmed up"),
        ({"visit": {"waited_seconds": 999_999.0}}, r"ms of waiting and of a visit, which together took"),
    ],
    ids=["warm waits", "warm runs", "negative", "few", "visit waits"],
)  # fmt: skip
def test_waiting_and_warming_up_that_do_not_fit_into_the_time_that_passed_here_are_refused(
    flaky: Callable[..., Board], lie: dict[str, Any], said: str
) -> None:
    with pytest.raises(MeasurementError, match=said) as caught:
        measured(flaky(lie))
    assert not isinstance(caught.value, BoardAwayError)  # nobody waits for it to come back


def test_two_hosts_measure_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    target = parse_target(PYTHON) or pytest.fail("local")
    one, other = Connection(target), Connection(target)
    with agent_module.locked(300.0), pytest.raises(MeasurementError, match="another host measures on this board"):
        one.ask("warm", Have, seconds=30.0, group=0, patience_seconds=0.0)
    for line in (one, other):
        line.close()


@pytest.mark.skipif(sys.platform != "linux", reason="takes a lock of the kernel's")
def test_two_workers_measure_in_turn_on_a_phone_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "sys", SimpleNamespace(platform="android"))  # PEP 738: from Python 3.13 on
    with agent_module.locked(300.0), pytest.raises(TimeoutError, match="another host"), agent_module.locked(0.0):
        pytest.fail("both measure")


def test_the_agent_leaves_no_file_behind(tmp_path: Path) -> None:
    command = (
        f"command:env HOME={tmp_path} TMPDIR={tmp_path} XDG_RUNTIME_DIR={tmp_path} {shlex.quote(sys.executable)} -B"
    )
    board = Board(parse_target(command) or pytest.fail("local"))
    measured(board)
    assert list(tmp_path.rglob("*")) == []
    board.close()
    assert list(tmp_path.rglob("*")) == []


def test_the_agent_is_one_short_file_of_the_standard_library_numpy_and_onnxruntime() -> None:
    source = Path(agent_module.__file__).read_text()
    assert len(source.splitlines()) <= 300
    imported = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(source))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip
    assert imported - set(sys.stdlib_module_names) == {"numpy", "onnxruntime"}


def fake(body: str) -> Target:
    """A program that takes the agent's place."""
    start = "import sys,json,os,time\nread=sys.stdin.buffer\nread.read(int(read.readline()))\n"
    start += "ask=json.loads(read.readline())\n"
    return Target(name="command:fake", argv=(sys.executable, "-u", "-c", start + body))


HELLO = (
    "answer={'id':ask['id'],'mark':'archsearch-agent','nonce':ask['nonce'],'facts':{},'state':{}}\n"
    "print(json.dumps(answer),flush=True)\n"
)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "the line broke while an answer was awaited"),
        ("print('x'*10_000_000)", "longer than 1048576 bytes"),
        ("print(json.dumps({'id': 1, 'mark': 'archsearch-agent', 'nonce': 'mine', 'facts': {}, 'state': {}}))",
         "something else than the agent answered"),
        ("print(json.dumps({'id': 7, 'mark': 'archsearch-agent', 'nonce': ask['nonce'], 'facts': {}, 'state': {}}))",
         "answer 7 came to question 1"),
        ("print(json.dumps({'id': 1, 'mark': 'archsearch-agent', 'nonce': ask['nonce'], 'facts': {'cpu': '\\x1b[31m'}, "
         "'state': {}}))", "not what was asked for"),
        ("print(json.dumps({'id': 1, 'facts': [[]]*9}))", "not what was asked for"),
        ("print('{\"id\":' + '[' * 20000)", "not what was asked for"),
        ("print('no python here', file=sys.stderr); sys.exit(127)", "no python here"),
        ("print(json.dumps({'id': 1, 'error': 'ModuleNotFoundError: No module named onnxruntime'}))",
         "No module named onnxruntime"),
    ],
    ids=["nothing", "long", "nonce", "number", "control", "shape", "deep", "stderr", "error"],
)  # fmt: skip
def test_whatever_does_not_speak_as_the_agent_is_refused_in_a_sentence(body: str, said: str) -> None:
    with pytest.raises(MeasurementError, match=said) as caught:
        Board(fake(body))
    assert "\x1b" not in str(caught.value)


def test_a_board_that_has_lost_its_onnxruntime_is_away_and_no_network_is_at_fault() -> None:
    answer = "{'id': 1, 'error': 'ModuleNotFoundError: No module named onnxruntime'}"
    with pytest.raises(BoardAwayError, match="No module named onnxruntime"):
        Connection(fake(f"print(json.dumps({answer}))"))


@pytest.mark.parametrize("told", ["facts", "name of a fact", "error", "rail"])
def test_no_text_of_a_board_holds_a_character_that_a_terminal_obeys(told: str) -> None:
    # C0 and DEL, C1 (U+009B begins a command as ESC [ does), the bidirectional controls of UAX 9, line separators.
    obeyed = [*range(0x20), 0x7F, *range(0x80, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F),
              *range(0x2066, 0x206A), 0x2028, 0x2029, 0xFEFF]  # fmt: skip
    generator = random.Random(20261208)
    for code in [*obeyed, None]:
        letters = generator.choices("abc \u00e9\u4e2d-/.", k=8)
        if code is not None:
            letters[generator.randrange(8)] = chr(code)
        text = "".join(letters)
        kind: type[BaseModel] = Hello
        answer: dict[str, Any] = {"id": 1, "mark": "", "nonce": "", "facts": {"cpu": text}, "state": {}}
        if told == "name of a fact":
            answer["facts"] = {text: ""}
        elif told == "error":
            kind, answer = _Refused, {"id": 1, "error": text}
        elif told == "rail":
            kind, answer = Energy, {"runs": 1, "microjoules": {text: 1.0}}
        with nullcontext() if code is None else pytest.raises(ValidationError, match="cannot be printed"):
            kind.model_validate_json(json.dumps(answer))


def test_the_agent_tells_no_name_of_a_rail_that_the_host_would_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "powercap" / "intel-rapl:0", name="package\u009b0", energy_uj=1)
    written(tmp_path / "hwmon" / "hwmon3", in1_label="VDD\u202eIN", in1_input=5000, curr1_input=1200)
    monkeypatch.setattr(agent_module, "CLASSES", tmp_path)
    assert list(agent_module.counters()) == ["package 0"] and "VDD IN" in agent_module.powers()


def test_what_a_shell_prints_first_is_passed_over() -> None:
    line = Connection(fake("print('Welcome to the board\\n* 3 updates *')\n" + HELLO))
    assert line.hello.facts == {}
    line.close()


def test_what_a_shell_prints_first_is_passed_over_without_a_newline_behind_it_too() -> None:
    start = rf"printf '\033]0;the board\007'; exec {shlex.quote(sys.executable)} -u -c {shlex.quote(BOOTSTRAP)}"
    line = Connection(Target(name="command:title", argv=("/bin/sh", "-c", start)), connect_seconds=30.0)
    assert line.hello.facts["onnxruntime"]
    line.close()


def test_a_machine_of_many_cores_that_has_run_for_weeks_is_a_board() -> None:
    # All cores' seconds since the start: 64 cores for 30 days are 64 x 30 x 86,400 = 165,888,000.
    line = Connection(fake(HELLO.replace("'state':{}", "'state':{'cpu_seconds':[165888000.0,90000.5,0.25]}")))
    assert line.hello.state.cpu_seconds == (165_888_000.0, 90_000.5, 0.25)
    line.close()


def test_an_agent_that_stands_still_has_not_run_though_another_of_its_threads_has() -> None:
    agent, ended = agent_module.Agent(), threading.Event()
    agent.groups[0] = [(time.sleep, 0.02)]
    agent.copied = (time.sleep, 0.001)

    def work() -> None:
        while not ended.is_set():
            hashlib.sha256(bytes(2**20)).digest()

    other = threading.Thread(target=work)
    other.start()
    try:
        visit = agent.visit(
            {"group": 0, "patience_seconds": 60.0, "untimed": 0, "bursts": 2, "before": 0, "runs": 5,
             "most_ns": 10**9, "energy_ns": 0}, b"",
        )  # fmt: skip
    finally:
        ended.set()
        other.join()
    assert visit["ran_ns"] < 0.5 * visit["held_ns"]


def test_a_program_that_says_nothing_is_given_up() -> None:
    with pytest.raises(BoardAwayError, match="no answer came in time"):
        Connection(fake("time.sleep(60)"), connect_seconds=0.5)


def test_a_board_is_spoken_to_by_a_process_with_many_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1400:
        pytest.skip("no process may open so many files here")
    with ExitStack() as opened:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1400), hard))
        opened.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(1100):
            opened.enter_context(Path(os.devnull).open("rb"))
        line = Connection(fake(HELLO))
        assert line.hello.facts == {} and min(of(line)) >= 1024
        line.close()


def of(line: Connection) -> list[int]:
    """Descriptors of a line's pipes."""
    process = line._process
    return [pipe.fileno() for pipe in (process.stdin, process.stdout, process.stderr) if pipe is not None]


def test_of_what_a_board_says_on_standard_error_the_end_is_kept_and_nobody_waits_for_the_rest() -> None:
    talk = "for _ in range(200): os.write(2, b'x' * 100_000)\nos.write(2, b'\\n\\xc2\\x9bthe disk\\tis full\\n')\n"
    line = Connection(fake(HELLO + talk + "ask=json.loads(read.readline())"))  # 20 MB without a newline
    with pytest.raises(BoardAwayError, match=r"the line broke while an answer was awaited \(.*\| the disk") as caught:
        line.ask("put", Have, seconds=60.0)
    assert len(line._said) <= 4096 and len(str(caught.value)) < 1000
    assert "the diskis full" in str(caught.value) and str(caught.value).isprintable()


def test_a_line_that_is_closed_leaves_no_pipe_and_no_thread() -> None:
    threads, descriptors = threading.active_count(), len(list(Path("/dev/fd").iterdir()))
    for body in (HELLO + "read.read()", HELLO + "sys.stderr.write('no more')"):
        line = Connection(fake(body))
        line.close()
        line.close()
    with pytest.raises(BoardAwayError):
        Connection(fake("time.sleep(60)"), connect_seconds=0.1)
    assert (threading.active_count(), len(list(Path("/dev/fd").iterdir()))) == (threads, descriptors)


def test_a_visit_of_many_runs_is_an_answer_of_more_than_a_mebibyte_and_is_taken() -> None:
    # The longest that each run can be written: 12 digits, and the visit is as long as its runs.
    answer = whole_visit() | {"bursts_ns": [[[999_999_999_999] * 500] * 2] * 200}
    length = len(json.dumps(answer))
    assert 2 * 2**20 < length <= longest_visit(200, 2, 500) < 2**22
    say = "answer.update(id=2,bursts_ns=[[[999_999_999_999]*500]*2]*200)\n"
    body = HELLO + f"answer={whole_visit()!r}\n{say}read.readline();print(json.dumps(answer),flush=True);read.read()"
    line = Connection(fake(body))
    visited = line.ask("visit", Visited, seconds=60.0, longest=longest_visit(200, 2, 500))
    assert len(visited.bursts_ns) == 200 and len(visited.bursts_ns[0][1]) == 500
    line.close()
    line = Connection(fake(body))
    with pytest.raises(BoardAwayError, match="an answer is longer than 1048576 bytes"):
        line.ask("visit", Visited, seconds=60.0)  # asked for nothing that is so long


def test_a_visit_of_more_runs_than_an_answer_may_hold_is_refused_before_it_is_made() -> None:
    assert longest_visit(bursts=1, networks=2, runs=1) >= 2**20
    with pytest.raises(MeasurementError, match="more than a board tells at once") as caught:
        longest_visit(bursts=20_000, networks=2, runs=500)
    assert not isinstance(caught.value, BoardAwayError)


def test_the_host_allows_an_answer_as_long_as_the_visit_that_it_asks_for() -> None:
    tiny = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 10))
    network = BoardNetwork.of(tiny, what="it", settings=FEW, input_size=8, seed=0)
    many = FEW.model_copy(update={"bursts": 200, "visits": 1, "runs_per_burst": 500})
    board = Board(OWN, patience_seconds=0.0)
    visit = BoardGroup(board, [network, network]).visit(
        many, VisitPlan(number=0, bursts=200, before=0, runs=500, left_ns=20e9)
    )
    board.close()
    assert sum(len(runs) for burst in visit.bursts_ns for runs in burst) == 200 * 2 * 500


def living(marker: Path) -> list[int]:
    """Processes whose numbers stand in a file, as far as they live."""
    found = []
    for number in map(int, marker.read_text().split()):
        stat = Path(f"/proc/{number}/stat")
        with suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[0] != "Z":
                found.append(number)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("shell_stays", [True, False], ids=["the shell waits", "the shell has ended"])
@pytest.mark.parametrize("agent", ["answers", "hangs"])
def test_an_agent_that_a_shell_started_ends_with_the_line(tmp_path: Path, agent: str, shell_stays: bool) -> None:
    marker, wrapper, ended = tmp_path / "numbers", tmp_path / "wrapper.sh", tmp_path / "ended"
    marker.touch()
    body = f"open({str(marker)!r},'a').write(f'{{os.getpid()}} ')\n" + HELLO
    body += "time.sleep(600)" if agent == "hangs" else f"read.read();open({str(ended)!r},'w').close()"
    code = fake(body).argv[-1]
    wrapper.write_text(
        f"#!/bin/sh\nexec 3<&0\n{shlex.quote(sys.executable)} -u -c {shlex.quote(code)} <&3 &\n"
        f"echo $! $$ >> {shlex.quote(str(marker))}\n" + ("wait\n" if shell_stays else "")
    )
    wrapper.chmod(0o755)
    threads, descriptors = threading.active_count(), len(list(Path("/dev/fd").iterdir()))
    line = Connection(Target(name="command:wrapper", argv=(str(wrapper),)))
    assert living(marker)
    if agent == "hangs":
        with pytest.raises(BoardAwayError, match="no answer came in time"):
            line.ask("put", Have, seconds=0.2)
    else:
        line.close()
    until = time.monotonic() + 10.0
    while living(marker) and time.monotonic() < until:  # a killed orphan is init's to bury
        time.sleep(0.05)
    assert living(marker) == []
    if shell_stays:
        assert ended.exists() == (agent == "answers")  # it was let end by itself
    assert (threading.active_count(), len(list(Path("/dev/fd").iterdir()))) == (threads, descriptors)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_ssh_started_for_others_outlives_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker, ssh = tmp_path / "numbers", tmp_path / "ssh"
    code = fake(HELLO + "read.read()").argv[-1]
    # As a ProxyJump of a master connection: in the group of the ssh that started it, and of use to the next one.
    ssh.write_text(
        f"#!/bin/sh\nsleep 600 </dev/null >/dev/null 2>&1 &\necho $! > {shlex.quote(str(marker))}\n"
        f"exec {shlex.quote(sys.executable)} -u -c {shlex.quote(code)}\n"
    )
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    line = Connection(parse_target("ssh:board") or pytest.fail("local"))
    line.close()
    outlived = living(marker)
    for number in outlived:
        os.kill(number, signal.SIGKILL)
    assert len(outlived) == 1


def whole_visit() -> dict[str, Any]:
    return {
        "id": 1,
        "bursts_ns": [[[100_000, 110_000], [200_000, 210_000]]] * 2,
        "copies_ns": [2_000_000] * 8,
        "held_ns": 30_000_000,
        "ran_ns": 29_000_000,
        "worked_ns": 31_000_000,
        "waited_seconds": 0.0,
        "before": {},
        "after": {"cpu_seconds": [100.0, 50.0, 1.0], "clock_khz": [1_500_000]},
    }


HOSTILE: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 10**30, "NaN", "x" * 500, "\x1b[2J", "<script>", [], [[]], {}, {"a": 1}, float("nan"),
    float("inf"), [[[0]]], [[[-5]]], "9" * 400,
)  # fmt: skip


def mutated(generator: random.Random) -> str:
    """A visit's answer with one or two places spoilt; sometimes the text itself."""
    answer = json.loads(json.dumps(whole_visit()))
    for _ in range(generator.randint(1, 2)):
        place, key = answer, generator.choice(list(answer))
        while isinstance(place[key], list | dict) and place[key] and generator.random() < 0.7:
            place = place[key]
            key = generator.choice(list(place)) if isinstance(place, dict) else generator.randrange(len(place))
        choice = generator.random()
        if choice < 0.15 and isinstance(place, dict):
            del place[key]
        elif choice < 0.3 and isinstance(place[key], list):
            place[key] = place[key] * generator.choice([0, 2, 1000])
        else:
            place[key] = copy.deepcopy(generator.choice(HOSTILE))
        if not answer:
            break
    text = json.dumps(answer)
    if generator.random() < 0.1:
        cut = generator.randrange(len(text))
        text = text[:cut] + generator.choice(["", "\0", "}", "\ud800", "]]"]) + text[cut + 1 :]
    return text


def test_of_a_thousand_spoilt_answers_none_is_taken_for_other_runs_and_none_is_a_traceback() -> None:
    plan, target = VisitPlan(number=1, bursts=2, before=0, runs=2, left_ns=1e9), Target(name="fake", argv=())
    true = Visited.model_validate(whole_visit())
    _check_visit(true, plan, 2, 2, 40_000_000, target)
    generator, refused = random.Random(20261129), 0
    for _ in range(1000):
        text = mutated(generator)
        try:
            answer = Visited.model_validate_json(text.encode("utf-8", "surrogatepass"))
            _check_visit(answer, plan, 2, 2, 40_000_000, target)
        except (ValidationError, MeasurementError):
            refused += 1
            continue
        # What is left was changed within what may be: a count of runs, a length of time, a temperature.
        assert [len(runs) for burst in answer.bursts_ns for runs in burst] == [2] * 4
        assert all(0 < run <= 30_000_000 for burst in answer.bursts_ns for runs in burst for run in runs)
    assert refused > 500


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pi5", "unknown"), ("ssh:", "unknown"), ("", "unknown"), ("command: ", "unknown"), ("serial:x", "unknown"),
        ("command:'half", "No closing quotation"), ("command:no-such-program-here", "was not found"),
        ("ssh:-oProxyCommand=touch${IFS}x", "a host was expected"),
    ],
)  # fmt: skip
def test_a_name_that_is_no_target_is_refused_with_what_there_is(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_target(text)


def test_local_is_this_machine_and_ssh_asks_no_password_and_trusts_no_unknown_host() -> None:
    assert parse_target("local") is None
    found = parse_target("command:env A=1 " + sys.executable)
    assert found is not None and found.argv == ("env", "A=1", sys.executable, "-u", "-c", BOOTSTRAP)
    ssh = parse_target("ssh:pi5")
    assert ssh is not None and {"BatchMode=yes", "StrictHostKeyChecking=yes"} <= set(ssh.argv)
    assert ssh.argv[-2] == "pi5"
    assert ssh.argv[-3] == "--"
    assert ssh.argv[-1].startswith("exec python3 -u -c ")
    other = parse_target("ssh:pi5  bench/bin/python3; true")
    assert other is not None and other.argv[-2] == "pi5"
    assert shlex.split(other.argv[-1]) == ["exec", "bench/bin/python3; true", "-u", "-c", BOOTSTRAP]  # one word there
    at_home = parse_target("ssh:pi5 ~/bench/bin/python3")
    assert at_home is not None and at_home.argv[-1].startswith("exec bench/bin/python3 -u -c ")


def test_the_socket_of_a_master_connection_has_a_path_that_a_long_home_folder_leaves_room_for() -> None:
    paths = []
    for host in ("pi5", "user.name@board-in-the-laboratory.corp.example.com"):
        found = parse_target(f"ssh:{host}") or pytest.fail("local")
        (said,) = (part for part in found.argv if part.startswith("ControlPath=~/.ssh/"))
        paths.append(said.replace("ControlPath=~", "/home/CORP.EXAMPLE.COM/maximilian.mustermann"))
    # A socket's path has 107 letters at most (sun_path of unix(7)); while ssh makes it, a dot and 16 more (mux.c).
    assert all("%" not in path and len(path) + 17 <= 107 for path in paths) and len(set(paths)) == 2


def test_an_android_device_is_reached_by_a_shell_without_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As `adb help` says: `-s SERIAL`, then `shell [-e ESCAPE] [-n] [-Tt] [-x] [COMMAND...]`, run by the device's shell.
    adb = tmp_path / "adb"
    adb.write_text('#!/bin/sh\n[ "$1 $2 $3 $4" = "-s emulator-5554 shell -T" ] && shift 4 && exec /bin/sh -c "$*"\n')
    adb.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    line = Connection(parse_target("adb:emulator-5554") or pytest.fail("local"))
    line.close()
    assert line.hello.facts["onnxruntime"]


def state_of(trips: list[list[int]]) -> BoardState:
    return BoardState.model_validate({"temperature_millidegrees": [60_000], "passive_trips_millidegrees": trips})


def test_a_board_is_throttled_when_a_zone_reaches_its_own_trip_point() -> None:
    group = BoardGroup(cast(Board, SimpleNamespace(new_group=lambda of: 0)), [])
    assert group._throttled() is None
    group._states = [(state_of([[30_000, 45_000], [60_000, 80_000]]),) * 2]
    assert group._throttled() is False  # 60 degrees are below the processor's 80; the 45 are another zone's
    group._states += [(state_of([]), state_of([[80_000, 80_000]]))]
    assert group._throttled() is True


def test_a_phone_of_many_thermal_zones_is_throttled_whichever_of_them_is_hot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for zone in range(100):  # by their names the last one is 99
        hot = 95_000 if zone == 99 else 40_000
        files = {"temp": hot, "trip_point_0_type": "passive", "trip_point_0_temp": 95_000}
        written(tmp_path / "thermal" / f"thermal_zone{zone}", **files)
    monkeypatch.setattr(agent_module, "CLASSES", tmp_path)
    state = BoardState.model_validate(agent_module.state())
    group = BoardGroup(cast(Board, SimpleNamespace(new_group=lambda of: 0)), [])
    group._states = [(state, state)]
    assert group._throttled() is True and max(state.temperature_millidegrees) == 95_000


def test_the_agent_is_told_to_forget_the_group_that_waited_longest_and_none_where_one_is_opened_anew() -> None:
    board = Board(parse_target(PYTHON) or pytest.fail("local"), known={"boot_id": "here"})  # nobody is asked
    for group in range(16):
        assert board.making_room(group) == [group]
        board.opened(group, [group])
    assert board.has_open(3)
    assert board.making_room(3) == [3]  # before a later visit: there is room for it already
    assert board.making_room(16) == [16, 0]
    board.opened(16, [16, 0])
    assert not board.has_open(0) and all(board.has_open(group) for group in range(1, 17))


def test_a_board_remembers_no_visit_that_was_made() -> None:
    board = Board(parse_target(PYTHON) or pytest.fail("local"), known={"boot_id": "here"})  # nobody is asked
    for _visit in range(10):
        board.begin(lambda: None).result()
    board._turn.acquire()  # as another visit does
    last = board.begin(lambda: None)
    assert (board.waiting, len(board._begun)) == (1, 1)
    board._turn.release()
    last.result()
    assert board.waiting == 0


def test_the_agent_is_told_to_forget_networks_whose_measurement_has_gone() -> None:
    board = Board(parse_target(PYTHON) or pytest.fail("local"), known={"boot_id": "here"})  # nobody is asked
    first, second = BoardGroup(board, []), BoardGroup(board, [])
    for group in (first, second):
        board.opened(group._number, [])
    number, kept = first._number, second._number
    del first, group
    gc.collect()
    assert board.making_room(kept) == [kept, number]
    board.opened(kept, [kept, number])
    assert board.making_room(kept) == [kept] and not board.has_open(number)


def test_the_agent_is_told_to_forget_a_group_of_which_a_network_was_refused() -> None:
    tiny = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 10))
    network = BoardNetwork.of(tiny, what="it", settings=FEW, input_size=8, seed=0)
    board, plan = Board(OWN), VisitPlan(number=0, bursts=2, before=0, runs=1, left_ns=1e9)
    group = BoardGroup(board, [replace(network, expected=network.expected + 1.0), network])
    refused = group._number
    with pytest.raises(MeasurementError, match="changed the network's output"):
        group.visit(FEW, plan)
    del group
    gc.collect()
    next_group = BoardGroup(board, [network, network])
    assert board.making_room(next_group._number) == [next_group._number, refused]
    assert len(next_group.visit(FEW, plan).bursts_ns) == 2
    assert board.making_room(next_group._number) == [next_group._number]
    board.close()


def test_the_agent_forgets_the_oldest_models_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "MOST_BYTES", 8)
    agent, names = agent_module.Agent(), {}
    for body in (b"one1", b"two2"):
        names[body] = hashlib.sha256(body).hexdigest()
        agent.put({"sha256": names[body]}, body)
    assert agent.put({"sha256": names[b"one1"]}, b"") == {"have": True}  # now the newest
    agent.put({"sha256": hashlib.sha256(b"3").hexdigest()}, b"3")
    assert [agent.put({"sha256": names[body]}, b"")["have"] for body in (b"one1", b"two2")] == [True, False]


def test_what_an_agent_keeps_does_not_grow_with_the_memory_of_its_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sysconf", lambda _name: 2**28)  # pages: of 4 KiB they are a tebibyte
    agent: dict[str, Any] = {"__name__": "agent"}
    exec(compile(Path(agent_module.__file__).read_text(), "agent", "exec"), agent)
    assert agent["MOST_BYTES"] == 2**29


def test_a_network_is_kept_beside_its_input_however_large_that_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "MOST_BYTES", 8)
    agent = agent_module.Agent()
    bodies = (b"old", b"network", b"a batch of images")
    names = [hashlib.sha256(body).hexdigest() for body in bodies]
    for name, body in zip(names, bodies, strict=True):
        agent.put({"sha256": name}, body)
    assert [agent.put({"sha256": name}, b"")["have"] for name in names] == [False, True, True]


def test_a_kind_of_cores_is_asked_of_a_target_alone() -> None:
    with pytest.raises(ConfigError, match="cores big: only a target's are chosen"):
        archsearch.measure("shufflenet_v2_x0_5", cores="big")


@pytest.mark.parametrize("told", ["", "1024", "512,1024"])  # 1024: of the four equal cores of a Raspberry Pi
def test_a_kind_of_cores_is_refused_where_the_board_tells_no_kinds(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Board, "facts", property(lambda board: {**board.hello.facts, "capacities": told}))
    settings, both = LatencySettings(target=PYTHON, cores="big"), told == "512,1024"
    with nullcontext() if both else pytest.raises(ConfigError, match=r"cores big: the kernel of .* tells no kinds"):
        assert _boards(settings)[PYTHON]["capacities"] == told
    if not both:
        with pytest.raises(ConfigError, match="tells no kinds of cores apart"):
            archsearch.measure("shufflenet_v2_x0_5", target=PYTHON, cores="big")


def test_more_threads_than_a_board_has_cores_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Board, "facts", property(lambda board: {**board.hello.facts, "cores": "4"}))
    assert _boards(LatencySettings(target=PYTHON, threads=4))[PYTHON]["cores"] == "4"
    with pytest.raises(ConfigError, match=r"threads 5: .* has 4 cores"):
        _boards(LatencySettings(target=PYTHON, threads=5))
    assert _boards(LatencySettings(target=PYTHON, threads=5), begun=True)  # of an older version: it goes on
    with pytest.raises(ConfigError, match=r"threads 5: .* has 4 cores"):
        archsearch.measure("shufflenet_v2_x0_5", target=PYTHON, threads=5)


def test_a_target_runs_onnx_runtime_in_float32_alone() -> None:
    for given in ({"backends": ["torch"]}, {"backends": ["torch"], "precisions": ["bf16"]}):
        with pytest.raises(ConfigError, match="a target runs onnxruntime alone"):
            archsearch.measure("shufflenet_v2_x0_5", target=PYTHON, **given)  # type: ignore[arg-type]


def written(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(f"{content}\n")


def test_a_warm_up_of_many_slow_networks_is_waited_for_a_minute_each() -> None:
    group = BoardGroup(cast(Board, SimpleNamespace(new_group=lambda of: 0)), cast(Any, [None] * 10))
    told: dict[str, Any] = {}

    def ask(*_asked: Any, **given: Any) -> None:
        told.update(given)
        raise BoardAwayError("nobody is there")

    with pytest.raises(BoardAwayError):
        group._warm_up(cast(Connection, SimpleNamespace(ask=ask)), LatencySettings(backend="onnxruntime"))
    assert told["seconds"] >= 10 * 60.0  # whatever a network's share is, it is run once


def test_a_visit_of_slow_networks_is_waited_for_as_long_as_it_takes() -> None:
    group = BoardGroup(cast(Board, SimpleNamespace(new_group=lambda of: 0, is_own=True)), cast(Any, [None, None]))
    group._runs, group._run_ns = 1, 30e9  # one of 20 s and one of 10 s
    told: dict[str, Any] = {}

    def ask(*_asked: Any, **given: Any) -> None:
        told.update(given)
        raise BoardAwayError("nobody is there")

    with pytest.raises(BoardAwayError):
        group._timed_visit(
            cast(Connection, SimpleNamespace(ask=ask)),
            LatencySettings(backend="onnxruntime"),
            VisitPlan(number=0, bursts=6, before=0, runs=1, left_ns=20e9),
            0.0,
        )
    # Three untimed runs and two bursts of one run are made whatever the budget of 20 s says: 5 x 30 s.
    assert told["untimed"] == 3 and told["seconds"] >= 150.0 + 60.0


def test_a_visit_of_slow_networks_may_hold_the_board_for_longer_than_a_quarter_of_an_hour() -> None:
    # 30 bursts of 10 runs in 5 visits, of two networks of 10 s: 6 x 10 x 20 s = 1200 s, of a budget of 28800 s.
    burst = [[10_000_000_000] * 10] * 2
    told = whole_visit() | {"bursts_ns": [burst] * 6, "held_ns": 1_260 * 10**9, "ran_ns": 1_259 * 10**9}
    answer = Visited.model_validate(told | {"worked_ns": 1_261 * 10**9})
    plan = VisitPlan(number=1, bursts=6, before=6, runs=10, left_ns=28_800e9)
    _check_visit(answer, plan, 10, 2, 1_262 * 10**9, Target(name="fake", argv=()))


def test_what_the_line_costs_is_no_work_of_the_board_s_sensors_and_no_run_for_its_energy() -> None:
    board = SimpleNamespace(new_group=lambda of: 0, is_own=False, target=Target(name="fake", argv=()))
    group = BoardGroup(cast(Board, board), cast(Any, [None, None]))
    # 100 ms of runs; sensors are read and each network is run alone for 2.9 s more. All comes after 3.1 s.
    told = whole_visit() | {"held_ns": 100_000_000, "ran_ns": 99_000_000, "worked_ns": 3_000_000_000}

    def ask(*_asked: Any, **_given: Any) -> Visited:
        elapsed.append(3_100_000_000)
        return Visited.model_validate(told)

    elapsed: list[int] = []
    clock = SimpleNamespace(monotonic_ns=lambda: sum(elapsed))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(board_module, "time", clock)
        group._timed_visit(
            cast(Connection, SimpleNamespace(ask=ask)), FEW,
            VisitPlan(number=1, bursts=2, before=2, runs=2, left_ns=1e9), 0.0,
        )  # fmt: skip
    assert (group._wire_ns, group._worked_ns) == (100_000_000, 3_000_000_000)  # a share of 3.2 %


def test_a_visit_that_this_machine_has_slept_through_is_none_that_the_board_lies_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    board = SimpleNamespace(new_group=lambda of: 0, is_own=False, target=Target(name="fake", argv=()))
    group = BoardGroup(cast(Board, board), cast(Any, [None, None]))
    awake, in_all = [0], [0]  # nanoseconds
    answers: dict[str, BaseModel] = {
        "visit": Visited.model_validate(whole_visit()),  # 30 ms
        "warm": Warmed.model_validate({"id": 1, "ends": [[1e7, 10], [2e7, 10]], "waited_seconds": 0.0}),
    }

    def ask(operation: str, *_asked: Any, **_given: Any) -> BaseModel:
        awake.append(5_000_000)  # the lid was closed then, for an hour
        in_all.append(3_600_000_000_000)
        return answers[operation]

    monkeypatch.setattr(board_module, "time", SimpleNamespace(monotonic_ns=lambda: sum(awake)))
    monkeypatch.setattr(board_module, "_SLEEPLESS_NS", lambda: sum(in_all))
    line = cast(Connection, SimpleNamespace(ask=ask))
    assert group._warm_up(line, FEW) == 5_000_000  # none of the hour is the measurement's
    visit = group._timed_visit(line, FEW, VisitPlan(number=1, bursts=2, before=2, runs=2, left_ns=1e9), 0.0)
    assert (visit.held_ns, group._wire_ns) == (30_000_000, 0)


def test_energy_is_read_from_counters_sensors_regulators_and_a_meter_s_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The trees as the kernel's documents have them (powercap/powercap.rst, hwmon/ina3221.rst: mV and mA), the text as a
    # Raspberry Pi 5 prints it.
    written(tmp_path / "powercap" / "intel-rapl:0", name="package-0", energy_uj=1_000)
    written(tmp_path / "powercap" / "intel-rapl:0:0", name="core", energy_uj=5)  # within the package: not counted twice
    written(tmp_path / "powercap" / "intel-rapl:1", name="psys", energy_uj="")  # for root alone
    written(tmp_path / "hwmon" / "hwmon3", in1_label="VDD_IN", in1_input=5000, curr1_input=1200, in2_input=3300)
    vcgencmd = tmp_path / "vcgencmd"
    vcgencmd.write_text(
        '#!/bin/sh\n[ "$1" = pmic_read_adc ] && echo "  V_A current(7)=2.5A" && echo "  V_V volt(15)=0.8V"'
        "\n"
        '[ "$1" = get_throttled ] && echo throttled=0x50000\n'
    )
    vcgencmd.chmod(0o755)
    meter = tmp_path / "watts"
    meter.write_text(f"{time.time() - 3600:.1f} 9.9\n" * 100_000 + f"{time.time():.1f} 4.5\n")  # of more than a day
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("ARCHSEARCH_WATTS", str(meter))
    monkeypatch.setattr(agent_module, "CLASSES", tmp_path)
    assert agent_module.counters() == {"package-0": 1_000}
    assert agent_module.powers() == pytest.approx({"VDD_IN": 6.0, "V": 2.0, "meter": 4.5})
    assert agent_module.state()["throttled_bits"] == 0x50000
    meter.write_text(f"{time.time() - 3600:.1f} 9.9\n")
    assert "meter" not in agent_module.powers()  # an hour old

    def run() -> None:
        counter = tmp_path / "powercap" / "intel-rapl:0" / "energy_uj"
        counter.write_text(str(int(counter.read_text()) + 300))
        time.sleep(0.001)

    used = agent_module.energy((run,), 20_000_000)
    assert used["microjoules"]["package-0"] == 300 * used["runs"]
    assert used["microjoules"]["VDD_IN"] >= 6.0 * 20_000  # six watts for 20 ms at least, in microjoules


@pytest.mark.parametrize("last", ["seconds watts", "{now:.1f} 4.5W", "{now:.1f} -", "4.5", ""])
def test_a_meter_s_line_that_is_no_two_numbers_tells_no_energy_and_ends_no_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    (tmp_path / "watts").write_text(last.format(now=time.time()) + "\n")
    monkeypatch.setenv("ARCHSEARCH_WATTS", str(tmp_path / "watts"))
    monkeypatch.setattr(agent_module, "CLASSES", tmp_path)
    assert "meter" not in agent_module.powers()


def test_a_raspberry_pi_whose_firmware_knows_no_regulators_is_measured_on_without_energy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As vcgencmd of raspberrypi/utils prints what the firmware answers to a question it does not know.
    vcgencmd = tmp_path / "vcgencmd"
    vcgencmd.write_text(
        '#!/bin/sh\n[ "$1" = get_throttled ] && echo throttled=0x0 && exit\n'
        "echo vc_gencmd_read_response returned -1\necho 'error=1 error_msg=\"Command not registered\"'\nexit 255\n"
    )
    vcgencmd.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(agent_module, "CLASSES", tmp_path)
    assert agent_module.powers() == {}
    assert agent_module.state()["throttled_bits"] == 0


def test_a_rail_that_reads_below_zero_is_not_told_and_the_others_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A shunt without a load reads some steps of its sensor off: here -8 mA.
    written(tmp_path / "hwmon" / "hwmon3", in1_label="VDD_SOC", in1_input=5000, curr1_input=-8)
    written(tmp_path / "hwmon" / "hwmon3", in2_label="VDD_CPU", in2_input=5000, curr2_input=400)
    monkeypatch.setattr(agent_module, "CLASSES", tmp_path)
    used = agent_module.energy((time.sleep, 0.001), 20_000_000)
    taken = Energy.model_validate(used)
    assert set(taken.microjoules) == {"VDD_CPU"} and taken.microjoules["VDD_CPU"] >= 2.0 * 20_000  # 2 W for 20 ms


def test_energy_is_told_a_run_and_as_a_ratio_to_the_reference_of_the_rails_of_every_visit() -> None:
    def used(runs: int, **microjoules: float) -> Energy:
        return Energy(runs=runs, microjoules=microjoules)

    group = BoardGroup(cast(Board, SimpleNamespace(new_group=lambda of: 0)), [])
    assert group.energy(0) == {}
    group._used = [
        (used(100, package=60_000.0, dram=1.0), used(50, package=60_000.0, dram=1.0)),
        (used(300, package=180_000.0), used(150, package=180_000.0, dram=1.0)),
    ]
    # 240 mJ in 400 runs are 0.6 mJ; the reference's 240 mJ in 200 runs are 1.2 mJ
    assert group.energy(0) == {"energy_millijoules": "0.6", "energy_ratio": "0.5", "energy_rails": "package"}


@pytest.mark.parametrize(
    ("rails", "counted"),
    [
        ({"VDD_IN": 8.0, "VDD_CPU_GPU_CV": 3.0, "VDD_SOC": 2.0}, "VDD_IN"),  # the module's, with both of the others
        ({"VDD_IN": 8.0, "meter": 10.0}, "meter"),
        ({"package-0": 3.0, "psys": 9.0}, "psys"),
        ({"package-0": 3.0, "package-1": 4.0}, "package-0, package-1"),
    ],
)
def test_a_rail_that_holds_the_others_is_counted_alone(rails: dict[str, float], counted: str) -> None:
    group = BoardGroup(cast(Board, SimpleNamespace(new_group=lambda of: 0)), [])
    one, reference = (
        Energy(runs=10, microjoules={rail: 10_000 * times * joules for rail, joules in rails.items()})
        for times in (1, 2)
    )
    group._used = [(one, reference)]
    found = group.energy(0)
    millijoules = {"VDD_IN": "8", "meter": "10", "psys": "9", "package-0, package-1": "7"}[counted]
    assert found == {"energy_millijoules": millijoules, "energy_ratio": "0.5", "energy_rails": counted}


def test_a_rail_that_takes_nothing_hides_no_other_rail_s_energy() -> None:
    # A Raspberry Pi 5 prints `DDR_VDDQ_A current(4)=0.00000000A`.
    group = BoardGroup(cast(Board, SimpleNamespace(new_group=lambda of: 0)), [])
    group._used = [
        tuple(Energy(runs=100, microjoules={"VDD_CORE": each, "DDR_VDDQ": 0.0}) for each in (150_000.0, 300_000.0))
    ]
    # 150 mJ in 100 runs are 1.5 mJ, half of the reference's 3 mJ
    assert group.energy(0) == {
        "energy_millijoules": "1.5", "energy_ratio": "0.5", "energy_rails": "DDR_VDDQ, VDD_CORE",
    }  # fmt: skip
    group._used = [tuple(Energy(runs=100, microjoules={"DDR_VDDQ": 0.0}) for _ in range(2))]
    assert group.energy(0) == {}
