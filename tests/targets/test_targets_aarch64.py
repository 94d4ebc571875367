"""A board of another architecture: Python, numpy and ONNX Runtime of arm64 Debian under qemu's user emulation.

`ARCHSEARCH_TEST_AARCH64` names a folder with `debian`, an arm64 Debian, and `site`, the wheels for aarch64 unpacked:

    apt-get install qemu-user-static mmdebstrap
    mmdebstrap --arch=arm64 --variant=extract --include=python3,libstdc++6 bookworm debian
    pip download -d wheels --no-deps --only-binary=:all: --python-version 3.11 --platform manylinux_2_28_aarch64 \\
        --platform manylinux_2_27_aarch64 --platform manylinux2014_aarch64 \\
        onnxruntime==1.20.1 numpy protobuf flatbuffers packaging
    for wheel in wheels/*.whl; do python3 -m zipfile -e $wheel site; done

qemu 7.2 ends with a segmentation fault when ONNX Runtime 1.32 is imported; 1.20.1 runs. What is tested is that the
agent runs and computes the same, not how fast.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

QEMU = shutil.which("qemu-aarch64-static")
PLACE = Path(os.environ.get("ARCHSEARCH_TEST_AARCH64", "absent"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(QEMU is None or not (PLACE / "debian").is_dir(), reason="no arm64 Debian, or no qemu"),
]


def test_the_agent_runs_on_aarch64_and_gives_the_outputs_that_are_given_here() -> None:
    python = f"env PYTHONPATH={PLACE}/site {QEMU} -L {PLACE}/debian {PLACE}/debian/usr/bin/python3"
    ended = subprocess.run(
        [sys.executable, "-m", "archsearch.cli.main", "measure", "shufflenet_v2_x0_5", "--input-size", "32",
         "--classes", "10", "--budget", "10", "--json", "--target", f"command:{python}"],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr  # outputs that differ by more than a hundredth are refused
    (network,) = json.loads(ended.stdout)["networks"]
    found = network["latency"]
    assert found["device"] == f"command:{python}"
    assert found["p10_ms"] > 0.0
    (installed,) = (PLACE / "site").glob("onnxruntime-*.dist-info")
    assert installed.name == f"onnxruntime-{network['backend_version']}.dist-info"
