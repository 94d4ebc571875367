"""Networks by what they are named by on a command line: a name, a file, a model folder, or a trial of a study."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.api.study import open_study
from archsearch.errors import BuildError, ConfigError, UnknownNameError, shown
from archsearch.models.families import FAMILIES, build, spec_from_json
from archsearch.models.spec import Spec
from archsearch.models.variants import ANY_OF_TORCHVISION, TORCHVISION, VARIANTS, Variant, find_variant
from archsearch.resources import is_file, parse_json, read_text, read_yaml, user_path
from archsearch.validation import whole

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class FoundNetwork(Variant):
    """A network by what it was asked for by; its spec is not normalised before `at`.

    Of a trial the source is the study, and so are the sizes; of a file it is the path, and the sizes are as it says.
    """

    note: str = ""
    published: bool = False

    def at(
        self, input_size: int | None, num_classes: int | None, changes: Mapping[str, Any] | None = None
    ) -> FoundNetwork:
        """It with these choices changed, normalised at this input size, and with so many classes; None: its own.

        Raises ConfigError for less than 1, and for a choice that it has not.
        """
        size = self.input_size if input_size is None else whole(input_size, "input_size")
        classes = self.num_classes if num_classes is None else whole(num_classes, "num_classes")
        if size < 1 or classes < 1:
            raise ConfigError(f"input_size and num_classes must be at least 1, got {size} and {classes}")
        spec = self.spec.with_choices(changes or {}).normalised(size)
        return replace(self, spec=spec, num_classes=classes, input_size=size)

    def build(self, *, seed: int | None) -> nn.Module:
        """The network on the CPU; None draws its weights from torch's global generator. Raises BuildError."""
        return build(self.spec, num_classes=self.num_classes, input_size=self.input_size, seed=seed)


@contextmanager
def enough_memory(what: str) -> Iterator[None]:
    """Raise BuildError, which says what cannot be done, for torch's own word for more memory than there is."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        raise BuildError(f"{what}: {error}") from error


def find_network(name: str | Path, *, storage: str | None = None) -> FoundNetwork:
    """The network of a name, as `archsearch.describe` takes it. Raises ConfigError, UnknownNameError, StoreError."""
    path, name = user_path(name), str(name)
    if name.startswith(TORCHVISION):  # a slash, but no path
        return FoundNetwork(**vars(find_variant(name)))
    if path.suffix in (".json", ".yaml", ".yml") or is_file(path):
        return _from_file(name, path)
    if is_file(path / "spec.json"):
        return _from_file(name, path / "spec.json")
    study, colon, trial = name.rpartition(":")
    if colon:
        opened = open_study(study, storage=storage)
        chosen = opened.choose(trial)
        return FoundNetwork(
            name=name,
            spec=chosen.spec,
            source=f"trial of study '{opened.name}'",
            num_classes=opened.num_classes,
            input_size=opened.input_size,
        )
    if name in VARIANTS:
        return FoundNetwork(**vars(find_variant(name)))
    if name in FAMILIES:
        return FoundNetwork(name=name, spec=FAMILIES[name].base, source=FAMILIES[name].source)
    raise UnknownNameError(
        "network",
        name,
        VARIANTS,
        listed_by=VARIANTS.listed_by,
        beside=FAMILIES.names(),
        also=f"STUDY:TRIAL names a network of a stored study; {ANY_OF_TORCHVISION}",
    )


def find_networks(
    names: str | Path | Iterable[str | Path], *, storage: str | None, input_size: int | None, num_classes: int | None
) -> list[FoundNetwork]:
    """The networks of some names, or of one alone, at a size. Raises as `find_network`, ConfigError without a name."""
    found = [
        find_network(name, storage=storage).at(input_size, num_classes)
        for name in ([names] if isinstance(names, str | Path) else names)
    ]
    if not found:
        raise ConfigError("no network is named", hint="name at least one")
    return found


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
        name, num_classes, input_size, changes, storage: as of `archsearch.describe`.
        seed: of the initial weights; None draws them from torch's global generator.

    Raises ConfigError, UnknownNameError, StoreError for the name; BuildError if it cannot be built at this size.
    """
    return find_network(name, storage=storage).at(input_size, num_classes, changes).build(seed=seed)


def _from_file(name: str, path: Path) -> FoundNetwork:
    """The network of a file; a specification alone is meant at 224 pixels with 1000 classes."""
    sizes: Mapping[str, Any]
    if path.suffix == ".json":
        content = parse_json(read_text(path), path)
        if not isinstance(content, dict):
            raise ConfigError(f"{path}: an object was expected, got {type(content).__name__}")
        sizes = content if "spec" in content else {}  # a model folder's spec.json
        with _naming(path):
            spec = spec_from_json(json.dumps(content.get("spec", content)))
    else:
        sizes = read_yaml(path)
        spec = _from_yaml(path, sizes)
    classes, size = _whole(sizes, "num_classes", 1000, path), _whole(sizes, "input_size", 224, path)
    return FoundNetwork(name=name, spec=spec, source=str(path), num_classes=classes, input_size=size)


def _from_yaml(path: Path, content: Mapping[str, Any]) -> Spec:
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
        return FAMILIES[str(content["family"])].base.with_choices(choices)


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
