"""Who may use a device now: any number of trainings in short chunks, or one measurement alone.

A readers-writer lock between processes, of two empty files and `flock`:

    gate   held while entering. A measurement keeps it until it is over, so that new chunks wait behind it.
    room   held while using the device: shared by chunks, exclusively by a measurement.

A measurement therefore waits for the chunks that run, and for none that begins later: it is never starved. The kernel
drops the locks of a process that ends in any way, SIGKILL included, so a dead holder never blocks the others.

What it covers: processes of one user on one machine that find the same folder (`lease_folder`). Other users' work
and other programs are not stopped; the protocol's halves tell when they disturbed.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from types import ModuleType

from archsearch.errors import MeasurementError

logger = logging.getLogger(__name__)

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None

_LONG_WAIT_SECONDS = 60.0

Waiting = Callable[[], AbstractContextManager[object]]


class DeviceLease:
    """The lease of one device.

    Threads: every thread is a holder of its own, so a measurement in one thread excludes chunks of all others.
    Re-entry: within `shared()` or `exclusive()` the same thread may enter `shared()` again, and within `exclusive()`
    also `exclusive()`; both then do nothing. `exclusive()` within `shared()` would wait for itself for ever and raises
    RuntimeError at once. All objects with one key and folder are one lease.
    Fork: a child starts without the leases of its parent.

    Args:
        device_key: see the function of this name.
        folder: of the lock files; None: `lease_folder`.
        waiting: entered while the device is waited for.

    Raises:
        MeasurementError: the system has no `fcntl` (Windows). There is no lease to fall back to: pass `lease=None` to
            the protocol instead, and every latency says `contended: true`. Also if the folder is not the user's own.
    """

    def __init__(self, device_key: str, folder: Path | None = None, *, waiting: Waiting = nullcontext) -> None:
        if fcntl is None:
            raise MeasurementError(
                "this system has no file locks between processes (fcntl), which the device lease is made of",
                hint="use Linux, macOS or WSL, or measure without a lease; latencies then say contended",
            )
        self.device_key = device_key
        self._given = folder
        self._stem = re.sub(r"[^A-Za-z0-9._-]", "_", device_key)
        self._key = f"{'' if folder is None else folder}/{self._stem}"
        self._waiting = waiting
        _make_private(self.folder)

    @classmethod
    def of_device(cls, device: str, folder: Path | None = None, *, waiting: Waiting = nullcontext) -> DeviceLease:
        """The lease of a torch device ("cpu", "cuda", "cuda:1"), by its key in `device_key`."""
        return cls(device_key(device), folder, waiting=waiting)

    @property
    def folder(self) -> Path:
        """Of the lock files, as whoever looks now finds it: the user's runtime folder comes and goes with a session."""
        return lease_folder() if self._given is None else self._given

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Use the device beside other chunks; waits while a measurement runs or waits.

        A chunk is a few training steps, or at most one evaluation: a measurement waits for its end.
        """
        with ExitStack() as stack:
            if not _held(self._key):
                with self._waiting():
                    gate = self._wait_for("gate", exclusive=True)
                    try:
                        room = self._wait_for("room", exclusive=False)
                    finally:
                        _unlock(gate)
                stack.callback(_unlock, room)
                stack.enter_context(_holding(self._key, "shared"))
            yield

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Use the device alone; waits for running chunks, and new ones wait until this is over."""
        held = _held(self._key)
        if held == "shared":
            raise RuntimeError(
                f"exclusive() within shared() on '{self.device_key}' would wait for itself: leave the chunk first"
            )
        with ExitStack() as stack:
            if not held:
                with self._waiting():
                    stack.callback(_unlock, self._wait_for("gate", exclusive=True))
                    stack.callback(_unlock, self._wait_for("room", exclusive=True))
                stack.enter_context(_holding(self._key, "exclusive"))
            yield

    def _path(self, kind: str) -> Path:
        return self.folder / f"{self._stem}.{kind}"

    def _wait_for(self, kind: str, *, exclusive: bool) -> int:
        """Lock the gate or the room, and say who holds the device while that takes long."""
        with ExitStack() as stack:

            def tell_later() -> None:
                telling = threading.Timer(_LONG_WAIT_SECONDS, self._tell_who_holds_it)
                telling.daemon = True
                telling.start()
                stack.callback(telling.cancel)

            return _lock(partial(self._path, kind), exclusive=exclusive, before_waiting=tell_later)

    def _tell_who_holds_it(self) -> None:
        holders = _holders(self._path("room")) or _holders(self._path("gate"))
        logger.warning(
            "waiting for the device '%s' for %.0f s: it is held by %s",
            self.device_key,
            _LONG_WAIT_SECONDS,
            ", ".join(holders) or "another process",
        )


