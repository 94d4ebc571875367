"""Which named networks stand for the others in tests that are dear: one of each kind runs by default."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import pytest

from archsearch.models.variants import VARIANTS

SIZES = ("channels", "units", "hidden", "width")
LARGE = ("shufflenet_v2_50", "se_shufflenet_v2_164")  # 10 and 50 million parameters


def kind_of(name: str) -> Hashable:
    """The family and every choice but those of size: networks of one kind are the same code at other widths."""
    spec = VARIANTS[name].spec
    return spec.family, *(item for item in spec.choices().items() if not item[0].endswith(SIZES))


def one_of_each_kind() -> set[str]:
    """The first listed of each kind, which is its narrowest; none of the large ones."""
    first: dict[Hashable, str] = {}
    for name in VARIANTS:
        if name not in LARGE:
            first.setdefault(kind_of(name), name)
    return set(first.values())


def cases(names: Iterable[str], quick: Iterable[str]) -> list[object]:
    """The names as parameters of a test, those that are not quick marked slow."""
    kept = set(quick)
    return [name if name in kept else pytest.param(name, marks=pytest.mark.slow) for name in names]
