from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

import archsearch

ROOT = Path(__file__).resolve().parent.parent
QUICKSTART = ROOT / "examples" / "quickstart.py"
SMALL = (
    "proxy.epochs=1",
    "proxy.train_images=64",
    "proxy.validation_images=40",
    "fixed.width=0.5",
    "restrict={}",
    "variants=[shufflenet_v2_x0_5]",
    "reference=shufflenet_v2_x0_5",
    "workers=1",
    "latency={bursts: 2, visits: 1, runs_per_burst: 2, spread_seconds: 0, budget_seconds: 2, warmup_windows: 2}",
)


def test_the_quickstart_example_runs_from_the_study_to_the_loaded_model(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, str(QUICKSTART), "2", "1", *SMALL],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 0, ended.stderr
    study = archsearch.open_study("quickstart", storage=f"sqlite:///{tmp_path}/runs/archsearch.db")
    assert dict(study.counts) == {"complete": 2}
    assert (tmp_path / "runs" / "quickstart" / "retrain" / study.best.arch_id / "spec.json").is_file()
    for row in study.front.members:
        assert row.record.label in ended.stdout
    assert "test top-1 of the recommended network" in ended.stdout
    assert "look like" in ended.stdout


def executed(page: str) -> dict[str, Any]:
    """What the Python of a page defines."""
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    found: dict[str, Any] = {}
    exec(compile(code, page, "exec"), found)
    return found


def test_the_example_on_the_page_of_the_python_interface_makes_a_network_and_counts_it() -> None:
    model = executed("docs/python.md")["model"]
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_the_attention_of_the_how_to_page_keeps_shape_and_layout_and_learns() -> None:
    module = executed("docs/add_attention.md")["ChannelScale"](8)
    x = torch.rand(2, 8, 4, 4).contiguous(memory_format=torch.channels_last)
    out = module(x)
    assert out.shape == x.shape and out.is_contiguous(memory_format=torch.channels_last)
    out.sum().backward()
    assert module.scale.grad is not None
