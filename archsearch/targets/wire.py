"""The line to a board: requests and answers, each a line of JSON, and what an answer may hold.

The board is not trusted. An answer is one line, no longer than what was asked for can be, that must fit its model:
numbers within bounds, short texts of printable characters, nothing else. It is read against a deadline, and a line that
breaks a rule ends the connection.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import subprocess
import time
from contextlib import suppress
from importlib.resources import files
from typing import IO, Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from archsearch.errors import MeasurementError
from archsearch.targets.agent import LONGEST_LINE, MARK
from archsearch.targets.transports import Target

CONNECT_SECONDS = 60.0
_MOST_GREETING = 65536  # bytes that a shell's start-up files may print before the agent speaks
_ERROR_LINES, _ERROR_BYTES = 5, 4096  # of what was said on standard error last
_END_SECONDS = 2.0  # that an agent has to end by itself
_LONGEST_POLL_SECONDS = 3600.0  # then it is looked at the clock again: a poll takes no more than 24 days
_CHUNK, _MOST_CHUNKS = 65536, 16  # bytes, and how many of them a pipe holds at most


def _printable(text: str) -> str:
    # Not only C0: a terminal obeys C1 (U+0080 to U+009F), too, and bidirectional controls turn round what is read.
    if not text.isprintable():
        raise ValueError("a character that cannot be printed")
    return text


Text = Annotated[str, StringConstraints(max_length=400), AfterValidator(_printable)]
_DIGITS = 12  # of the nanoseconds of one run
_MOST_ANSWER = 2**26  # bytes: nearly five million runs
Nanoseconds = Annotated[int, Field(gt=0, lt=10**_DIGITS, strict=True)]
LongNanoseconds = Annotated[int, Field(gt=0, lt=10**15, strict=True)]  # of a visit: a burst of many slow networks
Seconds = Annotated[float, Field(ge=0.0, lt=1e12, allow_inf_nan=False)]  # of all cores since the board was started, too
Integer = Annotated[int, Field(ge=-(10**9), le=2**63, strict=True)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: int


class BoardState(BaseModel):
    """What a board says of itself before and after a visit; an empty list, "" or None is not known.

    `governor`: of the cores that the agent keeps to, several with commas. `passive_trips_millidegrees`: of each trip
    point from which the board slows itself down, its zone's temperature, and the trip point's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    governor: Text = ""
    clock_khz: tuple[Integer, ...] = Field(default=(), max_length=64)
    temperature_millidegrees: tuple[Integer, ...] = Field(default=(), max_length=256)
    passive_trips_millidegrees: tuple[tuple[Integer, Integer], ...] = Field(default=(), max_length=256)
    throttled_bits: Integer | None = None
    cpu_seconds: tuple[Seconds, Seconds, Seconds] | None = None


