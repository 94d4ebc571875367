"""What a network is and costs, and which of the four guidelines networks keep, whatever they are named by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from archsearch.api.networks import FoundNetwork, enough_memory, find_network, find_networks
from archsearch.cost.architecture import Layer, cost_layers_and_audit
from archsearch.cost.audit import Audit, score_columns
from archsearch.cost.audit import audit as audit_network
from archsearch.cost.conventions import CONVENTIONS
from archsearch.models.families import FAMILIES
from archsearch.models.spec import Spec
from archsearch.plots.architecture import Architecture, architecture_of
from archsearch.records import Cost
from archsearch.table import Column, InNotebooks, Table, table_of
from archsearch.text import level_text


@dataclass(frozen=True, kw_only=True)
class Description(InNotebooks):
    """One network at one input size and number of classes: a `archsearch.table.Result`.

    Attributes:
        name: what it was asked for by, with the changes made.
        arch_id, family, choices: of its specification, normalised at this input size.
        source, note: where it was published and how to read that, if it was.
        cost: parameters, multiply-adds in every convention and memory access of the whole network.
        layers: one for each part, in the order of the data; their costs add up to the whole.
        guidelines: what the four guidelines say of it.
    """

    name: str
    arch_id: str
    family: str
    choices: Mapping[str, Any]
    source: str
    note: str
    cost: Cost
    layers: tuple[Layer, ...]
    guidelines: Audit
    sentences: tuple[str, ...] = ()
    method: str = ""
    empty: str | None = None

    @property
    def spec(self) -> Spec:
        """Its specification."""
        return FAMILIES[self.family].base.with_choices(self.choices)

    @property
    def title(self) -> str:
        """Its name."""
        return self.name

    @property
    def subtitle(self) -> tuple[str, ...]:
        """Where it is from, and what the whole network costs."""
        cost = self.cost
        read, written = _mib(cost.memory_read_bytes), _mib(cost.memory_written_bytes)
        lines = (
            self.source and f"source    {self.source}",
            self.note and f"note      {self.note}",
            f"arch_id   {self.arch_id}",
            f"input     {cost.input_size}x{cost.input_size}, {cost.num_classes} classes",
            f"params    {cost.params:,}",
            f"MACs      {cost.macs:,}  (multiply-adds of one image in convolutions and linear layers)",
            f"memory    {read} read, {written} written  (every operator's tensors once, float32, nothing cached or "
            "fused)",
        )
        return tuple(line for line in lines if line)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Which operators could not be counted."""
        uncounted = (f"{op} ({times} times)" for op, times in sorted(self.cost.unsupported_ops.items()))
        return (f"not counted: {', '.join(uncounted)}",) if self.cost.unsupported_ops else ()

    def tables(self) -> tuple[Table, ...]:
        """The multiply-adds in each convention, the guidelines, the choices, and the layers with their sum."""
        base = FAMILIES[self.family].base.choices()
        differs = [name for name, value in self.choices.items() if base.get(name) != value]
        return (
            table_of(
                "MACs by convention",
                self.cost.macs_by_convention.items(),
                (Column(title="Convention", whole=True), lambda one: one[0]),
                (Column(title="MACs", decimals=0), lambda one: one[1]),
                (Column(title="What it counts"), lambda one: CONVENTIONS[one[0]].summary),
            ),
            self.guidelines.verdicts(),
            table_of(
                "Choices",
                self.choices.items(),
                (Column(title="Choice", whole=True), lambda one: one[0]),
                (Column(title="Value", whole=True), lambda one: level_text(one[1])),
                (
                    Column(title="Base, where it differs", key="base", whole=True),
                    lambda one: level_text(base.get(one[0])) if one[0] in differs else None,
                ),
                marked=lambda one: one[0] in differs,
            ),
            Table(
                title="Layers",
                columns=(
                    Column(title="Layer", key="name", whole=True),
                    Column(title="Kind"),
                    Column(title="Output", key="output_shape", whole=True),
                    Column(title="Params", decimals=0),
                    Column(title="MACs", decimals=0),
                ),
                rows=(
                    *(
                        (layer.name, layer.kind, "x".join(map(str, layer.output_shape)), layer.params, layer.macs)
                        for layer in self.layers
                    ),
                    ("whole network", None, None, self.cost.params, self.cost.macs),
                ),
                marked=frozenset((len(self.layers),)),
            ),
        )


def _mib(size: int | None) -> str:
    return "not counted" if size is None else f"{size / 2**20:,.1f} MiB"


