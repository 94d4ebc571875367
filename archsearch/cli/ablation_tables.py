"""An ablation as tables and sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from archsearch.text import count_text, plural

if TYPE_CHECKING:
    from archsearch.analysis.ablation import Ablation, AblationRow, Effect, Interaction


def print_ablation(found: Ablation, console: Console) -> None:
    """Print every effect with its interval, then one sentence for each choice, then what is missing."""
    confidence = f"{100 * found.confidence:g} %"
    base = found.base.variant or found.base.name
    console.print(
        f"base {base}: top-1 {_number(found.base_top1_percent, 2)} %, {_number(found.base_latency_ms, 3)} ms "
        f"({plural(found.base_n, 'seed')})",
        markup=False,
    )
    console.print(_effects(found))
    if found.interactions:
        console.print(_interactions(found.interactions))
    pooled = "" if found.spread == "own" else ", from one spread of all networks"
    console.print(
        f"against the base, with {confidence} intervals corrected for {plural(found.comparisons, 'comparison')} "
        f"({found.correction}){pooled}; points of top-1; * the interval leaves out 0; n: seeds that both have",
        markup=False,
    )
    for answer in found.answers:
        console.print(f"- {answer}", markup=False)
    for missing in found.missing:
        console.print(f"missing: {missing.point}, seed {missing.seed}: {missing.why}", markup=False)
    if found.pending:
        console.print(f"{found.pending} trainings are still to come: type the same command to continue")
    for warning in found.warnings:
        console.print(f"note: {warning}", markup=False)


def _effects(found: Ablation) -> Table:
    table = Table(title="Effects", box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False, padding=0)
    table.add_column("change", no_wrap=True)
    for name in ("n", "points", "interval", "ms, %", "interval", "params"):
        table.add_column(name, justify="right", no_wrap=True)
    decimals = top1_decimals([row.top1 for row in found.rows])
    for row in found.rows:
        table.add_row(*(Text(cell) for cell in _cells(row, decimals)))
    return table


def top1_decimals(effects: Sequence[Effect]) -> int:
    """Two, or one where an interval reaches ten points: a table has to fit into 80 columns."""
    bounds = [abs(bound) for effect in effects for bound in (effect.low, effect.high) if bound is not None]
    return 1 if max(bounds, default=0.0) >= 9.995 else 2


def _cells(row: AblationRow, decimals: int) -> tuple[str, ...]:
    return (
        row.point.name,
        str(row.top1.n),
        *effect_texts(row.top1, decimals),
        *effect_texts(row.latency, 1),
        _count(row.params),
    )


def _interactions(rows: tuple[Interaction, ...]) -> Table:
    table = Table(title="Two together, beyond their sum", box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("changes")
    for name in ("top-1, points", "interval", "latency, %", "interval"):
        table.add_column(name, justify="right", no_wrap=name == "interval")
    for row in rows:
        cells = (row.label, *effect_texts(row.top1, 2), *effect_texts(row.latency, 1))
        table.add_row(*(Text(cell) for cell in cells))
    return table


def effect_texts(effect: Effect, decimals: int) -> tuple[str, str]:
    """An effect and its interval: `+0.31` and `-0.10 to +0.72`; a star where the interval leaves out 0."""
    if not math.isfinite(effect.estimate):
        return "-", ""
    text = _signed(effect.estimate, decimals)
    if effect.low is None or effect.high is None:
        return text, "none"
    star = "*" if effect.low > 0 or effect.high < 0 else ""
    return f"{text}{star}", f"{_signed(effect.low, decimals)} to {_signed(effect.high, decimals)}"


def _count(effect: Effect) -> str:
    if not math.isfinite(effect.estimate):
        return "-"
    text = count_text(effect.estimate).replace(" ", "")
    return "0" if effect.estimate == 0 else f"{'+' if effect.estimate > 0 else ''}{text}"


def _number(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}" if math.isfinite(value) else "-"


def _signed(value: float, decimals: int) -> str:
    return f"{round(value, decimals) + 0.0:+.{decimals}f}"  # + 0.0: no -0.00
