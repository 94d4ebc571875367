"""Networks trained in full: intervals by hand, rivals by latency, and what is said where nothing was won."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from makers import make_record, make_score

from archsearch.analysis.final_front import FinalFront, final_front_of
from archsearch.analysis.front import front_of
from archsearch.analysis.means import labels_of
from archsearch.records import Record, Score, TrialStatus

DEFAULTS = {"protocol": "modern", "epochs": 30, "split": "test", "train_images": 50_000, "eval_images": 10_000}


def trained(top1: Mapping[int, Sequence[float]], **facts: object) -> list[tuple[str, Score]]:
    """Full trainings: the top-1 of each seed by trial."""
    return [
        (f"{trial:012x}", make_score(value, seed=seed, **{**DEFAULTS, **facts}))
        for trial, values in top1.items()
        for seed, value in enumerate(values)
    ]


def final(
    records: Sequence[Record], trainings: Sequence[tuple[str, Score]], *, floor: float = 0.0, **more: str
) -> FinalFront:
    front = front_of(records, noise_floor=floor)
    published = {record.arch_id for record in records if record.variant}
    found = final_front_of(records, trainings, front, labels=labels_of(records), published=published, study="s", **more)
    assert found is not None
    return found


def test_an_interval_of_one_seed_has_the_counting_of_the_images_alone() -> None:
    found = final([make_record(0)], trained({0: [50.0]}))
    top1 = found.networks[0].top1
    assert found.spread is None  # sqrt(0.5 x 0.5 / 10,000) is 0.5 points, and 1.96 of them are 0.98
    assert (top1.low, top1.high) == pytest.approx((49.02, 50.98), abs=1e-3)
    assert "no network has two seeds" in found.subtitle[1]


def test_a_difference_has_the_pooled_spread_of_the_seeds_and_the_counting_of_the_images() -> None:
    records = [make_record(0, p10=1.0), make_record(1, p10=2.0, variant="published")]
    found = final(records, trained({0: [60.0, 61.0], 1: [50.0, 50.6]}))
    # Variances 0.50 and 0.18 pool to 0.34 with 2 degrees of freedom. The squared error of the difference is
    # 0.34 / 2 + 0.34 / 2 + 0.605 x 0.395 + 0.503 x 0.497 = 0.828966 (a share of 10,000 images in points squared);
    # 2 x (0.828966 / 0.34)^2 is 11.9 degrees of freedom, and t of 11 at 0.975 is 2.2010.
    assert found.spread is not None
    assert (found.spread.variance, found.spread.freedom) == pytest.approx((0.34, 2))
    (only,) = found.against
    half = 2.2010 * math.sqrt(0.828966)
    assert (only.points.value, only.points.low, only.points.high) == pytest.approx(
        (10.2, 10.2 - half, 10.2 + half), abs=1e-3
    )
    # On these images: sqrt(0.34) with 2 degrees of freedom, t 4.3027.
    assert only.on_these_images.low == pytest.approx(10.2 - 4.3027 * math.sqrt(0.34), abs=1e-3)
    assert only.beats
    assert found.sentences[0].startswith("Of 1 searched network, 1 beats the published network nearest in latency")


def test_the_intervals_of_all_comparisons_hold_together() -> None:
    records = [make_record(trial, p10=1.0 + trial) for trial in range(5)]
    records.append(make_record(5, p10=9.0, variant="published"))
    found = final(records, trained({trial: [50.0] for trial in range(6)}))
    # 5 comparisons: the normal quantile at 1 - 0.05 / 10 is 2.5758, of sqrt(0.25 + 0.25) points
    assert {round(each.points.high or 0.0, 3) for each in found.against} == {round(2.5758 * math.sqrt(0.5), 3)}


@pytest.mark.parametrize(
    ("searched_ms", "rival"),
    [
        (0.05, "fast"),  # all are slower: the nearest
        (0.15, "slow"),
        (0.209, "slower"),  # both are ties within 5 %, and this one is more accurate
        (0.5, None),  # all are faster
    ],
)
def test_the_rival_is_the_nearest_published_network_that_is_as_slow(searched_ms: float, rival: str | None) -> None:
    records = [
        make_record(0, p10=searched_ms),
        make_record(1, p10=0.10, variant="fast"),
        make_record(2, p10=0.20, variant="slow"),
        make_record(3, p10=0.21, variant="slower"),
    ]
    (against,) = final(records, trained({0: [60], 1: [50], 2: [55], 3: [56]}), floor=0.05).against
    assert (None if against.rival is None else against.rival.record.label) == rival


@pytest.mark.parametrize(
    ("top1", "said"),
    [
        ({0: [50.0, 50.2], 1: [60.0, 60.2]}, "No gain was seen"),
        ({0: [60.5], 1: [60.0]}, "`--seeds 2` or more"),
        ({0: [60.3, 60.1], 1: [60.0, 60.2]}, "too small for 10,000 test images to tell"),
        # 3 points, variance 2: with 4 seeds each the error is sqrt(2 x 2 / 4 + 0.48), and t of 12 is 2.18: 2.65
        ({0: [63.0, 61.0], 1: [60.0, 58.0]}, "4 seeds of both networks would tell it from zero"),
    ],
)
def test_where_nothing_was_won_it_says_why_and_what_would_tell(top1: dict[int, list[float]], said: str) -> None:
    found = final([make_record(0, p10=1.0), make_record(1, p10=2.0, variant="published")], trained(top1))
    assert not found.against[0].beats
    assert said in " ".join(found.sentences)


def test_a_latency_was_measured_once_however_many_seeds_its_network_was_trained_with() -> None:
    record = make_record(0, p10=1.0, n=200, ratio_low=0.24, ratio_high=0.26)
    (network,) = final([record], trained({0: [60.0, 61.0, 62.0]})).networks
    assert (network.top1_percent, network.seeds) == (61.0, 3)
    assert network.row.latency == record.latency
    assert " 200 " in str(final([record], trained({0: [60.0, 61.0, 62.0]})).front)


def test_seeds_that_a_network_has_already_are_not_taken_from_it_where_its_rival_needs_more() -> None:
    records = [make_record(0, p10=1.0), make_record(1, p10=2.0, variant="published")]
    found = final(records, trained({0: [61.0, 63.0, 62.0, 60.0, 64.0, 62.0], 1: [59.0]}))
    # 3 points, variance 2: with 6 seeds and 2 the squared error is 2 / 6 + 2 / 2 + 0.4775 of counting = 1.8108, with
    # 6 x (1.8108 / 1.3333)^2 = 11 degrees of freedom, and t of 11 at 0.975 is 2.2010: 2.96 points
    assert not found.against[0].beats
    assert "2 seeds of both networks would tell it from zero" in " ".join(found.sentences)


def test_seeds_that_all_reach_the_same_are_seeds_all_the_same() -> None:
    records = [make_record(0, p10=1.0), make_record(1, p10=2.0, variant="published")]
    found = final(records, trained({0: [60.3, 60.3], 1: [60.0, 60.0]}))
    assert found.spread is not None and (found.spread.variance, found.spread.freedom) == (0.0, 2)
    assert "the spread over seeds (0.00 points, pooled over the networks with several, 2 " in found.subtitle[1]
    assert "too small for 10,000 test images to tell" in " ".join(found.sentences)
    # sqrt(0.603 x 0.397 + 0.6 x 0.4) = 0.692 points of counting, and 1.96 of them; zero is no interval
    (only,) = found.against
    assert only.points.low == pytest.approx(0.3 - 1.96 * 0.692, abs=2e-3)
    assert (only.on_these_images.low, only.on_these_images.high) == (None, None)


def test_without_a_published_network_it_says_what_to_type_and_has_no_table_of_blanks() -> None:
    found = final([make_record(0)], trained({0: [50.0]}))
    assert "--trial front --with-variants" in found.sentences[0]
    assert [table.title for table in found.tables()] == ["Networks trained in full"]


def test_the_group_with_most_networks_is_taken_and_the_others_are_named() -> None:
    records = [make_record(0), make_record(1, p10=9.0)]
    trainings = trained({0: [50.0], 1: [55.0]}) + trained({0: [70.0]}, epochs=100)
    found = final(records, trainings)
    assert (found.epochs, [each.top1_percent for each in found.networks]) == (30, [50.0, 55.0])
    assert found.others == ("1 network by modern, 100 epochs of 50,000 images",)
    other = final(records, trainings + trained({1: [44.0]}, protocol="one-cycle"), protocol="one-cycle")
    assert [each.top1_percent for each in other.networks] == [44.0]


def test_a_network_without_a_latency_is_named_and_stands_nowhere() -> None:
    records = [make_record(0), make_record(1, p10=None, variant="unmeasured", status=TrialStatus.FAILED)]
    found = final(records, trained({0: [50.0], 1: [55.0]}))
    assert [each.record.trial for each in found.networks] == [0]
    assert any("unmeasured: trained in full, without a latency" in line for line in found.warnings)
    assert final(records[1:], trained({1: [55.0]})).empty


def test_ranks_pairs_and_the_largest_error_of_the_proxy() -> None:
    # proxy: 0 before 1 before 2; in full, 2 is far ahead of both, which cannot be told apart
    records = [make_record(trial, top1=40.0 - trial, p10=1.0 + trial) for trial in range(3)]
    records.append(make_record(3, top1=10.0, p10=9.0, status=TrialStatus.STOPPED))  # its proxy was ended early
    found = final(records, trained({0: [60.2], 1: [60.0], 2: [70.0], 3: [65.0]}))
    assert [(each.proxy_rank, each.final_rank) for each in found.networks] == [(1, 2), (2, 3), (3, 1), (None, None)]
    proxy = found.proxy
    assert (proxy.networks, proxy.told, proxy.reversed) == (3, 2, 2)
    assert proxy.tau.tau == pytest.approx(-1 / 3)  # one pair of three in order
    assert proxy.worst is not None and [each.record.trial for each in proxy.worst] == [2, 1]
    assert [each.row.on_front for each in found.networks] == [True, False, True, False]
    assert [each.searched_front for each in found.networks] == [True, False, False, False]
    assert (
        "1 of the 1 that were on the search's front and trial 2, which the search's front had not" in found.sentences[1]
    )


def test_a_network_whose_trial_was_cut_off_has_the_proxy_of_the_trial_that_went_on_with_it() -> None:
    records = [
        make_record(0, top1=None, p10=1.0, status=TrialStatus.INTERRUPTED, reason="its worker was killed"),
        make_record(1, top1=40.0, p10=2.0),
        make_record(2, top1=30.0, p10=1.0, arch_id=f"{0:012x}"),
    ]
    found = final(records, trained({0: [50.0], 1: [60.0]}))
    assert [(each.record.label, each.proxy_rank) for each in found.networks] == [("trial 2", 2), ("trial 1", 1)]
    assert found.proxy.networks == 2


def test_larger_networks_that_gain_by_full_training_were_undervalued() -> None:
    records = [make_record(n, top1=30.0 + n % 4, p10=1.0 + n, params=100_000 * (n + 1)) for n in range(12)]
    found = final(records, trained({n: [60.0 + n] for n in range(12)}))
    assert any("undervalued networks with more parameters" in line for line in found.sentences)


def test_pairs_are_told_apart_by_intervals_that_hold_for_all_of_them_together() -> None:
    # Three pairs: the normal quantile at 1 - 0.05 / 6 is 2.3940, of sqrt(0.25 + 0.25) points: 1.69; alone, 1.39
    records = [make_record(trial, p10=1.0 + trial, top1=60.0 - trial) for trial in range(3)]
    told = [final(records, trained({0: [50.0], 1: [50.8], 2: [last]})).proxy for last in (51.6, 51.8)]
    assert [(each.told, each.reversed) for each in told] == [(0, 0), (1, 1)]
    assert told[0].worst is None


def test_of_equal_networks_no_pair_is_told_apart_in_nineteen_of_twenty_studies() -> None:
    records = [make_record(trial, p10=1.0 + trial, top1=60.0 - trial) for trial in range(20)]
    generator = np.random.default_rng(0)
    wrong, studies = 0, 60
    for _ in range(studies):
        top1 = generator.binomial(10_000, 0.5, size=20) / 100.0
        wrong += final(records, trained({trial: [value] for trial, value in enumerate(top1.tolist())})).proxy.told > 0
    assert wrong / studies < 0.05 + 3.0 * math.sqrt(0.05 * 0.95 / studies)


def test_its_json_holds_intervals_ranks_and_pairs() -> None:
    records = [make_record(0, p10=1.0), make_record(1, p10=2.0, variant="published")]
    told = json.loads(json.dumps(final(records, trained({0: [60.0, 61.0], 1: [50.0, 50.6]})).plain()))
    assert told["networks"][0]["top1_percent"] == 60.5
    assert told["against"][0]["points_low"] > 0.0
    assert told["proxy"]["pairs_told"] == 1


def test_published_networks_alone_were_not_chosen_by_the_proxy() -> None:
    records = [make_record(trial, top1=40.0 + trial, p10=1.0 + trial, variant=f"v{trial}") for trial in range(3)]
    trainings = trained({0: [60.0], 1: [61.0], 2: [62.0]})
    (alone,) = [text for text in final(records, trainings).sentences if "Kendall tau" in text]
    assert alone == "The proxy ranks these 3 networks as the full training does with a Kendall tau of 1.00."
    searched = [make_record(0, top1=40.0, p10=1.0), *records[1:]]
    assert any("they were chosen by it" in text for text in final(searched, trainings).sentences)


def test_a_network_that_is_exactly_as_accurate_as_its_rival_has_no_loss() -> None:
    records = [make_record(0, p10=1.0), make_record(1, p10=2.0, variant="published")]
    for seeds in ({0: [60.0, 60.2], 1: [60.2, 60.0]}, {0: [61.0, 61.04], 1: [61.02]}):  # a float's mean is less
        said = final(records, trained(seeds)).sentences
        assert "Neither a gain nor a loss was seen: more seeds may show one." in said
