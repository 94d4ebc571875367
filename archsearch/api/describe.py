"""What a network is and costs, whatever it is named by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsearch.api.networks import find_network
from archsearch.cost.audit import Audit
from archsearch.cost.layers import Layer, cost_layers_and_audit
from archsearch.errors import BuildError, ConfigError
from archsearch.models.spec import Spec
from archsearch.plots.architecture import ArchitectureInfo, architecture_info, architecture_tables
from archsearch.plots.architecture_figure import architecture_figure
from archsearch.plots.image import write_png
from archsearch.plots.page import write_page
from archsearch.records import Cost

DRAWINGS = (".html", ".png")
_PNG_PIXELS = (1200, 720)


@dataclass(frozen=True, kw_only=True)
class Description:
    """One network at one input size and number of classes.

    Attributes:
        name: what it was asked for by, with the changes made.
        spec: its choices, normalised at this input size.
        source, note: where it was published and how to read that, if it was.
        cost: parameters, multiply-adds in every convention and memory access of the whole network.
        layers: one for each part, in the order of the data; their costs add up to the whole.
        audit: what the four guidelines say of it.
    """

    name: str
    spec: Spec
    source: str
    note: str
    cost: Cost
    layers: tuple[Layer, ...]
    audit: Audit

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
            "guidelines": self.audit.to_dict(),
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
    found = find_network(name, storage=storage)
    size = found.input_size if input_size is None else input_size
    classes = found.num_classes if num_classes is None else num_classes
    if size < 1 or classes < 1:
        raise ConfigError(f"input_size and num_classes must be at least 1, got {size} and {classes}")
    spec = found.spec.with_choices(changes or {}).normalised(size)
    try:
        cost, layers, audited = cost_layers_and_audit(spec, num_classes=classes, input_size=size)
    except (RuntimeError, MemoryError) as error:  # torch's own word for more memory than there is
        raise BuildError(f"{name} cannot be run at {size}x{size} with {classes} classes: {error}") from error
    return Description(
        name=name + "".join(f" {key}={value}" for key, value in (changes or {}).items()),
        spec=spec,
        source=found.source if not changes else "",
        note=found.note if not changes else "",
        cost=cost,
        layers=layers,
        audit=audited,
    )


def drawing_of(found: Description, *, against: str | None = None, storage: str | None = None) -> ArchitectureInfo:
    """What the drawing of a described network shows.

    Args:
        against: what it is compared with, as `describe` takes it; None: its family's base.
        storage: the database that STUDY is looked up in.

    Raises as `describe`.
    """
    base = describe(
        against or found.spec.family,
        input_size=found.cost.input_size,
        num_classes=found.cost.num_classes,
        storage=storage,
    )
    return architecture_info(
        found.spec,
        base.spec,
        found.layers,
        name=found.name,
        baseline_name=against or found.spec.family,
        baseline_layers=base.layers,
        input_size=found.cost.input_size,
    )


def write_drawing(info: ArchitectureInfo, path: Path, *, command: str | None = None) -> Path:
    """Draw a network on a page (.html) or as a picture (.png); returns its path.

    Raises ConfigError for another kind of file, ArchsearchError if it cannot be written, or without the extra `png` or
    a browser.
    """
    check_drawing(path)
    if path.suffix.lower() == ".png":
        width, height = _PNG_PIXELS
        figure = architecture_figure(info, width=width, height=height)
        write_png(figure, path, width=width, height=height, scale=1.5)
    else:
        write_page(
            architecture_figure(info),
            path,
            title=info.title,
            subtitle=info.subtitle,
            tables=architecture_tables(info),
            command=command,
        )
    return path


def check_drawing(path: Path) -> None:
    """Raises ConfigError for a file that no drawing is written to."""
    if path.suffix.lower() not in DRAWINGS:
        raise ConfigError(f"--plot {path}: no drawing of this kind can be written", hint="end it with .html or .png")
