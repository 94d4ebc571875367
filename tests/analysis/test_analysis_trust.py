from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from archsearch.analysis.objectives import score_of
from archsearch.analysis.rank_correlation import Correlation, percentile_interval, resampled_correlations
from archsearch.analysis.trust import TrustGroup, _group_sentence, trust_of
from archsearch.records import Record, TrialStatus

Make = Callable[..., Record]


def pairs(make_record: Make, proxy: Sequence[float], long: Sequence[float]) -> tuple[list[Record], list[Record]]:
    return (
        [make_record(index, top1=value) for index, value in enumerate(proxy)],
        [make_record(index, top1=value, epochs=40) for index, value in enumerate(long)],
    )


def by_network(records: Sequence[Record], values: Sequence[float]) -> dict[str, float]:
    return {record.arch_id: float(value) for record, value in zip(records, values, strict=True)}


def test_the_correlations_are_scipys_with_ties(make_record: Make) -> None:
    proxy = [40.0, 42.0, 42.0, 44.0, 41.0, 47.0, 46.0]
    long = [60.0, 63.0, 61.0, 64.0, 63.0, 70.0, 66.0]
    found = trust_of(*pairs(make_record, proxy, long), {}).all
    assert found.proxy.tau == pytest.approx(stats.kendalltau(proxy, long).statistic)
    assert found.proxy.spearman == pytest.approx(stats.spearmanr(proxy, long).statistic)
    assert found.n == 7
    assert found.best is None


def test_tau_by_hand(make_record: Make) -> None:
    # long 1 3 2 4 against proxy 1 2 3 4: of 6 pairs one is turned round, (5 - 1) / 6
    found = trust_of(*pairs(make_record, [1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 4.0]), {}).all
    assert found.proxy.tau == pytest.approx(4 / 6)


def test_the_resampled_correlations_are_scipys_on_the_drawn_networks() -> None:
    generator = np.random.default_rng(1)
    target, values = generator.normal(size=15), generator.integers(0, 6, size=15).astype(float)
    found = resampled_correlations(target.tolist(), {"p": values.tolist()}, resamples=60, seed=4)["p"]
    drawn = np.random.default_rng(4).integers(0, 15, size=(60, 15))
    assert found.taus == pytest.approx([stats.kendalltau(values[i], target[i]).statistic for i in drawn])
    assert found.spearmans == pytest.approx([stats.spearmanr(values[i], target[i]).statistic for i in drawn])


def test_more_than_a_thousand_networks_are_ranked_one_resample_at_a_time() -> None:
    generator = np.random.default_rng(2)
    target = generator.normal(size=1200)
    values = target + generator.normal(size=1200)
    found = resampled_correlations(target.tolist(), {"p": values.tolist()}, resamples=4000)["p"]
    assert len(found.taus) == 200
    interval = percentile_interval(found.taus, 0.95)
    # two normals with correlation 0.7071: tau is 2 / pi * asin(0.7071) = 0.5
    assert interval is not None
    assert interval[0] < 0.5 < interval[1]


@pytest.mark.parametrize(("networks", "correlation"), [(12, 0.0), (12, 0.9), (20, 0.6)])
def test_the_intervals_cover_as_often_as_they_say(networks: int, correlation: float) -> None:
    """Normal pairs have tau 2 / pi asin(rho) (Greiner 1909); 250 repetitions."""
    generator = np.random.default_rng(networks)
    true, covered = 2 / math.pi * math.asin(correlation), 0
    for repetition in range(250):
        one = generator.normal(size=networks)
        other = correlation * one + math.sqrt(1 - correlation**2) * generator.normal(size=networks)
        found = resampled_correlations(other.tolist(), {"p": one.tolist()}, resamples=300, seed=repetition)["p"]
        interval = percentile_interval(found.taus, 0.95)
        covered += interval is not None and interval[0] <= true <= interval[1]
    assert covered / 250 > 0.95 - 3 * math.sqrt(0.95 * 0.05 / 250)


