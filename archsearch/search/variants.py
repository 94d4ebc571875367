"""The published networks as points of a study: at its image size and scale, inside its space or outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archsearch.designs import Design
from archsearch.errors import ConfigError, UnknownNameError
from archsearch.models.families import FAMILIES
from archsearch.models.spec import Spec
from archsearch.models.variants import find_variant
from archsearch.search.config import StudyConfig
from archsearch.space.search_space import SearchSpace

# What `variants: auto` evaluates first, in this order, for each family.
AUTO: Mapping[str, tuple[str, ...]] = {
    "shufflenet_v2": (
        "shufflenet_v2_x0_5",
        "shufflenet_v2_x1_0",
        "shufflenet_v2_x1_5",
        "shufflenet_v2_x2_0",
        "shufflenet_v2_x1_0_se",
        "shufflenet_v2_x1_0_residual",
        "shufflenet_v2_x1_0_se_residual",
        "shufflenet_v2_star_x1_0",
        "shufflenet_v2_s_counted",
        "shufflenet_v2_s_described",
        "shufflenet_v2_x1_0_dc0",
        "shufflenet_v2_x1_0_ldc0",
        "shufflenet_v2_x1_0_ldc1",
        "shufflenet_v2_x1_0_ldc2",
        "shufflenet_v2_x1_0_ldc3",
    ),
    "mobilenet_v3_ldc": (
        "mobilenet_v3_small_mb0",
        "mobilenet_v3_small_dc0",
        "mobilenet_v3_small_ldc0",
        "mobilenet_v3_small_ldc1",
        "mobilenet_v3_small_ldc2",
        "mobilenet_v3_small_ldc3",
    ),
}


@dataclass(frozen=True, kw_only=True)
class StudyVariant:
    """A published network in a study: `suggested` is its point in the study's space, or None if it lies outside."""

    name: str
    spec: Spec
    suggested: Mapping[str, Any] | None


def study_variants(config: StudyConfig, space: SearchSpace, *, input_size: int) -> tuple[StudyVariant, ...]:
    """The variants that a study evaluates first, in order. Raises UnknownNameError for a name that is no variant."""
    specs = {name: scaled(name, config) for name in variant_names(config, space.family)}
    return tuple(
        StudyVariant(name=name, spec=spec, suggested=space.suggestion_of(spec, input_size=input_size))
        for name, spec in specs.items()
    )


def variant_names(config: StudyConfig, family: str) -> tuple[str, ...]:
    """The names of the variants that a study of a space of this family evaluates first, in order."""
    if config.variants == "none":
        return ()
    listed = ("auto",) if config.variants == "auto" else config.variants
    own = AUTO.get(family, ())
    return tuple(dict.fromkeys(name for entry in listed for name in (own if entry == "auto" else (entry,))))


def scaled(name: str, config: StudyConfig, *, key: str = "variants") -> Spec:
    """A variant's specification with the study's strides and pooling.

    Raises UnknownNameError naming the study's key that holds the name.
    """
    try:
        return find_variant(name).spec.at_scale(config.scale)
    except UnknownNameError as error:
        error.message = f"study '{config.name}': {key}: {error.message}"
        raise


# The networks of a design as specifications of this version.


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
