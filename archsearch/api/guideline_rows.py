"""The four experiments of ShuffleNet V2, read from the printed tables 1-4."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from archsearch.analysis.guideline_report import Experiment, ExperimentColumn, ExperimentRow, PrintedSpeed
from archsearch.errors import ConfigError
from archsearch.models.guideline_spec import TABLES, GuidelineNetwork, printed_network
from archsearch.papers.printed import Table, find_paper

PAPER = "shufflenet_v2"
DEVICES = ("gpu", "arm")

_Cells = dict[str, dict[int, dict[str, PrintedSpeed]]]


def experiments(device_column: str, tables: tuple[str, ...] = TABLES) -> tuple[Experiment, ...]:
    """The experiments of these tables.

    Args:
        device_column: whose channels are run: "gpu" or "arm". The paper gave its ARM device narrower networks. The
            other device's speeds stand where the table has them: its narrowest column beside ours.

    Raises ConfigError for a table without an experiment.
    """
    if device_column not in DEVICES:
        raise ConfigError(f"the paper has no column '{device_column}'", hint=", ".join(DEVICES))
    wrong = [table for table in tables if table not in TABLES]
    if wrong:
        raise ConfigError(f"table '{wrong[0]}' holds no experiment", hint=f"one of {', '.join(TABLES)}")
    printed = {table.table: table for table in find_paper(PAPER).tables}
    return tuple(_experiment(printed[table], device_column) for table in tables)


def _experiment(table: Table, device_column: str) -> Experiment:
    cells: _Cells = {device: defaultdict(dict) for device in DEVICES}
    for row in table.rows:
        network = printed_network(table.table, row.model)
        for value in row.values:
            cells[value.column][network.scale][network.label] = PrintedSpeed(
                network=network, speed=float(value.value), step=_step(value.value), unit=value.unit
            )
    order = [network.label for network in _networks(table, device_column)]
    labels = tuple(dict.fromkeys(order))
    scales = {device: sorted(found) for device, found in cells.items()}
    columns = []
    for position, scale in enumerate(scales[device_column]):
        beside = {device: cells[device][scales[device][position]] for device in DEVICES}
        rows = tuple(
            ExperimentRow(
                label=label,
                network=beside[device_column][label].network,
                printed={device: found[label] for device, found in beside.items()},
            )
            for label in labels
        )
        columns.append(
            ExperimentColumn(table=table.table, scale=scale, scale_text=rows[0].network.scale_text, rows=rows)
        )
    return Experiment(table=table.table, caption=table.caption, columns=tuple(columns))


def _networks(table: Table, device: str) -> list[GuidelineNetwork]:
    return [
        printed_network(table.table, row.model)
        for row in table.rows
        if any(value.column == device for value in row.values)
    ]


def _step(printed: Any) -> float:
    """One of the last printed digit: 0.1 of 76.2 and of 40.0, 1 of 1480."""
    _, point, digits = str(printed).partition(".")
    return 10.0 ** -len(digits) if point else 1.0
