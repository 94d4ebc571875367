"""What programs read: the JSON of every command that has `--json`, its version and its JSON Schema.

A schema is made of the types that the result itself has: a dataclass is an object of its fields, and a result whose
`plain` says its keys another way says them by a TypedDict. So there is no file that could fall behind.
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import Any, get_type_hints

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema
from typing_extensions import TypedDict, is_typeddict

from archsearch.api.output import OUTPUTS
from archsearch.table import InNotebooks

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class SaidJson(TypedDict):
    """What every result says in words: plain answers first, and before they are believed the warnings."""

    title: str
    subtitle: list[str]
    sentences: list[str]
    method: str
    empty: str | None
    warnings: list[str]


class _Schema(GenerateJsonSchema):
    """Of what is written: every key is there, and a number that is not known or not finite is null."""

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        return {"type": ["number", "null"]}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def field_is_required(self, field: Any, total: bool) -> bool:
        return True


def schema(command: str | None = None) -> dict[str, Any]:
    """The JSON Schema (2020-12) of what `archsearch COMMAND --json` prints; None: of every command, by its name.

    Raises UnknownNameError for a command that prints no JSON.
    """
    if command is None:
        return {name: schema(name) for name in OUTPUTS}
    output = OUTPUTS[command]
    kind = resolve_name(output.home)
    said = get_type_hints(kind.plain)["return"]
    shapes = [said if is_typeddict(said) else kind, *((SaidJson,) if issubclass(kind, InNotebooks) else ())]
    made = [_of(shape) for shape in shapes]
    more = {key: _of(resolve_name(home)) for key, home in output.more.items()}
    definitions = {name: each for part in (*made, *more.values()) for name, each in part.pop("$defs", {}).items()}
    properties = {
        "command": {"const": command},
        "schema_version": {"const": output.version},
        **{name: each for part in made for name, each in part["properties"].items()},
        **more,
    }
    return {
        "$schema": DIALECT,
        "title": f"archsearch {command} --json",
        "description": made[0].get("description", ""),
        "type": "object",
        "properties": properties,
        "required": [key for key in properties if key not in more],
        "$defs": definitions,
    }


def _of(shape: Any) -> dict[str, Any]:
    return TypeAdapter(shape).json_schema(mode="serialization", schema_generator=_Schema)
