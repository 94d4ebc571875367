from __future__ import annotations

import math
import runpy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from archsearch.analysis.ablation import Effect, Finding, ablation_of, amount, between
from archsearch.designs import Design, DesignPoint
from archsearch.records import Record, TrialStatus

Make = Callable[..., Record]
BASE = {"stage2.kernel": 3, "stage3.kernel": 3, "stem.type": "conv", "stage2.residual": False}


def point(name: str, arch_id: str, **changes: Any) -> DesignPoint:
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    choices = dict(BASE)
    for key, value in dotted.items():
        choices.update({own: value for own in choices if own == key or own.endswith(f".{key}")})
    return DesignPoint(
        name=name, family="shufflenet_v2", choices=choices, arch_id=arch_id.ljust(12, "0"), changes=dotted
    )


def design(points: Sequence[DesignPoint], seeds: int = 5, mode: str = "one-at-a-time") -> Design:
    return Design(purpose="ablation", of="s", points=tuple(points), seeds=tuple(range(seeds)), mode=mode)


POINTS = (point("base", "a"), point("kernel=5", "b", kernel=5))


def records(
    make_record: Make,
    made: Design,
    top1: Mapping[str, Sequence[float]],
    p10: Mapping[str, Sequence[float]] | None = None,
    params: Mapping[str, int] | None = None,
) -> list[Record]:
    """One complete record for each (point, seed); a latency of 5 ms that differs a little if none is given."""
    found = []
    for index, each in enumerate(made.points):
        for seed, value in zip(made.seeds, top1[each.name], strict=False):
            record = make_record(
                len(found),
                top1=value,
                p10=p10[each.name][seed] if p10 else 5.0 + 0.01 * ((3 * seed + index) % 4),
                params=(params or {}).get(each.name, 1000),
                seed=seed,
                arch_id=each.arch_id,
            )
            found.append(replace(record, point=each.name))
    return found


def test_an_effect_is_the_mean_of_the_paired_differences_with_students_interval(make_record: Make) -> None:
    made = design(POINTS)
    base, other = [50.0, 52.0, 51.0, 49.0, 53.0], [51.5, 53.0, 52.5, 50.0, 55.0]
    found = ablation_of(records(make_record, made, {"base": base, "kernel=5": other}), made)
    effect = found.rows[0].top1
    # differences 1.5, 1, 1.5, 1, 2: mean 1.4, deviation 0.41833, error 0.18708; of top-1 and latency together
    # t(0.9875, 4 df) = 3.49541: +-0.65393
    assert effect.differences == pytest.approx((1.5, 1.0, 1.5, 1.0, 2.0))
    assert effect.seeds == (0, 1, 2, 3, 4)
    assert effect.estimate == pytest.approx(1.4)
    assert (effect.low, effect.high) == (pytest.approx(1.4 - 0.65393, abs=1e-4), pytest.approx(1.4 + 0.65393, abs=1e-4))
    paired = stats.ttest_rel(other, base).confidence_interval(0.975)
    assert (effect.low, effect.high) == (pytest.approx(paired.low), pytest.approx(paired.high))
    assert (effect.n, effect.finding) == (5, Finding.BETTER)
    assert found.comparisons == 2


def test_pairing_takes_out_what_the_seeds_share(make_record: Make) -> None:
    made = design(POINTS)
    base = [40.0, 60.0, 50.0, 45.0, 55.0]  # the seeds scatter by 8 points, the differences by a tenth
    other = [value + gain for value, gain in zip(base, (1.0, 1.1, 0.9, 1.0, 1.0), strict=True)]
    found = ablation_of(records(make_record, made, {"base": base, "kernel=5": other}), made)
    assert found.rows[0].top1.finding is Finding.BETTER
    assert stats.ttest_ind(other, base).pvalue > 0.5


