"""What a notebook shows of the results of analysis: HTML tables, every text escaped, nothing loaded from anywhere.

The dataclasses themselves call this from `_repr_html_`, when a notebook asks.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from archsearch.analysis.front import Front
from archsearch.analysis.history import History
from archsearch.analysis.objectives import OBJECTIVES, floor_text
from archsearch.table import notebook_block, paragraphs

SHOWN = 30
_CELL = "padding: 0.15em 0.6em; text-align: {align}; border-bottom: 1px solid rgba(128, 128, 128, 0.3)"


def html_of(found: object) -> str:
    """The HTML of one of the results that this knows. Raises TypeError for anything else."""
    for kind, show in _SHOWN.items():
        if isinstance(found, kind):
            return show(found)
    raise TypeError(f"nothing is known of how to show a {type(found).__name__}")


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, marked: Callable[[int], bool] | None = None
) -> str:
    """A table; numbers to the right, the `marked` rows bold. Rows beyond SHOWN are left out, and it says how many."""
    every = list(rows)
    head = "".join(
        f'<th style="{_CELL.format(align="left")}">{html.escape(name)}</th>' for name in columns if any(columns)
    )
    body = []
    for place, row in enumerate(every[:SHOWN]):
        weight = "; font-weight: bold" if marked is not None and marked(place) else ""
        cells = "".join(
            f'<td style="{_CELL.format(align="right" if _is_number(cell) else "left")}{weight}">'
            f"{html.escape(_text(cell))}</td>"
            for cell in row
        )
        body.append(f"<tr>{cells}</tr>")
    more = len(every) - SHOWN
    left_out = paragraphs(f"{more} more rows are not shown") if more > 0 else ""
    return f'<table style="border-collapse: collapse"><tr>{head}</tr>{"".join(body)}</table>{left_out}'


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:.4g}" if math.isfinite(cell) else "-"
    return str(cell)


def _front(front: Front) -> str:
    rows = [
        (
            row.record.label,
            row.record.trial,
            *(OBJECTIVES[name].show(value) for name, value in _pairs(front, row.values)),
        )
        for row in front.members
    ]
    titles = [OBJECTIVES[name].title for name in front.objectives]
    share = front.hypervolume_share
    return notebook_block(
        f"Front: {len(front.members)} of {len(front.rows)} networks",
        table(["network", "trial", *titles], rows),
        paragraphs(
            "" if share is None else f"hypervolume: {share:.4f} of the box below the reference point",
            "" if not front.noise_floor.ties else f"latencies within {floor_text(front.noise_floor)} are ties",
            *front.warnings,
        ),
    )


def _pairs(front: Front, values: Sequence[float]) -> Iterable[tuple[str, float]]:
    return zip(front.objectives, values, strict=True)


def _history(found: History) -> str:
    better: list[Any] = []
    for step in found.steps:
        if not better or step.share > better[-1].share:
            better.append(step)
    rows = [(step.ended, step.label, f"{100.0 * step.share:.2f} %") for step in reversed(better)]
    return notebook_block(
        f"Hypervolume over {found.trials} trials",
        table(["trials", "raised by", "share of the box"], rows) if rows else "",
        paragraphs(found.reason),
    )


_SHOWN: dict[type, Callable[[Any], str]] = {
    Front: _front,
    History: _history,
}
