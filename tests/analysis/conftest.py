"""Records made by hand, for analysis."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from makers import make_record

from archsearch.records import Record


@pytest.fixture(name="make_record")
def make_record_fixture() -> Callable[..., Record]:
    return make_record
