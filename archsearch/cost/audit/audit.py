"""A network against the four guidelines: scores, verdicts, and the units that they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from torch import nn

from archsearch.cost.audit.formulas import Flow, Sums
from archsearch.cost.audit.trace import Trace, trace
from archsearch.cost.audit.units import Unit, units_of
from archsearch.limits import GUIDELINES
from archsearch.table import Column, Table


@dataclass(frozen=True, kw_only=True)
class UnitAudit:
    """One unit of a network.

    Attributes:
        name: dotted name of its (first) module.
        block: whether data take several ways in it or in others of its class; else a layer of stem or head.
        scores: by guideline; None where the guideline has nothing to say (no 1x1 convolution, no map moved).
        broken: names of the guidelines whose thresholds they exceed.
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
    broken: tuple[str, ...]
    fragments: int
    branches: int
    in_series: int
    kernels: int
    kernels_unfolded: int
    element_wise_share: float | None
    element_wise_share_unfolded: float | None


@dataclass(frozen=True, kw_only=True)
class GuidelineCheck:
    """One guideline's verdict on a network.

    Attributes:
        title: the guideline in few words.
        score: of the whole network; lower is better.
        threshold: the largest score that passes.
        passed: whether the network keeps the guideline.
        units: names of the units whose own scores exceed the threshold, in order.
    """

    title: str
    score: float
    threshold: float
    passed: bool
    units: tuple[str, ...]


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

    def verdicts(self) -> Table:
        """The four verdicts."""
        rows = []
        for name, check in self.findings.items():
            units = ", ".join(check.units)
            if len(check.units) > 3:
                units = f"{len(check.units)} of {len(self.units)}: {', '.join(check.units[:2])} ..."
            numbers = (GUIDELINES[name].text(number) for number in (check.score, check.threshold))
            unit = f" ({GUIDELINES[name].unit})" if GUIDELINES[name].unit else ""
            rows.append((f"{name} {check.title}{unit}", *numbers, "kept" if check.passed else "broken", units or None))
        return Table(
            title="Guidelines",
            columns=(
                Column(title="Guideline", whole=True),
                Column(title="Score", whole=True),
                Column(title="Keeps up to", whole=True),
                Column(title="Verdict"),
                Column(title="Units that break it"),
            ),
            rows=tuple(rows),
        )

    def scored_units(self, title: str) -> Table:
        """A row for each unit; G3's verdict on the network is the mean over its blocks."""
        return Table(
            title=title,
            columns=(
                Column(title="Unit", key="name", whole=True),
                Column(title="Block", key="block"),
                *score_columns(),
                Column(title="Breaks", key="broken", whole=True),
                Column(title="Branches", key="branches", decimals=0, wide=True),
                Column(title="In series", key="in_series", decimals=0, wide=True),
                Column(title="Kernels", key="kernels", decimals=0, wide=True),
                Column(title="Element-wise", key="element_wise_percent", unit="%", decimals=0),
                Column(title="With BN", key="element_wise_unfolded_percent", unit="%", decimals=0, wide=True),
            ),
            rows=tuple(
                (
                    unit.name,
                    unit.block,
                    *shown_scores(unit.scores),
                    ", ".join(unit.broken) or None,
                    unit.branches,
                    unit.in_series,
                    unit.kernels,
                    _percent(unit.element_wise_share),
                    _percent(unit.element_wise_share_unfolded),
                )
                for unit in self.units
            ),
        )


def score_columns(*, with_threshold: bool = False) -> tuple[Column, ...]:
    """A column for the score of each guideline."""
    return tuple(
        Column(
            title=f"{name} ≤ {each.text(each.threshold)}" if with_threshold else name,
            key=f"{name.lower()}_percent" if each.unit == "%" else name.lower(),
            unit=each.unit,
            decimals=each.decimals,
        )
        for name, each in ((name, GUIDELINES[name]) for name in GUIDELINES)
    )


def shown_scores(scores: Mapping[str, float | None]) -> tuple[float | None, ...]:
    """The scores of `score_columns`."""
    return tuple(GUIDELINES[name].shown(scores[name]) for name in GUIDELINES)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100.0 * share


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
                title=GUIDELINES[name].title,
                score=score,
                threshold=GUIDELINES[name].threshold,
                passed=score <= GUIDELINES[name].threshold,
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
    scores = {"G1": sums.g1, "G2": sums.g2, "G3": float(sums.fragments), "G4": sums.g4}
    return UnitAudit(
        name=unit.name,
        block=unit.block,
        scores=scores,
        broken=tuple(
            name for name, score in scores.items() if score is not None and score > GUIDELINES[name].threshold
        ),
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
