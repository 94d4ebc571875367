from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import plotly.graph_objects as go
import pytest
from makers import make_front

from archsearch.analysis.baseline import Baseline
from archsearch.analysis.confirmed import Confirmed, confirmed_of
from archsearch.analysis.means import means_of
from archsearch.analysis.recommendation import recommendation_of
from archsearch.analysis.study_front import Bound, PrintedTop1
from archsearch.designs import Design, DesignPoint
from archsearch.plots import style
from archsearch.plots.front import front_3d_figure, front_figure, glance_figure, hover_text, shared_prefix
from archsearch.plots.ranges import nice_log_ticks
from archsearch.records import Record, TrialStatus

Make = Callable[..., Record]


def based_on(choices: dict[str, object]) -> dict[str, Baseline]:
    return {"shufflenet_v2": Baseline(name="base", choices=choices)}  # type: ignore[arg-type]


def test_means_over_seeds_are_not_called_one_seed_wherever_a_front_shows_them(make_record: Make) -> None:
    records = [
        *(
            replace(make_record(n, top1=60.0 + n, p10=2.0, arch_id="a" * 12, seed=20 + n), point="fast")
            for n in range(3)
        ),
        replace(make_record(3, top1=70.0, p10=4.0, seed=21), point="slow"),  # its other seeds failed
    ]
    found = make_front(means_of(records), dataset="CIFAR-10")
    assert " · 8 epochs · seed 21 / means of 3 seeds · " in found.subtitle[0]
    assert " · 8 epochs · seed 21 / means of 3 seeds · " in found.answer(published=False).subtitle[0]
    fast, slow = found.rows
    assert "top-1 <b>61.00 %</b> (validation, 8 epochs, means of 3 seeds)" in hover_text(found, fast)
    assert "top-1 <b>70.00 %</b> (validation, 8 epochs, seed 21)" in hover_text(found, slow)


def test_the_words_and_the_axes_of_a_front(make_record: Make) -> None:
    records = [
        make_record(0, variant="slow", top1=50, p10=4, choices={"kernel": 3}),
        make_record(1, top1=60, p10=2, choices={"kernel": 5}),
        make_record(2, variant="lost", top1=None, status=TrialStatus.FAILED, reason="out of memory"),
    ]
    found = make_front(
        records, dataset="CIFAR-10", bases=based_on({"kernel": 3}), readings={"slow": "the slow reading"}
    )
    assert found.title == "Accuracy against latency: study s"
    # two shares of 60 % of 2,000 images: 1.96 x sqrt(2 x 0.6 x 0.4 / 2000) = 3.04 points
    assert found.subtitle == (
        "CIFAR-10 · 10,000 training images · 8 epochs · seed 0 · 32 x 32 pixels · validation split (2,000 images: "
        "differences below 3.0 points may be chance)",
        "cpu · torch · batch 1 · 1 thread · fp32 · 200 runs each · reference shufflenet_v2_x0_5",
        # (90 - 40) x (30 - 2) of 90 x 30
        "3 trials (2 complete, 1 failed); 1 on the front; "
        "hypervolume 0.519 of 1 (reference point: 90 % error, 30.0 ms)",
        "slow: the slow reading",
    )
    assert [(verdict.variant, row.record.trial) for verdict, row in found.marked] == [("slow", 0)]
    assert [found.changes(row.record) for row in found.rows] == [(("kernel", "5", "3"),), ()]
    assert found.verdicts_table().select("number", "variant", "verdict").rows == (
        (1, "slow", "dominated"),
        (None, "lost", "not measured"),
    )
    assert found.verdict_sentences_table().select("sentence", "reading").rows == (
        ("slow (50.00 % top-1, 4.00 ms) is dominated by trial 1: 10.00 points more accurate and 2.0 ms (50 %) faster.",
         "the slow reading"),
        ("lost was not measured (failed: out of memory).", None),
    )  # fmt: skip
    figure = front_figure(found)
    assert figure.layout.xaxis.title.text == "Latency of a batch of 1, drift-corrected p10 (ms)"
    assert figure.layout.yaxis.title.text == "Validation top-1 (%)"
    assert list(figure.layout.xaxis.range) == pytest.approx([1.88, 4.12])
    assert list(figure.layout.yaxis.range) == pytest.approx([49.3, 60.7])
    stairs = next(trace for trace in figure.data if trace.line.shape == "hv")
    assert (list(stairs.x), list(stairs.y)) == ([2, pytest.approx(4.12)], [60, 60])  # to the edge: 4 + 6 % of 2