def describe(
    name: str | Path,
    *,
    changes: Mapping[str, Any] | None = None,
    input_size: int | None = None,
    num_classes: int | None = None,
    storage: str | None = None,
) -> Description:
    """Describe a network.

    Args:
        name: a variant's name, STUDY:TRIAL (number, variant or `best`), a family's name (its base network), or a file:
            the spec.json of a retrained model, its folder, or YAML with `family` and `choices`.
        changes: choices to set, by their dotted names.
        input_size: height and width (pixels); None: as printed (224), or the study's.
        num_classes: None: as printed (1000 unless the paper says otherwise), or the study's.
        storage: the database that STUDY is looked up in.

    Raises ConfigError, UnknownNameError, StoreError, BuildError.
    """
    found = find_network(name, storage=storage).at(input_size, num_classes, changes)
    with _able_to_run(found):
        cost, layers, audited = cost_layers_and_audit(
            found.spec, num_classes=found.num_classes, input_size=found.input_size
        )
    return Description(
        name=found.name + "".join(f" {key}={value}" for key, value in (changes or {}).items()),
        arch_id=found.spec.arch_id,
        family=found.spec.family,
        choices=found.spec.choices(),
        source=found.source if not changes else "",
        note=found.note if not changes else "",
        cost=cost,
        layers=layers,
        guidelines=audited,
    )


def _able_to_run(found: FoundNetwork) -> AbstractContextManager[None]:
    size = f"{found.input_size}x{found.input_size}"
    return enough_memory(f"{found.name} cannot be run at {size} with {found.num_classes} classes")


def drawing_of(found: Description, *, against: str | None = None, storage: str | None = None) -> Architecture:
    """The drawing of a described network.

    Args:
        against: what it is compared with, as `describe` takes it; None: its family's base.
        storage: the database that STUDY is looked up in.

    Raises as `describe`.
    """
    base = describe(
        against or found.family, input_size=found.cost.input_size, num_classes=found.cost.num_classes, storage=storage
    )
    return architecture_of(
        found.spec,
        base.spec,
        found.layers,
        name=found.name,
        baseline_name=base.name,
        baseline_layers=base.layers,
        input_size=found.cost.input_size,
    )


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


@dataclass(frozen=True, kw_only=True)
class AuditedNetworks(InNotebooks):
    """Networks beside each other: a `archsearch.table.Result`.

    Attributes:
        networks: in the order in which they were asked for.
        with_units: whether a terminal shows the units of each, too.
    """

    networks: tuple[Audited, ...]
    with_units: bool = False
    title: str = "The four guidelines"
    subtitle: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    method: str = (
        "G1, G2: memory access of 1x1 convolutions over the least, and over ungrouped ones; G3: fragments of a block; "
        "G4: share of element-wise operators. A network keeps a guideline up to the number beside its name. Kernels: "
        "with batch norms folded."
    )
    warnings: tuple[str, ...] = ()
    empty: str | None = None

    def tables(self) -> tuple[Table, ...]:
        """A row for each network, and a table of the units of each."""
        compared = table_of(
            "Networks",
            self.networks,
            Column(title="Network", key="name", whole=True),
            (Column(title="Input", key="input_size", decimals=0), lambda each: each.audit.input_size),
            *score_columns("audit.scores", with_threshold=True),
            (Column(title="Breaks", key="broken", whole=True), lambda each: ", ".join(each.audit.broken) or "none"),
            (Column(title="Kernels", decimals=0), lambda each: each.audit.kernels),
        )
        units = (network.audit.scored_units(network.name) for network in self.networks)
        return (compared, *(replace(table, wide=not self.with_units) for table in units))


def audit(
    names: str | Path | Sequence[str | Path],
    *,
    input_size: int | None = None,
    num_classes: int | None = None,
    storage: str | None = None,
    with_units: bool = False,
) -> AuditedNetworks:
    """Audit networks, in the order of their names.

    Args:
        names: as `describe` takes them, and what stands with them; one alone may stand for itself.
        with_units: whether a terminal shows the units, too.

    Raises ConfigError, UnknownNameError, StoreError, BuildError.
    """
    audited = []
    for found in find_networks(names, storage=storage, input_size=input_size, num_classes=num_classes):
        with _able_to_run(found):
            scored = audit_network(found.build(seed=0), found.input_size)
        audited.append(
            Audited(name=found.name, arch_id=found.spec.arch_id, num_classes=found.num_classes, audit=scored)
        )
    return AuditedNetworks(networks=tuple(audited), with_units=with_units)
