"""examples/minisearch.py is the program in 300 lines: the same suggestions, networks, front and recommendation."""

from __future__ import annotations

import ast
import gzip
import json
import runpy
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from makers import make_latency, make_record, make_score

from archsearch.analysis.front import front_of
from archsearch.analysis.recommendation import recommendation_of
from archsearch.data.dataset import Dataset
from archsearch.data.images import Images
from archsearch.latency import lease
from archsearch.models.families import build
from archsearch.models.spec import Spec
from archsearch.records import Cost, Record, TrialStatus
from archsearch.search.config import load_study
from archsearch.search.evaluate import Evaluator
from archsearch.search.optuna_study import OptunaStudy
from archsearch.search.outcome import Outcome
from archsearch.search.variants import study_variants
from archsearch.search.worker import Worker
from archsearch.store.database import Database
from archsearch.store.studies import enter_study, find_study
from archsearch.store.trials import load_records

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "examples" / "minisearch.py"
STORED = json.loads(gzip.decompress((ROOT / "benchmarks" / "data" / "cifar10_random.json.gz").read_bytes()))
FLOOR: float = STORED["noise_floor"]
mini = SimpleNamespace(**runpy.run_path(str(SCRIPT), run_name="minisearch"))
CONFIG = load_study("cifar10_random")
SPACE = CONFIG.search_space()
VARIANTS = {variant.name: variant.spec.normalised(32) for variant in study_variants(CONFIG, SPACE, input_size=32)}


def spec_of(name: str, choices: Mapping[str, Any]) -> Spec:
    return VARIANTS[name] if name else SPACE.spec(choices).normalised(32)


def stored_records() -> list[Record]:
    """The study that the file was written from, as the store gives it."""
    return [
        make_record(each["trial"], top1=100.0 - each["curve"][-1], p10=each["latency_ms"], variant=each["variant"],
                    eval_images=1500)
        for each in STORED["trials"]
    ]  # fmt: skip


def as_evaluated(record: Record) -> Any:
    assert record.latency is not None
    return mini.Evaluated(record.trial, "", {}, record.error_percent, record.latency.corrected_ms, 1500)


def numbers(front: list[Any]) -> list[int]:
    return [each.trial for each in front]


