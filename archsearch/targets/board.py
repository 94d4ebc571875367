"""Networks measured on a board: the measuring procedure of `archsearch.latency.protocol`, one message a visit.

A visit is whole or it was not made: when the line breaks, the board is looked for again, networks are sent and warmed
up anew, and the visit is made from its beginning. Only then the measurement goes on, so no run is counted twice.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import count
from weakref import finalize

import torch
from torch import Tensor, nn

from archsearch.errors import BuildError, ConfigError, MeasurementError
from archsearch.latency.backends.base import check_same_output
from archsearch.latency.backends.torch_backend import plain_output
from archsearch.latency.fingerprint import Fingerprint, volatile_facts
from archsearch.latency.group import NS_PER_SECOND, VisitPlan, runs_of_burst, warmup_ns
from archsearch.latency.lease import DeviceLease
from archsearch.latency.network import measure_networks
from archsearch.latency.prepare import IMAGE_CHANNELS, conditions_of, random_input, warn_of_load_once
from archsearch.latency.protocol import Conditions, Measurement
from archsearch.latency.remeasure import until_trusted
from archsearch.latency.samples import Visit
from archsearch.latency.settings import CPU_BACKEND, LatencySettings
from archsearch.latency.watch import is_disturbed
from archsearch.models.onnx_export import export_onnx
from archsearch.noise import quiet_memory_ms
from archsearch.records import Latency
from archsearch.targets.agent import COPIES, number, read
from archsearch.targets.transports import OWN, Target
from archsearch.targets.wire import (
    AgentEndsError,
    BoardAwayError,
    BoardChangedError,
    BoardState,
    Connection,
    Energy,
    Have,
    Hello,
    Opened,
    Visited,
    Warmed,
    longest_visit,
)
from archsearch.text import plural

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 600.0
LOCK_SECONDS = 60.0  # for which an agent waits until another host's visit has ended; then it is asked anew
_ANSWER_SECONDS = 60.0  # beside what the work itself takes
_UPLOAD_BYTES_PER_SECOND = 10_000  # a slow serial bridge; an upload is given up after so long, and a minute
_BACK_OFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)
_BREAKS = 5  # in a row of an agent that answers in between: what it was asked to do ends it
_OUTPUTS = 1000  # of the first image, compared with this machine's own
_ENERGY_NS = 200_000_000  # for which each network runs alone in a visit where a rail can be read
_CLOCK_SLACK = 1.02  # the board's clock against ours
# Goes on while this machine sleeps, as a board does: on Linux CLOCK_MONOTONIC does not, on macOS it does.
_SLEEPLESS_NS = partial(time.clock_gettime_ns, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
_RAN = 0.9  # of a visit's time the agent ran, at least, unless it was stopped or others had its core
_WHOLE_RAILS = ("meter", "VDD_IN", "psys")  # a meter's file; all that a Jetson's module takes; Intel's whole platform
_THROTTLED_NOW = 0xF  # bits of `vcgencmd get_throttled` for what happens now; the higher ones are of the past
_CHANGING_FACTS = ("boot_id", "kernel", "python", "numpy", "memory_kib")
_MOST_GROUPS = 16  # that an agent keeps open: of a trial, of those that wait for their latency, of a repeat
MISSING = (
    "python3 with numpy and onnxruntime is needed there: python3 -m pip install onnxruntime; of a virtual environment: "
    "'ssh:HOST ENVIRONMENT/bin/python3'"
)


class Board:
    """A board, connected to when it is needed, and again when the line broke. What is asked of it stands in one queue.

    Args:
        target: how it is reached.
        known: the facts that it told before, by which it is known again; None: it is asked for them now.
        patience_seconds: how long a board that does not answer is waited for.
        sleep: between two attempts.

    Raises MeasurementError if its facts are asked for and it is not there within a minute, or lacks what the agent
    needs.
    """

    def __init__(
        self,
        target: Target,
        *,
        known: Mapping[str, str] | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self.target = target
        self.patience_seconds = patience_seconds
        self._ended = threading.Event()
        self._sleep = sleep or self._ended.wait
        self._connection: Connection | None = None
        self._known = known
        self._away_since: float | None = None
        self._answers = False  # whether it did while what was asked of it last failed for good
        self._turn = threading.Lock()
        self._begun: list[Future[None]] = []
        self._memory: list[float] = []
        self._opened: list[int] = []  # groups on this connection, the one visited last at the end
        self._dropped: set[int] = set()  # of these, the ones that nobody will visit any more
        self._groups = count()
        self._speaking = threading.RLock()
        if known is None:
            try:
                self.connection()
            except MeasurementError as error:
                raise MeasurementError(
                    error.message, hint=error.hint or f"check the line by hand; {MISSING}"
                ) from error

    @property
    def hello(self) -> Hello:
        """What the agent said when it was connected to last. Raises BoardAwayError."""
        return self.connection().hello

    @property
    def facts(self) -> Mapping[str, str]:
        """What the board says that it is."""
        return self.hello.facts if self._known is None else self._known

    @property
    def is_own(self) -> bool:
        """Whether its agent is this process's own: what is measured there is measured on this device (`own_agent`)."""
        return self.target is OWN

    @property
    def is_here(self) -> bool:
        """Whether it is this machine, if by another way: what runs there takes the CPU from what runs here."""
        return self.is_own or self.facts.get("boot_id", "") == read("/proc/sys/kernel/random/boot_id") != ""

    @property
    def is_away(self) -> bool:
        """Whether it did not answer when it was asked last, and is being looked for."""
        return self._away_since is not None

    def fingerprint(self, *, threads: int, cores: str = "all") -> Fingerprint:
        """What a latency on it belongs to: the board, its runtime, clock regime, cores and threads.

        What it does not tell is "not known": it is then not the same as a board that tells. Two boards of one model
        differ in `machine_id`; in a pool what either measures belongs to the first one's.
        """
        return Fingerprint.of(
            lasting_facts(self.facts) | {"backend": CPU_BACKEND, "threads": str(threads), "core_set": cores}
        )

    def connection(self) -> Connection:
        """The line to the agent, opened if there is none.

        Raises BoardAwayError; BoardChangedError if another board answers than before.
        """
        if self._connection is None or self._connection.closed:
            made, known = Connection(self.target), self._known
            if known is not None:
                told = lasting_facts(made.hello.facts)
                changed = [key for key, fact in lasting_facts(known).items() if told.get(key) != fact]
                if changed:
                    made.close()
                    raise _changed(self.target, changed)
                if known.get("boot_id") != made.hello.facts.get("boot_id"):
                    logger.warning("%s was started anew", self.target.name)
            self._known = made.hello.facts
            self._connection, self._opened = made, []
            self._dropped.clear()
            if self._ended.is_set():
                made.end()
        return self._connection

    def insistently(self, work: Callable[[Connection], Visit]) -> Visit:
        """Do something with a connection, again and again until the line holds.

        Raises BoardAwayError after `patience_seconds`, or when this object was closed; AgentEndsError instead where the
        agent answered in between, of this process's own after `_BREAKS` times: no line leads there that could be bad.
        BoardChangedError at once; MeasurementError for what the board refuses.
        """
        began, attempt, breaks = time.monotonic(), 0, 0
        while True:
            line: Connection | None = None
            try:
                with self._speaking:  # one question at a time
                    line = self.connection()
                    made = work(line)
            except BoardChangedError:
                self._away_since = self._away_since or began
                raise
            except BoardAwayError as error:
                breaks = breaks + 1 if line is not None and line.closed else 0
                self._away_since = self._away_since or began
                away = time.monotonic() - began
                pause = _BACK_OFF_SECONDS[min(attempt, len(_BACK_OFF_SECONDS) - 1)]
                over = away + pause > self.patience_seconds
                self._answers = breaks >= _BREAKS
                if self._answers and (over or self.is_own) and not self._ended.is_set():
                    raise AgentEndsError(
                        f"{error.message}; so it went {breaks} times in a row, and it answered in between",
                        hint="it may take more memory than there is: a smaller batch or input",
                    ) from error
                if self._ended.is_set() or over:
                    raise BoardAwayError(
                        f"{error.message}; it has been away for {away:.0f} s",
                        hint="bring it back and type the same command",
                    ) from error
                logger.warning("%s; looking for it again in %g s", error.message, pause)
                self._sleep(pause)
                attempt += 1
            except MeasurementError:
                self._away_since = None  # it answers
                raise
            else:
                self._away_since = None
                return made

    def take_back(self) -> None:
        """Take it for there again if it answered while what was asked of it ended its agent: that was the network's."""
        if self._answers:
            self._away_since = None

    @property
    def waiting(self) -> int:
        """How many pieces of work were begun and are not done."""
        return sum(not made.done() for made in self._begun)

    def begin(self, work: Callable[[], None]) -> Future[None]:
        """Do a piece of work there beside what is done here, after those that were begun before."""
        made: Future[None] = Future()

        def run() -> None:
            with self._turn:
                try:
                    work()
                except BaseException as error:  # noqa: BLE001 (it is raised where the result is asked for)
                    made.set_exception(error)
                else:
                    made.set_result(None)

        self._begun = [*(other for other in self._begun if not other.done()), made]
        # A daemon: who ends the process does not wait for a board that is away.
        threading.Thread(target=run, daemon=True, name=self.target.name).start()
        return made

    def note(self, memory_ms: float) -> None:
        """Remember what the copies of one whole measurement took there (milliseconds, `Latency.memory_ms`)."""
        self._memory.append(memory_ms)

    @property
    def quiet_ms(self) -> float | None:
        """What a copy takes there while nobody else uses the memory, as far as this process has seen (milliseconds)."""
        return quiet_memory_ms(self._memory)

    def new_group(self, of: object) -> int:
        """A number for networks that are opened together; the agent may close them when the object `of` has gone."""
        number = next(self._groups)
        finalize(of, self._dropped.add, number).atexit = False
        return number

    def has_open(self, group: int) -> bool:
        """Whether the agent that is connected now has these networks open; they are the ones used last then."""
        if group not in self._opened:
            return False
        self._opened = [*(other for other in self._opened if other != group), group]
        return True

    def making_room(self, group: int) -> list[int]:
        """The groups that the agent is to forget when this one is opened: it may hold `_MOST_GROUPS`."""
        dropped = [other for other in self._opened if other in self._dropped]
        others = [other for other in self._opened if other != group and other not in dropped]
        return [group, *dropped, *others[: max(0, len(others) + 1 - _MOST_GROUPS)]]

    def opened(self, group: int, gone: Sequence[int]) -> None:
        """Note that a group is open now, or some of it, and those of `making_room` that were sent with it no longer."""
        self._opened = [*(other for other in self._opened if other not in (*gone, group)), group]
        self._dropped.difference_update(gone)

    def close(self) -> None:
        """End the agent. What is being done there ends with BoardAwayError."""
        self._ended.set()
        if self._connection is not None:
            self._connection.end()
            if self._speaking.acquire(blocking=False):  # else who is speaking finds the line broken, and closes it
                try:
                    self._connection.close()
                finally:
                    self._speaking.release()


