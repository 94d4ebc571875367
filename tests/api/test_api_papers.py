from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from makers import make_latency, make_score

from archsearch.api.papers import (
    NOT_COMPUTED,
    ComparedRow,
    PapersReport,
    markdown,
    match_text,
    measured,
    measured_text,
    paper_cost,
    papers,
    printed_text,
)
from archsearch.api.study import Study
from archsearch.cost import cost_of
from archsearch.errors import StoreError, UnknownNameError
from archsearch.models.variants import find_variant
from archsearch.papers.printed import REASONS, Agreement, Match, load_papers, read_reasons
from archsearch.records import Record, Score, TrialStatus
from archsearch.store.studies import StudyInfo

ROOT = Path(__file__).resolve().parent.parent.parent
EXACT, ROUNDS, DIFFERS = Agreement.EXACT, Agreement.ROUNDS, Agreement.DIFFERS
# (paper, table, row, number) -> the count, its convention, the match. The counts were worked out apart from this code;
# where there is None, the match with the printed number is what is asked.
SHOWS: Mapping[tuple[str, str, str, str], tuple[int | None, str | None, Agreement]] = {
    ("ldc", "4", "mb0", "macs"): (63_418_108, "thop_0_0_31", ROUNDS),
    ("ldc", "4", "DC0", "macs"): (72_901_372, "thop_0_0_31", ROUNDS),
    ("ldc", "4", "LDC0", "macs"): (65_525_500, "thop_0_0_31", ROUNDS),
    ("ldc", "4", "LDC1", "macs"): (None, "thop_0_0_31", ROUNDS),
    ("ldc", "4", "LDC2", "macs"): (None, "thop_0_0_31", ROUNDS),
    ("ldc", "4", "LDC3", "macs"): (None, "thop_0_0_31", ROUNDS),
    ("ldc", "4", "mb0", "params"): (2_509_748, None, ROUNDS),
    ("ldc", "4", "DC0", "params"): (2_510_504, None, ROUNDS),
    ("ldc", "4", "LDC0", "params"): (2_509_916, None, ROUNDS),
    ("ldc", "4", "LDC1", "params"): (2_482_776, None, ROUNDS),
    ("ldc", "4", "LDC2", "params"): (2_377_580, None, ROUNDS),
    ("ldc", "4", "LDC3", "params"): (2_350_440, None, ROUNDS),
    ("shufflenet_v2_s", "1", "ShuffleNetV2", "params"): (2_278_604, None, EXACT),
    ("shufflenet_v2_s", "1", "ShuffleNetV2-s", "params"): (2_380_648, None, EXACT),
    # 40,476,448 and the average of 1024 maps of 7 x 7: 50,176
    ("shufflenet_v2", "8", "ShuffleNet v2 0.5x (ours)", "complexity"): (40_526_624, "conv_linear_pool", ROUNDS),
    ("shufflenet_v2", "8", "ShuffleNet v2 1x (ours)", "complexity"): (145_814_296, "conv_linear", ROUNDS),
    ("shufflenet_v2", "8", "ShuffleNet v2 1.5x (ours)", "complexity"): (None, "conv_linear", ROUNDS),
    ("shufflenet_v2", "8", "ShuffleNet v2 2x (ours)", "complexity"): (None, "conv_linear", ROUNDS),
    ("shufflenet_v2", "8", "ShuffleNet v2 2x (ours, with SE)", "complexity"): (596_736_600, "conv_linear", ROUNDS),
    ("shufflenet_v2", "6", "ShuffleNet v2-50 (ours)", "flops_macs"): (None, "conv_linear", ROUNDS),
    ("shufflenet_v2", "6", "SE-ShuffleNet v2-164 (ours, with residual)", "flops_macs"): (None, "conv_linear", ROUNDS),
    ("shufflenet_v2", "6", "ResNet-50", "flops_macs"): (None, "conv_linear", DIFFERS),
    ("shufflenet_v1", "1", "ShuffleNet 1x g=1", "complexity"): (142_502_976, "conv", ROUNDS),
    ("shufflenet_v1", "1", "ShuffleNet 1x g=2", "complexity"): (None, "conv", ROUNDS),
    ("shufflenet_v1", "1", "ShuffleNet 1x g=3", "complexity"): (136_500_672, "conv", ROUNDS),
    ("shufflenet_v1", "1", "ShuffleNet 1x g=4", "complexity"): (None, "conv", ROUNDS),
    ("shufflenet_v1", "1", "ShuffleNet 1x g=8", "complexity"): (None, "conv", ROUNDS),
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> PapersReport:
    """Every paper compared, where no study is stored."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("empty"))
        return papers(recount=True)


@pytest.mark.parametrize("where", SHOWS, ids=[" ".join(where) for where in SHOWS])
def test_the_printed_counts_come_out(where: tuple[str, str, str, str], report: PapersReport) -> None:
    paper_key, table_key, model, label = where
    (found,) = (
        number
        for paper, table, row in report.rows()
        if (paper.key, table.table, row.row.model) == (paper_key, table_key, model)
        for _, number in row.compared()
        if number.number.label == label
    )
    wanted, convention, agreement = SHOWS[where]
    assert found.number.convention == convention
    assert found.match is not None
    assert found.match.agreement == agreement
    if wanted is not None:
        assert found.computed == wanted


def test_every_value_has_one_outcome_and_none_is_left_out(report: PapersReport) -> None:
    values = [value for paper in load_papers() for table in paper.tables for value in table.values]
    assert sum(report.counts.values()) == len(values)
    assert sum(report.reasons.values()) == report.counts[NOT_COMPUTED]
    assert "" not in report.reasons


def test_every_count_that_is_not_met_says_why(report: PapersReport) -> None:
    assert [each for each in report.missing if not each.number.number.reason] == []
    named = {(each.paper, each.table, each.model) for each in report.missing}
    assert ("shufflenet_v2", "6", "ShuffleNet v1-50 (our impl.)") in named
    assert ("shufflenet_v1", "5", "ShuffleNet 0.5x (shallow, g=3)") in named


def test_the_json_accounts_for_every_value(report: PapersReport) -> None:
    content = json.loads(json.dumps(report.plain(), allow_nan=False))
    values = [
        value
        for paper in content["papers"]
        for table in paper["tables"]
        for row in table["rows"]
        for value in row["values"]
    ]
    assert len(values) == content["values"] == sum(content["outcomes"].values())
    assert all(value["compared"] or value["reason"] for value in values)


def test_the_page_holds_every_printed_number_and_is_up_to_date(report: PapersReport) -> None:
    page = markdown(report)
    assert page == (ROOT / "docs" / "papers.md").read_text(encoding="utf-8"), (
        "docs/papers.md is not what the data and the code give: archsearch papers --markdown > docs/papers.md"
    )


@pytest.mark.parametrize(
    ("width", "input_size", "millions"),
    [(0.4, 160, "41.8M"), (0.75, 192, "153.9M"), (0.15, 224, "30.6M"), (0.6, 224, "151.0M"), (1.4, 224, "582.2M")],
)
def test_the_other_widths_of_mobilenet_v2_cost_what_is_said(width: float, input_size: int, millions: str) -> None:
    spec = find_variant("mobilenet_v2_x0_5").spec.with_choices({"width": width}).normalised(input_size)
    cost = cost_of(spec, num_classes=1000, input_size=input_size)
    assert f"{cost.macs / 1e6:.1f}M" == millions
    assert millions in read_reasons(REASONS)["mobilenet_v2_width"]


def test_the_shipped_counts_are_those_of_the_networks_as_they_are_built(
    report: PapersReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("it is not among them: python benchmarks/paper_counts.py")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("archsearch.api.papers._count", never)
    assert papers().papers == report.papers


def test_a_network_that_is_not_among_the_shipped_counts_is_counted() -> None:
    variant = find_variant("shufflenet_v2_x0_5")
    other = replace(variant, num_classes=7)
    # 1,024 features: a class has a weight for each and a bias, and 1,000 classes were shipped
    assert paper_cost(variant, None).params - paper_cost(other, None).params == (1000 - 7) * 1025


def test_one_paper_is_compared_alone_and_told_of() -> None:
    told: list[tuple[str, int, int]] = []
    report = papers("shufflenet_v2_s", on_progress=lambda *facts: told.append(facts))
    assert [paper.paper.key for paper in report.papers] == ["shufflenet_v2_s"]
    assert told == [("shufflenet_v2_x1_0", 0, 2), ("shufflenet_v2_s_counted", 1, 2)]


def test_an_unknown_paper_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'ldc'"):
        papers("ldcc")


def test_a_database_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        papers("torchvision", storage=f"sqlite:///{tmp_path}/none.db")


SCALE = {"stem.stride": 1, "stem.pool": False}
SCORE = make_score(45.25, epochs=3, seed=7, train_images=1000, eval_images=300)
LATENCY = make_latency(
    4.0, median_ms=4.2, p90_ms=5.0, reference_p10_ms=2.0, ratio_to_reference=2.0, n=60, study_reference_ms=1.5
)


def _record(trial: int, arch_id: str, status: TrialStatus = TrialStatus.COMPLETE) -> Record:
    return Record(
        study="small",
        trial=trial,
        arch_id=arch_id,
        family="shufflenet_v2",
        choices={},
        suggested={},
        status=status,
        latency=LATENCY,
        score=SCORE,
    )


def _study(records: tuple[Record, ...], trainings: tuple[tuple[str, Score], ...] = ()) -> Study:
    info = StudyInfo(
        id=1,
        name="small",
        config={"dataset": "cifar10", "scale": SCALE},
        space={},
        space_fingerprint="",
        reference_point=None,
        facts={"input_size": 32, "num_classes": 10},
        created_at=datetime(2026, 1, 1),
    )
    return Study(info=info, records=records, trainings=trainings)


def test_what_a_study_measured_of_the_network_at_its_scale_stands_beside_the_printed_numbers() -> None:
    variant = find_variant("shufflenet_v2_x1_0")
    arch_id = variant.spec.with_choices(SCALE).normalised(32).arch_id
    other = find_variant("shufflenet_v2_x0_5").spec.with_choices(SCALE).normalised(32).arch_id
    assert arch_id != variant.spec.arch_id
    test_score = replace(SCORE, split="test", top1_percent=80.0, epochs=100)
    study = _study(
        (_record(0, arch_id), _record(1, other), _record(2, arch_id, TrialStatus.REPLAY)),
        trainings=((arch_id, test_score), (other, test_score)),
    )
    trial, retrained = measured(variant, (study,))
    assert (trial.trial, trial.score, trial.latency) == (0, SCORE, LATENCY)
    assert (retrained.trial, retrained.score, retrained.latency) == (None, test_score, None)
    # 2.0 times the reference, which took 1.5 ms when the study began: 3 ms
    assert measured_text(trial) == (
        "45.25 % top-1 on the validation split of cifar10 at 32x32 (3 epochs on 1,000 images, one-cycle, seed 7); "
        "3.000 ms for a batch of 1 (cpu, torch, threads 1, fp32, n 60, p10 corrected for drift); trial 0 of study small"
    )
    assert measured_text(retrained) == (
        "80.00 % top-1 on the test split of cifar10 at 32x32 (100 epochs on 1,000 images, one-cycle, seed 7); "
        "retrained in study small"
    )


def test_measured_numbers_are_in_the_page_and_in_the_json(monkeypatch: pytest.MonkeyPatch) -> None:
    arch_id = find_variant("shufflenet_v2_x1_0").spec.with_choices(SCALE).normalised(32).arch_id
    monkeypatch.setattr("archsearch.api.papers.stored_studies", lambda _: (_study((_record(0, arch_id),)),))
    report = papers("torchvision")
    # beside the printed accuracies of torchvision's weights
    assert "| `shufflenet_v2_x1_0` | top1 69.362 %, top5 88.316 % | 45.25 % top-1 on the" in markdown(report)
    assert "Measured here: studies small." in markdown(report)
    rows = report.plain()["papers"][0]["tables"][0]["rows"]
    (found,) = next(row for row in rows if row["model"] == "shufflenet_v2_x1_0")["measured"]
    assert (found["top1_percent"], found["split"], found["epochs"], found["seed"]) == (45.25, "validation", 3, 7)
    assert found["latency"]["corrected_ms"] == 3.0
    assert {"device", "backend", "batch", "n"} <= set(found["latency"])


def _compared(report: PapersReport, model: str) -> ComparedRow:
    return next(row for _, _, row in report.rows() if row.row.model == model)


def test_numbers_are_written_as_printed() -> None:
    report = papers("shufflenet_v2_s")
    texts: list[Any] = [
        printed_text(number.number)
        for model in ("ShuffleNetV2-s", "recipe")
        for value in _compared(report, model).values
        for number in value.numbers
    ]
    assert texts[0] == "2,380,648"
    assert "SGD momentum 0.9" in texts
    number = _compared(report, "ShuffleNetV2-s").values[0].numbers[0]
    assert match_text(number) == "exact"
    assert match_text(replace(number, match=Match(agreement=DIFFERS, difference=-0.0123))) == "differs by -1.2 %"