def test_latency_is_a_ratio_of_geometric_means(make_record: Make) -> None:
    made = design(POINTS, seeds=2)
    top1 = {"base": [50.0, 51.0], "kernel=5": [50.0, 52.0]}
    p10 = {"base": [4.0, 4.0], "kernel=5": [4.4, 5.6]}  # ratios 1.1 and 1.4
    found = ablation_of(records(make_record, made, top1, p10), made)
    effect = found.rows[0].latency
    logs = [math.log(1.1), math.log(1.4)]
    assert effect.estimate == pytest.approx(100 * (math.sqrt(1.1 * 1.4) - 1))
    assert effect.differences == pytest.approx((10.0, 40.0))
    # two values: error |a - b| / 2, t(0.9875, 1 df) = 25.4517
    half = 25.4517 * abs(logs[0] - logs[1]) / 2
    assert effect.high == pytest.approx(100 * math.expm1(sum(logs) / 2 + half), rel=1e-4)
    assert effect.low == pytest.approx(100 * math.expm1(sum(logs) / 2 - half), rel=1e-4)
    assert found.rows[0].latency_ms.estimate == pytest.approx(1.0)  # 0.4 and 1.6
    assert found.base_latency_ms == pytest.approx(4.0)


def test_changes_are_told_by_whether_they_are_worth_their_cost(make_record: Make) -> None:
    # Two seeds with all but equal differences, far beyond their intervals: 2 and 2.001 points; +50 % and +50.1 %.
    points = (
        POINTS[0], point("kernel=5", "b", kernel=5), point("kernel=7", "c", kernel=7),
        point("stem.type=dcn", "d", stem__type="dcn"), point("residual=true", "e", residual=True),
    )  # fmt: skip
    made = design(points, seeds=2)
    flat, gain = [50.0, 55.0], [52.0, 57.001]
    top1 = {
        "base": flat,
        "kernel=5": gain,
        "kernel=7": [53.0, 58.001],
        "stem.type=dcn": [40.0, 65.0],
        "residual=true": gain,
    }
    slower, faster = [6.0, 6.0004], [2.0, 2.0004]
    p10 = {"base": [4.0, 4.0], "kernel=5": slower, "kernel=7": slower, "stem.type=dcn": slower, "residual=true": faster}
    assert ablation_of(records(make_record, made, top1, p10), made).worth == (
        "Worth it: with residual (+2.00 points top-1, -50.0 % latency).",
        "Buys accuracy with latency: kernel 5, 7 (+2.00 to +3.00 points top-1, +50.0 % latency).",
        "Not worth it: costs latency, and no gain of accuracy can be told: "
        "stem.type dcn instead of conv (+0.00 points top-1, +50.0 % latency).",
    )


def test_params_are_exact_and_fewer_is_better(make_record: Make) -> None:
    points = (*POINTS, point("stem.type=dcn", "c", stem__type="dcn"), point("residual=true", "d", residual=True))
    made = design(points, seeds=1)
    top1 = {each.name: [50.0] for each in points}
    params = {"base": 1000, "kernel=5": 1200, "stem.type=dcn": 900, "residual=true": 1000}
    found = ablation_of(records(make_record, made, top1, params=params), made)
    effects = [row.params for row in found.rows]
    assert [effect.estimate for effect in effects] == [200.0, -100.0, 0.0]
    assert [effect.finding for effect in effects] == [Finding.WORSE, Finding.BETTER, Finding.SAME]
    assert all(effect.exact and effect.low is None for effect in effects)


def test_intervals_are_corrected_for_every_other_point_of_the_design_measured_or_not(make_record: Make) -> None:
    points = (*POINTS, *(point(f"x{index}", f"{index}", **{"stem__type": f"t{index}"}) for index in range(18)))
    made = design(points)
    top1 = {"base": [50.0, 52.0, 51.0, 49.0, 53.0], "kernel=5": [51.5, 53.0, 52.5, 50.0, 55.0]}
    own = records(make_record, design(POINTS), top1)
    found = ablation_of(own, made)
    effect = found.rows[0].top1
    assert found.comparisons == 38
    low, high = stats.t.interval(1 - 0.05 / 38, 4, loc=1.4, scale=0.41833001 / math.sqrt(5))
    assert (effect.low, effect.high) == (pytest.approx(low), pytest.approx(high))
    assert (effect.alone_low, effect.alone_high) == (
        pytest.approx(1.4 - 0.51943, abs=1e-4),
        pytest.approx(1.4 + 0.51943, abs=1e-4),
    )
    assert found.pending == 18 * 5
    assert "not finished: 90 of 100 trials" in found.warnings[0]