@dataclass(frozen=True, kw_only=True)
class BoardNetwork:
    """A network as it is sent to a board.

    Attributes:
        what: names it in messages.
        data: the ONNX model.
        images: (N, C, H, H) float32, its input.
        expected: (1, outputs): what it gives here for the first image, as many as the agent tells.
    """

    what: str
    data: bytes
    images: Tensor
    expected: Tensor

    @classmethod
    def of(cls, model: nn.Module, *, what: str, settings: LatencySettings, input_size: int, seed: int) -> BoardNetwork:
        """Export a network that takes images of this size, or as many channels as its `input_channels` says.

        Raises MeasurementError if that cannot be done.
        """
        channels = getattr(model, "input_channels", IMAGE_CHANNELS)
        images = random_input(
            batch=settings.batch_on("cpu"), input_size=input_size, device="cpu", seed=seed, channels=channels
        )
        with DeviceLease.of_device("cpu").shared():  # another process may be measuring here
            try:
                # Of other images than it is run on, so that a constant in place of a computation shows.
                exported = export_onnx(model, -images.flip(-1))
            except BuildError as error:
                raise MeasurementError(
                    f"{what}: {error.message}", hint=error.hint or "measure it on this machine with the backend 'torch'"
                ) from error
            expected = plain_output(model, images[:1]).flatten(1)[:, :_OUTPUTS]
        return cls(what=what, data=exported.data, images=images, expected=expected)


