"""Every network that has a name, with what it costs at the conditions under which it was printed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from archsearch.cost.architecture import outline_cost
from archsearch.models.families import FAMILIES
from archsearch.models.variants import ANY_OF_TORCHVISION, VARIANTS, Variant, find_variant, torchvision_names
from archsearch.papers.printed import stored_counts
from archsearch.table import Column, InNotebooks, Table, plain, table_of
from archsearch.text import plural


@dataclass(frozen=True, kw_only=True)
class NamedNetwork:
    """One named network.

    Attributes:
        name, family: as `describe` and a study's `variants` take them.
        source: where it was printed.
        reading: which of several readings of the source it is; empty if there is one.
        note: how it differs from what was printed, or what is not known; empty if nothing.
        published: False for an idea carried over from another family, and for a structure of our own.
        params: trainable parameters.
        macs: multiply-adds of one image in convolutions and linear layers.
        input_size, num_classes: the conditions of these numbers (pixels, outputs): as printed.
        arch_id: of the specification, normalised at that input size.
    """

    name: str
    family: str
    source: str
    reading: str
    note: str
    published: bool
    params: int
    macs: int
    input_size: int
    num_classes: int
    arch_id: str


class NamedNetworksJson(TypedDict):
    """The networks, family by family."""

    networks: list[NamedNetwork]


class NamedNetworks(InNotebooks, tuple[NamedNetwork, ...]):
    """Named networks, family by family: a tuple, and an `archsearch.table.Result`."""

    __slots__ = ()
    __repr__ = InNotebooks.__str__
    title = "Named networks"
    subtitle: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    empty: str | None = None
    method = (
        "MACs: multiply-adds of one image in convolutions and linear layers, at 224x224 and 1000 classes unless a note "
        f"says otherwise. {ANY_OF_TORCHVISION}: archsearch variants --family torchvision"
    )

    @property
    def sentences(self) -> tuple[str, ...]:
        """How many there are."""
        ours = sum(not network.published for network in self)
        return (f"{plural(len(self), 'network')}{f', {ours} of them (marked +) not published as such' * (ours > 0)}.",)

    def tables(self) -> tuple[Table, ...]:
        """A table of each family, and below it what is to be known of its networks, each thing once."""
        return tuple(
            _family_table(name, list(each)) for name, each in groupby(self, key=lambda network: network.family)
        )

    def plain(self) -> NamedNetworksJson:
        """Every field of every network."""
        return {"networks": [plain(network) for network in self]}


def _family_table(name: str, networks: Sequence[NamedNetwork]) -> Table:
    source = FAMILIES[name].source
    notes = _footnotes(networks)
    return table_of(
        name,
        networks,
        (Column(title="Network", whole=True), lambda each: each.name + "+" * (not each.published)),
        Column(title="Params", decimals=0),
        Column(title="MACs", decimals=0),
        (Column(title="Source"), lambda each: _within(source, each.source)),
        (
            Column(title="Notes", whole=True),
            lambda each: ", ".join(str(number) for number, (_, owners) in enumerate(notes, 1) if each.name in owners),
        ),
        note="\n".join([source, *(f"{number} {text}" for number, (text, _) in enumerate(notes, 1))]),
    )


def _footnotes(networks: Sequence[NamedNetwork]) -> list[tuple[str, frozenset[str]]]:
    """Each thing that the notes say, with the networks that it is said of, in the order of the first one.

    Sentences that always stand together stay together; one that other notes share stands alone.
    """
    owners: dict[str, set[str]] = {}
    for network in networks:
        for sentence in _sentences(network):
            owners.setdefault(sentence, set()).add(network.name)
    found: dict[str, frozenset[str]] = {}
    for network in networks:
        for said_of, together in groupby(_sentences(network), key=lambda sentence: frozenset(owners[sentence])):
            found.setdefault(" ".join(together), said_of)
    return list(found.items())


def _sentences(network: NamedNetwork) -> list[str]:
    """Other conditions than usual, which reading of its source it is, and the note."""
    usual = (network.input_size, network.num_classes) == (224, 1000)
    at = [] if usual else [f"At {network.input_size}x{network.input_size} and {network.num_classes} classes."]
    if network.reading:
        at.append(f"Reading: {network.reading.rstrip('.')}.")
    return at + [sentence for sentence in re.split(r"(?<=[.])\s+(?=[A-Z])", network.note) if sentence]


def _within(family_source: str, source: str) -> str:
    """A network's source without the words of its family's, which stand above the table."""
    if not source.casefold().startswith(family_source.casefold()):
        return source
    return source[len(family_source) :].lstrip(",;: ").removeprefix("and ")


def variants(
    family: str | None = None, *, on_progress: Callable[[int, int], None] | None = None, recount: bool = False
) -> NamedNetworks:
    """Every named network, or those of one family, family by family.

    Those that are counted already (`archsearch.papers.printed`) are taken as they were; others, torchvision's, take
    some hundredths of a second each.

    Args:
        family: a name in `FAMILIES`; None: all that have a list of their own. torchvision's models are listed when
            their family is asked for.
        on_progress: called before each network with the number done and the number in all, and once at the end.
        recount: count every network anew.

    Raises UnknownNameError for an unknown family.
    """
    found = _variants(family)
    networks = []
    for done, variant in enumerate(found):
        if on_progress is not None:
            on_progress(done, len(found))
        networks.append(_costed(variant, recount=recount))
    if on_progress is not None:
        on_progress(len(found), len(found))
    return NamedNetworks(networks)


def _variants(family: str | None) -> Sequence[Variant]:
    if family is not None:
        FAMILIES[family]
    if family == "torchvision":
        return [find_variant(name) for name in torchvision_names()]
    everyone = [VARIANTS[name] for name in VARIANTS]
    order = FAMILIES.names() if family is None else (family,)
    return [variant for name in order for variant in everyone if variant.spec.family == name]


def _costed(variant: Variant, *, recount: bool) -> NamedNetwork:
    spec = variant.spec.normalised(variant.input_size)
    conditions = {"num_classes": variant.num_classes, "input_size": variant.input_size}
    known = None if recount else stored_counts(spec.arch_id, **conditions)
    params, macs = outline_cost(spec, **conditions) if known is None else (known.params, known.macs["conv_linear"])
    said = {name: value for name, value in vars(variant).items() if name != "spec"}
    return NamedNetwork(**said, family=spec.family, params=params, macs=macs, arch_id=spec.arch_id)
