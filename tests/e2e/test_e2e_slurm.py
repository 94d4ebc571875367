"""The array job of docs/cluster.md in a real SLURM of one node: tasks join, one is cut off, the next one takes over."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from archsearch.api.study import open_study

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")
# What stands in the document, and what the one small node has instead.
HERE = {
    "--array=1-100%16": "--array=1-3%16",
    "--study cifar10": "--study ./tiny.yaml",
    "--workers 8": "--workers 1",
    "--data-dir /shared/data": "--data-dir data",
}
TRIALS = 5
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 Feature=epyc7742 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="SLURM's controller starts jobs of its users: it needs root"),
    pytest.mark.skipif(
        any(shutil.which(program) is None for program in PROGRAMS),
        reason="SLURM was not found (on Debian: apt-get install slurmctld slurmd slurm-client)",
    ),
]


def job_script(storage: str) -> str:
    """`join.sbatch` as the document shows it, for this node."""
    block = re.search(r"`join\.sbatch`:\n\n((?:    .*\n)+)", DOCUMENT)
    assert block is not None
    script = re.sub(r"^    ", "", block[1], flags=re.MULTILINE)
    for shown, here in {**HERE, "postgresql://search@db1/studies": storage}.items():
        assert script.count(shown) == 1, shown
        script = script.replace(shown, here)
    return script


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of SLURM's commands while a controller and one node of eight cores run."""
    folder, host = tmp_path_factory.mktemp("slurm"), socket.gethostname().partition(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir()
    with socket.socket() as one, socket.socket() as other:
        for listener in (one, other):
            listener.bind(("127.0.0.1", 0))
        ports = [listener.getsockname()[1] for listener in (one, other)]
    (folder / "slurm.conf").write_text(CONFIGURATION.format(host=host, ports=ports, folder=folder))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": path, "OMP_NUM_THREADS": "1"}
    with ExitStack() as stack:
        for program in ("slurmctld", "slurmd"):
            log = stack.enter_context((folder / f"{program}.log").open("wb"))
            daemon = subprocess.Popen([program, "-D"], env=environment, stdout=log, stderr=log)
            stack.callback(daemon.wait)
            stack.callback(daemon.terminate)
        yield environment


def test_tasks_join_give_their_trials_back_when_they_are_cut_off_and_find_the_study_done(
    slurm: dict[str, str], postgres: object, new_workplace: Callable[..., object], wait: Callable[..., None]
) -> None:
    folder, storage = new_workplace(trials=TRIALS).folder, postgres.new_database()
    study = (folder / "tiny.yaml").read_text()
    (folder / "tiny.yaml").write_text(study.replace("proxy: {epochs: 1,", "proxy: {epochs: 20, learning_rate: 0.02,"))
    (folder / "join.sbatch").write_text(job_script(storage))

    def say(*command: str, check: bool = True) -> str:
        return subprocess.run(command, cwd=folder, env=slurm, capture_output=True, text=True, check=check).stdout

    def counts() -> dict[str, int]:
        try:
            return dict(open_study("tiny", storage=storage).counts)
        except Exception:  # noqa: BLE001 (the first task is just making the database)
            return {}

    wait(lambda: "idle" in say("sinfo", "--noheader"), "the node is idle")
    job = say("sbatch", "--parsable", "join.sbatch").strip()
    wait(lambda: counts().get("complete", 0) >= 1, "a trial is complete")
    # What --signal=B:TERM@60 sends a minute before the walltime. scancel asks again, and minds that the task has gone.
    say("scancel", "--batch", "--signal=TERM", f"{job}_1", check=False)
    wait(lambda: not say("squeue", "--noheader", "--array"), "the array has ended")
    assert counts()["complete"] == TRIALS
    assert counts().get("interrupted", 0) <= 1
    said = [(folder / f"slurm-{job}_{task}.out").read_text() for task in (1, 2, 3)]
    assert "stopped; nothing that had finished is lost" in said[0]
    assert f"of {TRIALS} trials are done" in said[1]  # it went on from what the first one had stored
    assert f"{TRIALS} of {TRIALS} trials are done" in said[2]
