from __future__ import annotations

import math
from typing import Any

import pytest

from archsearch.text import (
    accurate_text,
    amount_text,
    bytes_text,
    command_without_passwords,
    count_text,
    duration,
    interval_text,
    level_text,
    number_text,
    percent_text,
    plural,
    probability_text,
    rough_duration,
    shorten,
    sided_text,
    significant,
)


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "<1 %"),  # of 4,000 draws: one more might have been on the front
        (0.004, "<1 %"),
        (0.007, "1 %"),
        (0.5, "50 %"),
        (0.992, "99 %"),
        (0.999, ">99 %"),
        (1.0, ">99 %"),
    ],
)
def test_a_probability_is_never_certain(share: float, words: str) -> None:
    assert probability_text(share) == words


@pytest.mark.parametrize(
    ("level", "words"),
    [
        (None, "none"),
        (True, "true"),
        (False, "false"),
        (1, "1"),
        (1.0, "1"),
        (0.375, "0.375"),
        ("none", "none"),
        ("se", "se"),
        ((48, 96.0, 192), "48,96,192"),
    ],
)
def test_a_level_is_written_as_yaml_writes_it(level: Any, words: str) -> None:
    assert level_text(level) == words


def test_one_takes_the_singular_and_thousands_are_apart() -> None:
    assert [plural(n, "epoch") for n in (0, 1, 2, 1200)] == [
        "0 epochs",
        "1 epoch",
        "2 epochs",
        "1,200 epochs",
    ]
    assert plural("1 to 3", "seed") == "1 to 3 seeds"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (310.0, "5 min 10 s"), (3599.9, "1 h 0 min"), (7500.0, "2 h 5 min")],
)
def test_a_time_has_the_two_units_that_matter(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_number_that_is_not_known_says_so() -> None:
    assert number_text(None, decimals=2) == number_text(math.nan, decimals=2) == "not known"
    assert number_text(-0.001, decimals=2, signed=True) == "+0.00"  # a tie has no sign of loss
    assert number_text(12345.678, decimals=1) == "12,345.7"


def test_an_interval_stands_behind_its_number() -> None:
    assert interval_text(0.614, 0.08, 0.97, decimals=2) == "0.61 (0.08 to 0.97)"
    assert interval_text(0.614, -0.08, 0.97, decimals=2, signed=True) == "+0.61 (-0.08 to +0.97)"
    assert interval_text(0.614, None, 0.97, decimals=2) == "0.61"
    assert interval_text(0.614, -0.004, 1.2, decimals=2) == "0.61 (-0.004 to 1.20)"
    assert interval_text(None, None, None, decimals=2) == "not known"


def test_counts_percents_and_digits() -> None:
    assert [count_text(value) for value in (950, 341_000, 2_280_000)] == ["950", "341 k", "2.28 M"]
    assert [percent_text(value) for value in (0.0, 3.14, 9.99, 73.2)] == ["0.0 %", "3.1 %", "10.0 %", "73 %"]
    assert [significant(value) for value in (0.03142, 3.142, 314.2, 31416)] == ["0.0314", "3.14", "314", "31400"]


def test_a_number_that_rounds_up_to_a_power_of_ten_has_no_digit_more_than_others() -> None:
    assert [significant(value) for value in (0.09996, 0.9996, 9.996, 99.96, 999.6)] == [
        "0.100", "1.00", "10.0", "100", "1000",
    ]  # fmt: skip
    assert [significant(value, digits) for value, digits in ((-9.96, 2), (9.9996, 4))] == ["-10", "10.00"]
    assert [count_text(value) for value in (999, 999_499, 999_500, 999_999, 999_600_000)] == [
        "999", "999 k", "1.00 M", "1.00 M", "1.00 G",
    ]  # fmt: skip
    assert [bytes_text(value) for value in (1023, 1024, 1023 * 1024, 1024**2 - 1, 1024**3 - 1)] == [
        "1023 B", "1.0 KiB", "1023.0 KiB", "1.0 MiB", "1.0 GiB",
    ]  # fmt: skip


def test_what_is_not_nothing_and_not_all_is_not_rounded_to_it() -> None:
    assert [percent_text(value) for value in (0.03, 0.05, 99.4, 99.6, 100.0, 250.4)] == [
        "less than 0.1 %", "0.1 %", "99 %", "more than 99 %", "100 %", "250 %",
    ]  # fmt: skip
    assert [amount_text(value, decimals=2) for value in (0.0, 0.004, 1.5)] == ["0.00", "less than 0.01", "1.50"]
    assert [accurate_text(points) for points in (0.0, 1e-13, -0.003, -1.2, 2.0)] == [
        ("as accurate", "as"),
        ("as accurate", "as"),
        ("less than 0.01 points less accurate", "than"),
        ("1.20 points less accurate", "than"),
        ("2.00 points more accurate", "than"),
    ]


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        ("archsearch run --storage 'postgresql://me:SECRET@db/x' --set 'restrict.width=[0.5]'",
         "archsearch run --storage 'postgresql://me:***@db/x' --set 'restrict.width=[0.5]'"),
        ("archsearch run --storage 'postgresql://me@db/x?password=***' --set 'restrict.width=[0.5]'", None),
        ("archsearch run --storage 'sqlite:///a:b@c?x=SECRET'", "archsearch run --storage 'sqlite:///a:b@c?x=***'"),
        ("archsearch run --study 'an open quotation postgresql://me:SECRET@db/x",
         "archsearch run --study 'an open quotation postgresql://me:***@db/x"),
    ],
)  # fmt: skip
def test_a_kept_command_hides_its_passwords_and_can_still_be_typed(kept: str, told: str | None) -> None:
    assert command_without_passwords(kept) == (told or kept)


def test_long_names_are_shortened_in_the_middle() -> None:
    assert shorten("abcdefghij", 7) == "abc…hij"
    # more of the end, which tells variants apart: four characters of the beginning are enough
    assert shorten("shufflenet_v2_x0_5_se_residual", 21) == "shuf…x0_5_se_residual"
    assert shorten("abc", 7) == "abc"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1.0, "5 s"), (42.0, "40 s"), (89.0, "90 s"), (100.0, "1 min 30 s"), (185.0, "3 min"), (1505.0, "25 min"),
        (7860.0, "2 h 10 min"), (10_800.0, "3 h"), (162_000.0, "45 h"), (518_400.0, "6 days"),
    ],
)  # fmt: skip
def test_an_estimated_time_is_no_more_exact_than_an_estimate(seconds: float, words: str) -> None:
    assert rough_duration(seconds) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.04, "+0.04"), (-0.0031, "-0.003"), (0.06, "+0.1"), (0.0, "+0.0"), (-1e-9, "+0.0"), (math.inf, "not known")],
)
def test_a_number_that_decides_by_its_side_of_0_is_not_shown_as_0(value: float, words: str) -> None:
    assert sided_text(value, decimals=1, signed=True) == words
