"""The four guidelines of ShuffleNet V2 (arXiv 1807.11164, section 2) as scores with thresholds. Imports no torch.

How a network is scored: `archsearch.cost.audit`. The numbers and their reasons: `docs/guidelines.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

from archsearch.registry import Registry
from archsearch.text import number_text


@dataclass(frozen=True, kw_only=True)
class Guideline:
    """One guideline and the score that it is judged by; a network keeps it up to the threshold.

    Attributes:
        title: the guideline in few words.
        score: what the score is, in words; lower is better.
        threshold: the largest score that keeps the guideline.
        reason: why there.
        decimals, unit: how a score is shown; a share, whose unit is "%", as percent.
    """

    title: str
    score: str
    threshold: float
    reason: str
    decimals: int = 2
    unit: str = ""

    def shown(self, score: float | None) -> float | None:
        """A score in its unit."""
        return 100.0 * score if score is not None and self.unit == "%" else score

    def text(self, score: float) -> str:
        """A score as it is printed, without its unit."""
        return number_text(self.shown(score), decimals=self.decimals)


GUIDELINES: Registry[Guideline] = Registry(
    "guideline",
    {
        "G1": Guideline(
            title="equal channel widths",
            score="memory access of 1x1 convolutions over its lower bound at equal multiply-adds",
            threshold=1.1,
            reason="widths of 1:2 (1.06) cost the paper's GPU an eighth of its speed, 1:6 (1.43) two fifths",
        ),
        "G2": Guideline(
            title="few groups",
            score="memory access of 1x1 convolutions over that of ungrouped ones at equal input and multiply-adds",
            threshold=1.1,
            reason="an ungrouped network has exactly 1; a tenth more, as for G1",
        ),
        "G3": Guideline(
            title="little fragmentation",
            score="convolutions, groups of convolutions, poolings and matrix products of a block, mean over blocks",
            threshold=10.0,
            reason="between a regular block's 2 or 3 and the 13 of NASNet-A, which the paper calls highly fragmented",
            decimals=1,
        ),
        "G4": Guideline(
            title="few element-wise operators",
            score="share of element-wise operators in the memory access of maps, if 1x1 convolutions kept G1 and G2",
            threshold=0.75,
            reason="above ShuffleNet V2's unit (5/7 at any width), below MobileNetV2's (0.80) and V1's (0.82 and more)",
            decimals=1,
            unit="%",
        ),
    },
)


def excess(name: str, score: float) -> float:
    """How far a score exceeds its guideline's threshold, as a share of it; positive breaks the guideline."""
    return score / GUIDELINES[name].threshold - 1.0