def test_a_proxy_that_counting_parameters_may_beat_has_not_been_shown_to_rank_better(make_record: Make) -> None:
    generator = np.random.default_rng(3)
    params = np.arange(20.0)
    long = 60 + params + generator.normal(0.0, 2.0, size=20)
    proxy, trained = pairs(make_record, (40 + params + generator.normal(0.0, 2.5, size=20)).tolist(), long.tolist())
    found = trust_of(proxy, trained, {"params": by_network(proxy, params), "macs": by_network(proxy, -params)})
    assert found.all.best == "params"
    assert found.all.advantage is not None
    assert found.all.advantage == pytest.approx((found.all.proxy.tau or 0.0) - (found.all.predictors[0].tau or 0.0))
    assert found.all.advantage < 0.0
    assert found.all.advantage_high is not None
    assert found.all.advantage_high > 0.0
    assert found.all.sentence.startswith(
        "the proxy has not been shown to rank better than counting parameters over 20 networks ("
    )
    assert [each.predictor for each in found.all.predictors] == ["params", "macs"]


def test_a_proxy_that_ranks_far_better_is_told_so_too(make_record: Make) -> None:
    generator = np.random.default_rng(4)
    quality = np.arange(24.0)
    proxy, trained = pairs(make_record, (40 + quality).tolist(), (60 + quality + 0.1).tolist())
    found = trust_of(proxy, trained, {"params": by_network(proxy, generator.normal(size=24))})
    assert found.all.sentence.startswith("the proxy ranks better than counting parameters over 24 networks (tau 1.00")
    assert found.all.advantage_low is not None
    assert found.all.advantage_low > 0


def test_an_advantage_that_may_be_chance_cannot_be_told(make_record: Make) -> None:
    # tau of the proxy 1, of params 2/3: one pair of four networks turned round
    proxy, trained = pairs(make_record, [1.0, 2.0, 3.0, 4.0], [11.0, 12.0, 13.0, 14.0])
    found = trust_of(proxy, trained, {"params": by_network(proxy, [1.0, 3.0, 2.0, 4.0])})
    assert found.all.advantage == pytest.approx(1 / 3)
    assert "that the proxy ranks better than counting parameters cannot be told over 4 networks" in found.all.sentence


def test_the_difference_is_paired_so_it_is_surer_than_the_two_intervals(make_record: Make) -> None:
    generator = np.random.default_rng(6)
    long = generator.normal(60.0, 5.0, size=24)
    proxy, trained = pairs(make_record, (long + generator.normal(0.0, 3.0, size=24)).tolist(), long.tolist())
    copy = by_network(proxy, [record.score.top1_percent for record in proxy if record.score is not None])
    found = trust_of(proxy, trained, {"params": copy}).all
    assert (found.advantage, found.advantage_low, found.advantage_high) == (0.0, 0.0, 0.0)
    assert "has not been shown to rank better than" in found.sentence


def test_a_proxy_ranks_worse_only_where_the_interval_says_so_for_all_predictors(make_record: Make) -> None:
    generator = np.random.default_rng(11)
    long = generator.normal(60.0, 5.0, size=24)
    proxy, trained = pairs(make_record, generator.normal(50.0, 5.0, size=24).tolist(), long.tolist())
    # a predictor that is the truth is better whatever it is corrected for
    surely = trust_of(proxy, trained, {"params": by_network(proxy, long)}).all
    assert surely.worse
    assert surely.sentence.startswith("the proxy ranks worse than counting parameters")
    # The best of 40 predictors of noise: its own interval lies below 0 in some of these studies, but it was chosen.
    chosen = [
        trust_of(
            proxy,
            trained,
            {f"p{number}": by_network(proxy, generator.normal(size=24)) for number in range(40)},
            resamples=1000,
        ).all
        for _ in range(8)
    ]
    alone = [each.advantage_high is not None and each.advantage_high < 0.0 for each in chosen]
    assert any(alone)
    assert sum(each.worse for each in chosen) < sum(alone)