def test_the_sentence_says_effect_interval_n_and_correction(make_record: Make) -> None:
    points = (*POINTS, point("residual=true", "c", residual=True))
    made = design(points)
    top1 = {
        "base": [50.0, 52.0, 51.0, 49.0, 53.0],
        "kernel=5": [52.5, 54.6, 53.4, 51.5, 55.5],
        "residual=true": [51.0, 51.0, 52.0, 48.0, 54.0],
    }
    p10 = {
        "base": [4.0, 4.01, 4.0, 4.02, 4.0],
        "kernel=5": [4.5, 4.5, 4.51, 4.5, 4.49],
        "residual=true": [4.0, 4.0, 4.02, 4.01, 4.0],
    }
    found = ablation_of(records(make_record, made, top1, p10, {"kernel=5": 1200}), made)
    kernel, residual = found.rows
    assert kernel.label == "kernel 5 instead of 3"
    assert residual.label == "with residual"
    assert kernel.sentence.startswith("kernel 5 instead of 3: +2.50 points top-1 (95 % interval +2.")
    assert "n = 5 seeds, corrected for 4 comparisons)" in kernel.sentence
    assert "% latency (+" in kernel.sentence
    assert kernel.sentence.endswith("+200 params: pays in accuracy, costs latency.")
    assert "top-1 inconclusive at this scale: between -" in residual.sentence
    assert residual.answer == "inconclusive at this scale"
    # differences 2.5 +- s/sqrt(5) t(0.99375, 4): the interval of the row's own sentence
    inside = kernel.sentence.split("interval ")[1].split(",")[0]
    assert found.sentences[0].startswith(
        "kernel (n = 5 seeds, 95 % intervals, corrected for 4 comparisons): 5 (+2.50 points top-1, " + inside
    )
    assert found.sentences[0].endswith("pays in accuracy, costs latency")


def test_one_seed_has_no_interval_and_tells_nothing(make_record: Make) -> None:
    made = design(POINTS, seeds=1)
    found = ablation_of(records(make_record, made, {"base": [50.0], "kernel=5": [90.0]}), made)
    effect = found.rows[0].top1
    assert (effect.estimate, effect.low, effect.n, effect.finding) == (40.0, None, 1, Finding.UNTOLD)
    assert "inconclusive" in found.rows[0].sentence
    assert "one seed" in found.warnings[0]


def test_of_a_latency_in_doubt_more_seeds_are_advised_and_no_front_is_spoken_of(make_record: Make) -> None:
    made = design(POINTS, seeds=2)
    first, *rest = records(make_record, made, {"base": [50.0, 51.0], "kernel=5": [51.0, 52.5]})
    assert first.latency is not None
    doubtful = replace(first, latency=replace(first.latency, converged=False, contended=True))
    again = "more seeds measure every network again, best while nothing else runs"
    assert ablation_of([doubtful, *rest], made).warnings == (
        f"the latency of base did not converge, so it may be wrong: {again}",
        f"other work may have slowed the device while it measured base, so latencies may be too high: {again}",
    )


def test_equal_differences_claim_no_certainty(make_record: Make) -> None:
    made = design(POINTS, seeds=3)
    found = ablation_of(records(make_record, made, {"base": [50.0, 51.0, 52.0], "kernel=5": [51.0, 52.0, 53.0]}), made)
    effect = found.rows[0].top1
    assert (effect.estimate, effect.low, effect.finding) == (1.0, None, Finding.UNTOLD)
    assert "all 3 differences are equal" in effect.note
    assert any("no spread is seen: kernel 5" in warning for warning in found.warnings)


def test_a_failed_trial_takes_its_pair_with_it(make_record: Make) -> None:
    made = design(POINTS, seeds=4)
    all_ = records(make_record, made, {"base": [50.0, 51.0, 52.0, 53.0], "kernel=5": [51.0, 52.5, 53.0, 54.0]})
    failed = replace(all_[5], status=TrialStatus.FAILED, score=None, reason="diverged")  # kernel=5 with seed 1
    running = replace(all_[2], status=TrialStatus.RUNNING, score=None, latency=None)  # the base with seed 2
    found = ablation_of([*all_[:2], running, *all_[3:5], failed, *all_[6:]], made)
    assert found.rows[0].top1.seeds == (0, 3)
    assert found.rows[0].top1.n == 2
    assert [(each.point, each.seed, each.why) for each in found.missing] == [("kernel=5", 1, "failed: diverged")]
    assert found.pending == 1
    assert any("kernel=5 with seed 1 (failed: diverged)" in warning for warning in found.warnings)
    assert found.base_n == 3


