"""The published networks, each a named point: choices, and where they were printed. No torch here."""

from archsearch.errors import UnknownNameError
from archsearch.models.variants import mobilenet_v3_ldc, references, shufflenet_v1, shufflenet_v2
from archsearch.models.variants.references import (
    ANY_OF_TORCHVISION,
    TORCHVISION,
    torchvision_names,
    torchvision_variant,
)
from archsearch.models.variants.variant import Variant
from archsearch.registry import Registry

VARIANTS: Registry[Variant] = Registry(
    "variant",
    {
        each.name: each
        for file in (shufflenet_v2, shufflenet_v1, mobilenet_v3_ldc, references)
        for each in file.variants()
    },
    listed_by="archsearch variants",
)

__all__ = ["ANY_OF_TORCHVISION", "TORCHVISION", "VARIANTS", "Variant", "find_variant", "torchvision_names"]


def find_variant(name: str) -> Variant:
    """The variant of this name, or the reference network `torchvision/NAME` (looking that up imports torchvision).

    Raises UnknownNameError with the nearest one.
    """
    if name.startswith(TORCHVISION):
        return torchvision_variant(name)
    if name in VARIANTS:
        return VARIANTS[name]
    raise UnknownNameError("variant", name, VARIANTS, listed_by=VARIANTS.listed_by, also=ANY_OF_TORCHVISION)
