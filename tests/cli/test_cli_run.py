"""`archsearch run`, in this process, as far as its plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from archsearch.api.paths import open_database
from archsearch.search.config import load_study
from archsearch.search.plan import plan_run
from archsearch.search.runtime import Runtime
from archsearch.store.studies import enter_study


def test_a_study_of_pictures_of_an_older_version_goes_on_as_it_began(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("archsearch.search.plan._preflight", lambda *_, **__: None)
    generator = np.random.default_rng(0)
    for place in ("train/cat", "train/dog", "test/cat", "test/dog"):
        (tmp_path / "photos" / place).mkdir(parents=True)
        for number in range(4):
            pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / place / f"{number}.png")
    Path("mine.yaml").write_text(
        "name: mine\nspace: shufflenet_v2\ndataset: folder:photos\nvariants: none\nproxy: {validation_images: 2}\n",
        encoding="utf-8",
    )
    plan = plan_run(load_study("mine.yaml", ()), Runtime(workers=1, device="cpu"), former=True)
    database = open_database("sqlite:///a.db", create=True, entering="mine")
    enter_study(
        database, name="mine", config=plan.config.protocol(), space=plan.space.to_dict(),
        space_fingerprint=plan.space.fingerprint, facts=plan.facts,
    )  # fmt: skip
    database.close()
    ended = cli("run", "--study", "mine.yaml", "--dry-run", "--device", "cpu", "--storage", "sqlite:///a.db")
    assert ended.code == 0 and "dry run: nothing was stored" in ended.out, ended.err