def test_the_latency_axis_is_logarithmic_when_the_range_is_wide(make_record: Make) -> None:
    narrow = front_figure(make_front([make_record(0, p10=1), make_record(1, p10=5.9)]))
    assert narrow.layout.xaxis.type is None
    wide = front_figure(make_front([make_record(0, p10=1), make_record(1, p10=6)]))
    assert wide.layout.xaxis.type == "log"
    assert wide.layout.xaxis.title.text.endswith("log scale)")


def test_the_staircase_is_drawn_only_where_the_front_is_one(make_record: Make) -> None:
    records = [make_record(0, top1=50, p10=2), make_record(1, top1=60, p10=3, params=5)]
    three = make_front(records, objectives=["error_percent", "latency_ms", "params"], reference_point=None)
    assert [trace for trace in front_figure(three).data if trace.line.shape == "hv"] == []
    (stairs,) = (trace for trace in front_figure(make_front(records)).data if trace.line.shape == "hv")
    assert list(zip(stairs.x, stairs.y, strict=True))[:2] == [(2, 50), (3, 60)]


def test_without_a_base_nothing_is_said_to_differ(make_record: Make) -> None:
    found = make_front([make_record(i, choices={"kernel": 3 + i}) for i in range(2)], bases={})
    assert [found.changes(row.record) for row in found.rows] == [(), ()]
    assert (found.bases_line, found.changes_table().rows) == ("", ())


def test_every_variant_has_its_number_as_a_label_and_in_the_legend(study_records: list[Record]) -> None:
    found = make_front(study_records)
    figure = front_figure(found, width=900, height=600)
    latencies = [row.latency.p10_ms for _, row in found.marked]
    assert (len(latencies), sorted(latencies)) == (15, latencies)
    assert [annotation.text for annotation in figure.layout.annotations] == [f"<b>{n}</b>" for n in range(1, 16)]
    legend = [trace.name for trace in figure.data if trace.legendgroup == "variants"]
    # the names without what they all begin with, by number: distinct even where they are long
    assert [entry.split("  ")[1] for entry in legend] == [
        verdict.variant.removeprefix("shufflenet_v2_") for verdict, _ in found.marked
    ]


@pytest.mark.parametrize("size", [(1600, 1000), (1100, 700), (900, 600)])
def test_labels_do_not_cover_each_other(size: tuple[int, int], study_records: list[Record]) -> None:
    width, height = size
    figure = front_figure(make_front(study_records), width=width, height=height)
    grow = style.growth(width)
    margin = figure.layout.margin
    # the plot area, not wider than it really is: the legend takes what the longest entry needs
    area_width, area_height = 0.66 * width, height - margin.t - margin.b
    low, high = figure.layout.xaxis.range
    bottom, top = figure.layout.yaxis.range
    boxes = []
    for label in figure.layout.annotations:
        x = (label.x - low) / (high - low) * area_width + label.ax
        y = (top - label.y) / (top - bottom) * area_height + label.ay
        half = 0.27 * 12 * grow * len(label.text.removeprefix("<b>").removesuffix("</b>"))
        boxes.append((x - half, y - 5 * grow, x + half, y + 5 * grow))
    overlaps = [
        (i, j)
        for i, a in enumerate(boxes)
        for j, b in enumerate(boxes[:i])
        if min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])
    ]
    assert overlaps == []


def test_hover_says_everything_about_a_point(make_record: Make) -> None:
    choices = {"kernel": 5, "se": True, "pool": None}
    record = make_record(7, variant="v<1>", top1=61.234, p10=3.4567, params=2_278_604, choices=choices, converged=False)
    found = make_front([record], bases=based_on({"kernel": 3, "se": False, "pool": "max"}))
    text = hover_text(found, found.rows[0], name="v<1>", verdict="A verdict.")
    for part in (
        "<b>v&lt;1&gt;</b> (trial 7) · on the front",
        "<b>61.23 %</b> (validation, 8 epochs, seed 0)",
        "latency <b>3.46 ms</b> (drift-corrected); p10 3.46, median 3.59, p90 3.98 (n = 200, not converged)",
        "2.28 M params, 40.0 M MACs",
        "arch_id 000000000007",
        "A verdict.",
        "kernel: 5 (not 3)",
        "se: true (not false)",
        "pool: none (not max)",
    ):
        assert part in text


def test_warnings_are_printed_in_the_figure(make_record: Make) -> None:
    figure = front_figure(make_front([make_record(0), make_record(1, fingerprint="other")]))
    assert "Caution: latencies are not comparable: 2 values of fingerprint" in figure.layout.title.text


