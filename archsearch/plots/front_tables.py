"""The tables beside a front: its networks, the variants, what is printed of them, and what was evaluated again."""

from __future__ import annotations

from archsearch.plots.front import FrontInfo, FrontPoint
from archsearch.plots.info_tables import rounded
from archsearch.plots.thinning import thinned, thinned_line
from archsearch.table import Cell, Column, Table

MOST_ROWS = 3000


def front_tables(info: FrontInfo) -> tuple[Table, ...]:
    """The data of a front's figure; of very many networks the front, the variants, and evenly many of the rest."""
    found = [_networks(info)]
    if info.marks:
        found.append(_variants(info))
    if info.confirmed is not None:
        found.append(info.confirmed.tables()[0])
    if info.printed:
        found.append(_printed(info))
    return tuple(found)


def _networks(info: FrontInfo) -> Table:
    named = {mark.point.trial: mark.number for mark in info.marks}
    points = thinned(info.points, MOST_ROWS, keep=lambda point: point.on_front or point.trial in named)
    note = thinned_line(len(points), len(info.points), "networks")
    columns = (
        Column(title="#", decimals=0),
        Column(title="Trial", decimals=0, trial=True),
        Column(title="Network", whole=True),
        Column(title="On the front"),
        Column(title="Top-1 (%)", decimals=2),
        Column(title="Latency (ms)", decimals=4),
        Column(title="p10 (ms)", decimals=4),
        Column(title="Median (ms)", decimals=4),
        Column(title="p90 (ms)", decimals=4),
        Column(title="Params", decimals=0),
        Column(title="Macs", decimals=0),
        Column(title="arch_id", whole=True),
    )
    rows = tuple(_row(point, named.get(point.trial), point.trial == info.recommended) for point in points)
    return Table(title="Networks", columns=columns, rows=rows, note=f"{note.capitalize()}." if note else "")


def _row(point: FrontPoint, number: int | None, recommended: bool) -> tuple[Cell, ...]:
    return (
        number,
        point.trial,
        point.label,
        "recommended" if recommended else "yes" if point.on_front else "",
        rounded(point.top1_percent),
        rounded(point.latency_ms),
        rounded(point.p10_ms),
        rounded(point.median_ms),
        rounded(point.p90_ms),
        point.params,
        point.macs,
        point.arch_id,
    )


def _variants(info: FrontInfo) -> Table:
    columns = (
        Column(title="#", decimals=0),
        Column(title="Trial", decimals=0, trial=True),
        Column(title="Variant", whole=True),
        Column(title="On the front"),
        Column(title="In a sentence"),
        Column(title="Which reading of the paper"),
    )
    rows = tuple(
        (mark.number, mark.point.trial, mark.name, "yes" if mark.on_front else "", mark.sentence, mark.reading)
        for mark in info.marks
    )
    return Table(title="Variants", columns=columns, rows=rows)


def _printed(info: FrontInfo) -> Table:
    columns = (
        Column(title="#", decimals=0),
        Column(title="Variant", whole=True),
        Column(title="Printed top-1 (%)", decimals=2),
        Column(title="Source"),
        Column(title="Trained there"),
    )
    rows = tuple(
        (
            mark.number,
            mark.printed.variant,
            mark.printed.top1_percent,
            mark.printed.source,
            mark.printed.conditions,
        )
        for mark in info.printed
    )
    return Table(
        title="As printed", columns=columns, rows=rows, note="Not measured here, and trained as the source says."
    )
