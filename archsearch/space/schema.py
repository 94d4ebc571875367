"""The layout of a search space's YAML file, checked by pydantic; what the family allows is checked by SearchSpace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from archsearch.errors import ConfigError
from archsearch.resources import read_yaml
from archsearch.space.values import shown


class ChoiceFile(BaseModel):
    """One entry under `choices`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    values: list[Any]
    source: str = Field(min_length=1)


class SpaceFile(BaseModel):
    """A whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(min_length=1)
    family: str = Field(min_length=1)
    description: str = ""
    fixed: dict[str, Any] = Field(default_factory=dict)
    choices: dict[str, ChoiceFile] = Field(min_length=1)


def read_space(path: Path) -> SpaceFile:
    """The content of the file. Raises ConfigError naming file and key, what was got and what was expected."""
    try:
        return SpaceFile.model_validate(read_yaml(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"] if part != "[key]")
        if first["type"] == "missing":
            problem, hint = "the key is missing", "a space has name, family and choices; a choice has values and source"
        elif first["type"] == "extra_forbidden":
            model: type[BaseModel] = SpaceFile if len(first["loc"]) == 1 else ChoiceFile
            problem, hint = "no such key", f"known: {', '.join(model.model_fields)}"
        elif first["type"] in ("too_short", "string_too_short"):
            problem, hint = "is empty", "give at least one choice; every choice says its source"
        else:
            problem, hint = f"{first['msg'][0].lower()}{first['msg'][1:]}, got {shown(first['input'])}", ""
        raise ConfigError(f"{path}: {key}: {problem}", hint=hint or None) from error
