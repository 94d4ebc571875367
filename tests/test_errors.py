"""Errors that a person reads: what was wrong, and what to do."""

from __future__ import annotations

import pytest

from archsearch import errors
from archsearch.errors import ArchsearchError, ConfigError, StoreError, StudyChangedError, UnknownNameError


def test_the_hint_follows_the_message_in_brackets() -> None:
    error = StoreError("the file is gone", hint="give --storage")
    assert str(error) == "the file is gone (give --storage)"
    assert str(StoreError("the file is gone")) == "the file is gone"


@pytest.mark.parametrize(
    ("kind", "code"), [(ArchsearchError, 1), (ConfigError, 2), (StoreError, 1), (StudyChangedError, 2)]
)
def test_a_persons_own_mistakes_end_with_exit_code_two(kind: type[ArchsearchError], code: int) -> None:
    assert kind.exit_code == code


def test_every_error_of_the_module_has_the_one_root() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) > 5
    assert all(issubclass(kind, ArchsearchError) for kind in kinds)


def test_a_name_that_is_near_nothing_gets_no_guess() -> None:
    assert str(UnknownNameError("study", "zzz", ["quickstart"])) == "unknown study 'zzz' (known: quickstart)"
    assert str(UnknownNameError("study", "zzz", [])) == "unknown study 'zzz' (known: none yet)"


def test_a_long_list_of_names_is_cut_and_counted() -> None:
    text = str(UnknownNameError("trial", "x", [f"name{number:03}" for number in range(100)]))
    assert "name039" in text and "name040" not in text
    assert "(100 in all)" in text


def test_the_first_line_of_an_error_is_its_type_where_it_says_nothing() -> None:
    assert errors.first_line(RuntimeError("\n  no memory \nstack ...")) == "no memory"
    assert errors.first_line(AssertionError()) == "AssertionError"
    assert errors.first_line(StoreError("the file is gone", hint="give --storage")) == "the file is gone"