@pytest.mark.parametrize(
    ("names", "prefix"),
    [
        (["shufflenet_v2_x0_5", "shufflenet_v2_x1_0"], "shufflenet_v2_"),
        (["a_b", "a_b"], "a_"),
        (["alpha", "beta"], ""),
        (["alone_here"], ""),
        ([], ""),
    ],
)
def test_the_shared_prefix_ends_at_an_underscore(names: list[str], prefix: str) -> None:
    assert shared_prefix(names) == prefix


@pytest.mark.parametrize(("low", "high"), [(1.9, 31.0), (0.01, 900.0), (3.0, 19.0), (1e-4, 1e4)])
def test_logarithmic_ticks_are_few_and_inside(low: float, high: float) -> None:
    ticks = nice_log_ticks(low, high)
    assert 3 <= len(ticks) <= 9
    assert all(low <= tick <= high for tick in ticks)


def _trace(figure: go.Figure, name: str) -> Any:
    return next(trace for trace in figure.data if (trace.name or "").startswith(name))


def _confirmed(make: Make, found: Mapping[int, Sequence[float]]) -> Confirmed:
    """A confirmation of these trials (their `arch_id` is "net" and the trial), with a top-1 for each seed, at 3 ms."""
    points = tuple(
        DesignPoint(name=f"trial {trial}", family="f", choices={}, arch_id=f"net{trial}", trial=trial)
        for trial in found
    )
    again = [
        replace(make(seed, top1=top1, p10=3.0, seed=seed, arch_id=point.arch_id), point=point.name)
        for point, top1s in zip(points, found.values(), strict=True)
        for seed, top1 in enumerate(top1s)
    ]
    design = Design(purpose="confirm", of="s", points=points, seeds=tuple(range(max(map(len, found.values())))))
    return confirmed_of(again, design, ("error_percent", "latency_ms"), noise_floor=0.0, draws=0)


def test_a_hard_bound_is_shaded_and_a_soft_one_is_a_line(make_record: Make) -> None:
    records = [make_record(0, p10=2), make_record(1, p10=3, top1=60), make_record(2, p10=4, params=3_000_000)]
    bounds = [
        Bound(name="latency_ms", value=2.5),
        Bound(name="latency_ms", value=3.5, soft=True),
        Bound(name="params", value=2e6, soft=True),
    ]
    info = make_front(records, bounds=tuple(bounds))
    assert [info.over(row) for row in info.rows] == [(), ("latency_ms",), ("latency_ms", "latency_ms", "params")]
    assert "bounds: latency up to 2.50 ms, latency up to 3.50 ms (soft), params up to 2.00 M (soft)" in info.subtitle[2]
    figure = front_figure(info)
    shaded = [shape for shape in figure.layout.shapes if shape.type == "rect"]
    assert [(shape.x0, shape.x1) for shape in shaded] == [(2.5, figure.layout.xaxis.range[1])]
    assert [shape.line.dash for shape in figure.layout.shapes if shape.type == "line"] == ["solid", "dash"]
    over = _trace(figure, "over a bound")
    assert over.marker.symbol == "circle-open"


def test_a_bound_just_beyond_the_slowest_network_is_on_the_axis(make_record: Make) -> None:
    records = [make_record(0, p10=2), make_record(1, p10=4)]
    near = front_figure(make_front(records, bounds=(Bound(name="latency_ms", value=4.5),)))
    far = front_figure(make_front(records, bounds=(Bound(name="latency_ms", value=40.0),)))
    assert near.layout.xaxis.range[1] > 4.5
    assert far.layout.xaxis.range[1] == pytest.approx(4.12)  # 4 + 6 % of 2
    assert far.layout.shapes == ()


def test_what_was_evaluated_again_has_error_bars_at_its_means(make_record: Make) -> None:
    again = _confirmed(make_record, {0: (50.0, 52.0, 54.0)})
    figure = front_figure(make_front([make_record(0, top1=54, p10=3), make_record(1, p10=5)], confirmed=again))
    trace = _trace(figure, "evaluated again, 95 % interval")
    assert (list(trace.x), list(trace.y)) == ([pytest.approx(3.0)], [pytest.approx(52.0)])
    # Student's t with two degrees of freedom: 4.303 x 2 / sqrt(3) = 4.968
    assert list(trace.error_y.array) == pytest.approx([4.968], abs=0.01)
    assert list(trace.error_y.arrayminus) == pytest.approx([4.968], abs=0.01)
    assert "top-1 52.00 % (47.03 to 56.97)" in trace.hovertext[0]
    assert figure.layout.yaxis.range[0] < 47.03 < 56.97 < figure.layout.yaxis.range[1]


