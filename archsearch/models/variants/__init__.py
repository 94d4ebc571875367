"""The published networks, each a named point: choices, and where they were printed. No torch here."""

from archsearch.models.variants import shufflenet_v2
from archsearch.models.variants.variant import Variant
from archsearch.registry import Registry

VARIANTS: Registry[Variant] = Registry(
    "variant",
    {each.name: each for file in (shufflenet_v2,) for each in file.variants()},
)

__all__ = ["VARIANTS", "Variant", "find_variant"]


def find_variant(name: str) -> Variant:
    """The variant of this name. Raises UnknownNameError with the nearest one."""
    return VARIANTS[name]
