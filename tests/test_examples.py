from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import archsearch

QUICKSTART = Path(__file__).resolve().parent.parent / "examples" / "quickstart.py"
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
