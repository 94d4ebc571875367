"""How a board is reached. A target is a program on this machine whose standard input and output are the agent's.

    local             this machine, without an agent
    command:PROGRAM   anything that starts a Python on the far side: `command:docker exec -i box python3`
    ssh:HOST          OpenSSH with the user's own configuration, keys and known hosts
    adb:SERIAL        an Android device with a Python (Termux) in its path

Behind a host or serial another Python than `python3` may be named: `ssh:pi5 bench/bin/python3`.

A new kind is one function, and its line in KINDS.
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from archsearch.errors import ConfigError
from archsearch.latency.settings import LOCAL

# Ends the line that a shell's start-up files may have begun. Reads the agent's length from a line, then the agent; what
# follows on standard input is its own.
BOOTSTRAP = "import sys;print();exec(compile(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())),'agent','exec'))"


@dataclass(frozen=True)
class Target:
    """A board by the name that a user typed, and the command whose pipes lead to it.

    Attributes:
        name, argv: these.
        ends_whole: whether all that the command started ends with it. What ssh and adb start is for others, too: a
            master connection, the program that it runs through (ProxyJump), a server.
    """

    name: str
    argv: tuple[str, ...]
    ends_whole: bool = True


# This machine by an agent of this process's own. `-P`: a file of the working directory is not taken for a library.
OWN = Target(name=LOCAL, argv=(sys.executable, "-P", "-u", "-c", BOOTSTRAP))


def _command(text: str) -> tuple[str, ...]:
    return (*shlex.split(text), "-u", "-c", BOOTSTRAP)


def _far_shell(text: str) -> tuple[str, str]:
    """The device that is named, and the line for its shell that starts a Python there."""
    device, _, typed = text.partition(" ")
    python = typed.strip().removeprefix("~/") or "python3"  # quoted, a ~ is none; the shell begins in the home folder
    return device, f"exec {shlex.quote(python)} -u -c {shlex.quote(BOOTSTRAP)}"


def _ssh(text: str) -> tuple[str, ...]:
    host, line = _far_shell(text)
    if host.startswith("-"):  # an option of ssh, never a host
        raise ConfigError(f"ssh:{host}: a host was expected", hint="for example ssh:pi5 or ssh:user@board")
    # No password is asked, an unknown host is refused, and a dead line is noticed in 15 seconds. One master connection
    # is shared by all that this machine opens to this host. Its socket's path, to which ssh appends 17 letters, may
    # have 107 of them, or ssh ends: ssh's own %C would be 40.
    line_id = hashlib.sha256(f"{socket.gethostname()} {host}".encode()).hexdigest()[:12]
    options = ("BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=10", "ServerAliveInterval=5",
               "ControlMaster=auto", f"ControlPath=~/.ssh/archsearch-{line_id}", "ControlPersist=60")  # fmt: skip
    return ("ssh", "-T", *(part for option in options for part in ("-o", option)), "--", host, line)


def _adb(text: str) -> tuple[str, ...]:
    serial, line = _far_shell(text)
    return ("adb", "-s", serial, "shell", "-T", line)  # -T: no terminal, which would change bytes on their way


KINDS: Mapping[str, Callable[[str], tuple[str, ...]]] = {"ssh": _ssh, "command": _command, "adb": _adb}


def parse_target(text: str) -> Target | None:
    """The board that a text names; None for `local`. Raises ConfigError for any other text."""
    if text == LOCAL:
        return None
    kind, colon, rest = text.partition(":")
    if kind not in KINDS or not colon or not rest.strip():
        raise ConfigError(f"target '{text}': unknown", hint="local, ssh:HOST, command:PROGRAM ARGS or adb:SERIAL")
    try:
        argv = KINDS[kind](rest.strip())
    except ValueError as error:  # shlex: a quote that is not closed
        raise ConfigError(f"target '{text}': {error}", hint="quote it as in a shell") from error
    if shutil.which(argv[0]) is None:
        raise ConfigError(f"target '{text}': the program '{argv[0]}' was not found", hint="install it, or check PATH")
    return Target(name=text, argv=argv, ends_whole=kind == "command")


def check_device_beside(board: Target | None, device: str) -> None:
    """Raises ConfigError for a device that nothing would be run on: a board has one of its own."""
    if board is not None and str(device) not in ("auto", "cpu"):
        raise ConfigError(f"device {device}: {board.name} runs networks on its own CPU", hint="leave one of them out")
