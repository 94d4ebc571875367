"""How printed, computed and measured numbers are written for people: the same words in the terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from archsearch.papers.match import Outcome

if TYPE_CHECKING:
    from archsearch.api.paper_measured import Measured
    from archsearch.api.papers import ComparedNumber, ComparedRow, ComparedTable
    from archsearch.papers.printed import Number, Table

_UNITS = {"1e6": "M", "MFLOPs": "M", "M": "M", "1e9": "G", "G": "G", "count": ""}


def printed_text(number: Number) -> str:
    """A printed number with its unit: 63.4M, 2,278,604, 39.7 %."""
    printed = number.printed
    if number.kind in ("params", "macs") and isinstance(printed, int | float):
        digits = f"{printed:,}" if number.decimals is None else f"{printed:,.{number.decimals}f}"
        return f"{digits}{_UNITS.get(number.unit, number.unit)}"
    return f"{plain_text(printed)}{'' if not number.unit or isinstance(printed, str) else f' {number.unit}'}"


def plain_text(value: Any) -> str:
    """A value as printed, without its unit; lists with slashes, `-` where the paper has none."""
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain_text(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return " / ".join(plain_text(each) for each in value)
    return str(value)


def computed_text(found: ComparedNumber) -> str:
    """A computed number in full."""
    return f"{found.computed:,}" if isinstance(found.computed, int) else plain_text(found.computed)


def match_text(found: ComparedNumber) -> str:
    """`exact`, `rounds to it`, or `differs by +7.6 %`."""
    match = found.match
    if match is None:
        return "not computed"
    if match.outcome != Outcome.DIFFERS or match.difference is None:
        return str(match.outcome)
    return f"differs by {match.difference:+.1%}".replace("%", " %")


def note_of(found: ComparedNumber) -> str:
    """What is known of a number that differs, or of an unusual way to count it; else empty."""
    differs = found.match is None or found.match.outcome == Outcome.DIFFERS
    return found.number.reason if differs or found.number.kind == "macs" else ""


def title_of(table: Table) -> str:
    """`Table 8: its caption`, `App.2: its caption`; the caption alone where the source has no numbered tables."""
    if table.table == "-":
        return table.caption
    return f"{'Table ' if table.table[0].isdigit() else ''}{table.table}: {table.caption}"


def measured_rows(found: ComparedTable) -> Iterator[tuple[str, str, str, str]]:
    """Row, network, printed, measured: for each measurement of a network whose accuracy or speed is printed."""
    for row in found.rows:
        printed = _accuracies_and_speeds(row)
        for each in row.measured:
            if printed:
                yield row.row.model, row.row.variant or "", printed, measured_text(each)


def _accuracies_and_speeds(row: ComparedRow) -> str:
    return ", ".join(
        f"{each.number.label} {printed_text(each.number)}"
        for value in row.values
        for each in value.numbers
        if each.number.kind in ("accuracy", "speed")
    )


def measured_text(found: Measured) -> str:
    """One measurement in one line, with the conditions that it holds under."""
    score, latency = found.score, found.latency
    epochs = f"{score.epochs} epoch{'' if score.epochs == 1 else 's'}"
    text = (
        f"{score.top1_percent:.2f} % top-1 on the {score.split} split of {found.dataset} at "
        f"{found.input_size}x{found.input_size} ({epochs} on {score.train_images:,} images, "
        f"{score.protocol}, seed {score.seed})"
    )
    if latency is not None:
        unsure = "" if latency.converged else ", not converged"
        text += (
            f"; {latency.corrected_ms:.3f} ms for a batch of {latency.batch} ({latency.device}, {latency.backend}, "
            f"threads {latency.threads}, {latency.precision}, n {latency.n}, p10 corrected for drift{unsure})"
        )
    where = "retrained in" if found.trial is None else f"trial {found.trial} of"
    return f"{text}; {where} study {found.study}"