def test_it_has_300_lines_and_of_the_package_only_the_blocks() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    imported = [node.module or "" for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    own = [name for name in imported if name.startswith("archsearch")]
    assert own
    assert all(name.startswith("archsearch.blocks.") for name in own)


def test_a_replay_makes_the_stored_suggestions_and_has_the_front_and_the_recommendation_of_the_program() -> None:
    replayed = partial(mini.replayed, study=STORED)  # a suggestion that the program did not make is not found there
    found = mini.search(replayed, trials=len(STORED["trials"]), sampler=optuna.samplers.RandomSampler)
    assert [each.choices for each in found[2:]] == [each["suggested"] for each in STORED["trials"][2:]]
    records = stored_records()
    front = front_of(records, noise_floor=FLOOR)
    members = mini.front(found, FLOOR)
    assert numbers(members) == [row.record.trial for row in front.members]
    assert mini.recommended(members, FLOOR).trial == recommendation_of(front, records).trial


def test_front_and_recommendation_are_those_of_the_program_for_parts_of_a_study_and_any_floor() -> None:
    records, generator, sizes = stored_records(), np.random.default_rng(0), set()
    for floor in (0.0, FLOOR, 0.1, 0.3):
        for _ in range(25):
            part = [records[at] for at in generator.choice(len(records), size=int(generator.integers(1, 60)))]
            front = front_of(part, noise_floor=floor)
            members = mini.front([as_evaluated(record) for record in part], floor)
            assert sorted(numbers(members)) == sorted(row.record.trial for row in front.members)
            assert mini.recommended(members, floor).trial == recommendation_of(front, part).trial
            sizes.add(len(members))
    assert max(sizes) >= 6


def test_it_suggests_what_a_worker_of_the_program_does_and_ends_with_its_front(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = [spec_of(each["variant"] or "", each["suggested"]).choices() for each in STORED["trials"]]

    def nearest(spec: Spec) -> Any:
        """Of all stored networks the one with the fewest other choices lends its curve and latency."""
        wanted = spec.choices()
        return STORED["trials"][
            min(range(len(known)), key=lambda at: sum(known[at][k] != v for k, v in wanted.items()))
        ]

    def evaluate(self: Evaluator, spec: Spec, context: object) -> Outcome:
        lent = nearest(spec)
        return Outcome(
            status=TrialStatus.COMPLETE,
            cost=Cost(params=1, macs=1, input_size=32, num_classes=10),
            latency=make_latency(lent["latency_ms"], reference_p10_ms=1.0, study_reference_ms=1.0),
            score=make_score(100.0 - lent["curve"][-1], eval_images=1500),
        )

    monkeypatch.setattr(Evaluator, "evaluate", evaluate)
    monkeypatch.setattr(lease, "lease_folder", lambda: tmp_path / "lease")
    images = Images(torch.zeros(40, 3, 32, 32, dtype=torch.uint8), torch.arange(40) % 10)
    data = Dataset(
        name="d", classes=tuple("0123456789"), train=images, load_test=lambda: images, flip=False, fingerprint="0"
    )
    config = replace_config(sampler="tpe")
    database = Database(f"sqlite:///{tmp_path / 'studies.db'}")
    enter_study(
        database, name=config.name, config=config.protocol(), space=SPACE.to_dict(),
        space_fingerprint=SPACE.fingerprint, facts={"data_fingerprint": "0"},
    )  # fmt: skip
    OptunaStudy(database, config, SPACE)
    Worker(database, find_study(database, config.name), config, data, device="cpu", total=15).run()
    records = load_records(database, find_study(database, config.name).id)
    database.close()

    def lend(name: str, choices: dict[str, Any]) -> tuple[float, float, int]:
        lent = nearest(spec_of(name, choices))
        return lent["curve"][-1], lent["latency_ms"], 1500

    found = mini.search(lend, trials=15)
    assert [each.choices for each in found[2:]] == [dict(record.suggested) for record in records[2:]]
    front = front_of(records, noise_floor=FLOOR)
    members = mini.front(found, FLOOR)
    assert numbers(members) == [row.record.trial for row in front.members]
    assert mini.recommended(members, FLOOR).trial == recommendation_of(front, records).trial


def replace_config(**changes: Any) -> Any:
    small = {"train_images": 20, "validation_images": 10}
    return CONFIG.model_copy(update=changes | {"proxy": CONFIG.proxy.model_copy(update=small)})


@pytest.mark.parametrize("trial", [0, 1, 2, 5, 11, 30])
def test_its_networks_are_those_of_the_program(trial: int) -> None:
    stored = STORED["trials"][trial]
    name = stored["variant"] or ""
    ours = mini.build(stored["suggested"] or mini.PLAIN, mini.PUBLISHED.get(name, mini.CHANNELS)).eval()
    theirs = build(spec_of(name, stored["suggested"]), num_classes=10, input_size=32, seed=0).eval()
    ours.load_state_dict(theirs.state_dict())  # the same names and shapes
    assert sum(weights.numel() for weights in ours.parameters()) == stored["params"]
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), theirs(images))


def test_it_trains_and_measures_for_real(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = mini.digits()
    ones = labels < 2  # noughts and ones are told apart within seconds
    monkeypatch.setitem(mini.proxy.__globals__, "digits", lambda: (images[ones], labels[ones]))
    reference = mini.build(mini.PLAIN).eval()
    small = mini.PLAIN | {"stage2.removed": 3, "stage3.removed": 7, "stage4.removed": 3}
    error, latency_ms, counted = mini.trained("", small, reference=reference, reference_ms=1.0, epochs=5, images=256)
    assert counted == int(ones.sum()) - 256
    assert error < 25.0  # guessing one of the two errs in 50 %
    assert 0.0 < latency_ms < 1.0  # a part of the reference's
