"""An ablation as a forest: what every level of every choice changes against the base, in accuracy and in latency."""

from __future__ import annotations

import plotly.graph_objects as go

from archsearch.analysis.ablation import QUANTITIES, Ablation, AblationRow, Effect, Interaction
from archsearch.plots.forest import BETTER, UNTOLD, WORSE, ForestCell, Line, finite, forest_figure

MOST_ROWS = 80


def ablation_figure(found: Ablation, *, width: int = 1100, height: int | None = None) -> go.Figure:
    """The figure, top-1 on the left and latency on the right; without a height as tall as its rows need."""
    order = list(dict.fromkeys(row.choice for row in found.rows))
    rows: list[tuple[str, str, AblationRow | Interaction]] = [
        (row.choice, row.label, row) for row in sorted(found.rows, key=lambda row: order.index(row.choice))
    ]
    rows += [("interactions", f"interaction: {each.label}", each) for each in found.interactions]
    base = ForestCell(estimate=0.0, finding="base")
    lines = [
        Line(group="", label=f"base: {found.base_name}", note="", cells=(base, base), hover=" ".join(found.subtitle)),
        *(
            Line(
                group=group,
                label=label,
                note=f"n {each.top1.n}",
                cells=(_cell(each.top1), _cell(each.latency)),
                hover=each.sentence,
            )
            for group, label, each in rows
        ),
    ]
    percent = f"{100.0 * found.confidence:g} %"
    apart = f", interactions of all {QUANTITIES * len(found.interactions)}" if found.interactions else ""
    return forest_figure(
        lines[: MOST_ROWS + 1],
        ("Top-1 minus the base's (points)", "Latency against the base's (%)"),
        found,
        words={BETTER: "better", WORSE: "worse", UNTOLD: UNTOLD, "base": "base"},
        thick=f"{percent} of this comparison alone",
        thin=f"{percent} of all {found.comparisons} together{apart} ({found.correction})",
        hidden=max(0, len(lines) - 1 - MOST_ROWS),
        width=width,
        height=height,
    )


def _cell(effect: Effect) -> ForestCell:
    numbers = ("estimate", "low", "high", "alone_low", "alone_high")
    finding = effect.finding.value if effect.finding.value in (BETTER, WORSE) else UNTOLD
    return ForestCell(**{name: finite(getattr(effect, name)) for name in numbers}, finding=finding)