class BoardGroup:
    """Networks on a board, as a `latency.group.Group`.

    Args:
        board: where.
        networks: the last one is the reference.
        lease: of this machine's CPU, if the board is this machine; None: taken here.

    Threads and cores are those of the settings that `visit` is given. The agent holds a lock of its own in every visit.
    Where the board is this machine, its lease is held, too, and shared while networks are opened.
    """

    def __init__(self, board: Board, networks: Sequence[BoardNetwork], *, lease: DeviceLease | None = None) -> None:
        self._board = board
        self._number = board.new_group(self)
        self._networks = tuple(networks)
        self._lease = lease
        self._warm: Connection | None = None  # where all of them were opened and warmed up
        self._runs, self._run_ns = 0, 0.0  # of a burst, and what one run of every network takes; from the warm-up on
        self._warmup_runs: list[int] = []
        self._states: list[tuple[BoardState, BoardState]] = []
        self._used: list[tuple[Energy, ...]] = []  # by visit, by network
        self._wire_ns = self._worked_ns = 0  # of all visits: on the line, and on the board
        self._stopped = 0  # visits in which the agent did not run all the time

    @property
    def networks(self) -> int:
        """How many they are, the reference included."""
        return len(self._networks)

    @property
    def contended(self) -> bool:
        """Whether the agent was stopped, its core shared, or the board throttled within a visit, as far as it tells."""
        total, foreign = self._foreign_cpu_seconds()
        disturbed = is_disturbed(total, foreign, visits=len(self._states))
        return self._stopped > 0 or self._throttled() is True or disturbed

    def state(self) -> dict[str, str]:
        """The target, clocks, temperatures and throttling over the visits; what is unreadable is "not known".

        Of this process's own agent what `latency.watch` tells of this machine.
        """
        total, foreign = self._foreign_cpu_seconds()
        share = {"foreign_cpu_share": f"{min(1.0, max(0.0, foreign / total)):.3f}"} if total > 0.0 else {}
        stopped = {"stopped_visits": f"{self._stopped} of {len(self._states)}"}
        if self._board.is_own:
            return volatile_facts("cpu") | stopped | share
        states = [state for pair in self._states for state in pair]
        clocks = [clock for state in states for clock in state.clock_khz]
        heat = [value for state in states for value in state.temperature_millidegrees]
        throttled = self._throttled()
        return {
            "target": self._board.target.name,
            "boot_id": self._board.facts.get("boot_id", "")[:8],
            "clock_mhz": f"{min(clocks) // 1000} to {max(clocks) // 1000}" if clocks else "not known",
            "temperature_celsius": f"{max(heat) / 1000:.0f}" if heat else "not known",
            "throttled": "not known" if throttled is None else "yes" if throttled else "no",
            "wire_share": f"{self._wire_ns / max(1, self._wire_ns + self._worked_ns):.3f}",
            **stopped,
            **share,
        }

    def energy(self, network: int) -> dict[str, str]:
        """Millijoules of a run, their ratio to the reference's, and the rails that are counted; empty if none is read.

        Of the rails that every visit told of; where one of them holds the others, of that one.
        """
        own, reference = self._microjoules(network), self._microjoules(-1)
        told = own.keys() & reference.keys()
        rails = next(([rail] for rail in _WHOLE_RAILS if rail in told), sorted(told))
        used, beside = (math.fsum(each[rail] for rail in rails) for each in (own, reference))
        if not beside > 0.0:
            return {}
        return {
            "energy_millijoules": f"{used / 1000:.4g}",
            "energy_ratio": f"{used / beside:.4g}",
            "energy_rails": ", ".join(rails),
        }

    def note(self, memory_ms: float) -> None:
        """Handed to the board."""
        self._board.note(memory_ms)

    def visit(self, settings: LatencySettings, plan: VisitPlan) -> Visit:
        """One visit, whole. Raises BoardAwayError if the board stays away, MeasurementError for what it refuses."""

        def once(connection: Connection) -> Visit:
            return self._visit(connection, settings, plan)

        if self._board.is_here:
            warn_of_load_once()
            self._lease = self._lease or DeviceLease.of_device("cpu")
        asked = time.monotonic_ns()
        made = self._board.insistently(once)
        # Whatever was not the board's own work was waiting: for the lease, for the line, for a board that was away.
        return replace(made, waited_ns=max(0.0, time.monotonic_ns() - asked - made.held_ns))

    def _visit(self, connection: Connection, settings: LatencySettings, plan: VisitPlan) -> Visit:
        cold = not self._board.has_open(self._number) or self._warm is not connection
        if cold or plan.number > 0:  # anew in each visit: docs/latency.md, a process of its own
            with self._lease.shared() if self._lease is not None else nullcontext():
                self._open(connection, settings)
        with self._lease.exclusive() if self._lease is not None else nullcontext():
            warm_ns = self._warm_up(connection, settings) if cold else 0.0
            self._warm = connection
            return self._timed_visit(connection, settings, plan, warm_ns)

    def _timed_visit(self, connection: Connection, settings: LatencySettings, plan: VisitPlan, warm_ns: float) -> Visit:
        runs = self._runs if plan.number == 0 else plan.runs
        began, asked = time.monotonic_ns(), _SLEEPLESS_NS()
        budget = settings.group_budget_seconds(self.networks)
        in_any_case = (settings.untimed_runs + 2 * runs) * self._run_ns / NS_PER_SECOND
        answer = connection.ask(
            "visit", Visited, seconds=budget + 2.0 * in_any_case + LOCK_SECONDS + _ANSWER_SECONDS,
            longest=longest_visit(plan.bursts, self.networks, runs),
            group=self._number, bursts=plan.bursts, before=plan.before, runs=runs,
            untimed=settings.untimed_runs, most_ns=max(0, round(plan.left_ns - warm_ns)),
            patience_seconds=LOCK_SECONDS, energy_ns=0 if self._board.is_own else _ENERGY_NS,
        )  # fmt: skip
        took = time.monotonic_ns() - began
        _check_visit(answer, plan, runs, self.networks, max(took, _SLEEPLESS_NS() - asked), self._board.target)
        told = {each for state in (answer.before, answer.after) for each in state.governor.split(",")} - {""}
        if told and not self._board.is_own and told - {*self._board.facts.get("governor", "").split(",")}:
            raise _changed(self._board.target, ["governor"])
        self._states.append((answer.before, answer.after))
        if answer.energy:
            self._used.append(answer.energy)
        self._worked_ns += answer.worked_ns
        self._wire_ns += max(0, took - round(answer.waited_seconds * NS_PER_SECOND) - answer.worked_ns)
        self._stopped += answer.ran_ns < _RAN * answer.held_ns
        return Visit(
            bursts_ns=[[list(runs_ns) for runs_ns in burst] for burst in answer.bursts_ns],
            runs=runs,
            warmup_runs=self._warmup_runs if plan.number == 0 else [],
            host_over_device=[],
            copies_ms=[nanoseconds / 1e6 for nanoseconds in answer.copies_ns],
            held_ns=answer.held_ns + warm_ns,
            waited_ns=0.0,  # `visit` says
        )

    def _open(self, connection: Connection, settings: LatencySettings) -> None:
        """Open all networks, and have the agent forget others for them."""
        gone = self._board.making_room(self._number)
        # The reference first, as here: what is opened last lies better in memory, by some percent of its latency.
        for place, network in enumerate(reversed(self._networks)):
            opened = connection.ask(
                "open", Opened, seconds=120.0, sha256=_put(connection, network.data),
                input=_put(connection, network.images.numpy().tobytes()), shape=list(network.images.shape),
                group=self._number, threads=settings.threads, cores=settings.cores, forget=gone if place == 0 else [],
            )  # fmt: skip
            if place == 0:  # the agent holds some of the group now, also where another of its networks is refused
                self._board.opened(self._number, gone)
            check_same_output(
                expected=network.expected,
                got=torch.tensor([opened.outputs], dtype=torch.float32),
                what=f"{network.what}: running on {self._board.target.name}",
                hint="its runtime computes something else: another version of onnxruntime may not",
            )

    def _warm_up(self, connection: Connection, settings: LatencySettings) -> float:
        """Warm all networks up; the time that it took, without that for which another host was waited for (ns)."""
        began, asked = time.monotonic_ns(), _SLEEPLESS_NS()
        each = warmup_ns(settings)
        warmed = connection.ask(
            "warm", Warmed,
            seconds=LOCK_SECONDS + self.networks * (_ANSWER_SECONDS + 2.0 * each / NS_PER_SECOND),
            group=self._number, window=settings.warmup_runs, windows=settings.warmup_windows,
            tolerance=settings.warmup_tolerance,
            most_ns=round(each), patience_seconds=LOCK_SECONDS,
        )  # fmt: skip
        took = time.monotonic_ns() - began
        _check_warmed(warmed, self.networks, max(took, _SLEEPLESS_NS() - asked), self._board.target)
        if not self._runs:
            self._run_ns = math.fsum(run for run, _ in warmed.ends)
            self._runs = runs_of_burst(settings, self._run_ns, networks=self.networks)
            self._warmup_runs = [runs for _, runs in warmed.ends]
        return max(0.0, took - warmed.waited_seconds * NS_PER_SECOND)

    def _foreign_cpu_seconds(self) -> tuple[float, float]:
        """All cores' time in the visits, and what others than the agent used of it; 0 where the board does not tell."""
        total = foreign = 0.0
        for before, after in self._states:
            if before.cpu_seconds is not None and after.cpu_seconds is not None:
                whole, busy, own = (
                    end - start for start, end in zip(before.cpu_seconds, after.cpu_seconds, strict=True)
                )
                total, foreign = total + whole, foreign + busy - own
        return total, foreign

    def _throttled(self) -> bool | None:
        """Whether the board said that it slows itself down; None if it does not tell."""
        told: list[bool] = []
        for state in (state for pair in self._states for state in pair):
            if state.throttled_bits is not None:
                told.append(bool(state.throttled_bits & _THROTTLED_NOW))
            if state.passive_trips_millidegrees:
                told.append(any(now >= trip for now, trip in state.passive_trips_millidegrees))
        return any(told) if told else None

    def _microjoules(self, network: int) -> dict[str, float]:
        """Of one run by rail, over all visits; a rail whose counter ran over in one is left out."""
        visits = [used[network] for used in self._used]
        runs = sum(each.runs for each in visits)
        rails = {
            rail for each in visits for rail in each.microjoules if all(rail in other.microjoules for other in visits)
        }
        return {rail: math.fsum(each.microjoules[rail] for each in visits) / runs for rail in rails}


