"""A study small enough to run in a test: six possible networks, random images, hardly any latency runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from archsearch.cost import cost_of
from archsearch.data.dataset import Dataset
from archsearch.data.images import Images
from archsearch.latency import lease
from archsearch.latency.samples import Samples
from archsearch.search import evaluate
from archsearch.search.config import StudyConfig, parse_study
from archsearch.search.optuna_study import OptunaStudy
from archsearch.search.worker import Worker
from archsearch.store.database import Database
from archsearch.store.studies import StudyInfo, enter_study, find_study

SPACE = """
name: tiny
family: shufflenet_v2
fixed: {width: 0.5}
choices:
  stage2.attention: {values: [none, se, simam], source: test}
  residual: {values: [false, true], source: test}
"""
MakeConfig = Callable[..., StudyConfig]
MakeWorker = Callable[..., Worker]


def _images(count: int, classes: int, seed: int) -> Images:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return Images(pixels, torch.arange(count) % classes)


@pytest.fixture(scope="session")
def tiny_dataset() -> Dataset:
    """96 random images of 4 classes."""
    return Dataset(
        name="tiny",
        classes=("a", "b", "c", "d"),
        train=_images(96, 4, 0),
        load_test=lambda: _images(8, 4, 1),
        flip=False,
        fingerprint="0" * 12,
    )


@pytest.fixture
def make_config(tmp_path: Path) -> MakeConfig:
    """A study's configuration; keyword arguments are keys of the YAML file."""

    def make(*, space_text: str = SPACE, **changes: Any) -> StudyConfig:
        path = tmp_path / "tiny_space.yaml"
        path.write_text(space_text)
        content: dict[str, Any] = {
            "name": "tiny",
            "space": str(path),
            "dataset": "digits",
            "sampler": "random",
            "variants": "none",
            "reference": "shufflenet_v2_x0_5",
            "proxy": {"epochs": 1, "batch_size": 32, "train_images": 64, "validation_images": 32},
            "constraints": {"guidelines": "off"},
            "latency": {
                "backend": "torch-eager",  # nothing to trace or export, which would also upset workers in threads
                "bursts": 2,
                "visits": 1,
                "runs_per_burst": 2,
                "spread_seconds": 0,
                "budget_seconds": 2,
                "tolerance": 0.99,
                "warmup_runs": 2,
                "warmup_windows": 2,
                "repeat_every": 0,
                "remeasure": 0,
            },
        }
        return parse_study(content | changes, source="a test")

    return make


@pytest.fixture(autouse=True)
def one_visit_is_a_whole_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else this machine does: these tests count visits and trainings; tests/latency has convergence."""
    monkeypatch.setattr(Samples, "halves_agree", lambda self, tolerance: True)


count_once = cache(cost_of)


@pytest.fixture(autouse=True)
def few_networks_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of an evaluation's time here is the counting of the same six networks; tests/cost counts them anew."""
    monkeypatch.setattr(evaluate, "cost_of", count_once)


@pytest.fixture(autouse=True)
def own_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device is shared with nobody outside this test."""
    monkeypatch.setattr(lease, "lease_folder", lambda: tmp_path / "lease")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'studies.db'}")
    yield opened
    opened.close()


@pytest.fixture
def enter() -> Callable[[Database, StudyConfig], StudyInfo]:
    """The stored study of a configuration, as `run_study` enters it."""

    def enter_one(database: Database, config: StudyConfig) -> StudyInfo:
        space = config.search_space()
        return enter_study(
            database,
            name=config.name,
            config=config.protocol(),
            space=space.to_dict(),
            space_fingerprint=space.fingerprint,
            facts={"data_fingerprint": "0" * 12},
        )

    return enter_one


@pytest.fixture
def make_worker(
    database: Database, tiny_dataset: Dataset, enter: Callable[[Database, StudyConfig], StudyInfo]
) -> MakeWorker:
    """A worker of a configuration's study on the CPU."""

    def make(config: StudyConfig, *, total: int, of: Database | None = None) -> Worker:
        opened = of or database
        enter(opened, config)
        OptunaStudy(opened, config, config.search_space())
        return Worker(opened, find_study(opened, config.name), config, tiny_dataset, device="cpu", total=total)

    return make