def test_one_evaluation_gives_no_interval_and_an_unknown_trial_no_mark(make_record: Make) -> None:
    info = make_front([make_record(0)], confirmed=_confirmed(make_record, {0: (52.0,), 9: (52.0,)}))
    assert [each.trial for each in info.again] == [0]
    trace = _trace(front_figure(info), "evaluated again")
    assert list(trace.error_y.array) == [0.0]
    assert "interval" not in trace.hovertext[0]
    assert make_front([make_record(1)], confirmed=_confirmed(make_record, {0: (52.0,)})).again == ()


@pytest.mark.parametrize(("top1", "shown"), [(62.0, True), (92.98, False)])
def test_printed_values_are_hollow_and_hidden_where_they_squeeze_the_rest(
    top1: float, shown: bool, make_record: Make
) -> None:
    records = [make_record(0, variant="v", top1=50, p10=3), make_record(1, top1=60)]
    printed = [
        PrintedTop1(variant="v", top1_percent=top1, source="a paper", conditions="200 epochs"),
        PrintedTop1(variant="of no trial", top1_percent=70, source="a paper", conditions=""),
    ]
    found = make_front(records, printed=tuple(printed))
    assert [row[:3] for row in found.printed_table().rows] == [(1, "v", top1)]
    figure = front_figure(found)
    trace = _trace(figure, "as printed")
    assert (list(trace.x), list(trace.y), list(trace.text)) == ([3.0], [top1], ["1"])
    assert trace.marker.symbol.endswith("-open")
    assert trace.visible == (True if shown else "legendonly")
    assert "200 epochs" in trace.hovertext[0]
    # asked for, the axis must be free to grow; else it is fixed
    assert bool(figure.layout.yaxis.autorange) is not shown


def test_a_third_objective_is_the_colour(make_record: Make) -> None:
    records = [make_record(trial, p10=1 + trial, top1=50 + trial, params=10 ** (5 + trial)) for trial in range(3)]
    objectives = ["error_percent", "latency_ms", "params"]
    figure = front_figure(make_front(records, objectives=objectives, reference_point=None))
    assert [list(trace.marker.color) for trace in figure.data if trace.marker.coloraxis] == [[5.0, 6.0, 7.0]]
    assert list(figure.layout.coloraxis.colorbar.ticktext) == ["100 k", "1.00 M", "10.0 M"]
    assert not any(trace.marker.coloraxis for trace in front_figure(make_front(records)).data)


def test_the_colours_of_a_third_objective_in_percent_are_told_apart_by_their_numbers(make_record: Make) -> None:
    # recalls of 58.8, 58.4 and 57.6 % are errors of 41.2 to 42.4 %, with 41.8 % in the middle
    recalls = (58.8, 58.4, 57.6)
    records = [make_record(trial, p10=1 + trial, balanced_top1_percent=each) for trial, each in enumerate(recalls)]
    objectives = ["error_percent", "latency_ms", "balanced_error_percent"]
    figure = front_figure(make_front(records, objectives=objectives, reference_point=None))
    assert list(figure.layout.coloraxis.colorbar.ticktext) == ["41.20 %", "41.80 %", "42.40 %"]


def test_in_depth_the_same_points_stand_with_their_parameters(study_records: list[Record]) -> None:
    found = make_front(study_records, bounds=(Bound(name="params", value=1e6),))
    figure = front_3d_figure(found)
    points = sum(len(trace.x) for trace in figure.data if trace.type == "scatter3d")
    assert points == len(found.rows) == sum(record.score is not None for record in study_records)
    assert [trace.name for trace in figure.data if trace.type == "mesh3d"] == ["params up to 1.00 M"]
    assert "for reading only" in figure.layout.legend.title.text


def test_the_numbers_of_networks_at_one_place_in_depth_lie_apart(make_record: Make) -> None:
    records = [make_record(trial, variant=f"v_{trial}", p10=3 + 1e-3 * trial) for trial in range(4)]
    figure = front_3d_figure(make_front([*records, make_record(9, p10=9, top1=90, params=10**7)]))
    labels = figure.layout.scene.annotations
    assert [label.text for label in labels] == [f"<b>{number}</b>" for number in (1, 2, 3, 4)]
    places = [(label.ax, label.ay) for label in labels]
    assert all(math.dist(one, other) > 10 for one, other in combinations(places, 2))  # pixels; a digit is 7 wide
    assert {trace.name for trace in figure.data} >= {"1  0", "2  1", "3  2", "4  3"}