def test_an_interaction_is_what_the_pair_does_beyond_the_sum(make_record: Make) -> None:
    points = (*POINTS, point("residual=true", "c", residual=True), point("both", "d", kernel=5, residual=True))
    made = design(points, seeds=3, mode="pairs")
    top1 = {
        "base": [50.0, 51.0, 52.0],
        "kernel=5": [51.0, 52.0, 53.0],
        "residual=true": [52.0, 53.0, 54.0],
        "both": [55.0, 56.5, 57.0],
    }
    p10 = {"base": [4.0] * 3, "kernel=5": [4.4] * 3, "residual=true": [4.8] * 3, "both": [5.28, 5.5, 5.28]}
    (found,) = ablation_of(records(make_record, made, top1, p10), made).interactions
    # both - kernel - residual + base: 55 - 51 - 52 + 50 = 2, 56.5 - 52 - 53 + 51 = 2.5, 57 - 53 - 54 + 52 = 2
    assert found.top1.differences == pytest.approx((2.0, 2.5, 2.0))
    # 4.4 / 4 * 4.8 / 4 * 4 = 5.28: ratios 1, 5.5 / 5.28, 1
    assert found.latency.differences == pytest.approx((0.0, 100 * (5.5 / 5.28 - 1), 0.0))
    assert (found.first.name, found.second.name) == ("kernel=5", "residual=true")
    assert found.top1.finding is Finding.BETTER
    assert "together they do better than their sum" in found.sentence


def test_pairs_of_levels_are_counted_as_neither_levels_nor_choices(make_record: Make) -> None:
    points = (
        *POINTS,
        point("kernel=7", "c", kernel=7),
        point("residual=true", "d", residual=True),
        point("kernel=5 + residual=true", "e", kernel=5, residual=True),
        point("kernel=7 + residual=true", "f", kernel=7, residual=True),
    )
    made = design(points, seeds=2, mode="pairs")
    given = records(make_record, made, {each.name: [50.0 + index, 51.0] for index, each in enumerate(points)})
    counted = "pairs, 3 levels of 2 choices, 2 pairs of levels, 2 paired seeds"
    assert ablation_of(given, made).subtitle[0] == f"Each row minus the base: {counted}"


def test_each_table_says_what_its_intervals_are_corrected_for(make_record: Make) -> None:
    points = (*POINTS, point("residual=true", "c", residual=True), point("both", "d", kernel=5, residual=True))
    made = design(points, seeds=3, mode="pairs")
    top1 = {each.name: [50.0 + index, 51.5, 52.0 - index] for index, each in enumerate(points)}
    effects, costs, beyond, alone = ablation_of(records(make_record, made, top1), made).tables()
    # three networks beside the base, and one interaction, each in accuracy and latency
    assert "95 % intervals that hold for all 6 comparisons of both columns together (Bonferroni)." in effects.note
    assert "95 % intervals, corrected for 6 comparisons (Bonferroni)." in costs.note
    assert "95 % intervals that hold for all 2 comparisons of both columns together (Bonferroni)." in beyond.note
    assert "of one comparison alone, not corrected" in alone.note


def test_leave_one_out_tells_of_the_choice_that_is_taken_back(make_record: Make) -> None:
    base = replace(point("base", "a", kernel=5), changes={})
    back = replace(point("kernel=3", "b"), changes={"kernel": 3})
    made = design((base, back), mode="leave-one-out")
    top1 = {"base": [52.0, 53.1, 54.0, 51.0, 52.5], "kernel=3": [50.0, 51.0, 52.0, 49.2, 50.5]}
    p10 = {"base": [5.0, 5.01, 5.0, 5.0, 5.02], "kernel=3": [4.0, 4.0, 4.01, 4.0, 4.0]}
    found = ablation_of(records(make_record, made, top1, p10), made)
    row = found.rows[0]
    assert row.label == "kernel 3 instead of 5"
    assert row.top1.estimate < 0
    assert row.top1.finding is Finding.WORSE  # of the network that lacks it
    assert row.answer == "kernel 5 pays in accuracy, costs latency"
    assert "takes one choice of the base back" in found.method


