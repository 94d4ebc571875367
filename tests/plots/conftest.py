"""A study such as a real search leaves behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from makers import make_front, make_record, make_study

from archsearch.analysis.study_front import StudyFront
from archsearch.records import Record


@pytest.fixture(name="make_record")
def make_record_fixture() -> Callable[..., Record]:
    return make_record


@pytest.fixture(name="make_front")
def make_front_fixture() -> Callable[..., StudyFront]:
    return make_front


@pytest.fixture
def study_records() -> list[Record]:
    return make_study()