def measure_on_board(
    models: Sequence[nn.Module],
    reference: nn.Module,
    *,
    board: Board,
    names: Sequence[str],
    reference_name: str,
    settings: LatencySettings,
    input_size: int,
    seed: int = 0,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Latency, ...]:
    """Measure networks on a board, in turn with one reference; as `latency.network.measure_networks` does here.

    Args: as there; the cores are the settings'.

    Returns a latency for each network, whose device is the target's name.
    Raises MeasurementError, BoardAwayError.
    """
    exported = partial(BoardNetwork.of, settings=settings, input_size=input_size, seed=seed)
    last = exported(reference, what=f"the reference network '{reference_name}'")
    networks = [exported(model, what=f"the network '{name}'") for model, name in zip(models, names, strict=True)]
    return measure_board_networks(
        networks, last, board=board, reference_name=reference_name, settings=settings, sleep=sleep
    )


def uses_own_agent(device: str, settings: LatencySettings) -> bool:
    """Whether networks are measured on this device by `own_agent`, and not in this process.

    A process that has trained has scattered memory: the same network takes some percent longer in it, and more with
    every hour (docs/latency.md, "A process of its own").
    """
    return device == "cpu" and settings.backend_on(device) == CPU_BACKEND


@cache
def own_agent() -> Board:
    """The agent with which this process measures on this machine; it ends with the process. A forked child has its own.

    Raises MeasurementError if it cannot be started.
    """
    return Board(OWN)


