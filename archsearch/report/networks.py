"""What the page's panel knows of each network: plain data, with everything that repeats stored once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from archsearch.analysis.front import FrontRow
from archsearch.errors import ConfigError
from archsearch.models.families import FAMILIES
from archsearch.models.spec import Spec
from archsearch.plots.architecture import architecture_of
from archsearch.plots.architecture_parts import Op, UnitDiagram
from archsearch.records import Record
from archsearch.report.data import ReportData, interval_ms

# Beyond this many networks the rest are shown without curve and drawing, which are most of the data.
MOST_IN_FULL = 2000


def panel_data(data: ReportData) -> dict[str, Any]:
    """Every complete network: its cost, its latency, its score, what differs from the baseline, its parts, its curve.

    Keys are trial numbers. The front's networks and the variants come in full first; of more than `MOST_IN_FULL` the
    others lack `parts` and `curve`.
    """
    rows = data.front.rows
    named = {row.record.trial for row in rows if row.on_front or row.record.variant is not None}
    order = sorted(rows, key=lambda row: (row.record.trial not in named, row.record.trial))
    in_full = {row.record.trial for row in order[:MOST_IN_FULL]}
    curves = {record.trial: record.score.curve for record in data.records if record.score is not None}
    verdicts = {verdict.record.trial: verdict.sentence for verdict in data.front.verdicts}
    drawing = _Drawings(data)
    names: dict[str, int] = {}
    networks = {}
    for row in rows:
        record = row.record
        facts = _facts(row)
        facts["front"] = row.on_front
        facts["upper"] = float(data.front.noise_floor.upper(facts["ms"]))  # a slower network than this is no tie
        facts["changes"] = [[_place(names, name), value, base] for name, value, base in data.front.changes(record)]
        if record.trial in verdicts:
            facts["verdict"] = verdicts[record.trial]
        if record.trial in in_full:
            facts["parts"] = drawing.parts(record)
            if curve := curves.get(record.trial):
                facts["curve"] = [
                    [point.epoch for point in curve],
                    [round(point.top1_percent, 3) for point in curve],
                    [round(point.train_loss, 4) for point in curve],
                ]
        networks[str(record.trial)] = facts
    return {
        "study": data.study,
        "retrain": f"{data.typed('retrain', '--trial')} ",
        "two": tuple(data.front.objectives) == ("error_percent", "latency_ms"),
        "recommended": data.front.recommendation.trial,
        "baselines": {family: baseline.name for family, baseline in data.front.bases.items()},
        "choices": list(names),
        "ops": list(drawing.ops),
        "units": list(drawing.units),
        "networks": networks,
    }


def _facts(row: FrontRow) -> dict[str, Any]:
    record, cost, latency, score = row.record, row.cost, row.latency, row.score
    low, high = interval_ms(latency) or (None, None)
    return {
        "label": record.label,
        "family": record.family,
        "arch": record.arch_id,
        "top1": score.top1_percent,
        "epochs": score.epochs,
        "seed": score.seed,
        "split": score.split,
        "images": score.eval_images,
        "train_s": score.train_seconds,
        "ms": latency.corrected_ms,
        "low": low,
        "high": high,
        "p10": latency.p10_ms,
        "median": latency.median_ms,
        "p90": latency.p90_ms,
        "runs": latency.n,
        "converged": latency.converged,
        "params": cost.params,
        "macs": cost.macs,
        "uncounted": bool(cost.unsupported_ops),
        "memory": cost.memory_bytes,
    }


class _Drawings:
    """The parts of networks, with equal units and operations stored once."""

    def __init__(self, data: ReportData) -> None:
        self.ops: dict[Any, int] = {}
        self.units: dict[Any, int] = {}
        self._baselines = {family: _spec(family, base.choices) for family, base in data.front.bases.items()}

    def parts(self, record: Record) -> list[list[Any]]:
        """(name, indices of its units) of each part; empty for a network that this version cannot draw."""
        spec = _spec(record.family, record.choices)
        if spec is None:
            return []
        info = architecture_of(spec, self._baselines.get(record.family))
        return [[part.name, [self._unit(unit) for unit in part.units]] for part in info.parts]

    def _unit(self, unit: UnitDiagram) -> int:
        before, after = self._ops(unit.before), self._ops(unit.after)
        branches = tuple(self._ops(branch) for branch in unit.branches)
        return _place(self.units, (unit.name, unit.count, unit.sign, before, branches, after))

    def _ops(self, ops: Sequence[Op]) -> tuple[int, ...]:
        return tuple(_place(self.ops, (op.text, op.kind, op.sign)) for op in ops)


def _place(values: dict[Any, int], value: Any) -> int:
    """Where a value stands among those that were asked for, in the order of first use."""
    return values.setdefault(value, len(values))


def _spec(family: str, choices: Any) -> Spec | None:
    """The specification of stored choices; None if this version of the family does not know them."""
    if family not in FAMILIES:
        return None
    try:
        return FAMILIES[family].base.with_choices(choices)
    except ConfigError:
        return None
