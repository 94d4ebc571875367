"""Which network is recommended, and in which words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from archsearch.analysis.confirmed import Confirmed, confirmed_of
from archsearch.analysis.front import DEFAULT_OBJECTIVES, front_of
from archsearch.analysis.objectives import OBJECTIVES, Objective
from archsearch.analysis.recommendation import Recommendation, accuracy_difference, recommendation_of
from archsearch.designs import Design, DesignPoint
from archsearch.records import Record, TrialStatus

Make = Callable[..., Record]


def recommended(
    records: Sequence[Record],
    *,
    objectives: Sequence[str] = DEFAULT_OBJECTIVES,
    noise_floor: float = 0.0,
    confirmed: Confirmed | None = None,
) -> Recommendation:
    front = front_of(records, objectives, noise_floor=noise_floor)
    return recommendation_of(front, records, confirmed=confirmed)


def test_a_front_that_bends_is_answered_with_its_knee(make_record: Make) -> None:
    # error, latency: scaled sums 1, 0.6 + 0.125, 0.133 + 0.25, 1.0; with a million images all differences are told
    points = [(45.0, 1.0), (51.0, 2.0), (58.0, 3.0), (60.0, 9.0)]
    found = recommended([make_record(i, top1=a, p10=b, eval_images=10**6) for i, (a, b) in enumerate(points)])
    assert found.trial == 2
    assert found.sentence == "Take trial 2 (58.00 % top-1, 3.00 ms)."
    assert found.reason == (
        "It is the knee of the front of 4 networks: it lies farthest below the line between the two ends."
    )
    assert found.runners_up == ()
    # Over guessing one of ten classes the best gains 50: 10 + 0.8 * 50 = 50 % is within reason, which trial 0 is not.
    assert [(role.candidate.record.trial, role.names) for role in found.roles] == [
        (2, ("recommended", "knee")),
        (1, ("fastest within reason",)),
        (3, ("most accurate",)),
    ]


def test_among_networks_that_cannot_be_told_apart_the_fastest_is_recommended(make_record: Make) -> None:
    # the same front on 2,000 images: 1.96 * sqrt(0.58 * 0.42 / 2000 + 0.51 * 0.49 / 2000) = 3.1 points; with 100 images
    # 1.96 * sqrt(0.58 * 0.42 / 100 + 0.45 * 0.55 / 100) = 13.7 is more than the 13 points between trials 0 and 2
    points = [(45.0, 1.0), (51.0, 2.0), (58.0, 3.0), (60.0, 9.0)]
    few = recommended([make_record(i, top1=a, p10=b, eval_images=100) for i, (a, b) in enumerate(points)])
    assert few.trial == 0
    assert few.reason == (
        "It is the fastest of the 4 networks on the front whose accuracy cannot be told from that of trial 2, the knee "
        "(differences below 13.7 points may be chance, counting on 100 images)."
    )
    assert [each.record.trial for each in few.runners_up] == [1, 2]  # trial 3: 15 points against 13.7
    more = recommended([make_record(i, top1=a, p10=b) for i, (a, b) in enumerate(points)])
    assert more.trial == 2


@pytest.mark.parametrize(("top1", "trial"), [(52.0, 0), (54.0, 1)])
def test_a_front_of_two_has_no_knee(top1: float, trial: int, make_record: Make) -> None:
    # 1.96 * sqrt(0.5 * 0.5 / 2500 + 0.52 * 0.48 / 2500) = 2.77 points
    found = recommended(
        [make_record(0, top1=50.0, p10=1.0, eval_images=2500), make_record(1, top1=top1, p10=4.0, eval_images=2500)]
    )
    assert found.trial == trial
    assert found.reason == (
        "It is the faster of the two networks on the front; their accuracies cannot be told apart (differences below "
        "2.8 points may be chance, counting on 2,500 images). Two networks have no knee."
        if trial == 0
        else "It is the more accurate of the two networks on the front, which have no knee between them."
    )
    assert all("knee" not in role.names for role in found.roles)
    assert not any("cannot be told" in note for note in found.notes)  # the reason has said it


def test_a_front_that_bulges_has_no_knee_either(make_record: Make) -> None:
    # scaled sums (error, latency): 1, 0.9 + 0.8 = 1.7, 1: nothing is below the line
    points = [(40.0, 1.0), (42.0, 5.0), (60.0, 6.0)]
    found = recommended([make_record(i, top1=a, p10=b) for i, (a, b) in enumerate(points)])
    assert (found.trial, found.reason) == (2, "It is the most accurate on the front of 3 networks, which has no knee.")


def test_of_latencies_within_the_noise_floor_the_more_accurate_is_taken(make_record: Make) -> None:
    # 1.00 beats nobody and is beaten by nobody: 1.03 ties with it (5 %) and is more accurate, but 1.07 beats 1.03
    records = [make_record(i, top1=a, p10=b) for i, (a, b) in enumerate([(50.0, 1.00), (50.3, 1.03), (50.6, 1.07)])]
    front = front_of(records, noise_floor=0.05)
    assert [row.record.trial for row in front.members] == [0, 2]  # 1.07 is 7 % slower than 1.00
    assert recommended(records, noise_floor=0.05).trial == 0
    assert recommended(records, noise_floor=0.08).trial == 2


def published(make_record: Make, *others: Record) -> list[Record]:
    return [make_record(0, top1=70.0, p10=3.0, variant="slow"), *others]


def test_the_published_network_that_is_beaten_stands_beside_it(make_record: Make) -> None:
    # 79 against 70 % of 2,000 images: 1.96 * sqrt(0.79 * 0.21 / 2000 + 0.7 * 0.3 / 2000) = 2.69; 3.0 to 0.81 ms: 73 %
    records = published(
        make_record, make_record(1, top1=60.0, p10=2.0, variant="weak"), make_record(20, top1=79.0, p10=0.81)
    )
    found = recommended(records)
    assert found.sentence == (
        "Take trial 20 (79.00 % top-1, 0.810 ms): +9.0 points and 73 % faster than slow (+6.3 to +11.7 points at 95 %, "
        "counting on 2,000 images)."
    )
    assert found.published is not None and found.published.beaten
    assert found.reason == "It is the whole front: it beats every other of 3 complete networks."


@pytest.mark.parametrize(
    ("top1", "ms", "beaten", "said"),
    [
        # 1.96 * sqrt(0.7 * 0.3 / 2000 + 0.715 * 0.285 / 2000) = 2.82
        (71.5, 1.5, True, "50 % faster than slow, with an accuracy that cannot be told from its (+1.5 points, -1.3 to "
                          "+4.3 points at 95 %, counting on 2,000 images)"),
        (60.0, 1.5, False, "50 % faster but -10.0 points against slow (-12.9 to -7.1 points at 95 %, counting on 2,000 "
                           "images)"),
        (80.0, 3.03, True, "+10.0 points against slow, with a latency that cannot be told from its (noise floor 2.0 %) "
                           "(+7.3 to +12.7 points at 95 %, counting on 2,000 images)"),
        (80.0, 3.36, False, "+10.0 points but 12 % slower than slow (+7.3 to +12.7 points at 95 %, counting on 2,000 "
                            "images)"),
    ],
)  # fmt: skip
def test_gains_losses_and_what_cannot_be_told_are_in_the_sentence(
    top1: float, ms: float, beaten: bool, said: str, make_record: Make
) -> None:
    records = published(make_record)
    other = make_record(1, top1=top1, p10=ms)
    found = recommendation_of(front_of([other], noise_floor=0.02), [other])
    assert found.published is None and found.sentence.endswith("ms).")  # nothing to stand beside
    # the published network is dominated by a third, so that the one looked at is recommended
    front = front_of([*records, other], noise_floor=0.02)
    one = replace(front, rows=tuple(replace(row, on_front=row.record.trial == 1) for row in front.rows))
    found = recommendation_of(one, [*records, other])
    assert found.published is not None
    assert (found.trial, found.published.sentence, found.published.beaten) == (1, said, beaten)


def test_an_objective_that_is_added_stands_in_the_sentence_in_its_own_words(
    make_record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = Objective(
        name="heads",
        title="Heads",
        noun="heads",
        extract=lambda record: float(str(record.choices["heads"])),
        show=lambda value: f"{value:.0f}",
        difference=lambda worse, best: f"{worse - best:.0f} fewer heads",
        than=("fewer heads", "more heads"),
    )
    monkeypatch.setitem(OBJECTIVES._entries, "heads", heads)
    records = [
        make_record(0, top1=70.0, p10=3.0, variant="slow", choices={"heads": 4}),
        make_record(1, top1=80.0, p10=1.5, choices={"heads": 3}),
    ]
    found = recommended(records, objectives=(*DEFAULT_OBJECTIVES, "heads"))
    # 1.5 of 3 ms, 3 of 4 heads
    said = "Take trial 1 (80.00 % top-1, 1.50 ms, 3 heads): +10.0 points, 50 % faster and 25 % fewer heads than slow"
    assert found.sentence.startswith(said)


def test_a_published_network_may_be_the_answer(make_record: Make) -> None:
    records = [make_record(0, top1=70.0, p10=3.0, variant="slow"), make_record(1, top1=80.0, p10=1.0, variant="good")]
    said = recommended(records).sentence
    assert said.startswith("Take good (80.00 % top-1, 1.00 ms), a published network: +10.0 points and 67 % faster than")
    assert recommended(records[1:]).sentence == "Take good (80.00 % top-1, 1.00 ms), a published network."
    equal = [make_record(2, top1=80.0, p10=1.0, arch_id="a"), make_record(3, variant="good", arch_id="a",
             top1=None, p10=None, status=TrialStatus.REPLAY)]  # fmt: skip
    assert recommended(equal).sentence == "Take trial 2 (80.00 % top-1, 1.00 ms), which is good, a published network."


def test_without_a_complete_network_the_reasons_are_said(make_record: Make) -> None:
    assert recommended([]).sentences == ("There is no network to take yet: the study has no trials.",)
    records = [
        *(make_record(i, top1=None, p10=None, status=TrialStatus.FAILED, reason="out of memory") for i in range(2)),
        make_record(2, top1=None, status=TrialStatus.REJECTED, reason="params 9 M exceed 5 M"),
        make_record(3, top1=30.0, status=TrialStatus.STOPPED),
        make_record(4, top1=None, p10=None, status=TrialStatus.INTERRUPTED),
    ]
    found = recommended(records)
    assert found.sentences == (
        "There is no network to take: none of the study's trials is complete "
        "(2 failed, 1 interrupted, 1 rejected, 1 stopped).",
        "2 trials: out of memory",
        "1 trial: params 9 M exceed 5 M",
    )
    assert (found.record, found.trial, found.roles) == (None, None, ())


def test_one_network_and_equal_networks_say_so(make_record: Make) -> None:
    assert recommended([make_record(3)]).reason == "It is the only network that is complete."
    found = recommended([make_record(i) for i in (4, 2, 3)])
    assert (found.trial, found.reason) == (2, "All 3 complete networks have the same values: any of them will do.")


def test_a_third_objective_must_not_be_lost_either(make_record: Make) -> None:
    records = [make_record(0, top1=50.0, p10=3.0, params=10**6, variant="lean"),
               make_record(1, top1=70.0, p10=1.0, params=2 * 10**6)]  # fmt: skip
    found = recommended(records, objectives=("error_percent", "latency_ms", "params"))
    assert found.trial == 1 and found.published is not None and not found.published.beaten
    assert "+20.0 points and 67 % faster but 100 % more params than lean" in found.sentence


def test_a_share_of_the_error_over_the_classes_is_called_one_of_the_error(make_record: Make) -> None:
    # of 40 and 30 % the second is 25 % less; recognised are 60 and 70 %, which is 17 % more
    records = [make_record(0, top1=50.0, p10=3.0, balanced_top1_percent=60.0, variant="v"),
               make_record(1, top1=70.0, p10=1.0, balanced_top1_percent=70.0)]  # fmt: skip
    found = recommended(records, objectives=(*DEFAULT_OBJECTIVES, "balanced_error_percent"))
    assert found.sentence.startswith(
        "Take trial 1 (70.00 % top-1, 1.00 ms, 30.00 % balanced error): +20.0 points, 67 % faster and 25 % less "
        "balanced error than v ("
    )


@pytest.mark.parametrize(
    ("recalled", "beaten", "said"),
    [
        # 1.96 * sqrt(0.4 * 0.6 / 2000 + 0.38 * 0.62 / 2000) = 3.02 points, and with 0.36 * 0.64 it is 3.00
        (62.0, False, " and a balanced error that cannot be told from its."),
        (64.0, True, "10 % less balanced error than v, with "),
        (60.0, False, " and the same balanced error."),
    ],
)
def test_an_error_over_the_classes_is_told_apart_beyond_what_counting_the_images_explains(
    recalled: float, beaten: bool, said: str, make_record: Make
) -> None:
    records = [make_record(0, top1=50.0, p10=1.0, balanced_top1_percent=60.0, variant="v"),
               make_record(1, top1=50.5, p10=1.01, balanced_top1_percent=recalled)]  # fmt: skip
    found = recommended(records, objectives=(*DEFAULT_OBJECTIVES, "balanced_error_percent"), noise_floor=0.05)
    assert found.trial == 1 and found.published is not None
    assert (found.published.beaten, said in found.sentence) == (beaten, True)


def test_the_images_that_a_score_does_not_count_say_nothing_of_chance(make_record: Make) -> None:
    one, other = make_record(0, top1=50.0, eval_images=0), make_record(1, top1=50.1)
    found = accuracy_difference(one, other)
    assert (found.low, found.told_apart, round(found.points, 3)) == (None, True, -0.1)


def confirmation(
    seeds: dict[str, list[float | None]], records: Sequence[Record], purpose: Any = "confirm"
) -> tuple[Confirmed, Design]:
    """Top-1 over the seeds 0, 1, ... of the networks of these records, by label; None: that training is missing."""
    points = tuple(
        DesignPoint(name=each.label, family=each.family, choices=each.choices, arch_id=each.arch_id, trial=each.trial)
        for each in records
        if each.label in seeds
    )
    count = max(len(each) for each in seeds.values())
    design = Design(purpose=purpose, of="study", points=points, seeds=tuple(range(count)))
    made = [
        replace(
            record,
            trial=100 * record.trial + seed,
            variant=None,
            point=record.label,
            score=replace(record.score, top1_percent=top1, seed=seed),
        )
        for record in records
        for seed, top1 in enumerate(seeds.get(record.label, ()))
        if record.score is not None and top1 is not None
    ]
    return confirmed_of(made, design, DEFAULT_OBJECTIVES, noise_floor=0.0, draws=0), design


def test_a_confirmation_decides_by_its_means_and_its_paired_spread(make_record: Make) -> None:
    records = [make_record(0, top1=50.0, p10=1.0), make_record(1, top1=52.0, p10=4.0)]
    assert recommended(records).trial == 0  # by counting the two cannot be told apart
    # Differences by seed: 2.1, 1.9, 2.0. Residuals of point + seed: +-0.05, 0, so the sum of squares is 4 * 0.0025 =
    # 0.01 with (2 - 1) * (3 - 1) = 2 degrees of freedom; s^2 = 0.005; t(0.975, 2) = 4.3027;
    # 4.3027 * sqrt(0.005 * 2 / 3) = 0.248
    found, _ = confirmation({"trial 0": [49.0, 50.0, 51.0], "trial 1": [51.1, 51.9, 53.0]}, records)
    difference = accuracy_difference(records[1], records[0], found)
    assert difference.points == pytest.approx(2.0)
    assert (difference.low, difference.high) == (pytest.approx(1.752, abs=1e-3), pytest.approx(2.248, abs=1e-3))
    assert difference.basis == "paired over 3 seeds"
    answer = recommended(records, confirmed=found)
    assert answer.sentence == "Take trial 1 (52.00 % top-1 in the mean of 3 seeds, 4.00 ms)."
    assert answer.warnings == ()


def test_networks_of_different_seeds_have_the_error_of_the_seeds_effects_too(make_record: Make) -> None:
    records = [make_record(trial, top1=50.0 + trial, p10=1.0 + trial) for trial in range(4)]
    # Two networks are complete: the second seed gives 1.0 and 1.4 more, 1.2 in the mean. Residuals +-0.1, with
    # 6 - 4 - 1 = 1 degree of freedom: s^2 = 4 * 0.01 = 0.04. Of the others each has one seed, not the same: 2 points
    # are 0.8 without the seeds' effect. That is known from k = 2 complete networks, so the variance is
    # s^2 (1 + 1 + 2 / k) = 0.12; t(0.975, 1) = 12.7062; 12.7062 * sqrt(0.12) = 4.4016
    found, _ = confirmation(
        {"trial 0": [60.0, None], "trial 1": [None, 62.0], "trial 2": [50.0, 51.0], "trial 3": [50.0, 51.4]}, records
    )
    difference = accuracy_difference(records[1], records[0], found)
    assert difference.points == pytest.approx(0.8)
    assert (difference.low, difference.high) == (pytest.approx(0.8 - 4.4016, abs=1e-3), pytest.approx(5.2016, abs=1e-3))
    assert difference.basis == "over 1 and 1 seed, none of them in both"
    # one seed in common with a complete network: 1 + 1/2, and the difference (1/2, -1/2) of the shares gives 1 / (2 k)
    variance = found.difference_variance(found.points[0], found.points[2])
    assert variance == pytest.approx(1.0 + 0.5 + 0.5 / 2)
    assert accuracy_difference(records[2], records[0], found).basis == "over 2 and 1 seed, 1 of them in both"


def test_a_confirmation_that_lacks_a_network_of_the_front_is_said_and_not_used(make_record: Make) -> None:
    records = [make_record(0, top1=50.0, p10=1.0), make_record(1, top1=52.0, p10=4.0), make_record(2, top1=60, p10=9)]
    found, _ = confirmation({"trial 0": [49.0, 50.0, 51.0], "trial 1": [51.1, 51.9, 53.0]}, records)
    answer = recommended(records, confirmed=found)
    assert answer.warnings == ("The confirmation has too few trainings of trial 2: this is of the searched front.",)
    assert all(role.candidate.seeds == 0 for role in answer.roles)


def test_a_network_that_the_confirmation_throws_off_the_front_is_not_taken(make_record: Make) -> None:
    records = [make_record(0, top1=50.0, p10=1.0), make_record(1, top1=60.0, p10=4.0)]
    assert recommended(records).trial == 1
    records.append(make_record(2, top1=40.0, p10=6.0))  # which nobody confirmed
    found, _ = confirmation({"trial 0": [50.0, 50.2, 50.1], "trial 1": [48.1, 48.0, 48.2]}, records)
    answer = recommended(records, confirmed=found)
    assert (answer.trial, answer.alternatives) == (0, ())
    assert answer.reason == "It is the whole front: it beats every other of 2 confirmed networks."


def test_an_unconverged_latency_is_warned_of(make_record: Make) -> None:
    assert recommended([make_record(5, converged=False)]).warnings == (
        "The latency of trial 5 has not converged, so it may be wrong.",
    )


def test_it_prints_as_its_sentences_and_shows_itself_in_a_notebook(make_record: Make) -> None:
    found = recommended([make_record(0, variant="<b>v</b>")])
    assert str(found).splitlines() == list(found.sentences)
    assert "<b>" not in found._repr_html_().replace('<div class="archsearch">', "")


@pytest.mark.parametrize(("top1", "low"), [(52.80, "+0.03"), (52.73, "-0.04")])
def test_an_interval_of_an_accuracy_shows_on_which_side_of_0_it_ends(top1: float, low: str, make_record: Make) -> None:
    # 1.96 * sqrt(0.5 * 0.5 / 2500 + 0.528 * 0.472 / 2500) = 2.77 points
    found = recommended(
        [
            make_record(0, top1=50.0, p10=5.0, eval_images=2500, variant="old"),
            make_record(1, top1=top1, p10=4.0, eval_images=2500),
        ]
    )
    assert f"{low} to +5." in found.sentence
    assert ("cannot be told" in found.sentence) is low.startswith("-")
