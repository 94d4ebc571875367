"""What a network is and costs, whatever it is named by."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsearch.api.study import open_study
from archsearch.cost.layers import Layer, cost_and_layers
from archsearch.errors import BuildError, ConfigError, UnknownNameError
from archsearch.models.families import FAMILIES, spec_from_json
from archsearch.models.spec import Spec
from archsearch.models.variants import TORCHVISION, VARIANTS, Variant, find_variant
from archsearch.records import Cost
from archsearch.resources import list_yaml, read_yaml


@dataclass(frozen=True, kw_only=True)
class Description:
    """One network at one input size and number of classes.

    Attributes:
        name: what it was asked for by, with the changes made.
        spec: its choices, normalised at this input size.
        source, note: where it was published and how to read that, if it was.
        cost: parameters, multiply-adds in every convention and memory access of the whole network.
        layers: one for each part, in the order of the data; their costs add up to the whole.
    """

    name: str
    spec: Spec
    source: str
    note: str
    cost: Cost
    layers: tuple[Layer, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "name": self.name,
            "arch_id": self.spec.arch_id,
            "family": self.spec.family,
            "choices": self.spec.choices(),
            "source": self.source,
            "note": self.note,
            "input_size": self.cost.input_size,
            "num_classes": self.cost.num_classes,
            "params": self.cost.params,
            "macs": self.cost.macs,
            "macs_by_convention": dict(self.cost.macs_by_convention),
            "memory_access": {
                "read_bytes": self.cost.memory_read_bytes,
                "written_bytes": self.cost.memory_written_bytes,
            },
            "unsupported_ops": dict(self.cost.unsupported_ops),
            "layers": [
                {
                    "name": layer.name,
                    "kind": layer.kind,
                    "output_shape": list(layer.output_shape),
                    "params": layer.params,
                    "macs": layer.macs,
                }
                for layer in self.layers
            ],
        }


@dataclass(frozen=True, kw_only=True)
class _Found:
    spec: Spec
    source: str
    note: str
    num_classes: int
    input_size: int


def describe(
    name: str,
    *,
    changes: Mapping[str, Any] | None = None,
    input_size: int | None = None,
    num_classes: int | None = None,
    storage: str | None = None,
) -> Description:
    """Describe a network.

    Args:
        name: a variant's name, STUDY:TRIAL (number, variant or `best`), a family's name (its base network), or a file:
            the spec.json of a retrained model, or YAML with `family` and `choices`.
        changes: choices to set, by their dotted names.
        input_size: height and width (pixels); None: as printed (224), or the study's.
        num_classes: None: as printed (1000 unless the paper says otherwise), or the study's.
        storage: the database that STUDY is looked up in.

    Raises ConfigError, UnknownNameError, StoreError, BuildError.
    """
    found = _find(name, storage)
    size = found.input_size if input_size is None else input_size
    classes = found.num_classes if num_classes is None else num_classes
    if size < 1 or classes < 1:
        raise ConfigError(f"input_size and num_classes must be at least 1, got {size} and {classes}")
    spec = found.spec.with_choices(changes or {}).normalised(size)
    try:
        cost, layers = cost_and_layers(spec, num_classes=classes, input_size=size)
    except (RuntimeError, MemoryError) as error:  # torch's own word for more memory than there is
        raise BuildError(f"{name} cannot be run at {size}x{size} with {classes} classes: {error}") from error
    return Description(
        name=name + "".join(f" {key}={value}" for key, value in (changes or {}).items()),
        spec=spec,
        source=found.source if not changes else "",
        note=found.note if not changes else "",
        cost=cost,
        layers=layers,
    )


def _find(name: str, storage: str | None) -> _Found:
    if name.startswith(TORCHVISION):  # a slash, but no path
        return _from_variant(find_variant(name))
    path = Path(name)
    if path.suffix in (".json", ".yaml", ".yml") or path.is_file():
        return _from_file(path)
    if path.is_dir() and (path / "spec.json").is_file():
        return _from_file(path / "spec.json")
    study, colon, trial = name.rpartition(":")
    if colon:
        opened = open_study(study, storage=storage)
        chosen = opened.choose(trial)
        return _Found(
            spec=chosen.spec,
            source=f"trial of study '{opened.name}'",
            note="",
            num_classes=opened.num_classes,
            input_size=opened.input_size,
        )
    if name in VARIANTS:
        return _from_variant(find_variant(name))
    if name in FAMILIES:
        family = FAMILIES[name]
        return _Found(spec=family.base, source=family.source, note="", num_classes=1000, input_size=224)
    raise UnknownNameError(
        "network",
        name,
        [*VARIANTS, f"{TORCHVISION}NAME", *FAMILIES, *(f"{study}:TRIAL" for study in list_yaml("studies"))],
    )


def _from_variant(variant: Variant) -> _Found:
    return _Found(
        spec=variant.spec,
        source=variant.source,
        note=variant.note,
        num_classes=variant.num_classes,
        input_size=variant.input_size,
    )


def _from_file(path: Path) -> _Found:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    if path.suffix == ".json":
        return _from_json(path, text)
    content = read_yaml(path)
    unknown = set(content) - {"family", "choices", "num_classes", "input_size"}
    if unknown or "family" not in content:
        raise ConfigError(
            f"{path}: expected the keys family, choices, num_classes, input_size; "
            f"got {', '.join(sorted(map(str, content)))}"
        )
    choices = content.get("choices") or {}
    if not isinstance(choices, dict):
        raise ConfigError(f"{path}: choices: a mapping of choices was expected, got {type(choices).__name__}")
    with _naming(path):
        spec = FAMILIES[str(content["family"])].base.with_choices(choices)
    return _Found(
        spec=spec,
        source=str(path),
        note="",
        num_classes=_whole(content, "num_classes", 1000, path),
        input_size=_whole(content, "input_size", 224, path),
    )


def _from_json(path: Path, text: str) -> _Found:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}:{error.colno}: not valid JSON: {error.msg}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: an object was expected, got {type(content).__name__}")
    inner = content.get("spec", content)  # a model folder's spec.json, or a specification alone
    with _naming(path):
        spec = spec_from_json(json.dumps(inner))
    return _Found(
        spec=spec,
        source=str(path),
        note="",
        num_classes=_whole(content, "num_classes", 1000, path) if "spec" in content else 1000,
        input_size=_whole(content, "input_size", 224, path) if "spec" in content else 224,
    )


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the file's name before what is wrong in it."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}", hint=error.hint) from error


def _whole(content: Mapping[str, Any], key: str, default: int, path: Path) -> int:
    value = content.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{path}: {key}: a positive whole number was expected, got {value!r}")
    return value
