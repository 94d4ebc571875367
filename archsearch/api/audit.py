"""Networks against the four guidelines, whatever they are named by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from archsearch.api.networks import find_network
from archsearch.cost.audit import Audit
from archsearch.cost.audit import audit as audit_network
from archsearch.errors import BuildError, ConfigError
from archsearch.models.families import build


@dataclass(frozen=True, kw_only=True)
class Audited:
    """One network's audit.

    Attributes:
        name: what it was asked for by.
        arch_id: of its specification, normalised at this input size.
        num_classes: outputs of the classifier.
        audit: scores, verdicts and units.
    """

    name: str
    arch_id: str
    num_classes: int
    audit: Audit

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"name": self.name, "arch_id": self.arch_id, "num_classes": self.num_classes} | self.audit.to_dict()


def audit_networks(
    names: Sequence[str],
    *,
    input_size: int | None = None,
    num_classes: int | None = None,
    storage: str | None = None,
) -> tuple[Audited, ...]:
    """Audit networks, in the order of their names.

    Args:
        names: as `describe` takes them.
        input_size: height and width (pixels); None: each as printed, or as its study's.
        num_classes: None: each as printed, or as its study's.
        storage: the database that studies are looked up in.

    Raises ConfigError, UnknownNameError, StoreError, BuildError.
    """
    if (input_size is not None and input_size < 1) or (num_classes is not None and num_classes < 1):
        raise ConfigError(f"input_size and num_classes must be at least 1, got {input_size} and {num_classes}")
    return tuple(_audited(name, input_size, num_classes, storage) for name in names)


def _audited(name: str, input_size: int | None, num_classes: int | None, storage: str | None) -> Audited:
    found = find_network(name, storage=storage)
    size, classes = input_size or found.input_size, num_classes or found.num_classes
    spec = found.spec.normalised(size)
    try:
        audit = audit_network(build(spec, num_classes=classes, input_size=size, seed=0), size)
    except (RuntimeError, MemoryError) as error:  # torch's own word for more memory than there is
        raise BuildError(f"{name} cannot be run at {size}x{size} with {classes} classes: {error}") from error
    return Audited(name=name, arch_id=spec.arch_id, num_classes=classes, audit=audit)