def test_the_front_at_a_glance_names_what_is_recommended_and_what_it_beats(make_record: Make) -> None:
    records = [
        make_record(0, variant="published", top1=40.0, p10=8.0),
        make_record(1, top1=70.0, p10=2.0, eval_images=10**6),  # 0.8 x (80 - 10) + 10 = 66: within reason
        make_record(2, top1=80.0, p10=4.0, eval_images=10**6),
        make_record(3, top1=10.0, p10=900.0),  # far outside of what is asked
    ]
    figure = glance_figure(make_front(records))
    texts = {label.text for label in figure.layout.annotations}
    assert "published" in texts
    assert {text.partition(":")[0] for text in texts} == {"published", "trial 1", "trial 2"}
    assert len([text for text in texts if "recommended" in text]) == 1
    assert figure.layout.xaxis.range[1] < 900.0
    assert [label["text"] for label in figure.layout.meta["narrow"]] == [
        each.text for each in figure.layout.annotations
    ]
    assert glance_figure(make_front([])).data == ()


def test_the_front_at_a_glance_calls_the_same_networks_its_front_that_it_draws_as_one(make_record: Make) -> None:
    records = [make_record(n, top1=top1, p10=3, arch_id=f"net{n}") for n, top1 in enumerate([50.0, 54.0])]
    again = _confirmed(make_record, {0: (50.0, 52.0, 57.0), 1: (50.0, 52.0, 54.0)})  # over three seeds 53 and 52
    found = make_front(records, confirmed=again)
    chosen = recommendation_of(found, records, confirmed=again)
    assert [row.record.trial for row in found.members] == [1]
    assert chosen.network is not None and chosen.network.seeds == 3
    texts = [
        text for trace in glance_figure(replace(found, recommendation=chosen)).data for text in trace.hovertext or ()
    ]
    assert {text.partition(":")[0] for text in texts} == {"<b>trial 0</b> · on the front", "<b>trial 1</b>"}


def test_labels_of_the_front_at_a_glance_lie_beside_each_other_and_inside_at_both_widths(make_record: Make) -> None:
    records = [
        make_record(17, top1=95.67, p10=0.050),
        make_record(16, top1=96.67, p10=0.057),
        make_record(6, variant="shufflenet_v2_x1_0_se_residual", top1=98.0, p10=0.354),
        make_record(4, variant="shufflenet_v2_x1_0_se", top1=91.33, p10=0.340),
        make_record(9, variant="shufflenet_v2_s_described", top1=85.0, p10=0.506),
    ]
    figure = glance_figure(make_front(records))
    for width, labels in ((500, figure.layout.annotations), (370, figure.layout.meta["narrow"])):
        low, high = figure.layout.xaxis.range
        bottom, top = figure.layout.yaxis.range
        boxes = []
        for label in labels:
            x = (label["x"] - low) / (high - low) * (width - 78) + label["ax"]
            y = (top - label["y"]) / (top - bottom) * (400 - 76) + label["ay"]
            half = 0.27 * label["font"]["size"] * len(label["text"])
            boxes.append((x - half, y - 6, x + half, y + 6))
            assert x - half > -5 and x + half < width - 78 + 5, label["text"]
        for one, other in combinations(boxes, 2):
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert apart, (width, one, other)


def test_every_choice_that_differs_is_in_the_hover_text(make_record: Make) -> None:
    choices = {f"choice{index:02d}": index for index in range(40)}
    found = make_front([make_record(0, choices=choices)], bases=based_on(dict.fromkeys(choices, -1)))
    text = hover_text(found, found.rows[0])
    assert all(f"{name}: {value} (not -1)" in text for name, value in choices.items())
    assert max(len(line) for line in text.split("<br>")[5:]) <= 72


def test_the_tables_beside_a_front_hold_its_networks_and_variants(
    study_records: list[Record], make_record: Make
) -> None:
    found = make_front(study_records, confirmed=_confirmed(make_record, {0: (50.0, 52.0, 54.0)}))
    members, variants, *_ = found.tables()
    networks, again, printed = found.data_tables()
    assert [row[1] for row in members.rows] == [row.record.trial for row in found.members]
    assert len(networks.rows) == len(found.rows)
    assert [row[1] for row in variants.rows] == [verdict.variant for verdict in found.verdicts]
    assert [row[:3] for row in again.rows] == [("trial 0", 0, 3)]
    assert printed.rows == ()
    assert all(len(row) == len(table.columns) for table in found.tables() for row in table.rows)
