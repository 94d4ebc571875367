"""What a point of a front says when it is pointed at; escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from archsearch.plots import style
from archsearch.plots.front import FrontPoint
from archsearch.plots.printed import PrintedMark
from archsearch.text import count_text, significant

_LINE_CHARACTERS = 68
_STAGES = ("stage2.", "stage3.", "stage4.")

Change = tuple[str, str, str]


def hover_text(point: FrontPoint, *, name: str | None = None, verdict: str | None = None) -> str:
    """Everything about one point, in lines: all choices that differ from the base among them."""
    epochs = "epoch" if point.epochs == 1 else "epochs"
    lines = [
        _first_line(point, name or point.label),
        f"top-1 <b>{point.top1_percent:.2f} %</b> ({style.plain(point.split)}, {point.epochs} {epochs}, "
        f"seed {point.seed})",
        f"latency <b>{significant(point.latency_ms)} ms</b> (drift-corrected); "
        f"p10 {significant(point.p10_ms)}, median {significant(point.median_ms)}, "
        f"p90 {significant(point.p90_ms)} (n = {point.n_runs:,}{'' if point.converged else ', not converged'})",
        f"{count_text(point.params)} params, {count_text(point.macs)}{'' if point.macs_complete else '*'} macs",
        f"arch_id {style.plain(point.arch_id)}",
    ]
    if point.over:
        lines.append(f"over the study's bound on {style.plain(', '.join(point.over))}")
    if verdict is not None:
        lines += [f"<i>{line}</i>" for line in style.wrap(verdict, 430)]
    return "<br>".join([*lines, *_packed([_change_text(change) for change in grouped_changes(point.changes)])])


def short_hover_text(point: FrontPoint) -> str:
    """One line about a point, for figures of very many."""
    return (
        f"{_first_line(point, point.label)}: {point.top1_percent:.2f} %, {significant(point.latency_ms)} ms, "
        f"{count_text(point.params)} params"
    )


def printed_text(mark: PrintedMark) -> str:
    """What a source prints for a variant, and how it was trained there."""
    found = mark.printed
    lines = [
        f"<b>{style.plain(found.variant)}</b>: <b>{found.top1_percent:g} %</b> as printed, not measured here",
        *style.wrap(found.source, 430),
        *style.wrap(found.conditions, 430),
        f"drawn at our latency, {significant(mark.latency_ms)} ms",
    ]
    return "<br>".join(lines)


def grouped_changes(changes: Sequence[Change]) -> tuple[Change, ...]:
    """The changes with one entry, `stages 2-4`, for what is the same in all three stages."""
    by_name = {name: (value, base) for name, value, base in changes}
    found: list[Change] = []
    for name, value, base in changes:
        kind = name.partition(".")[2]
        same = name.startswith(_STAGES) and all(by_name.get(stage + kind) == (value, base) for stage in _STAGES)
        if not same:
            found.append((name, value, base))
        elif name.startswith(_STAGES[0]):
            found.append((f"stages 2-4 {kind}", value, base))
    return tuple(found)


def _first_line(point: FrontPoint, label: str) -> str:
    first = f"<b>{style.plain(label)}</b>"
    if label != f"trial {point.trial}":
        first += f" (trial {point.trial})"
    return first + (" · on the front" if point.on_front else "")


def _change_text(change: Change) -> str:
    name, value, base = change
    return f"{name}: {value} (not {base})"


def _packed(parts: Sequence[str]) -> Iterator[str]:
    """Parts side by side, in lines that are not broken within one; escaped."""
    line = ""
    for part in parts:
        if line and len(line) + len(part) > _LINE_CHARACTERS:
            yield style.plain(line)
            line = ""
        line += f"{' · ' if line else ''}{part}"
    if line:
        yield style.plain(line)
