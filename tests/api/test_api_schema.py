"""The JSON of every command: its version, and the schema that is made of its types."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import typer

import archsearch
from archsearch.api.output import OUTPUTS, result_json
from archsearch.api.schema import _of
from archsearch.cli.main import app
from archsearch.errors import UnknownNameError

COMMANDS: Any = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def test_every_command_with_json_has_a_schema_and_no_other_has() -> None:
    groups = {name: getattr(command, "commands", {"": command}) for name, command in COMMANDS.items()}
    printing = {
        f"{name} {word}".strip()
        for name, words in groups.items()
        for word, command in words.items()
        if any("--json" in parameter.opts for parameter in command.params)
    }
    assert {name.partition(" --")[0] for name in OUTPUTS} == printing


def test_every_schema_is_one_and_says_command_version_and_that_all_of_it_is_there() -> None:
    for name, made in archsearch.schema().items():
        jsonschema.Draft202012Validator.check_schema(made)
        properties = made["properties"]
        assert properties["command"] == {"const": name}
        assert properties["schema_version"] == {"const": OUTPUTS[name].version}
        assert len(properties) > 3, name
        assert set(properties) - set(made["required"]) == set(OUTPUTS[name].more)


def test_a_command_without_json_is_answered_with_the_nearest_that_has() -> None:
    with pytest.raises(UnknownNameError, match="'parto'") as caught:
        archsearch.schema("parto")
    assert "did you mean 'pareto'" in (caught.value.hint or "")


@dataclass(frozen=True)
class Inner:
    share: float
    name: str = "a"


@dataclass(frozen=True)
class Outer:
    """What is written."""

    inner: tuple[Inner, ...]
    limit: float = float("inf")


def test_a_schema_is_of_what_is_written_where_nothing_is_left_out_and_what_is_not_finite_is_null() -> None:
    made = _of(Outer)
    assert made["required"] == ["inner", "limit"]
    assert made["$defs"]["Inner"]["required"] == ["share", "name"]
    assert made["properties"]["limit"] == {"title": "Limit", "type": ["number", "null"]}
    jsonschema.validate({"inner": [{"share": None, "name": "b"}], "limit": None}, made)
    for wrong in ({"inner": []}, {"inner": [{"share": "1"}], "limit": 1.0}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, made)


def test_what_a_dataset_holds_is_as_its_schema_says(tmp_path: Path) -> None:
    for split, number in (("train", 40), ("test", 20)):
        images = np.zeros((number, 8, 8, 3), np.uint8)
        images[:, 0, 0, 0] = np.arange(number)
        np.savez(tmp_path / f"{split}.npz", images=images, labels=np.arange(number) % 2)
    found = result_json(archsearch.data(f"npz:{tmp_path}"))
    assert (found["command"], found["schema_version"]) == ("data", 1)
    jsonschema.validate(found, archsearch.schema("data"))