def device_key(device: str) -> str:
    """One name for a physical device: "cpu", or the UUID of a GPU (its index where torch does not tell the UUID)."""
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return device.replace(":", "-")
    import torch

    number = int(index) if index else torch.cuda.current_device()
    return f"gpu-{getattr(torch.cuda.get_device_properties(number), 'uuid', number)}"


def lease_folder() -> Path:
    """The user's own folder on this machine: XDG_RUNTIME_DIR, /run/user/UID, /tmp, or else that for temporary files.

    /run/user/UID is tried by itself because cron, sudo and ssh commands lack the variable that names it; and /tmp
    because TMPDIR is, on a cluster, one job's own or that of all machines.
    """
    user = os.getuid()
    for runtime in (os.environ.get("XDG_RUNTIME_DIR"), f"/run/user/{user}"):
        if runtime and _is_usable(runtime):
            return Path(runtime) / "archsearch"
    return Path("/tmp" if _is_usable("/tmp") else tempfile.gettempdir()) / f"archsearch-{user}"


def _is_usable(folder: str) -> bool:
    return os.access(folder, os.W_OK | os.X_OK) and Path(folder).is_dir()


def _make_private(folder: Path) -> None:
    """Make the folder for its owner alone. Raises MeasurementError if it is a link, a file or another user's."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.lstat()
    except OSError as error:
        raise MeasurementError(f"the lease folder {folder} cannot be made: {error}") from error
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise MeasurementError(
            f"the lease folder {folder} is not a folder of yours",
            hint="remove it, or set XDG_RUNTIME_DIR to a folder of your own",
        )


# Which leases this thread holds, by their keys.
_THREAD = threading.local()
# Open lock files of this process: a forked child closes its copies, or its parent's death would not free them.
_OPEN: set[int] = set()


def _held(key: str) -> str | None:
    return getattr(_THREAD, "held", {}).get(key)


@contextmanager
def _holding(key: str, how: str) -> Iterator[None]:
    held: dict[str, str] = _THREAD.__dict__.setdefault("held", {})
    held[key] = how
    try:
        yield
    finally:
        held.pop(key, None)


def _lock(find: Callable[[], Path], *, exclusive: bool, before_waiting: Callable[[], None]) -> int:
    """Open a lock file and wait for its lock. The descriptor; opened anew each time, so threads exclude each other.

    `find` says where the file is now. `before_waiting` is called once, if the lock is not free. A folder that a cleaner
    of temporary files removed is made again. Raises MeasurementError if it cannot be.
    """
    assert fcntl is not None  # the constructor refuses without it
    how, waits = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH, False
    while True:
        path = find()
        _make_private(path.parent)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue
        _OPEN.add(descriptor)
        try:
            try:
                fcntl.flock(descriptor, how | fcntl.LOCK_NB)
            except BlockingIOError:
                if not waits:
                    waits = True
                    before_waiting()
                fcntl.flock(descriptor, how)
            if _is_at(find(), descriptor):
                return descriptor
        except BaseException:  # Ctrl-C while waiting included
            _unlock(descriptor)
            raise
        _unlock(descriptor)  # it was removed meanwhile, or the folder is another now: others would lock another file


def _unlock(descriptor: int) -> None:
    if descriptor in _OPEN:  # not in a child that was forked within the lease
        _OPEN.discard(descriptor)
        os.close(descriptor)  # which also releases its lock


def _holders(path: Path) -> list[str]:
    """Processes that hold a file's lock, as the kernel lists them (proc_locks(5)); none where there is no such list."""
    found = []
    with suppress(OSError):
        facts = path.stat()
        file = f"{os.major(facts.st_dev):02x}:{os.minor(facts.st_dev):02x}:{facts.st_ino}"
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            _, kind, *rest = line.split()
            if kind == "FLOCK" and rest[3] == file:
                state = Path(f"/proc/{rest[2]}/stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1]
                stopped = f" (stopped: `kill -CONT {rest[2]}` lets it go on)" if state.split()[0] in "Tt" else ""
                found.append(f"process {rest[2]}{stopped}")
    return found


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _forget_in_child() -> None:
    for descriptor in _OPEN:
        os.close(descriptor)
    _OPEN.clear()
    _THREAD.__dict__.clear()


if fcntl is not None:
    os.register_at_fork(after_in_child=_forget_in_child)
