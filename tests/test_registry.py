"""The table from names to entries."""

from __future__ import annotations

import pytest

from archsearch.errors import UnknownNameError
from archsearch.registry import Registry


def test_names_keep_the_order_of_entry_and_answer_like_a_mapping() -> None:
    registry = Registry[int]("number", {"two": 2})
    assert registry.add("one", 1) == 1
    assert registry.names() == tuple(registry) == ("two", "one")
    assert (registry["one"], len(registry), "two" in registry, "three" in registry) == (1, 2, True, False)


def test_an_unknown_name_is_answered_with_the_nearest_and_all_known() -> None:
    registry = Registry[int]("attention", {"se": 1, "coordinate": 2})
    with pytest.raises(UnknownNameError) as caught:
        registry["cordinate"]
    assert str(caught.value) == "unknown attention 'cordinate' (did you mean 'coordinate'? known: coordinate, se)"


def test_a_name_is_entered_once() -> None:
    registry = Registry[int]("sampler", {"gp": 1})
    with pytest.raises(ValueError, match="sampler 'gp' is registered twice"):
        registry.add("gp", 2)
    assert registry["gp"] == 1


def test_the_registry_does_not_change_with_the_dict_it_was_made_of() -> None:
    entries = {"a": 1}
    registry = Registry[int]("letter", entries)
    entries["b"] = 2
    assert registry.names() == ("a",)