def test_the_pooled_spread_is_that_of_the_block_design(make_record: Make) -> None:
    generator = np.random.default_rng(11)
    points = (*POINTS, *(point(f"x{index}", f"{index}", **{"stem__type": f"t{index}"}) for index in range(6)))
    made = design(points, seeds=3)
    table = generator.normal(50.0, 1.0, size=(len(points), 3))
    top1 = {each.name: row.tolist() for each, row in zip(points, table, strict=True)}
    found = ablation_of(records(make_record, made, top1), made, spread="pooled")
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    freedom = (len(points) - 1) * 2
    error = math.sqrt(2 * (residual**2).sum() / freedom / 3)
    half = stats.t.ppf(1 - 0.05 / (2 * 14), freedom) * error
    effect = found.rows[0].top1
    assert effect.high == pytest.approx(effect.estimate + half)
    assert "one spread for all points" in found.method
    assert "assumed" not in found.method


def test_spreads_that_differ_are_not_pooled_and_it_is_said(make_record: Make) -> None:
    generator = np.random.default_rng(3)
    points = (*POINTS, *(point(f"x{index}", f"{index}", **{"stem__type": f"t{index}"}) for index in range(6)))
    made = design(points)
    top1 = {each.name: generator.normal(50.0, 1.0, size=5).tolist() for each in points}
    top1["base"] = [40.0, 58.0, 45.0, 61.0, 50.0]
    given = records(make_record, made, top1)
    pooled, own = (ablation_of(given, made, spread=spread) for spread in ("pooled", "own"))
    (warning,) = [text for text in pooled.warnings if "spreads" in text]
    assert warning.startswith("the networks' spreads of top-1 differ (Brown-Forsythe, p < 0.001)")
    assert [row.top1 for row in pooled.rows] == [row.top1 for row in own.rows]
    assert not any("spreads" in text for text in own.warnings)


def test_the_method_says_of_which_quantity_one_spread_was_taken_where_the_other_s_was_refused(
    make_record: Make,
) -> None:
    generator = np.random.default_rng(3)
    points = (*POINTS, *(point(f"x{index}", f"{index}", **{"stem__type": f"t{index}"}) for index in range(6)))
    made = design(points)
    alike = {each.name: generator.normal(50.0, 1.0, size=5).tolist() for each in points}
    refused = {**alike, "base": [40.0, 58.0, 45.0, 61.0, 50.0]}
    own = "intervals: Student's t on these differences"
    one = "with one spread for all points, the residual of point + seed, Bonferroni-corrected"
    both, latency = (ablation_of(records(make_record, made, top1), made, spread="pooled") for top1 in (alike, refused))
    assert f"intervals: Student's t {one}" in both.method
    assert f"{own}, of latency {one}" in latency.method
    # both spreads refused: nothing is said of one spread
    p10 = {name: [value / 10.0 for value in values] for name, values in refused.items()}
    neither = ablation_of(records(make_record, made, refused, p10), made, spread="pooled")
    assert f"{own}, Bonferroni-corrected" in neither.method
    assert not any("one spread" in table.note for table in neither.tables())


def test_spreads_that_differ_in_milliseconds_alone_are_refused_in_their_own_name(make_record: Make) -> None:
    generator = np.random.default_rng(3)
    points = (*POINTS, *(point(f"x{index}", f"{index}", **{"stem__type": f"t{index}"}) for index in range(6)))
    made = design(points)
    top1 = {each.name: generator.normal(50.0, 1.0, size=5).tolist() for each in points}
    p10 = {each.name: (4.0**index * generator.normal(1.0, 0.02, size=5)).tolist() for index, each in enumerate(points)}
    found = ablation_of(records(make_record, made, top1, p10), made, spread="pooled")
    (warning,) = [text for text in found.warnings if "spreads" in text]
    assert warning.startswith("the networks' spreads of latency in milliseconds differ (Brown-Forsythe, ")


def test_an_interval_that_leaves_0_out_by_less_than_is_shown_does_not_end_at_0() -> None:
    top1 = Effect(quantity="top1", unit="points", estimate=0.2, low=0.004, high=0.4)
    latency = Effect(quantity="latency", unit="%", estimate=-1.0, low=-2.0, high=-0.03)
    assert (between(top1), between(latency)) == ("+0.004 to +0.40", "-2.0 to -0.03 %")


def test_an_effect_that_rounds_to_zero_has_no_minus(make_record: Make) -> None:
    made = design(POINTS)
    base = [50.0, 52.0, 51.0, 49.0, 53.0]
    other = [50.5, 51.5, 51.0, 49.0, 52.98]  # +0.5, -0.5, 0, 0, -0.02: -0.004 in the mean
    p10 = {"base": [5.0] * 5, "kernel=5": [5.01, 4.99, 5.0, 5.0, 4.999]}  # -0.005 % in the mean
    row = ablation_of(records(make_record, made, {"base": base, "kernel=5": other}, p10), made).rows[0]
    assert (amount(row.top1), amount(row.latency)) == ("+0.00 points top-1", "+0.0 % latency")