def test_fewer_than_four_networks_tell_nothing(make_record: Make) -> None:
    proxy, trained = pairs(make_record, [1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    found = trust_of(proxy, trained, {"params": by_network(proxy, [1.0, 2.0, 3.0])})
    assert found.all.proxy.tau is None
    assert "cannot be told over 3 networks: 3 networks; 4 are the least" in found.all.sentence
    assert [network.label for network in found.networks] == ["trial 2", "trial 1", "trial 0"]
    assert (found.pick_rank, found.regret_points) == (1.0, 0.0)


def test_the_best_quarter_is_that_of_the_whole_study(make_record: Make) -> None:
    proxy = [make_record(index, top1=float(index)) for index in range(20)]  # the best quarter: 15 and above
    trained = [make_record(index, top1=50.0 + index, epochs=40) for index in (0, 5, 10, 14, 15, 17, 18, 19)]
    found = trust_of(proxy, trained, {})
    assert [network.trial for network in found.networks if network.best_quarter] == [19, 18, 17, 15]
    assert (found.all.n, found.best_quarter.n) == (8, 4)
    assert "the 4 networks of the best quarter" in found.best_quarter.sentence


def test_seeds_are_averaged_and_what_failed_is_named(make_record: Make) -> None:
    proxy = [make_record(index, top1=40.0 + index) for index in range(5)]
    trained = [
        make_record(10 * index + seed, top1=60.0 + index + seed, epochs=40, seed=seed, arch_id=proxy[index].arch_id)
        for index in range(4)
        for seed in range(2)
    ]
    trained += [make_record(90, status=TrialStatus.FAILED, top1=None, arch_id=proxy[4].arch_id, reason="diverged")]
    trained += [make_record(91, status=TrialStatus.RUNNING, top1=None, arch_id="still at it")]
    found = trust_of(proxy, trained, {})
    assert found.networks[0].long_top1_percent == pytest.approx(63.5)
    assert found.networks[0].long_std_points == pytest.approx(math.sqrt(0.5))
    assert found.networks[0].seeds == 2
    assert found.missing == ("trial 4",)
    assert any("left out: trial 4 (failed: diverged)" in warning for warning in found.warnings)
    assert (found.proxy_epochs, found.long_epochs) == (8, 40)


def test_the_first_choice_of_the_proxy_and_what_it_costs(make_record: Make) -> None:
    found = trust_of(*pairs(make_record, [44.0, 43.0, 42.0, 41.0], [61.0, 65.0, 60.0, 62.0]), {})
    # the proxy's first has 61 after the long training: third of four, 4 points below 65
    assert (found.pick_rank, found.regret_points) == (3.0, pytest.approx(4.0))


def test_of_networks_that_the_proxy_ranks_first_alike_the_one_of_the_lower_trial_is_no_choice(
    make_record: Make,
) -> None:
    found = trust_of(*pairs(make_record, [44.0, 44.0, 42.0, 41.0], [65.0, 60.0, 61.0, 62.0]), {})
    # ranks 1 and 4 of four, 0 and 5 points below 65
    assert (found.pick_rank, found.regret_points) == (2.5, pytest.approx(2.5))
    assert found.sentences[-1] == (
        "The 2 networks that the proxy ranks first are in the mean number 2.5 of 4 after 40 epochs, 2.50 points less "
        "accurate than the best."
    )


def test_a_predictor_that_is_not_known_for_all_or_never_varies_says_so(make_record: Make) -> None:
    proxy, trained = pairs(make_record, [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 5.0, 4.0])
    known = by_network(proxy, [1.0, 2.0, 3.0, 4.0, 5.0])
    some = {arch_id: value for arch_id, value in known.items() if value != 3.0}
    infinite = {**known, proxy[0].arch_id: math.inf}
    found = trust_of(proxy, trained, {"params": some, "macs": by_network(proxy, [7.0] * 5), "synflow": infinite}).all
    notes = {each.predictor: each.note for each in found.predictors}
    assert notes == {
        "params": "not known for 1 of 5 networks",
        "macs": "all values are equal",
        "synflow": "not known for 1 of 5 networks",
    }
    assert found.best is None
    assert "beside no other predictor" in found.sentence


def test_a_long_training_in_which_all_are_equal_tells_nothing(make_record: Make) -> None:
    found = trust_of(*pairs(make_record, [1.0, 2.0, 3.0, 4.0], [10.0] * 4), {})
    assert found.all.proxy.tau is None
    assert "the long training gave all of them the same accuracy" in found.all.sentence


def test_trainings_on_other_images_are_warned_of(make_record: Make) -> None:
    proxy, _ = pairs(make_record, [1.0, 2.0, 3.0, 4.0], [1.0] * 4)
    trained = [make_record(index, top1=1.0 * index, epochs=8, eval_images=99) for index in range(4)]
    warnings = trust_of(proxy, trained, {}).warnings
    assert any("differ in eval images: 2000, 99" in warning for warning in warnings)
    assert any("no more epochs" in warning for warning in warnings)


def test_nothing_trained_longer_is_an_empty_answer(make_record: Make) -> None:
    found = trust_of([make_record(0)], [], {"params": {}})
    assert found.networks == ()
    assert (found.pick_rank, found.regret_points) == (None, None)
    assert "cannot be told over 0 networks" in found.all.sentence
    assert trust_of([], [], {}).best_quarter.n == 0


def noisy_pairs(
    make_record: Make, generator: np.random.Generator, networks: int, *, noise: float, seeds: int
) -> tuple[list[Record], list[Record]]:
    """A perfect proxy: 80 networks with one noisy score each, and so many of them trained again, the truth the same."""
    true = generator.normal(40.0, 2.0, 80)
    proxy = [make_record(at, top1=value + generator.normal(0.0, noise)) for at, value in enumerate(true.tolist())]
    chosen = generator.choice(80, networks, replace=False).tolist()
    long = [
        make_record(place * seeds + seed, top1=20.0 + float(true[at]) + generator.normal(0.0, noise), seed=seed + 1,
                    arch_id=proxy[at].arch_id, epochs=40)
        for place, at in enumerate(chosen) for seed in range(seeds)
    ]  # fmt: skip
    return proxy, long


def test_a_perfect_proxy_reaches_what_noise_allows(make_record: Make) -> None:
    generator = np.random.default_rng(6)
    found = [
        trust_of(*noisy_pairs(make_record, generator, 24, noise=1.3, seeds=2), {}, resamples=10) for _ in range(12)
    ]
    for name in ("all", "best_quarter"):
        groups = [getattr(each, name) for each in found]
        known = [group for group in groups if group.ceiling is not None and group.proxy.tau is not None]
        reached = np.array([group.proxy.tau for group in known])
        error = reached.std() / math.sqrt(len(known))
        assert np.mean([group.ceiling.proxy for group in known]) == pytest.approx(reached.mean(), abs=3 * error)
        assert all(group.ceiling.exact > group.ceiling.proxy for group in known)
    assert np.mean([each.noise_points for each in found]) == pytest.approx(1.3, rel=0.1)
    text = found[0].all.sentence
    assert f" of {found[0].all.ceiling.proxy:.2f} that noise allows, interval" in text  # type: ignore[union-attr]
    (row,) = [row for row in found[0].tables()[1].dicts() if row["group"] == "all"]
    assert row["tau_ceiling"] == pytest.approx(found[0].all.ceiling.proxy)  # type: ignore[union-attr]


def test_one_seed_does_not_tell_what_noise_allows_but_a_confirmation_does(make_record: Make) -> None:
    given = noisy_pairs(make_record, np.random.default_rng(7), 20, noise=1.0, seeds=1)
    alone, known = trust_of(*given, {}), trust_of(*given, {}, proxy_noise_points=1.0)
    assert alone.all.ceiling is None and any("--seeds 2 tells it" in text for text in alone.warnings)
    assert known.all.ceiling is not None and not any("--seeds 2" in text for text in known.warnings)


def test_noise_that_hides_every_difference_allows_no_tau_and_never_one_below_zero(make_record: Make) -> None:
    proxy = [make_record(at, top1=40.0 + at) for at in range(12)]
    # means 60.0 and 60.1: their variance is less than that of a mean of two seeds that lie 2 points apart, 2 / 2 = 1
    long = [
        make_record(2 * at + seed, top1=60.0 + 0.1 * (at % 2) + (1.0 if (at + seed) % 2 else -1.0), seed=seed + 1,
                    arch_id=proxy[at].arch_id, epochs=40)
        for at in range(12) for seed in range(2)
    ]  # fmt: skip
    found = trust_of(proxy, long, {})
    assert found.all.ceiling is not None
    assert 0.0 <= found.all.ceiling.proxy < 0.1 and 0.0 <= found.all.ceiling.exact < 0.1
    assert " of -" not in found.subtitle[0]


@pytest.mark.parametrize("again", [1, 5])
def test_seeds_that_show_no_spread_are_not_called_one_seed(make_record: Make, again: int) -> None:
    # one of five networks has a second seed, whose effect is its own: no degree of freedom; or all have, and all agree
    proxy, trained = pairs(make_record, [1.0, 2.0, 3.0, 4.0, 5.0], [11.0, 12.0, 14.0, 13.0, 15.0])
    second = [replace(each, trial=5 + each.trial, score=replace(score_of(each), seed=1)) for each in trained[:again]]
    found = trust_of(proxy, [*trained, *second], {})
    assert found.noise_points is None
    assert (
        "the seeds of the long training show no spread: how much of tau its noise takes cannot be told"
        in found.warnings
    )
    assert not any("one seed" in text for text in found.warnings)


@pytest.mark.parametrize(("networks", "has_interval"), [(9, False), (10, True)])
def test_fewer_than_ten_networks_have_no_interval(make_record: Make, networks: int, has_interval: bool) -> None:
    values = np.random.default_rng(8).normal(size=(2, networks)).tolist()
    found = trust_of(*pairs(make_record, *values), {}).all
    assert (found.proxy.tau_low is not None) is (found.proxy.spearman_high is not None) is has_interval
    assert ("an interval needs 10 networks" in found.sentence) is not has_interval


def test_a_predictor_whose_difference_has_no_interval_is_named_all_the_same() -> None:
    proxy, params = (Correlation(predictor=name, n=12, tau=tau) for name, tau in (("proxy", 0.5), ("params", 0.25)))
    group = TrustGroup(
        name="all", n=12, proxy=proxy, predictors=(params,), best="params", advantage=0.25,
        advantage_low=None, advantage_high=None, ceiling=None, sentence="",
    )  # fmt: skip
    said = _group_sentence(group)
    assert "params 0.25; their difference has no interval" in said
    assert "no other predictor" not in said


def test_a_ranking_that_agrees_in_all_pairs_has_no_interval_of_no_width(make_record: Make) -> None:
    values = [float(place) for place in range(12)]
    proxy, trained = pairs(make_record, values, values)
    found = trust_of(proxy, trained, {"params": by_network(proxy, values[::-1])}).all
    for each, tau in ((found.proxy, 1.0), (found.predictors[0], -1.0)):
        assert (each.tau, each.spearman) == (pytest.approx(tau), pytest.approx(tau))
        assert (each.tau_low, each.tau_high, each.spearman_low, each.spearman_high) == (None,) * 4
        assert each.note == "no spread is seen: all pairs are alike"
    # nor has the difference of two such
    assert found.sentence == (
        "the proxy ranks with tau 1.00 over 12 networks; params -1.00; their difference has no interval."
    )
