"""Networks of every family through one study: trained, measured, listed, drawn, retrained, reloaded, exported."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

import archsearch
from archsearch.models.families import FAMILIES, build
from archsearch.models.variants import find_variant
from archsearch.records import TrialStatus

NETWORKS = (
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x0_5_se_full",
    "shufflenet_v2_x1_0_ldc3",
    "shufflenet_v2_50",
    "shufflenet_v1_x0_25_g3",
    "mobilenet_v3_small_ldc0",
    "plain_cnn",
    "resnet20",
    "mobilenet_v2_x0_5",
    "torchvision/resnet18",
)
STUDY = """
name: tiny
space: shufflenet_v2
dataset: npz:{data}
trials: {trials}
workers: 1
sampler: random
scale: {{stem.stride: 2, stem.pool: true}}
variants: [{variants}]
reference: shufflenet_v2_x0_5
proxy: {{epochs: 1, batch_size: 32, train_images: 64, validation_images: 40}}
latency: {{bursts: 2, visits: 1, runs_per_burst: 2, spread_seconds: 0.0, budget_seconds: 4,
  warmup_windows: 2, tolerance: 0.9}}
"""


@pytest.fixture(scope="module")
def ran(new_workplace: Callable[..., object], tiny_images: Path) -> object:
    """The folder of a study that has as many trials as it has variants, run to its end."""
    workplace = new_workplace()
    text = STUDY.format(data=tiny_images, trials=len(NETWORKS), variants=", ".join(NETWORKS))
    (workplace.folder / "tiny.yaml").write_text(text)
    ended = workplace.type("run", "--study", "./tiny.yaml", "--device", "cpu")
    assert ended.returncode == 0, ended.stderr
    return workplace


@pytest.fixture
def in_the_folder(ran: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(ran.folder)
    threads = torch.get_num_threads()
    yield ran.folder
    torch.set_num_threads(threads)


def test_the_networks_are_of_every_family() -> None:
    assert {find_variant(name).spec.family for name in NETWORKS} == set(FAMILIES)


def test_every_network_is_counted_measured_trained_and_scored(ran: object) -> None:
    records = {record.variant: record for record in ran.study().records}
    assert set(records) == set(NETWORKS)
    for name, record in records.items():
        assert record.status is TrialStatus.COMPLETE, (name, record.reason)
        assert record.family == find_variant(name).spec.family
        assert record.cost.params > 0
        assert record.cost.macs > 0
        assert record.cost.unsupported_ops == {}
        assert record.latency.corrected_ms > 0
        assert record.latency.n > 0
        assert 0 <= record.score.top1_percent <= 100
        assert (
            record.choices
            == find_variant(name).spec.at_scale({"stem.stride": 2, "stem.pool": True}).normalised(32).choices()
        )


def test_tables_and_the_page_show_every_network_with_its_verdict(ran: object) -> None:
    ended = ran.type("pareto", "--plot", "--csv", "--json")
    assert ended.returncode == 0, ended.stderr
    assert {row["variant"] for row in json.loads(ended.stdout)["variants"]} == set(NETWORKS)
    folder = ran.folder / "runs" / "tiny"
    with (folder / "pareto.csv").open(newline="") as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    records = {record.variant: record for record in ran.study().records}
    assert set(rows) == set(NETWORKS)
    for name, row in rows.items():
        assert int(row["params"]) == records[name].cost.params
        assert float(row["latency_ms"]) == records[name].latency.corrected_ms
    page = (folder / "pareto.html").read_text(encoding="utf-8")
    assert [name for name in NETWORKS if name not in page] == []


@pytest.mark.parametrize("name", ["mobilenet_v3_small_ldc0", "torchvision/resnet18"])
def test_a_network_retrains_and_reloads_with_its_accuracy(name: str, in_the_folder: Path, tiny_images: Path) -> None:
    from archsearch.data.catalog import load_dataset

    done = archsearch.retrain("tiny", trial=name, epochs=1, device="cpu")
    assert done.facts.trial is not None
    model = archsearch.load(done.folder)
    scores = model(torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert scores.shape == (3, 4)
    assert scores.isfinite().all()
    reported = done.facts.scores[0].top1_percent
    assert archsearch.evaluate_folder(done.folder, load_dataset(f"npz:{tiny_images}")) == reported


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_exports_to_a_program_with_its_scores(name: str) -> None:
    model = build(find_variant(name).spec, num_classes=4, input_size=32, seed=0).eval()
    _give_statistics(model)
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        program = torch.export.export(model, (x,), strict=False)
        torch.testing.assert_close(program.module()(x), model(x), rtol=1e-4, atol=1e-5)


def _give_statistics(model: nn.Module) -> None:
    """Running statistics that are not those of a fresh network, so that a lost normalisation would be seen."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
