"""`archsearch run`, in this process, as far as its plan."""

from __future__ import annotations

import urllib.error
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from makers import make_record
from PIL import Image

from archsearch.api.paths import open_database
from archsearch.api.run import estimate, estimate_without_images, shorter
from archsearch.cli.run import _combinations
from archsearch.designs import Design
from archsearch.search.config import load_study
from archsearch.search.estimate import Estimate
from archsearch.search.plan import plan_run
from archsearch.search.runtime import Runtime
from archsearch.store.studies import enter_study


def test_a_study_of_pictures_of_an_older_version_goes_on_as_it_began(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("archsearch.search.plan._preflight", lambda *_, **__: None)
    made_up = Estimate(first_seconds=(60.0,), basis="made up")
    monkeypatch.setattr("archsearch.api.run.timed_estimate", lambda *_, **__: made_up)
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


def test_a_search_space_of_ones_own_is_called_as_its_file_says(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("archsearch.search.plan._preflight", lambda *_, **__: None)
    monkeypatch.setattr("archsearch.api.run.timed_estimate", lambda *_, **__: Estimate(basis="made up"))
    Path("space.yaml").write_text(
        "name: half [a] and [/b]\nfamily: shufflenet_v2\n"
        "choices: {residual: {values: [false, true], source: ours}, stem.kernel: {values: [3, 5], source: ours}}\n",
        encoding="utf-8",
    )
    Path("mine.yaml").write_text(
        "space: space.yaml\ndataset: digits\nvariants: none\nproxy: {validation_images: 300}\n", encoding="utf-8"
    )
    ended = cli("run", "--study", "mine.yaml", "--workers", "1", "--device", "cpu", "--dry-run")
    assert ended.code == 0, ended.err
    assert "space     half [a] and [/b]: 2 choices, 4 combinations\n" in ended.out


@pytest.mark.parametrize("command", ["run", "ablate"])
def test_a_database_that_cannot_be_made_is_told_before_anything_is_timed(
    command: str, cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("archsearch.api.run.timed_estimate", lambda *_, **__: pytest.fail("timed"))
    Path("file").write_text("no folder")
    ended = cli(
        command, "--study", "quickstart", "--workers", "1", "--device", "cpu", "--storage", "sqlite:///file/a.db"
    )
    assert ended.code == 1
    assert "the folder file cannot be made" in ended.err


HOURS = 3600.0


def test_without_its_images_a_study_still_says_where_and_how_long_and_what_to_do_instead(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def timed(config: Any, *_: Any, trials: int, **sizes: Any) -> Estimate:
        # CIFAR-100's 50,000 images without the study's 5,000 of validation
        assert (sizes["train_images"], sizes["validation_images"]) == (45_000, 5000)
        return Estimate(others=trials, other_seconds=HOURS / 2, workers=2, basis="made up", at_most=True)

    def unreachable(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError(OSError(-2, "Name or service not known"))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("archsearch.api.run.timed_estimate", timed)
    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", unreachable)
    ended = cli("run", "--study", "cifar100", "--workers", "2", "--device", "cpu", "--data-dir", str(tmp_path))
    assert ended.code == 1
    assert "meant for a GPU" in ended.out and "trials    200 in all, 2 workers on cpu" in ended.out
    assert "estimated time: at most 50 h with 2 workers (made up)" in ended.out
    assert "made for a CPU: archsearch run --study " in ended.out
    assert "urlopen" not in ended.err and "the server cannot be reached from here" in ended.err


def test_without_its_images_too_a_plan_says_that_more_workers_may_share_a_gpu(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("archsearch.api.run.estimate_without_images", lambda *_, **__: None)

    def planned(*typed: str) -> str:
        ended = cli("run", "--study", "cifar100", "--set", "dataset=npz:gone", "--dry-run", *typed)
        return next(line for line in ended.out.splitlines() if line.startswith("trials"))

    assert planned().endswith("1 worker on cuda:0 or more, as many as do most together when the run begins")
    assert planned("--workers", "2").endswith("2 workers on cuda:0")


def test_a_network_with_a_mistake_leaves_the_time_of_a_run_unknown_and_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def timed(*_: Any, **__: Any) -> Estimate:
        raise NameError("name 'scael' is not defined")

    monkeypatch.setattr("archsearch.api.run.timed_estimate", timed)
    assert estimate_without_images(load_study("cifar100", ()), Runtime(workers=1, device="cpu")) is None
    assert "how long it will take is not known: name 'scael' is not defined" in caplog.text


def test_what_is_made_for_a_cpu_is_named_only_where_a_cpu_would_take_hours() -> None:
    config, estimate = load_study("cifar10", ()), Estimate(others=200, other_seconds=HOURS / 4, workers=2, basis="")
    # of 15 minutes each two workers do 8 in an hour
    assert shorter(config, estimate, device="cpu", total=200) == (
        "made for a CPU: archsearch run --study cifar10_cpu; for less of this one: --trials 8 or --time-budget 1h"
    )
    made_for_one = load_study("cifar100_cpu", ())
    less = "for less of this one: --trials 8 or --time-budget 1h"
    assert shorter(made_for_one, estimate, device="cpu", total=200) == less
    assert shorter(config, estimate, device="cuda:0", total=200) is None
    assert shorter(config, replace(estimate, workers=32), device="cpu", total=200) is None
    others = shorter(config.model_copy(update={"dataset": "cifar100"}), estimate, device="cpu", total=200)
    assert others is not None and "run --study cifar10_cpu --set dataset=cifar100;" in others
    other = shorter(config.model_copy(update={"space": "mine.yaml"}), estimate, device="cpu", total=200)
    assert other == less
    endless = shorter(config, replace(estimate, other_seconds=9 * HOURS), device="cpu", total=200)
    assert endless is not None and endless.endswith("for less of this one: --set proxy.train_images=N")


@pytest.mark.parametrize("dataset", ["folder:photos", "npz:arrays", "digits"])
def test_a_study_for_the_images_of_cifar_is_not_named_for_others_of_which_it_takes_more_than_there_are(
    dataset: str,
) -> None:
    config = load_study("cifar10", ["name=photos-96", f"dataset={dataset}"])
    estimate = Estimate(others=200, other_seconds=HOURS / 4, workers=2, basis="")
    # of 15 minutes each two workers do 8 in an hour
    said = shorter(config, estimate, device="cpu", total=200)
    assert said == "for less of this one: --trials 8 or --time-budget 1h"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1296, "1,296 combinations"),
        (999_400_000, "999 million combinations"),
        (999_600_000, "1 billion combinations"),
        (999_700_000_000, "1 trillion combinations"),
    ],
)
def test_no_number_of_combinations_has_an_exponent_below_a_thousand_trillion(number: int, words: str) -> None:
    assert _combinations(number) == words


def test_an_hour_of_a_study_that_was_begun_is_a_total_and_of_a_design_fewer_seeds() -> None:
    config, left = load_study("cifar100_cpu", ()), Estimate(others=50, other_seconds=HOURS / 4, workers=2, basis="")
    # 150 of the 200 trials are there, and two workers do 8 more in an hour
    assert shorter(config, left, device="cpu", total=200) == "for less of this one: --trials 158 or --time-budget 1h"
    design = Design(purpose="ablation", of="cifar100_cpu", points=(), seeds=(0, 1, 2))
    of_design = shorter(config.model_copy(update={"design": design}), left, device="cpu", total=50)
    assert of_design == "for less of this one: fewer --seeds or --time-budget 1h"


def test_no_network_is_timed_for_a_study_that_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = SimpleNamespace(records=[make_record(0, variant="shufflenet_v2_x0_5")])  # which says nothing of others
    monkeypatch.setattr("archsearch.api.run.study_if_stored", lambda *_, **__: stored)
    monkeypatch.setattr("archsearch.api.run.timed_estimate", lambda *_, **__: pytest.fail("timed"))
    monkeypatch.setattr("archsearch.search.plan._preflight", lambda *_, **__: None)
    planned = plan_run(load_study("quickstart", ()), Runtime(device="cpu", workers=1), trials=1)
    found = estimate(planned)
    assert found is not None and (found.pieces, found.seconds) == (0, 0.0)
