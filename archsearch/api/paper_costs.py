"""The numbers of a network that printed ones are compared with, each network built and counted once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from archsearch.blocks.heads import GlobalAveragePool
from archsearch.cost.architecture import params_of
from archsearch.cost.conventions import macs_as_observed
from archsearch.cost.observe import Observation, observe
from archsearch.models.families import build
from archsearch.models.variants import Variant
from archsearch.papers.printed import Scale


@dataclass(frozen=True, kw_only=True)
class PaperCost:
    """One network under the conditions of one printed table.

    Attributes:
        params: trainable parameters (count).
        macs: multiply-adds of one image, by convention; `conv_linear_pool` is conv_linear with the average pool before
            the classifier, one for each element that it reads.
        choices: the network's choices.
    """

    params: int
    macs: Mapping[str, int]
    choices: Mapping[str, Any]
    input_size: int
    num_classes: int


def paper_cost(variant: Variant, scale: Scale | None) -> PaperCost:
    """Build and count a variant, at its own conditions or at a table's. Raises BuildError."""
    input_size = variant.input_size if scale is None else scale.input_size
    num_classes = variant.num_classes if scale is None else scale.num_classes
    spec = variant.at_scale({} if scale is None else scale.choices).normalised(input_size)
    model = build(spec, num_classes=num_classes, input_size=input_size, seed=0)
    seen = observe(model, input_size)
    macs = macs_as_observed(seen)
    macs["conv_linear_pool"] = macs["conv_linear"] + _pooled_elements(seen)
    return PaperCost(
        params=params_of(model), macs=macs, choices=spec.choices(), input_size=input_size, num_classes=num_classes
    )


def _pooled_elements(seen: Observation) -> int:
    """What the average pool before the classifier reads of one image (elements)."""
    return sum(prod(call.input_shape) for call in seen.calls if isinstance(call.module, GlobalAveragePool))
