"""A network against the four guidelines: scores, verdicts, and the units that they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from torch import nn

from archsearch.cost.audit.formulas import Flow, Sums
from archsearch.cost.audit.trace import Trace, trace
from archsearch.cost.audit.units import Unit, units_of
from archsearch.limits import GUIDELINES


@dataclass(frozen=True, kw_only=True)
class UnitAudit:
    """One unit of a network.

    Attributes:
        name: dotted name of its (first) module.
        block: whether data take several ways in it or in others of its class; else a layer of stem or head.
        scores: by guideline; None where the guideline has nothing to say (no 1x1 convolution, no map moved).
        fragments: G3's score: convolutions, poolings and matrix products, a convolution of g groups as g of them.
        branches: the most of them that stand side by side, a grouped one counting once.
        in_series: convolutions that could be one with the convolution before.
        kernels, kernels_unfolded: operators that move memory, with batch norms folded and without.
        element_wise_share, element_wise_share_unfolded: of the unit's memory access as written, with batch norms folded
            and without; None where nothing is moved.
    """

    name: str
    block: bool
    scores: Mapping[str, float | None]
    fragments: int
    branches: int
    in_series: int
    kernels: int
    kernels_unfolded: int
    element_wise_share: float | None
    element_wise_share_unfolded: float | None

    @property
    def broken(self) -> tuple[str, ...]:
        """Names of the guidelines whose thresholds the unit exceeds."""
        return tuple(
            name for name, score in self.scores.items() if score is not None and score > GUIDELINES[name].threshold
        )


@dataclass(frozen=True, kw_only=True)
class GuidelineCheck:
    """One guideline's verdict on a network.

    Attributes:
        guideline: G1 to G4.
        score: of the whole network; lower is better.
        threshold: the largest score that passes.
        units: names of the units whose own scores exceed the threshold, in order.
    """

    guideline: str
    score: float
    threshold: float
    units: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the network keeps the guideline."""
        return self.score <= self.threshold


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What the guidelines say of one network at one input size.

    Attributes:
        input_size: height and width of the image (pixels).
        findings: by guideline.
        units: in the order of the data; they hold every operator.
        kernels, kernels_unfolded, in_series: of the whole network, as of a unit.
        element_wise_share, element_wise_share_unfolded: of the whole network's memory access, as of a unit.
    """

    input_size: int
    findings: Mapping[str, GuidelineCheck]
    units: tuple[UnitAudit, ...]
    kernels: int
    kernels_unfolded: int
    in_series: int
    element_wise_share: float | None
    element_wise_share_unfolded: float | None

    @property
    def scores(self) -> dict[str, float]:
        """The network's score by guideline."""
        return {name: finding.score for name, finding in self.findings.items()}

    @property
    def broken(self) -> tuple[str, ...]:
        """Names of the guidelines that the network breaks."""
        return tuple(name for name, finding in self.findings.items() if not finding.passed)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "input_size": self.input_size,
            "findings": {
                name: {
                    "title": GUIDELINES[name].title,
                    "score": finding.score,
                    "threshold": finding.threshold,
                    "passed": finding.passed,
                    "units": list(finding.units),
                }
                for name, finding in self.findings.items()
            },
            "kernels": self.kernels,
            "kernels_unfolded": self.kernels_unfolded,
            "in_series": self.in_series,
            "element_wise_share": self.element_wise_share,
            "element_wise_share_unfolded": self.element_wise_share_unfolded,
            "units": [
                {
                    "name": unit.name,
                    "block": unit.block,
                    "scores": dict(unit.scores),
                    "broken": list(unit.broken),
                    "branches": unit.branches,
                    "in_series": unit.in_series,
                    "kernels": unit.kernels,
                    "kernels_unfolded": unit.kernels_unfolded,
                    "element_wise_share": unit.element_wise_share,
                    "element_wise_share_unfolded": unit.element_wise_share_unfolded,
                }
                for unit in self.units
            ],
        }


def audit(model: nn.Module, input_size: int) -> Audit:
    """Score any network on one image (1, 3, input_size, input_size); `docs/guidelines.md` has the formulas.

    The image is run once in eval mode where the model is; the model is left as it was. Takes about 0.1 s for
    ShuffleNetV2 x1.0 at 224 pixels.
    """
    return audit_of(trace(model, input_size), input_size)


def audit_of(traced: Trace, input_size: int) -> Audit:
    """The same of a network that has been traced already."""
    flow = Flow(traced.operators)
    units = tuple(_unit(flow, unit) for unit in units_of(traced))
    whole = flow.sums(0, len(traced.operators))
    scores = {
        "G1": _or(whole.g1, 1.0),  # a network without 1x1 convolutions wastes nothing in them
        "G2": _or(whole.g2, 1.0),
        "G3": fmean([unit.fragments for unit in units if unit.block] or [unit.fragments for unit in units] or [0]),
        "G4": _or(whole.g4, 0.0),
    }
    return Audit(
        input_size=input_size,
        findings={
            name: GuidelineCheck(
                guideline=name,
                score=score,
                threshold=GUIDELINES[name].threshold,
                units=tuple(unit.name for unit in units if name in unit.broken),
            )
            for name, score in scores.items()
        },
        units=units,
        kernels=whole.kernels,
        kernels_unfolded=whole.kernels + whole.folded,
        in_series=whole.in_series,
        element_wise_share=whole.element_wise_share,
        element_wise_share_unfolded=whole.element_wise_share_unfolded,
    )


def _unit(flow: Flow, unit: Unit) -> UnitAudit:
    sums: Sums = flow.sums(unit.first, unit.end)
    return UnitAudit(
        name=unit.name,
        block=unit.block,
        scores={"G1": sums.g1, "G2": sums.g2, "G3": float(sums.fragments), "G4": sums.g4},
        fragments=sums.fragments,
        branches=flow.branches(unit.first, unit.end),
        in_series=sums.in_series,
        kernels=sums.kernels,
        kernels_unfolded=sums.kernels + sums.folded,
        element_wise_share=sums.element_wise_share,
        element_wise_share_unfolded=sums.element_wise_share_unfolded,
    )


def _or(score: float | None, otherwise: float) -> float:
    return otherwise if score is None else score