class Energy(BaseModel):
    """What some runs of one network took, with nothing else run: microjoules of all of them by rail."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    runs: Annotated[int, Field(gt=0, lt=10**9, strict=True)]
    microjoules: dict[Text, Annotated[float, Field(ge=0.0, lt=1e15, allow_inf_nan=False)]] = Field(max_length=32)


class Hello(_Answer):
    """Who answers."""

    mark: Text
    nonce: Text
    facts: dict[Text, Text] = Field(max_length=32)
    state: BoardState


class Have(_Answer):
    """Whether a model is there."""

    have: bool


class Opened(_Answer):
    """What the opened network gave for the first image of the input, and the cores that it runs on."""

    outputs: tuple[float, ...] = Field(max_length=1000)  # NaN is an answer, too: `check_same_output` refuses it
    cores: tuple[Integer, ...] = Field(max_length=4096)


class Warmed(_Answer):
    """Of each network, median of the last window (nanoseconds) and runs."""

    ends: tuple[tuple[Annotated[float, Field(gt=0.0, lt=1e12, allow_inf_nan=False)], Integer], ...]
    waited_seconds: Seconds


class Visited(_Answer):
    """The runs of one visit: by burst, by network, each run (nanoseconds)."""

    bursts_ns: tuple[tuple[tuple[Nanoseconds, ...], ...], ...]  # as many as `longest_visit` lets come
    copies_ns: tuple[Nanoseconds, ...] = Field(max_length=64)
    held_ns: LongNanoseconds
    ran_ns: LongNanoseconds  # of the thread that waits for every run, and spins till the others of a run have ended
    worked_ns: LongNanoseconds  # the visit, energy, and reading of sensors
    waited_seconds: Seconds
    energy: tuple[Energy, ...] = Field(default=(), max_length=1000)  # by network; empty where no rail can be read
    before: BoardState
    after: BoardState


class _Refused(_Answer):
    error: Text
    passing: bool = False  # whether it is the board's state (its disk is full, another host measures), and may pass


def longest_visit(bursts: int, networks: int, runs: int) -> int:
    """Bytes that the answer to a visit may have: each run in all its digits, and beside the runs `LONGEST_LINE`.

    Raises MeasurementError if that is more than 64 MiB.

    >>> longest_visit(bursts=200, networks=2, runs=500) - LONGEST_LINE
    2802400
    """
    found = LONGEST_LINE + bursts * (4 + networks * (4 + runs * (_DIGITS + 2)))  # two of `, ` and of `[]` for each
    if found > _MOST_ANSWER:
        raise MeasurementError(
            f"a visit of {bursts} bursts of {runs} runs of {networks} networks is more than a board tells at once",
            hint="set latency.visits to more, or latency.runs_per_burst to less",
        )
    return found


class BoardAwayError(MeasurementError):
    """The line to a board broke, it did not answer in time or cannot do it now. What was asked may be asked again.

    Attributes:
        gives_back: why a trial is given back that waits for the board.
    """

    gives_back = "its board stayed away"


class BoardChangedError(BoardAwayError):
    """Another board answers than before, or it was changed: the one that was measured on is not there any more."""

    gives_back = "its board was changed"


class AgentEndsError(BoardAwayError):
    """The agent answers, and ends each time at what it is asked: a network that the board cannot run, or a bad line."""


Kind = TypeVar("Kind", bound=_Answer)


class Connection:
    """An agent on a board, started by this object and ended by `close`.

    Raises BoardAwayError if no agent answers in time: `hello` is what it said.
    """

    def __init__(self, target: Target, *, connect_seconds: float = CONNECT_SECONDS) -> None:
        self.target = target
        self._unread = bytearray()
        self._closed = False
        self._number = 0
        self._said = bytearray()  # the end of what came on standard error
        self._is_said = False  # whether that was all
        try:
            self._process = subprocess.Popen(
                target.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                process_group=0,  # Ctrl-C is for this process, which ends the line when it is ready to
            )  # fmt: skip
        except OSError as error:
            raise BoardAwayError(f"{target.name}: {target.argv[0]} cannot be started: {error.strerror}") from error
        try:
            source = files("archsearch.targets").joinpath("agent.py").read_bytes()
            nonce = secrets.token_hex(16)
            self._skip_greeting = True
            self._send(f"{len(source)}\n".encode() + source, time.monotonic() + connect_seconds)
            self.hello = self.ask("hello", Hello, seconds=connect_seconds, nonce=nonce)
            if self.hello.mark != MARK or self.hello.nonce != nonce:
                raise self._broken("something else than the agent answered")
        except BaseException:
            self.close()
            raise

    def ask(
        self,
        operation: str,
        kind: type[Kind],
        *,
        seconds: float,
        body: bytes = b"",
        longest: int = LONGEST_LINE,
        **request: Any,
    ) -> Kind:
        """Ask, and wait for the answer for so long; it has so many bytes at most.

        Raises BoardAwayError if the line breaks or the answer breaks a rule: the connection is closed then; also for
        what the board cannot do now, and where the agent cannot say hello: without its libraries it runs no network.
        MeasurementError for what the agent could not do.
        """
        self._number += 1
        head = {"id": self._number, "op": operation, **request, **({"bytes": len(body)} if body else {})}
        deadline = time.monotonic() + seconds
        self._send(json.dumps(head).encode() + b"\n" + body, deadline)
        line = self._line(deadline, longest)
        try:
            if b'"error"' in line:
                refused = _Refused.model_validate_json(line)
                if refused.id == self._number:
                    kind_of = BoardAwayError if refused.passing or operation == "hello" else MeasurementError
                    raise kind_of(f"{self.target.name}: {refused.error}")
            answer = kind.model_validate_json(line)
        except (ValidationError, RecursionError) as error:
            raise self._broken("an answer is not what was asked for") from error
        if answer.id != self._number:
            raise self._broken(f"answer {answer.id} came to question {self._number}")
        return answer

    @property
    def closed(self) -> bool:
        """Whether it was ended, or broke."""
        return self._closed

    def end(self) -> None:
        """End the line while another thread may be waiting for an answer: that thread finds it broken, and closes."""
        if not self._closed:  # afterwards the number of its process may be another's
            self._kill()

    def close(self) -> None:
        """End the agent, which may end itself first. It leaves nothing on the board, and no process here."""
        if self._closed:
            return
        self._closed = True
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what it had not read yet
                    pipe.close()
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=_END_SECONDS)
        finally:
            self._kill()  # in any case: a shell that has ended may have left the agent behind
            # Of another user (sudo) it cannot be killed: that its pipes are closed has to do.
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=_END_SECONDS)
            self._hear_out()

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # it has ended; it is another user's
            if self.target.ends_whole:
                os.killpg(self._process.pid, signal.SIGKILL)  # its own number is its group's, see `Popen` above
            else:
                self._process.kill()

    def _send(self, content: bytes, deadline: float) -> None:
        pipe = _descriptor(self._process.stdin)
        os.set_blocking(pipe, False)
        left = memoryview(content)
        while left:
            if not self._is_ready(pipe, select.POLLOUT, deadline):
                raise self._broken("it does not read what is sent")
            try:
                left = left[os.write(pipe, left) :]
            except ConnectionError as error:
                raise self._broken("the line broke while a question was sent") from error

    def _line(self, deadline: float, longest: int) -> bytes:
        pipe, greeting, searched = _descriptor(self._process.stdout), 0, 0
        while True:
            end = self._unread.find(b"\n", searched)
            if (len(self._unread) if end < 0 else end) > longest:
                raise self._broken(f"an answer is longer than {longest} bytes")
            if end >= 0:
                line = bytes(self._unread[:end])
                del self._unread[: end + 1]
                searched = 0
                if self._skip_greeting and not line.startswith(b'{"id"') and greeting < _MOST_GREETING:
                    greeting += len(line) + 1
                    continue
                self._skip_greeting = False
                return line
            searched = len(self._unread)
            if not self._is_ready(pipe, select.POLLIN, deadline):
                raise self._broken("no answer came in time")
            read = os.read(pipe, _CHUNK)
            if not read:
                raise self._broken("the line broke while an answer was awaited")
            self._unread += read

    def _is_ready(self, pipe: int, event: int, deadline: float) -> bool:
        """Whether the pipe can be read or written, or has ended, before the deadline; waits for it.

        Meanwhile standard error is read, so that who writes there is not stopped by a full pipe.
        """
        errors = _descriptor(self._process.stderr)
        waiting = select.poll()  # `select` takes no descriptor from 1024 on
        waiting.register(pipe, event)
        if not self._is_said:
            waiting.register(errors, select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            ready = [number for number, _ in waiting.poll(1000 * min(max(0.0, left), _LONGEST_POLL_SECONDS))]
            if pipe in ready:
                return True
            if errors in ready:
                self._listen()
                if self._is_said:
                    waiting.unregister(errors)
            if left <= 0.0:
                return False

    def _broken(self, why: str) -> BoardAwayError:
        self.close()
        lines = [
            "".join(letter for letter in line if letter.isprintable()).strip()[:200]
            for line in self._said.decode("utf-8", "replace").split("\n")
        ]
        said = " | ".join([line for line in lines if line][-_ERROR_LINES:])
        return BoardAwayError(f"{self.target.name}: {why}" + (f" ({said})" if said else ""))

    def _hear_out(self) -> None:
        """Read what is left on standard error, as much as a pipe holds: others may write there still. Close it."""
        errors, left = _descriptor(self._process.stderr), select.poll()
        left.register(errors, select.POLLIN)
        for _chunk in range(_MOST_CHUNKS):
            if self._is_said or not left.poll(0):
                break
            self._listen()
        assert self._process.stderr is not None
        self._process.stderr.close()

    def _listen(self) -> None:
        """Take a chunk from standard error, which has one or has ended: ssh says there what is wrong."""
        read = os.read(_descriptor(self._process.stderr), _CHUNK)
        self._is_said = not read
        self._said = (self._said + read)[-_ERROR_BYTES:]


def _descriptor(pipe: IO[bytes] | None) -> int:
    assert pipe is not None
    return pipe.fileno()
