from __future__ import annotations

from collections.abc import Callable

import pytest

from archsearch.analysis.front import Front, front_of
from archsearch.analysis.recommendation import parse_rule, select
from archsearch.errors import ArchsearchError, ConfigError
from archsearch.records import Record

Make = Callable[..., Record]


@pytest.fixture
def front(make_record: Make) -> Front:
    # error, latency: (50, 2), (38, 3), (36, 5), (30, 9): scaled sums 1, 0.54, 0.73, 1, so the knee is trial 1
    points = ((50, 2, 3e5), (62, 3, 2e6), (64, 5, 1e6), (70, 9, 5e6))
    return front_of([make_record(i, top1=a, p10=b, params=int(c)) for i, (a, b, c) in enumerate(points)])


@pytest.mark.parametrize(
    ("rule", "trial"),
    [
        ("knee", 1),
        ("accuracy", 3),
        ("latency", 0),
        ("latency<=5", 2),
        ("latency <= 4.99 ms", 1),
        ("error<=38%", 1),
        ("accuracy>=64", 2),
        ("params<=1.5M", 2),
        ("params<=300k", 0),
        ("macs<=1G", 3),
    ],
)
def test_a_rule_chooses(rule: str, trial: int, front: Front) -> None:
    assert select(front, rule).trial == trial


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("best", "unknown rule 'best'"),
        ("", "unknown rule ''"),
        ("latency<=", "lacks the number"),
        ("latency<=fast", "'fast' is not a number"),
        ("latency<=-1", "'-1' is not a number"),
        ("latency>=3", "only be limited with <="),
        ("latency<3", "only be limited with <="),
        ("accuracy<=60", "only be asked to be >="),
        ("speed<=3", "unknown rule 'speed<=3'"),
        ("latency<=3 M", "unit 'M' does not fit"),
        ("params<=3 ms", "unit 'ms' does not fit"),
        ("latency<=1e999", "not finite"),
    ],
)
def test_a_rule_that_cannot_be_read_is_refused_with_the_grammar(rule: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_rule(rule)
    assert "latency<=MS" in (caught.value.hint or "")


def test_a_budget_that_nothing_meets_names_the_nearest(front: Front) -> None:
    with pytest.raises(ConfigError, match=r"no complete trial satisfies 'latency<=1'.*nearest is trial 0 with 2.00 ms"):
        select(front, "latency<=1")
    with pytest.raises(ConfigError, match=r"nearest is trial 3 with 30.00 % error"):
        select(front, "error<=12")
    with pytest.raises(ConfigError, match=r"nearest is trial 3 with 70.00 % top-1"):  # 100 - 30
        select(front, "accuracy>=99")
    with pytest.raises(ConfigError, match=r"nearest is trial \d+ with [\d.,]+ ?[kM]? params"):
        select(front, "params<=1")


def test_a_limit_admits_what_differs_by_rounding_alone(make_record: Make) -> None:
    # 100 - 66.1 is 33.900000000000006 in binary
    assert select(front_of([make_record(0, top1=66.1)]), "error<=33.9").trial == 0


def test_ties_go_to_the_faster_then_the_smaller_then_the_earlier(make_record: Make) -> None:
    records = [
        make_record(0, top1=60, p10=3),
        make_record(1, top1=60, p10=2, params=9),
        make_record(2, top1=60, p10=2, params=9),
    ]
    assert select(front_of(records), "accuracy").trial == 1
    assert select(front_of([*records, make_record(3, top1=60, p10=2, params=8)]), "accuracy").trial == 3


def test_a_front_without_a_knee_says_what_to_choose_by(make_record: Make) -> None:
    two = front_of([make_record(0, top1=50, p10=2), make_record(1, top1=60, p10=3)])
    with pytest.raises(ConfigError, match=r"the front \(2 networks\) has no knee.*recommended, accuracy or latency"):
        select(two, "knee")


def test_a_study_without_complete_trials_has_nothing_to_choose() -> None:
    with pytest.raises(ArchsearchError, match="no complete trial"):
        select(front_of([]), "knee")
