"""Whether a computed number is the printed one: exactly, rounded to the digits that were printed, or not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

_SUFFIXES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
_COUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMG]?)")


class Agreement(StrEnum):
    """How a printed number and a computed one compare."""

    EXACT = "exact"  # every digit was printed, and is the same
    ROUNDS = "rounds to it"  # the computed number, rounded to the printed digits, is the printed one
    DIFFERS = "differs"


@dataclass(frozen=True, kw_only=True)
class Match:
    """The result of one comparison.

    Attributes:
        agreement: exact, rounds to it, or differs.
        difference: computed minus printed, relative to printed; None where the two are no counts, or nothing differs.
    """

    agreement: Agreement
    difference: float | None = None


def compare(printed: Any, computed: Any, *, unit: int = 1, decimals: int | None = None) -> Match:
    """Compare a printed value with a computed one.

    Args:
        printed: a count as a number, or as text with its suffix (`2.3G`); or a list, compared element by element.
        computed: a whole number; a sequence for a list.
        unit: what the printed number counts (1, 10**6, 10**9); a suffix in the text takes its place.
        decimals: digits printed after the point; None: as many as `printed` shows.

    A printed whole number with unit 1 is a count in full, so it must be equal; any other has been rounded (half up),
    and the computed one is rounded to as many digits. Raises ValueError if `printed` is not a number.
    """
    if isinstance(printed, Sequence) and not isinstance(printed, str):
        return Match(agreement=Agreement.EXACT if list(printed) == list(computed) else Agreement.DIFFERS)
    number, unit = _read(printed, unit)
    digits = decimals if decimals is not None else max(0, -int(number.as_tuple().exponent))
    if unit == 1 and digits == 0:
        if number == computed:
            return Match(agreement=Agreement.EXACT)
    else:
        step = Decimal(1).scaleb(-digits)
        if (Decimal(computed) / unit).quantize(step, rounding=ROUND_HALF_UP) == number.quantize(step):
            return Match(agreement=Agreement.ROUNDS)
    whole = number * unit
    return Match(agreement=Agreement.DIFFERS, difference=float((computed - whole) / whole) if whole else None)


def _read(printed: Any, unit: int) -> tuple[Decimal, int]:
    if isinstance(printed, str):
        found = _COUNT.fullmatch(printed.strip())
        if found is None:
            raise ValueError(f"not a printed count: '{printed}'")
        return Decimal(found[1]), _SUFFIXES[found[2]] if found[2] else unit
    try:
        if isinstance(printed, bool):
            raise InvalidOperation
        return Decimal(str(printed)), unit
    except InvalidOperation as error:
        raise ValueError(f"not a printed count: {printed!r}") from error
