"""A board behind a real OpenSSH server on this machine."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = pytest.mark.skipif(
    SSHD is None or shutil.which("ssh") is None, reason="no OpenSSH server (on Debian: apt-get install openssh-server)"
)


@contextmanager
def served(folder: Path, address: str, within: Sequence[str] = ()) -> Iterator[str]:
    """A PATH whose `ssh` knows the host `board`, and `stranger`, whose key is not known; the server runs meanwhile.

    `within`: the words that start a program where the server is to be.
    """
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd asks for it
    (folder / "server").write_text(
        f"ListenAddress {address}\nPort {port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        f"StrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\n"
        f'ForceCommand PATH={Path(sys.executable).parent}:$PATH; eval "$SSH_ORIGINAL_COMMAND"\n'  # our own python3
    )
    (folder / "known").write_text(f"[{address}]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "client").write_text(
        f"Host *\n  HostName {address}\n  Port {port}\n  User {getpass.getuser()}\n  IdentityFile {folder}/user\n"
        f"  IdentitiesOnly yes\nHost board\n  UserKnownHostsFile {folder}/known\n"
        f"Host stranger\n  UserKnownHostsFile /dev/null\n"
    )
    programs = folder / "bin"
    programs.mkdir()
    (programs / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/client -S none "$@"\n')
    (programs / "ssh").chmod(0o755)
    words = [*within, SSHD or "", "-D", "-e", "-f", str(folder / "server")]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(100):
                with socket.socket() as line:
                    if line.connect_ex((address, port)) == 0:
                        break
                time.sleep(0.1)
            yield f"{programs}:{os.environ['PATH']}"
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("ssh"), "127.0.0.1") as found:
        yield found


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[tuple[str, Callable[[str], None]]]:
    """The same of a server that has a network of its own, and what pulls the cable to it (`down`) and plugs it in."""

    def ip(*words: str) -> int:
        return subprocess.run(["ip", *words], capture_output=True, check=False).returncode

    if ip("netns", "add", "archsearch-board") != 0:
        pytest.skip("no network namespaces here (root and iproute2 are needed)")
    try:
        assert ip("link", "add", "board0", "type", "veth", "peer", "name", "eth0", "netns", "archsearch-board") == 0
        assert ip("addr", "add", "198.51.100.1/30", "dev", "board0") == 0  # RFC 5737: of no network
        assert ip("link", "set", "board0", "up") == 0
        within = ("netns", "exec", "archsearch-board")
        for words in (("addr", "add", "198.51.100.2/30", "dev", "eth0"), ("link", "set", "eth0", "up")):
            assert ip(*within, "ip", *words) == 0
        with served(tmp_path, "198.51.100.2", ("ip", *within)) as found:
            yield found, lambda state: assert_zero(ip("link", "set", "board0", state))
    finally:
        ip("link", "del", "board0")
        ip("netns", "del", "archsearch-board")


def assert_zero(code: int) -> None:
    assert code == 0


def typed(*words: str, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "archsearch.cli.main", *words], env=os.environ | {"PATH": path}, capture_output=True,
        text=True, timeout=300, check=False,
    )  # fmt: skip


def test_a_network_is_measured_through_ssh(path: str) -> None:
    ended = typed(
        "measure", "shufflenet_v2_x0_5", "--input-size", "32", "--classes", "10", "--budget", "2", "--json",
        "--target", "ssh:board", path=path,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    (found,) = json.loads(ended.stdout)["networks"]
    assert found["latency"]["device"] == "ssh:board"
    assert found["latency"]["p10_ms"] > 0.0


def test_the_python_of_an_environment_over_there_is_named_behind_the_host(path: str) -> None:
    ended = typed("target", "check", f"ssh:board {sys.executable}", path=path)
    assert ended.returncode == 0, ended.stderr
    without = typed("target", "check", "ssh:board no-such/bin/python3", path=path)
    assert without.returncode == 1
    assert "no-such/bin/python3" in without.stderr and "'ssh:HOST ENVIRONMENT/bin/python3'" in without.stderr


def test_a_host_whose_key_is_not_known_is_refused_in_ssh_s_own_words(path: str) -> None:
    ended = typed("target", "check", "ssh:stranger", path=path)
    assert ended.returncode == 1
    assert "Host key verification failed" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_a_cable_that_is_pulled_for_half_a_minute_costs_time_and_nothing_else(
    cable: tuple[str, Callable[[str], None]],
) -> None:
    path, link = cable
    words = ("measure", "shufflenet_v2_x0_5", "--input-size", "32", "--classes", "10", "--budget", "12", "--json",
             "--target", "ssh:board")  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-m", "archsearch.cli.main", "--verbose", *words], env=os.environ | {"PATH": path}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as measuring:  # fmt: skip
        told = []
        assert measuring.stderr is not None
        for line in measuring.stderr:  # until the networks are there and visits begin
            told.append(line)
            if line.startswith("measuring 1 network"):
                break
        time.sleep(4.0)
        assert measuring.poll() is None, "it ended before the cable was pulled"
        link("down")
        time.sleep(30.0)  # ssh gives a silent line up after 15
        link("up")
        out, err = measuring.communicate(timeout=300)
    assert measuring.returncode == 0, "".join(told) + err
    (found,) = json.loads(out)["networks"]
    assert found["latency"]["p10_ms"] > 0.0
    assert found["latency"]["n"] > 0
    assert "looking for it again" in err
