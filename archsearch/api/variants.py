"""Every network that has a name, with what it costs at the conditions under which it was printed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from archsearch.cost.architecture import outline_cost
from archsearch.models.families import FAMILIES
from archsearch.models.variants import VARIANTS, Variant, find_variant
from archsearch.models.variants.references import torchvision_names
from archsearch.papers.counts import stored_counts


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


def named_networks(
    family: str | None = None, *, on_progress: Callable[[int, int], None] | None = None, recount: bool = False
) -> tuple[NamedNetwork, ...]:
    """Every named network, or those of one family, family by family.

    Those that are counted already (`archsearch.papers.counts`) are taken as they were; others, which are torchvision's,
    take some hundredths of a second each.

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
    return tuple(networks)


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
    return NamedNetwork(
        name=variant.name,
        family=spec.family,
        source=variant.source,
        reading=variant.reading,
        note=variant.note,
        published=variant.published,
        params=params,
        macs=macs,
        input_size=variant.input_size,
        num_classes=variant.num_classes,
        arch_id=spec.arch_id,
    )