if hasattr(os, "register_at_fork"):  # two processes at one line would read each other's answers
    os.register_at_fork(after_in_child=own_agent.cache_clear)


def measure_on(device: str, board: Board | None, settings: LatencySettings) -> Callable[..., tuple[Latency, ...]]:
    """Measures networks with these settings on the board, or on this device, whose lease it takes."""
    if board is None and uses_own_agent(device, settings):
        board = own_agent()
    if board is not None:
        return partial(measure_on_board, settings=settings, board=board)
    return partial(measure_networks, settings=settings, device=device, lease=DeviceLease.of_device(device))


def measure_board_networks(
    networks: Sequence[BoardNetwork],
    reference: BoardNetwork,
    *,
    board: Board,
    reference_name: str,
    settings: LatencySettings,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Latency, ...]:
    """`measure_on_board` of networks that are exported already, for several boards or several times."""
    conditions = board_conditions(board, settings, reference=reference_name, input_size=reference.images.shape[-1])

    def measure_once(chosen: Sequence[int]) -> list[Latency]:
        group = BoardGroup(board, [*(networks[index] for index in chosen), reference])
        measurement = Measurement(group, settings)
        measurement.complete(sleep)
        return measurement.latencies(conditions)

    return until_trusted(measure_once, len(networks), settings, quiet_ms=lambda: board.quiet_ms)


