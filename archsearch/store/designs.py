"""Designs in the database: in the configuration of their study, and as keys that stand in place of a variant's name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import select

from archsearch.designs import Design, DesignPoint
from archsearch.store.database import Database
from archsearch.store.retry import retried
from archsearch.store.schema import StudyRow

DESIGN = "design"  # the key of StudyInfo.config
_KEY = re.compile(r"@(\d+)#(\d+)")
_POINT_FIELDS = frozenset(field.name for field in fields(DesignPoint))
_DESIGN_FIELDS = frozenset(field.name for field in fields(Design))


def trial_key(index: int, seed: int) -> str:
    """What names the trial of a design's point (by its place) with a seed; no network is called so."""
    return f"@{index}#{seed}"


def parse_key(key: str | None) -> tuple[int, int] | None:
    """Place and seed of a key that `trial_key` made; None for everything else."""
    found = None if key is None else _KEY.fullmatch(key)
    return None if found is None else (int(found[1]), int(found[2]))


def trial_keys(design: Design) -> tuple[str, ...]:
    """The keys of every trial of a design, in order of evaluation: all points with the first seed first."""
    return tuple(trial_key(index, seed) for seed in design.seeds for index in range(len(design.points)))


def point_of(key: str | None, design: Design) -> DesignPoint | None:
    """The point that a key names; None if it names none of this design."""
    parsed = parse_key(key)
    return None if parsed is None or parsed[0] >= len(design.points) else design.points[parsed[0]]


def design_of(config: Mapping[str, Any]) -> Design | None:
    """The design in a study's stored configuration; None if it has none. Keys of other versions are left out."""
    facts = config.get(DESIGN)
    if facts is None:
        return None
    known = {key: value for key, value in facts.items() if key in _DESIGN_FIELDS}
    points = tuple(
        DesignPoint(**{key: value for key, value in point.items() if key in _POINT_FIELDS}) for point in facts["points"]
    )
    return Design(**{**known, "points": points, "seeds": tuple(facts["seeds"])})


@retried
def widen_design(database: Database, study_id: int, seeds: Sequence[int]) -> tuple[int, ...]:
    """Store further seeds of a study's design behind those that it has; returns all of them."""
    with database.writing() as session:
        row = session.scalars(select(StudyRow).where(StudyRow.id == study_id).with_for_update(key_share=True)).one()
        facts = row.config[DESIGN]
        union = tuple(dict.fromkeys([*facts["seeds"], *seeds]))
        if union != tuple(facts["seeds"]):
            row.config = {**row.config, DESIGN: {**facts, "seeds": list(union)}}
        return union
