"""What pydantic finds, in our words: every wrong value of a study is said as what it must be."""

from __future__ import annotations

import re
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from archsearch.errors import ConfigError, OverrideError
from archsearch.resources import find_yaml, read_yaml
from archsearch.search.config import StudyConfig, parse_study
from archsearch.validation import explain

WRONG: tuple[Any, ...] = (-1, 10**30, 0.3, float("inf"), "x", "", None, True, [], [3], {}, {"x": 3}, "a b/c")
QUICKSTART = read_yaml(find_yaml("studies", "quickstart"))
PYDANTICS = re.compile(r"[Ii]nput should|[Vv]alid |instance|Value error|dictionary|tuple|parse")


def keys_of(model: type[BaseModel], above: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        annotation = field.annotation
        inner = isinstance(annotation, type) and issubclass(annotation, BaseModel)
        found += [f"{above}{name}", *(keys_of(annotation, f"{name}.") if inner else [])]  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("key", keys_of(StudyConfig))
def test_every_wrong_value_of_a_studys_key_is_said_in_our_words(key: str) -> None:
    section, _, name = key.partition(".")
    for value in WRONG:
        changed = {section: {**QUICKSTART.get(section, {}), name: value} if name else value}
        try:
            parse_study(QUICKSTART | changed, source="file")
        except ConfigError as error:
            assert not PYDANTICS.search(error.message.split(", got ")[0]), error.message
            assert key.split(".", maxsplit=1)[0] in error.message


class Part(BaseModel):
    share: float = Field(ge=0, lt=1, allow_inf_nan=False)
    mode: Literal["auto", "none"] | tuple[str, ...] = "auto"
    per: Literal["auto"] | int = "auto"
    names: tuple[str, ...] = Field(default=(), min_length=1)


class Whole(BaseModel):
    part: Part


@pytest.mark.parametrize(
    ("content", "said", "hint"),
    [
        ({"part": {"share": 2}}, "file: part.share: must be below 1, got 2", None),
        ({"part": {"share": "much"}}, "file: part.share: must be a number, got 'much'", None),
        ({"part": 3}, "file: part: must be keys with values, got 3", None),
        ({}, "file: the key 'part' is missing", None),
        ({"part": {"share": 0, "mode": 3}}, "file: part.mode: must be 'auto' or 'none' or a list, got 3", None),
        ({"part": {"share": 0, "mode": [3]}}, "file: part.mode.0: must be text, got 3", None),
        (
            {"part": {"share": 0, "mode": "atuo"}},
            "file: part.mode: must be 'auto' or 'none' or a list, got 'atuo'",
            "did you mean 'auto'?",
        ),
        ({"part": {"share": 0, "per": "x"}}, "file: part.per: must be 'auto' or a whole number, got 'x'", None),
        ({"part": {"share": 0, "names": []}}, "file: part.names: must be of at least 1 value, got []", None),
        ({"part": {"share": 2, "names": []}}, "file: part.share: must be below 1, got 2", "and 1 more wrong key"),
    ],
)
def test_a_value_of_several_types_is_one_wrong_key_with_all_that_it_may_be(
    content: dict[str, Any], said: str, hint: str | None
) -> None:
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate(content)
    error = explain(caught.value, source="file", model=Whole)
    assert (error.message, error.hint) == (said, hint)


def test_a_wrong_key_that_was_given_as_an_override_is_that_overrides() -> None:
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate({"part": {"share": 2}})
    error = explain(caught.value, source="file", model=Whole, overrides=["part.share"])
    assert isinstance(error, OverrideError)
    assert (error.key, error.message) == ("part.share", "override 'part.share': must be below 1, got 2")
    assert not isinstance(explain(caught.value, source="file", model=Whole, overrides=["part.mode"]), OverrideError)
