"""Files that are either whole or not there, and names that become their paths."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archsearch.errors import ArchsearchError, ConfigError

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""What a study may be called: it names a folder, so no separator, nothing hidden, and never the way to another one."""
NAME_WORDS = "letters, digits and . _ -, at most 100"

_LONGEST = 255  # bytes of a file's name, on every usual file system


def is_name(text: str) -> bool:
    """Whether a text may name a study's folder."""
    return re.fullmatch(NAME, text) is not None and not text.endswith("\n")


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or the next start after a kill or a power cut, finds the old or the new one.

    A link is followed: the file that it means is written, and the link stays. A file that is there keeps its mode.

    Raises ArchsearchError if the folder cannot be made or written, ConfigError for everything that is no regular file:
    a folder, a device, a pipe.
    """
    try:
        target = _target(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(_temporary_name(target.name))
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                shutil.copymode(target, temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name, too, must outlive a power cut
        except OSError as error:
            if error.errno != errno.EINVAL:  # a file system that synchronises no folders: sshfs, some shares
                raise
        finally:
            os.close(folder)
    except (OSError, RuntimeError, ValueError) as error:  # a link to itself; a path with a NUL
        raise _refusal(path, error) from error


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a file's lock, which a process gives back when it ends, however it does; gives whether it is held.

    Raises OSError with the file's name, also on a file system without locks (Lustre, as it is mounted by default).
    """
    import fcntl  # not on every system, and most who import this file lock nothing

    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        except OSError as error:
            why = f"files cannot be locked there: {error.strerror}"
            raise OSError(error.errno, why, str(path)) from error
        else:
            yield True


def check_writable(folder: Path) -> None:
    """Make a folder and see whether a file can be written there, before hours are spent on one.

    Raises ArchsearchError as `write_atomically` does.
    """
    probe = folder / f".probe.{os.getpid()}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(b"archsearch")
        finally:
            probe.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise _refusal(folder, error) from error


def check_file(path: Path) -> None:
    """Raise as `write_atomically` would of a file, before minutes are spent on what goes into it; makes its folder."""
    try:
        target = _target(path)
    except (OSError, RuntimeError, ValueError) as error:
        raise _refusal(path, error) from error
    check_writable(target.parent)


def _target(path: Path) -> Path:
    """The regular file that a path means, links followed."""
    target = path.resolve()
    if target.is_dir() or not target.name:
        raise ConfigError(f"{path}: cannot be written: it is a folder", hint="give the name of a file")
    if not target.exists():
        return target
    if not target.is_file():
        raise ConfigError(f"{path}: cannot be written: it is a device or a pipe", hint="only regular files are written")
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return target


def _temporary_name(name: str) -> str:
    end = f".{os.urandom(4).hex()}.tmp"  # of this writing alone: threads have one process id, and so may two containers
    if len(os.fsencode(name)) > _LONGEST:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    return f".{os.fsdecode(os.fsencode(name)[: _LONGEST - 1 - len(end)])}{end}"


def _refusal(path: Path, error: Exception) -> ArchsearchError:
    return ArchsearchError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}")
