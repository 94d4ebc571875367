"""Networks by what they are named by on a command line: a name, a file, a model folder, or a trial of a study."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.api.study import open_study
from archsearch.errors import ConfigError, UnknownNameError, shown
from archsearch.models.families import FAMILIES, build, spec_from_json
from archsearch.models.spec import Spec
from archsearch.models.variants import ANY_OF_TORCHVISION, TORCHVISION, VARIANTS, Variant, find_variant
from archsearch.resources import is_file, parse_json, read_text, read_yaml

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class FoundNetwork:
    """A network that was asked for.

    Attributes:
        spec: its choices, not normalised.
        source, note: where it was published and how to read that; of a trial the study, of a file its path.
        num_classes, input_size: as printed, as the study's, or as the file says (outputs, pixels).
    """

    spec: Spec
    source: str
    note: str
    num_classes: int
    input_size: int

    def asked(self, input_size: int | None, num_classes: int | None) -> tuple[int, int]:
        """Input size and number of classes: those asked for, else its own. Raises ConfigError for less than 1."""
        size = self.input_size if input_size is None else input_size
        classes = self.num_classes if num_classes is None else num_classes
        if size < 1 or classes < 1:
            raise ConfigError(f"input_size and num_classes must be at least 1, got {size} and {classes}")
        return size, classes


def find_network(name: str | Path, *, storage: str | None = None) -> FoundNetwork:
    """The network of a name.

    Args:
        name: a variant's name, STUDY:TRIAL (number, variant or `best`), a family's name (its base network), or a file:
            the spec.json of a retrained model, its folder, or YAML with `family` and `choices`.
        storage: the database that STUDY is looked up in.

    Raises ConfigError, UnknownNameError, StoreError.
    """
    path, name = Path(name), str(name)
    if name.startswith(TORCHVISION):  # a slash, but no path
        return _from_variant(find_variant(name))
    if path.suffix in (".json", ".yaml", ".yml") or is_file(path):
        return _from_file(path)
    if is_file(path / "spec.json"):
        return _from_file(path / "spec.json")
    study, colon, trial = name.rpartition(":")
    if colon:
        opened = open_study(study, storage=storage)
        chosen = opened.choose(trial)
        return FoundNetwork(
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
        return FoundNetwork(spec=family.base, source=family.source, note="", num_classes=1000, input_size=224)
    raise UnknownNameError(
        "network",
        name,
        [*VARIANTS, *FAMILIES],
        listed_by=VARIANTS.listed_by,
        also=f"STUDY:TRIAL names a network of a stored study; {ANY_OF_TORCHVISION}",
    )


def create_model(
    name: str | Path,
    *,
    num_classes: int | None = None,
    input_size: int | None = None,
    changes: Mapping[str, Any] | None = None,
    seed: int | None = None,
    storage: str | None = None,
) -> nn.Module:
    """A network by its name, with fresh weights, on the CPU, in training mode: (N, 3, H, W) -> (N, num_classes).

    Args:
        name: as `find_network` takes it.
        num_classes: outputs of the classifier; None: as printed (1000 unless the paper says otherwise), or the study's.
        input_size: height and width of the square input (pixels); None: as printed (224), or the study's.
        changes: choices to set, by their dotted names.
        seed: of the initial weights; None draws them from torch's global generator.
        storage: the database that STUDY is looked up in.

    Raises ConfigError, UnknownNameError, StoreError for the name; BuildError if it cannot be built at this size.
    """
    found = find_network(name, storage=storage)
    size, classes = found.asked(input_size, num_classes)
    spec = found.spec.with_choices(changes or {}).normalised(size)
    return build(spec, num_classes=classes, input_size=size, seed=seed)


def _from_variant(variant: Variant) -> FoundNetwork:
    return FoundNetwork(
        spec=variant.spec,
        source=variant.source,
        note=variant.note,
        num_classes=variant.num_classes,
        input_size=variant.input_size,
    )


def _from_file(path: Path) -> FoundNetwork:
    if path.suffix == ".json":
        return _from_json(path, parse_json(read_text(path), path))
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
    return FoundNetwork(
        spec=spec,
        source=str(path),
        note="",
        num_classes=_whole(content, "num_classes", 1000, path),
        input_size=_whole(content, "input_size", 224, path),
    )


def _from_json(path: Path, content: Any) -> FoundNetwork:
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: an object was expected, got {type(content).__name__}")
    inner = content.get("spec", content)  # a model folder's spec.json, or a specification alone
    with _naming(path):
        spec = spec_from_json(json.dumps(inner))
    return FoundNetwork(
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
        raise ConfigError(f"{path}: {key}: a positive whole number was expected, got {shown(value)}")
    return value