def lasting_facts(facts: Mapping[str, str]) -> dict[str, str]:
    """Of what a board says of itself that which stays for months; what it does not tell is "not known"."""
    return {key: value or "not known" for key, value in facts.items() if key not in _CHANGING_FACTS}


def board_conditions(board: Board, settings: LatencySettings, *, reference: str, input_size: int) -> Conditions:
    """What is measured on a board belongs to this; by this process's own agent, to this device."""
    if board.is_own:
        return conditions_of(reference, settings, "cpu", input_size)
    return Conditions(
        reference=reference,
        device=board.target.name,
        backend=CPU_BACKEND,
        batch=settings.batch_on("cpu"),
        threads=settings.threads,
        input_size=input_size,
        fingerprint=board.fingerprint(threads=settings.threads, cores=settings.cores).id,
    )


def check_backend(settings: LatencySettings) -> None:
    """Raises ConfigError for what no board can run yet."""
    if (why := settings.refused_by_targets) is not None:
        raise ConfigError(why, hint="leave it out")


def check_cores(board: Board, cores: str, *, threads: int) -> None:
    """Raises ConfigError for more threads than a board has cores, which would wait for each other, and for a kind of
    cores where it tells no two kinds: it would be all of them."""
    there = number(board.facts.get("cores", ""))
    if there is not None and threads > there:
        raise ConfigError(
            f"threads {threads}: {board.target.name} has {plural(there, 'core')}", hint="one for each core at most"
        )
    if cores != "all" and "," not in board.facts.get("capacities", ""):
        raise ConfigError(
            f"cores {cores}: the kernel of {board.target.name} tells no kinds of cores apart (cpu_capacity)",
            hint="leave it out: networks run on any core there",
        )


