"""A longer training of a small study's networks, typed in a shell, continued and read back."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from archsearch.analysis.rank_correlation import RESAMPLES
from archsearch.api.analyses import trust_result


@pytest.fixture(scope="module")
def trusted(shared_finished: Any) -> tuple[Any, subprocess.CompletedProcess[str]]:
    workplace = shared_finished
    typed = workplace.type(
        "trust", "--study", "tiny", "--n", "3", "--epochs", "2", "--workers", "1", "--device", "cpu", "--json"
    )
    assert typed.returncode == 0, typed.stderr
    return workplace, typed


def test_the_networks_are_trained_longer_on_the_same_images_and_compared(trusted: tuple[Any, Any]) -> None:
    workplace, typed = trusted
    found = json.loads(typed.stdout)
    study = workplace.study()
    proxies = {record.arch_id: record for record in study.records if record.score is not None}
    assert found["proxy_epochs"] == 1
    assert found["long_epochs"] == 2
    assert len(found["networks"]) + len(found["missing"]) == len(proxies)
    for network in found["networks"]:
        assert network["proxy_top1_percent"] == proxies[network["arch_id"]].score.top1_percent
        assert set(network["predictors"]) == {"params", "macs", "memory_bytes", "latency_ms", "synflow", "jacob_cov"}
    assert [group["name"] for group in found["groups"]] == ["all", "best quarter"]
    assert found["sentences"]
    assert found["resamples"] == RESAMPLES
    (long,) = study.designs("trust")
    assert {record.score.epochs for record in long.records if record.score is not None} == {2}
    assert {record.score.seed for record in long.records if record.score is not None} == {1}  # not the proxy's 0
    for record in long.records:
        if record.score is not None:
            assert (record.score.train_images, record.score.eval_images) == (64, 40)
            assert record.score.split == "validation"


def test_a_second_run_trains_nothing_again_and_more_seeds_are_added(trusted: tuple[Any, Any]) -> None:
    workplace, typed = trusted
    more = workplace.type(
        "trust", "--study", "tiny", "--n", "3", "--epochs", "2", "--seeds", "2", "--workers", "1", "--device", "cpu"
    )
    assert more.returncode == 0, more.stderr
    assert "Kendall" in more.stdout or "cannot be told" in more.stdout
    (long,) = workplace.study().designs("trust")
    assert long.design is not None
    assert long.design.seeds == (1, 2)
    assert len(long.records) == 2 * len(long.design.points)
    first = {network["arch_id"]: network["long_top1_percent"] for network in json.loads(typed.stdout)["networks"]}
    kept = {
        record.arch_id: record.score.top1_percent
        for record in long.records
        if record.score is not None and record.score.seed == 1
    }
    assert kept == first


def test_the_result_is_read_back_without_torch(trusted: tuple[Any, Any]) -> None:
    workplace, _ = trusted
    found = trust_result(workplace.study())
    assert found is not None
    code = (
        "import sys\n"
        "from archsearch.api.study import open_study\n"
        "from archsearch.api.analyses import trust_result\n"
        f"storage = {workplace.storage!r}\n"
        "found = trust_result(open_study('tiny', storage=storage))\n"
        "assert not {'torch', 'optuna'} & set(sys.modules)\n"
        "print(found.sentences[0])\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert ended.stdout.strip() == found.sentences[0]


def test_a_study_without_a_longer_training_has_none(finished: Any) -> None:
    assert trust_result(finished.study()) is None


def test_a_shorter_training_than_the_proxys_is_refused(finished: Any) -> None:
    typed = finished.type("trust", "--study", "tiny", "--epochs", "1")
    assert typed.returncode == 2
    assert "the proxy itself has 1" in typed.stderr


def test_a_dry_run_stores_nothing(finished: Any) -> None:
    typed = finished.type("trust", "--study", "tiny", "--n", "2", "--dry-run", "--device", "cpu")
    assert typed.returncode == 0, typed.stderr
    assert "5 epochs instead of 1" in typed.stderr
    assert finished.study().designs("trust") == ()
