"""The records of a design by point and seed: what completed, what did not and why, and what is still to come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from archsearch.analysis.objectives import is_complete
from archsearch.designs import Design
from archsearch.records import Record, TrialStatus
from archsearch.text import some_of

_UNDER_WAY = (TrialStatus.RUNNING, TrialStatus.INTERRUPTED)


@dataclass(frozen=True, kw_only=True)
class MissingTrial:
    """A trial of a design that ended without completing.

    Attributes:
        point: the point's name.
        seed: None where it is not known: a trial that never got a score does not tell it.
        why: its status and reason.
    """

    point: str
    seed: int | None
    why: str


@dataclass(frozen=True, kw_only=True)
class Cells:
    """The trials of a design.

    Attributes:
        complete: by the point's name and the seed; the first of several.
        missing: trials that ended without completing, by trial number.
        pending: trials that have not ended, or not begun.
    """

    complete: Mapping[tuple[str, int], Record]
    missing: tuple[MissingTrial, ...]
    pending: int


def cells_of(records: Sequence[Record], design: Design) -> Cells:
    """The cells of a design. Records of other points or seeds are left out.

    A record that counts as complete but lacks its cost, latency or score is missing.
    """
    names, seeds = {point.name for point in design.points}, set(design.seeds)
    complete: dict[tuple[str, int], Record] = {}
    ended: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda record: record.trial):
        if record.point is None or record.point not in names or record.status in _UNDER_WAY:
            continue
        if is_complete(record) and record.score is not None:
            if record.score.seed in seeds:
                complete.setdefault((record.point, record.score.seed), record)
        else:
            ended.setdefault(record.point, []).append(record)
    missing: list[MissingTrial] = []
    pending = 0
    for point in design.points:
        open_seeds = [seed for seed in design.seeds if (point.name, seed) not in complete]
        failed = ended.get(point.name, [])
        told = {record.score.seed for record in failed if record.score is not None}
        unknown = [seed for seed in open_seeds if seed not in told]
        silent = sum(record.score is None for record in failed)
        for record in failed:
            seed = None if record.score is None else record.score.seed
            if seed is None and silent >= len(unknown):  # no other seed is left for them
                seed = unknown.pop(0) if unknown else None
                silent -= 1
            missing.append(MissingTrial(point=point.name, seed=seed, why=_why(record)))
        pending += max(0, len(open_seeds) - len(failed))
    return Cells(complete=complete, missing=tuple(missing), pending=pending)


def _why(record: Record) -> str:
    what = "without a result" if record.status is TrialStatus.COMPLETE else record.status.value
    return f"{what}: {record.reason}" if record.reason else what


def cell_warnings(cells: Cells, design: Design) -> tuple[str, ...]:
    """What a reader must know of trials that have no result."""
    texts = []
    if cells.missing:
        named = [
            f"{each.point}{'' if each.seed is None else f' with seed {each.seed}'} ({each.why})"
            for each in cells.missing
        ]
        texts.append(f"without a result, so left out with their pairs: {some_of(named, 8)}")
    if cells.pending:
        texts.append(f"not finished: {cells.pending} of {design.size} trials have no result yet")
    return tuple(texts)