def _put(connection: Connection, content: bytes) -> str:
    """Send what the agent does not have yet; its SHA-256."""
    sha256 = hashlib.sha256(content).hexdigest()
    if not connection.ask("put", Have, seconds=30.0, sha256=sha256).have:
        connection.ask("put", Have, seconds=60.0 + len(content) / _UPLOAD_BYTES_PER_SECOND, body=content, sha256=sha256)
    return sha256


def _check_warmed(answer: Warmed, networks: int, took_ns: int, target: Target) -> None:
    """Raises MeasurementError if a warm-up cannot have happened as it is told."""
    if len(answer.ends) != networks:
        raise _implausible(target, f"{len(answer.ends)} of {networks} networks were warmed up")
    if (least := min(runs for _, runs in answer.ends)) < 1:
        raise _implausible(target, f"a network that was warmed up in {least} runs")
    # A median is no longer than the longest run.
    spent_ns = answer.waited_seconds * NS_PER_SECOND + math.fsum(median_ns for median_ns, _ in answer.ends)
    if spent_ns > _CLOCK_SLACK * took_ns:
        raise _implausible(
            target, f"{spent_ns / 1e6:.1f} ms of waiting and runs in a warm-up that took {took_ns / 1e6:.1f} ms here"
        )


def _check_visit(answer: Visited, plan: VisitPlan, runs: int, networks: int, took_ns: int, target: Target) -> None:
    """Raises MeasurementError if a visit cannot have happened as it is told."""
    if not min(plan.bursts, max(0, 2 - plan.before)) <= len(answer.bursts_ns) <= plan.bursts:
        raise _implausible(target, f"{len(answer.bursts_ns)} bursts where {plan.bursts} were asked for")
    if any(len(burst) != networks or any(len(each) != runs for each in burst) for burst in answer.bursts_ns):
        raise _implausible(target, f"bursts that are not {runs} runs of each of {networks} networks")
    if len(answer.energy) not in (0, networks):
        raise _implausible(target, f"the energy of {len(answer.energy)} networks where {networks} were run")
    if len(answer.copies_ns) != 2 * COPIES:
        raise _implausible(target, f"{len(answer.copies_ns)} copies where {2 * COPIES} were asked for")
    timed = sum(sum(each) for burst in answer.bursts_ns for each in burst) + sum(answer.copies_ns)
    if timed > _CLOCK_SLACK * answer.held_ns or answer.held_ns > _CLOCK_SLACK * took_ns:
        raise _implausible(
            target,
            f"runs of {timed / 1e6:.1f} ms in a visit of {answer.held_ns / 1e6:.1f} ms, which took "
            f"{took_ns / 1e6:.1f} ms here",
        )
    if (told_ns := answer.waited_seconds * NS_PER_SECOND + answer.held_ns) > _CLOCK_SLACK * took_ns:
        raise _implausible(
            target,
            f"{told_ns / 1e6:.1f} ms of waiting and of a visit, which together took {took_ns / 1e6:.1f} ms here",
        )


def _changed(target: Target, facts: Sequence[str]) -> BoardChangedError:
    return BoardChangedError(
        f"{target.name}: another board answers than before, or it was changed: {', '.join(facts)}",
        hint="latencies of the two could not be compared: undo it, or measure them as two targets",
    )


def _implausible(target: Target, what: str) -> MeasurementError:
    return MeasurementError(f"{target.name}: it told of {what}", hint="nothing of it is kept: check what answers there")
