"""Every plot of the table, with every kind of study it may be given."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from makers import make_front, make_latency, make_record, make_score, make_study
from stored import unpack_golden

from archsearch.analysis.ablation import ablation_of
from archsearch.analysis.confirmed import confirmed_of
from archsearch.analysis.confusion import Confusion, confusion_of
from archsearch.analysis.final_front import FinalFront, final_front_of
from archsearch.analysis.front import DEFAULT_OBJECTIVES
from archsearch.analysis.guidelines import GuidelinesReport, table_report
from archsearch.analysis.history import hypervolume_history, learning_curves
from archsearch.analysis.level_grid import level_grid
from archsearch.analysis.marginal import marginal_effects
from archsearch.analysis.study_front import Bound, PrintedTop1, StudyFront
from archsearch.analysis.trust import trust_of
from archsearch.api.guidelines import experiments
from archsearch.api.study import Study, open_study
from archsearch.designs import Design, DesignPoint
from archsearch.plots import style
from archsearch.plots.catalog import PLOTS
from archsearch.plots.page import page_text
from archsearch.plots.style import DARK
from archsearch.records import Epoch, Record, Score, TrialStatus
from archsearch.search.importance import importances

Make = Callable[..., Record]
DataOf = Callable[[str, Sequence[str]], dict[str, Any]]
_BASE = DesignPoint(name="base", family="f", choices={}, arch_id="base")
MARKUP = "<script>alert(1)</script>&amp;<b>%{x} $y$"


def _curve(count: int) -> tuple[Epoch, ...]:
    return tuple(
        Epoch(
            epoch=index + 1, train_loss=2.0 / (index + 1), top1_percent=40.0 + index, learning_rate=0.1, train_seconds=1
        )
        for index in range(count)
    )


def _longer(records: Sequence[Record]) -> list[Record]:
    """The networks trained again for longer, as the study of a trust design has them."""
    return [
        replace(record, score=replace(record.score, epochs=40, top1_percent=record.score.top1_percent / 2 + 40.0))
        for record in records
        if record.score is not None
    ]


def _guidelines() -> GuidelinesReport:
    """All four experiments, every row of a column as fast as its best one."""
    latency = make_latency(1.0, ratio_to_reference=1.0, ratio_low=0.9, ratio_high=1.1, input_size=56)
    return GuidelinesReport(
        device="cpu", device_name=MARKUP, backend="torch", batch=1, threads=1, fingerprint="0", facts={"cpu": MARKUP},
        printed_column="arm", quick=False, measured=("2026-11-22",), sample=None,
        experiments=tuple(
            table_report(each, [[latency for _ in column.rows] for column in each.columns])
            for each in experiments("arm")
        ),
    )  # fmt: skip


def _twice(records: Sequence[Record], study: str) -> tuple[list[Record], Design]:
    """Every network again with two seeds, as the study of a design has them, and the design; the first is the base."""
    scored = {record.arch_id: record for record in reversed(records) if record.score is not None}
    points = tuple(
        DesignPoint(
            name=f"{record.label} ({place})",
            family=record.family,
            choices=record.choices,
            arch_id=record.arch_id,
            changes={"width": place} if place else {},
            trial=record.trial,
            variant=record.variant,
        )
        for place, record in enumerate(scored.values())
    )
    again = [
        replace(record, point=point.name, score=replace(record.score, seed=seed, top1_percent=top1 * (1 - 0.02 * seed)))
        for point, record in zip(points, scored.values(), strict=True)
        for seed in (0, 1)
        if record.score is not None and (top1 := record.score.top1_percent) is not None
    ]
    return again, Design(purpose="confirm", of=study, points=points, seeds=(0, 1))


def _final(records: Sequence[Record], front: StudyFront, study: str) -> FinalFront | None:
    """Every second network trained in full with two seeds; one that the study does not know, too."""
    full = [
        (arch_id, make_score(60.0 + place % 7 + seed, seed=seed, split="test", protocol=study))
        for place, arch_id in enumerate(("unknown", *dict.fromkeys(record.arch_id for record in records[::2])))
        for seed in (0, 1)
    ]
    published = {record.arch_id for record in records if record.variant}
    return final_front_of(records, full, front, labels={}, published=published, study=study)


def _confusion(study: str) -> Confusion | None:
    score = Score(
        top1_percent=50.0, epochs=1, seed=0, split="test", train_images=4, eval_images=4, protocol="p",
        train_seconds=1.0, images_per_second=4.0, device="cpu", confusion=((1, 1), (1, 1)),
    )  # fmt: skip
    return confusion_of([score], (MARKUP, "b"), label=study, study=study)


def _data(records: Sequence[Record], study: str, **more: Any) -> dict[str, Any]:
    """A study that everything was asked of."""
    again, design = _twice(records, study)
    choices = [replace(record, suggested=record.choices, study=study) for record in records]
    objectives = more.get("objectives", DEFAULT_OBJECTIVES)
    point = more.pop("reference_point", None)
    confirmed = confirmed_of(again, design, objectives, noise_floor=0.0, draws=200)
    printed = tuple(
        PrintedTop1(variant=record.variant, top1_percent=70.0, source=study, conditions=study)
        for record in records
        if record.variant is not None
    )
    front = make_front(
        records, study=study, reference_point=point, confirmed=confirmed, printed=printed, readings={MARKUP: study},
        bounds=(Bound(name="latency_ms", value=5.0, soft=True), Bound(name="params", value=1e6)), **more,
    )  # fmt: skip
    return {
        "front": front,
        "curves": learning_curves(records, [row.record.trial for row in front.members], study=study),
        "history": hypervolume_history(records, objectives, point),
        "trust": trust_of(records, _longer(records), {}),
        "guidelines": _guidelines(),
        "importances": importances(choices, objectives, methods=("PED-ANOVA",), chance=False),
        "grid": level_grid(choices, objectives),
        "marginal": marginal_effects(choices, objectives, bootstraps=5),
        "ablation": ablation_of(again, replace(design, purpose="ablation", points=design.points or (_BASE,))),
        "final": _final(records, front, study),
        "confusion": _confusion(study),
        "confirmed": confirmed,
    }


def _cases(make: Make, many: Sequence[Record]) -> dict[str, list[Record]]:
    failed = {"status": TrialStatus.FAILED, "reason": "out of memory", "top1": None, "p10": None}
    return {
        "no records": [],
        "one": [make(0, curve=_curve(1))],
        "one variant": [make(0, variant="only", curve=_curve(3))],
        "two": [make(0), make(1, top1=60, p10=50, curve=_curve(3))],
        "many": list(many),
        "all failed": [make(index, variant=f"v{index}", **failed) for index in range(5)],
        "all rejected": [make(index, status=TrialStatus.REJECTED, top1=None) for index in range(3)],
        "all equal": [make(index, variant=f"v{index}") for index in range(20)],
        "zero accuracy": [make(0, top1=0.0), make(1, top1=0.0, p10=1e-4)],
        "mixed devices": [make(0), make(1, fingerprint="other", device="cuda:0", epochs=2, converged=False)],
        "markup": [
            make(0, variant=MARKUP, study=MARKUP, device=MARKUP, split=MARKUP, choices={MARKUP: 1}, curve=_curve(2)),
            make(1, variant=MARKUP + "2", choices={MARKUP: MARKUP}, arch_id="<i>x</i>", curve=_curve(2)),
        ],
    }


@pytest.fixture(scope="module")
def data_of() -> DataOf:
    """A case with everything asked of it, made once for all plots."""
    records = make_study()

    @cache
    def of(case: str, objectives: Sequence[str]) -> dict[str, Any]:
        study = MARKUP if case == "markup" else "study"
        found = _cases(make_record, records)[case]
        return _data(found, study, objectives=objectives, reference_point=(90.0,) * len(objectives))

    return of


CASES = tuple(_cases(lambda *args, **kwargs: None, ()))  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("objectives", [("error_percent", "latency_ms"), ("latency_ms", "params", "error_percent")])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", PLOTS.names())
def test_every_plot_works_with_every_kind_of_study(
    name: str, case: str, objectives: tuple[str, ...], data_of: DataOf
) -> None:
    data = data_of(case, objectives)
    plot = PLOTS[name]
    info = plot.result(data)
    assert plot.name == name
    assert plot.result(data) == info  # plain frozen data: tests and reports compare it
    figure = plot.figure(info)
    if case == "many":  # the same each time; once is dear enough
        assert figure == plot.figure(info)
    text = figure.to_json()
    assert json.loads(text)["layout"]["title"]["text"]
    if info.empty is not None:
        assert any("No " in annotation.text for annotation in figure.layout.annotations)
    else:
        assert len(figure.data) >= 1


@pytest.mark.parametrize("name", PLOTS.names())
def test_a_point_that_is_a_trial_says_so_in_the_first_item_of_its_data(name: str, data_of: DataOf) -> None:
    plot = PLOTS[name]
    data = data_of("many", DEFAULT_OBJECTIVES)
    trials = {record.trial for record in make_study()}
    figure = plot.figure(plot.result(data))
    for trace in figure.data:
        if trace.customdata is not None:
            assert len(trace.customdata) == len(trace.x)
            assert {item[0] for item in trace.customdata} <= trials


@pytest.mark.parametrize("name", PLOTS.names())
def test_names_with_markup_stay_text_in_the_figure_and_on_the_page(name: str, data_of: DataOf) -> None:
    data = data_of("markup", DEFAULT_OBJECTIVES)
    data = {**data, "front": replace(data["front"], dataset=MARKUP)}
    plot = PLOTS[name]
    info = plot.result(data)
    figure = plot.figure(info)
    drawn = json.loads(figure.to_json())
    texts = [part for part in _strings(drawn) if "script" in part]
    assert texts
    assert all("<script" not in part and "<i>x" not in part for part in texts)
    page = page_text([figure], title=info.title, subtitle=info.subtitle, command=f"archsearch --study '{MARKUP}'")
    assert "<script>alert" not in page
    assert "<title>" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def _luminance(color: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2)."""
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _colors(value: object, key: str = "") -> Iterator[str]:
    """What a page's script repaints: every colour but those of scales."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name not in ("colorscale", "template"):
                yield from _colors(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from _colors(each, key)
    elif isinstance(value, str) and key.endswith("color"):
        yield value.lower()


@pytest.mark.parametrize("name", PLOTS.names())
def test_every_colour_of_a_figure_is_seen_in_the_dark(name: str, data_of: DataOf) -> None:
    plot = PLOTS[name]
    data = data_of("many", DEFAULT_OBJECTIVES)
    for color in set(_colors(json.loads(plot.figure(plot.result(data)).to_json()))):
        if color not in DARK and not color.startswith("rgba"):  # what lies below a shade is seen through it
            assert _contrast(color, DARK["white"]) >= 3, color  # lines and marks: WCAG 2.2, criterion 1.4.11


@pytest.mark.parametrize("ink", [style.INK, style.QUIET_INK, style.BLACK])
@pytest.mark.parametrize("paper", ["white", *style.FILLS.values()])
def test_ink_is_read_in_the_dark_on_every_ground(ink: str, paper: str) -> None:
    assert _contrast(DARK[ink.lower()], DARK[paper.lower()]) >= 4.5  # text: WCAG 2.2, criterion 1.4.3


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The stored study that has an ablation, a confirmation, two checks of its proxy and retrained networks."""
    return open_study("cifar10_random", storage=unpack_golden(tmp_path_factory.mktemp("golden")))


@pytest.mark.parametrize("name", [name for name in PLOTS.names() if not PLOTS[name].of_device])
def test_every_plot_draws_a_study_that_everything_was_asked_of(name: str, golden: Study) -> None:
    plot = PLOTS[name]
    info = plot.result({plot.of: golden.analysis(plot.of)})
    if name == "confusion":
        assert info is None  # of a version before the matrix was kept
        return
    if name == "marginal":
        assert "93 complete networks" in info.empty and info.empty.endswith("need at least 98")
        return
    assert info.empty is None
    figure = plot.figure(info)
    assert len(figure.data) >= 1
    trials = {record.trial for record in golden.records}
    for trace in figure.data:
        if trace.customdata is not None:
            assert {item[0] for item in trace.customdata} <= trials


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.values() for text in _strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return []
