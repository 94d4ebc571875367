from __future__ import annotations

from typing import Any

import pytest

from archsearch.papers.printed import Agreement, compare

M, G = 10**6, 10**9


@pytest.mark.parametrize(
    ("printed", "unit", "computed", "agreement"),
    [
        (63.4, M, 63_418_108, Agreement.ROUNDS),  # 63.418
        (146, M, 144_907_992, Agreement.DIFFERS),  # 144.9
        (146, M, 145_814_296, Agreement.ROUNDS),  # 145.8
        (41, M, 40_476_448, Agreement.DIFFERS),  # 40.48
        (2.51, M, 2_509_748, Agreement.ROUNDS),  # 2.5097
        (2.51, M, 2_504_999, Agreement.DIFFERS),  # 2.505 less one
        (12.7, G, 12_665_000_000, Agreement.ROUNDS),  # 12.665
        (12.7, G, 12_649_999_999, Agreement.DIFFERS),
        ("2.3G", 1, 2_314_700_000, Agreement.ROUNDS),
        ("2.3", G, 2_314_700_000, Agreement.ROUNDS),
        ("3.8G", 1, 4_089_184_256, Agreement.DIFFERS),
        (1.0, M, 1_011_448, Agreement.ROUNDS),  # one digit was printed
        (1.0, M, 1_051_448, Agreement.DIFFERS),
        (0.5, M, 450_000, Agreement.ROUNDS),  # half up
        (2_278_604, 1, 2_278_604, Agreement.EXACT),
        (2_278_604, 1, 2_278_605, Agreement.DIFFERS),
        (63, M, 63_000_000, Agreement.ROUNDS),  # not every digit was printed
    ],
)
def test_a_count_matches_in_the_digits_that_were_printed(
    printed: Any, unit: int, computed: int, agreement: Agreement
) -> None:
    assert compare(printed, computed, unit=unit).agreement == agreement


def test_digits_that_a_yaml_number_does_not_show_are_compared() -> None:
    # 2.50 in print, 2.5 in YAML: 2.46M rounds to 2.5, not to 2.50
    assert compare(2.5, 2_460_000, unit=M).agreement == Agreement.ROUNDS
    assert compare(2.5, 2_460_000, unit=M, decimals=2).agreement == Agreement.DIFFERS
    assert compare(2.5, 2_496_000, unit=M, decimals=2).agreement == Agreement.ROUNDS


def test_a_difference_is_relative_to_what_was_printed() -> None:
    assert compare(200, 198 * M, unit=M).difference == pytest.approx(-0.01)
    assert compare(100, 103, unit=1).difference == pytest.approx(0.03)
    assert compare(146, 145_814_296, unit=M).difference is None


def test_lists_are_compared_whole() -> None:
    assert compare([24, 48], (24, 48)).agreement == Agreement.EXACT
    assert compare([24, 48], (24, 49)).agreement == Agreement.DIFFERS


@pytest.mark.parametrize("printed", ["about 3", "", True, None, {}])
def test_what_is_no_count_is_refused(printed: Any) -> None:
    with pytest.raises(ValueError, match="not a printed count"):
        compare(printed, 3)
