"""The networks of a design as specifications of this version."""

from __future__ import annotations

from archsearch.designs import Design
from archsearch.errors import ConfigError
from archsearch.models.families import FAMILIES
from archsearch.models.spec import Spec


def design_specs(design: Design, *, input_size: int) -> tuple[Spec, ...]:
    """The network of each point, normalised at the study's image size (pixels).

    Raises ConfigError for choices that now mean another network than when the design was made.
    """
    found = []
    for point in design.points:
        spec = FAMILIES[point.family].base.with_choices(point.choices).normalised(input_size)
        if spec.arch_id != point.arch_id:
            raise ConfigError(
                f"design of study '{design.of}': point '{point.name}' is network {point.arch_id}, but its choices "
                f"build {spec.arch_id}",
                hint="it was made by another version of archsearch, or for images of another size",
            )
        found.append(spec)
    return tuple(found)
