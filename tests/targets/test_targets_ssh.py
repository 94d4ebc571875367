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
from collections.abc import Iterator
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = pytest.mark.skipif(
    SSHD is None or shutil.which("ssh") is None, reason="no OpenSSH server (on Debian: apt-get install openssh-server)"
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PATH whose `ssh` knows the host `board`, and `stranger`, whose key is not known; the server runs meanwhile."""
    folder = tmp_path_factory.mktemp("ssh")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd asks for it
    (folder / "server").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        f"StrictModes no\nUsePAM no\nPasswordAuthentication no\nPidFile none\n"
        f'ForceCommand PATH={Path(sys.executable).parent}:$PATH; eval "$SSH_ORIGINAL_COMMAND"\n'  # our own python3
    )
    (folder / "known").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    (folder / "client").write_text(
        f"Host *\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n  IdentityFile {folder}/user\n"
        f"  IdentitiesOnly yes\nHost board\n  UserKnownHostsFile {folder}/known\n"
        f"Host stranger\n  UserKnownHostsFile /dev/null\n"
    )
    programs = folder / "bin"
    programs.mkdir()
    (programs / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/client -S none "$@"\n')
    (programs / "ssh").chmod(0o755)
    with subprocess.Popen([SSHD or "", "-D", "-e", "-f", str(folder / "server")], stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(100):
                with socket.socket() as line:
                    if line.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield f"{programs}:{os.environ['PATH']}"
        finally:
            server.terminate()


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


def test_a_host_whose_key_is_not_known_is_refused_in_ssh_s_own_words(path: str) -> None:
    ended = typed("target", "check", "ssh:stranger", path=path)
    assert ended.returncode == 1
    assert "Host key verification failed" in ended.stderr
    assert "Traceback" not in ended.stderr
