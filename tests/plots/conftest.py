"""A study such as a real search leaves behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from makers import make_record, make_study

from archsearch.records import Record


@pytest.fixture(name="make_record")
def make_record_fixture() -> Callable[..., Record]:
    return make_record


@pytest.fixture
def study_records() -> list[Record]:
    return make_study()
