"""What a retraining takes from what an earlier one has left."""

from __future__ import annotations

import errno
import os
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from sqlalchemy.exc import OperationalError
from stored import store_study

import archsearch
from archsearch.api import retrain
from archsearch.api.paths import open_database
from archsearch.api.study import open_study
from archsearch.errors import ArchsearchError, ConfigError, StoreError, TrainingError
from archsearch.models.variants import find_variant
from archsearch.store.database import Database
from archsearch.store.studies import find_study
from archsearch.training.distributed import World
from archsearch.training.start import Start


def test_a_start_is_kept_for_the_proxy_training_that_it_is_of_and_no_other_of_a_study_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def trained(study: Any, *_: Any, **__: Any) -> Start:
        made.append(study.info.config["proxy"]["epochs"])
        return Start(kind="proxy", description=f"{made[-1]} epochs", state={"weight": torch.tensor([float(made[-1])])})

    monkeypatch.setattr(retrain, "_trained", trained)
    chosen: Any = SimpleNamespace(record=None, spec=find_variant("shufflenet_v2_x0_5").spec)

    def start(epochs: int, images: str) -> Start:
        url = f"sqlite:///{tmp_path / f'{epochs}.db'}"
        if not (tmp_path / f"{epochs}.db").exists():
            store_study(url, [], proxy={"epochs": epochs})
        dataset: Any = SimpleNamespace(fingerprint=images)
        found = retrain.start_of(
            "proxy", open_study("small", storage=url), chosen, dataset, device="cpu", folder=tmp_path, chunk=nullcontext
        )
        assert found is not None
        return found

    assert start(2, "a").description == start(2, "a").description == "2 epochs"
    assert made == [2]
    assert start(8, "a").description == "8 epochs"
    assert start(8, "b").description == "8 epochs"
    assert made == [2, 8, 8]


def test_a_proxy_that_only_another_version_knows_is_refused_in_words(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    store_study(url, [], proxy={"epochs": 2, "patience": 3})
    study = open_study("small", storage=url)
    images: Any = SimpleNamespace()
    with pytest.raises(ConfigError, match=r"study 'small' as stored: proxy: .*patience"):
        retrain.start_of(
            "proxy", study, study.choose("resnet20"), images, device="cpu", folder=tmp_path, chunk=nullcontext
        )


def test_threads_are_asked_of_a_training_on_a_cpu_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store_study(f"sqlite:///{tmp_path / 'a.db'}", [])
    monkeypatch.setattr(retrain, "worker_devices", lambda *_: ("cuda:0",))
    with pytest.raises(ConfigError, match="threads 2: it trains on cuda:0"):
        archsearch.retrain("small", trial="shufflenet_v2_x0_5", threads=2, storage=f"sqlite:///{tmp_path / 'a.db'}")


def test_one_gpu_is_not_asked_of_several_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store_study(f"sqlite:///{tmp_path / 'a.db'}", [])
    monkeypatch.setattr(retrain, "worker_devices", lambda *_: ("cuda:1",))
    monkeypatch.setattr(retrain, "world_of", lambda _: World(rank=1, size=2, device="cuda:1"))
    storage = f"sqlite:///{tmp_path / 'a.db'}"
    with pytest.raises(ConfigError, match="device cuda:1: of several processes each trains on the GPU of its place"):
        archsearch.retrain("small", trial="shufflenet_v2_x0_5", device="cuda:1", storage=storage)


def test_processes_that_chose_different_networks_of_a_study_that_goes_on_do_not_train_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store_study(f"sqlite:///{tmp_path / 'a.db'}", [])
    first = find_variant("shufflenet_v2_x1_0").spec.normalised(32).arch_id

    def broadcast(values: torch.Tensor, *, src: int) -> None:
        assert src == 0
        values.copy_(torch.tensor([1.0, float(int(first, 16))], dtype=values.dtype))

    monkeypatch.setattr(torch.distributed, "broadcast", broadcast)
    monkeypatch.setattr(retrain, "world_of", lambda _: World(rank=1, size=2))
    storage = f"sqlite:///{tmp_path / 'a.db'}"
    with pytest.raises(TrainingError, match=f"the first one {first}, this one .*, shufflenet_v2_x0_5"):
        archsearch.retrain("small", trial="shufflenet_v2_x0_5", device="cpu", storage=storage)


def test_where_files_cannot_be_locked_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_file: object, _how: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", refused)
    said = r"\.x\.lock: files cannot be locked there: Function not implemented"
    with pytest.raises(ArchsearchError, match=said) as caught, retrain._alone_at(tmp_path / "x", World()):
        raise AssertionError("it is not held")
    assert "a disk that locks files" in str(caught.value.hint)


def test_the_end_of_a_training_waits_for_a_database_server_that_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_study(f"sqlite:///{tmp_path / 'a.db'}", [])
    study = open_study("small", storage=f"sqlite:///{tmp_path / 'a.db'}")
    tried: list[int] = []

    def away_once(*arguments: Any, **options: Any) -> Database:
        tried.append(len(tried))
        if tried == [0]:
            raise StoreError("cannot be opened") from OperationalError("", {}, Exception("Connection refused"))
        return open_database(*arguments, **options)

    monkeypatch.setattr("archsearch.api.stored.open_database", away_once)
    with study.reopened() as database:
        assert find_study(database, "small").id == study.info.id
    assert tried == [0, 1]