def test_two_seeds_cannot_tell_whether_spreads_differ_so_one_is_assumed_and_it_is_said(make_record: Make) -> None:
    points = (*POINTS, point("x", "c", **{"stem__type": "t"}))
    made = design(points, seeds=2)
    # Seeds' means 50 and 52. Residuals of base, kernel=5 and x: +-0.5, -+1, +-0.5; their squares add up to 3, with
    # 6 - 3 - 1 = 2 degrees of freedom: 1.5. Of each point both are equally far from the median, which Brown and
    # Forsythe's test takes for no variance within the points.
    top1 = {"base": [50.5, 51.5], "kernel=5": [49.0, 53.0], "x": [50.5, 51.5]}
    found = ablation_of(records(make_record, made, top1), made, spread="pooled")
    assert not any("spreads" in text for text in found.warnings)
    assert "assumed for top-1 and latency: whether spreads differ, fewer than 3 seeds cannot tell" in found.method
    # the difference of two means of two: sqrt(2 x 1.5 / 2); t of 2 degrees of freedom for 2 x 2 comparisons
    half = stats.t.ppf(1 - 0.05 / (2 * 4), 2) * math.sqrt(1.5)
    assert found.rows[0].top1.high == pytest.approx(0.0 + half)


@pytest.mark.parametrize(("spreads", "spread"), [("alike", "own"), ("fourfold", "own"), ("alike", "pooled")])
def test_the_intervals_of_top1_and_latency_hold_together_as_often_as_they_say(
    spreads: str, spread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(__file__).parents[2] / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))
    script = runpy.run_path(str(folder / "ablation_coverage.py"))
    share, _ = script["held"](spreads, spread, 60, seed=1, points=6, seeds=3)
    assert share > 0.95 - 3 * math.sqrt(0.95 * 0.05 / 60)


def test_a_macro_without_one_base_level_is_named_without_it_unless_it_is_told(make_record: Make) -> None:
    changed = replace(POINTS[1], changes={"width": 1.0})
    made = design((POINTS[0], changed), seeds=2)
    given = records(make_record, made, {"base": [50.0, 51.0], "kernel=5": [51.0, 52.5]})
    assert ablation_of(given, made).rows[0].label == "width 1"
    assert ablation_of(given, made, base_levels={"width": 0.5}).rows[0].label == "width 1 instead of 0.5"


def test_no_record_at_all_gives_rows_that_know_nothing() -> None:
    made = design(POINTS)
    found = ablation_of([], made)
    assert math.isnan(found.rows[0].top1.estimate)
    assert found.rows[0].top1.finding is Finding.UNTOLD
    assert (found.base_n, found.pending) == (0, 10)
    with pytest.raises(ValueError, match="base"):
        ablation_of([], design(()))


def test_a_base_alone_has_no_effects(make_record: Make) -> None:
    made = design(POINTS[:1], seeds=2)
    found = ablation_of(records(make_record, made, {"base": [50.0, 51.0]}), made)
    assert found.rows == ()
    assert (found.base_top1_percent, found.base_n) == (50.5, 2)


def test_a_choice_with_levels_that_are_lists_can_interact(make_record: Make) -> None:
    points = (
        POINTS[0],
        replace(POINTS[1], changes={"channels": [48, 96, 192]}),
        point("residual=true", "c", residual=True),
        replace(point("both", "d"), changes={"channels": [48, 96, 192], "residual": True}),
    )
    made = design(points, seeds=2, mode="pairs")
    top1 = {each.name: [50.0 + index, 51.0 + 1.1 * index] for index, each in enumerate(points)}
    assert len(ablation_of(records(make_record, made, top1), made).interactions) == 1


def test_ten_thousand_records_are_no_matter(make_record: Make) -> None:
    points = (POINTS[0], *(point(f"x{index}", f"{index:x}", **{"stem__type": f"t{index}"}) for index in range(1999)))
    made = design(points)
    top1 = {each.name: [50.0, 50.5, 51.0, 50.2, 50.1 + 0.001 * index] for index, each in enumerate(points)}
    found = ablation_of(records(make_record, made, top1), made, spread="pooled")
    assert len(found.rows) == 1999
