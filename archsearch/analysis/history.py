"""How a study's hypervolume grew, trial by trial, and how it would have grown had the same trials come in any order.

After each trial the hypervolume of all trials so far is measured from the study's one fixed reference point, as
`analysis.front` does: it never falls. Who is on the front then is decided as there, ties below the noise floor
included.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archsearch.analysis.front import DEFAULT_OBJECTIVES, noisy_latency
from archsearch.analysis.objectives import is_complete, objective_values, resolve_objectives
from archsearch.analysis.pareto import Noisy, hypervolume, non_dominated
from archsearch.errors import ConfigError
from archsearch.noise import NO_FLOOR, NoiseFloor
from archsearch.records import Record, TrialStatus

Floats = NDArray[np.float64]

# What a study's `--trials` counts, and so what a search has spent.
COUNTED = (TrialStatus.COMPLETE, TrialStatus.STOPPED, TrialStatus.FAILED)
_SPENT = (*COUNTED, TrialStatus.REJECTED, TrialStatus.REPLAY)
SHUFFLES = 40
_CHECKPOINTS = 60


@dataclass(frozen=True, kw_only=True)
class HistoryStep:
    """The hypervolume after one ended trial.

    Attributes:
        ended: trials that count and have ended, this one included (1 is the first).
        trial, label, arch_id, status: of the trial; stopped and failed ones add nothing, but they count.
        hypervolume, share: of all trials so far, as `Front` has them.
        on_front: whether the trial was on the front when it ended.
        seconds: wall time of all trials so far, those that do not count among them; of several workers it is the sum.
    """

    ended: int
    trial: int
    label: str
    arch_id: str
    status: TrialStatus
    hypervolume: float
    share: float
    on_front: bool
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ShuffledStep:
    """The share after this many of the same trials in random order: mean, and the middle 95% of the shuffles."""

    ended: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class History:
    """The hypervolume over a study.

    Attributes:
        objectives, reference_point, noise_floor: as the study's front has them.
        steps: one for each ended trial that counts, by trial number: the order in which trials were begun, which with
            several workers is nearly that in which they ended.
        shuffled: the same trials in random order. A search that learns lies above it for most of its length; one that
            draws at random lies within. It says nothing of networks that the search never tried.
        shuffles: how many random orders.
        trials: ended trials that count, whether or not there are steps.
        reason: why there are no steps; "" if there are.
    """

    objectives: tuple[str, ...]
    reference_point: tuple[float, ...] | None
    noise_floor: NoiseFloor
    steps: tuple[HistoryStep, ...]
    shuffled: tuple[ShuffledStep, ...]
    shuffles: int
    trials: int
    reason: str = ""

    def _repr_html_(self) -> str:
        from archsearch.analysis.display import html_of

        return html_of(self)


def hypervolume_history(
    records: Sequence[Record],
    objectives: Sequence[str] = DEFAULT_OBJECTIVES,
    reference_point: Sequence[float] | None = None,
    *,
    noise_floor: NoiseFloor | float = NO_FLOOR,
    shuffles: int = SHUFFLES,
    seed: int = 0,
) -> History:
    """The history of these records.

    Args:
        records: of one study, of any status.
        objectives: 2 or 3 names of OBJECTIVES.
        reference_point: one value for each objective; without it there are no steps.
        noise_floor: the study's; a number is a share.
        shuffles: random orders; 0 for none.
        seed: of the random orders.

    Raises ConfigError for other than 2 or 3 objectives, or a reference point that does not fit them.
    """
    floor = NoiseFloor.given(noise_floor)
    resolve_objectives(objectives)
    if len(objectives) not in (2, 3):
        raise ConfigError(f"objectives: 2 or 3 are needed for a hypervolume, got {len(objectives)}")
    if reference_point is not None and len(reference_point) != len(objectives):
        raise ConfigError(f"reference_point: one value for each of {', '.join(objectives)} is needed")
    corner = None if reference_point is None else tuple(float(value) for value in reference_point)
    ordered = sorted(records, key=lambda record: record.trial)
    counted = [record for record in ordered if record.status in COUNTED]
    reason = ""
    if not counted:
        reason = "no trial has ended yet" if not records else "no trial that counts has ended"
    elif corner is None:
        reason = "the study has no reference point, so there is no hypervolume"
    if reason or corner is None:
        return History(
            objectives=tuple(objectives),
            reference_point=corner,
            noise_floor=floor,
            steps=(),
            shuffled=(),
            shuffles=0,
            trials=len(counted),
            reason=reason,
        )
    noisy = noisy_latency(objectives, floor)
    values = _values(counted, objectives)
    box = math.prod(corner)
    volumes, joined = _growth(values, corner, noisy)
    seconds = _spent(ordered)
    steps = tuple(
        HistoryStep(
            ended=index + 1,
            trial=record.trial,
            label=record.label,
            arch_id=record.arch_id,
            status=record.status,
            hypervolume=volumes[index],
            share=volumes[index] / box,
            on_front=joined[index],
            seconds=seconds[record.trial],
        )
        for index, record in enumerate(counted)
    )
    return History(
        objectives=tuple(objectives),
        reference_point=corner,
        noise_floor=floor,
        steps=steps,
        shuffled=_shuffled(values, corner, shuffles, seed) if len(counted) > 1 else (),
        shuffles=shuffles if len(counted) > 1 else 0,
        trials=len(counted),
    )


def _values(records: Sequence[Record], objectives: Sequence[str]) -> Floats:
    """(n, m), a row of NaN for a trial that has no finite values: it is on no front."""
    values = np.full((len(records), len(objectives)), np.nan)
    complete = [index for index, record in enumerate(records) if is_complete(record)]
    found = objective_values([records[index] for index in complete], objectives)
    finite = np.isfinite(found).all(axis=1)
    values[np.array(complete, dtype=np.int64)[finite]] = found[finite]
    return values


def _spent(ordered: Sequence[Record]) -> dict[int, float]:
    total, found = 0.0, {}
    for record in ordered:
        if record.status in _SPENT:
            total += record.seconds or 0.0
        found[record.trial] = total
    return found


def _kept(front: Floats, noisy: Noisy | None) -> Floats:
    """The members of a plain front that stand beside each other under the noise floor.

    With two objectives they are a chain: from the best in the exact objective on, each next one is the first that is
    faster than the last by more than the floor.
    """
    if noisy is None:
        return front
    if front.shape[1] != 2:
        return front[non_dominated(front, noisy)]
    ordered = front[np.argsort(front[:, 1 - noisy.column])]
    falling = -noisy.floor.upper(ordered[:, noisy.column])  # grows along the front
    chain, place = [], 0
    while place < len(ordered):
        chain.append(place)
        place = max(place + 1, int(np.searchsorted(falling, -ordered[place, noisy.column], side="right")))
    return np.asarray(ordered[chain])


def _volume(front: Floats, corner: tuple[float, ...]) -> float:
    """As `pareto.hypervolume`, of points that do not dominate each other; of two objectives in one go."""
    if front.shape[1] != 2:
        return hypervolume(front, corner)
    inside = front[(front < np.array(corner)).all(axis=1)]
    steps = inside[np.argsort(inside[:, 0])]
    ends = np.append(steps[1:, 0], corner[0])
    return float(((ends - steps[:, 0]) * (corner[1] - steps[:, 1])).sum())


def _growth(values: Floats, corner: tuple[float, ...], noisy: Noisy | None) -> tuple[list[float], list[bool]]:
    """The volume after each point, and whether each was on the front then.

    Only the plain front (without noise) of the points so far is kept. That is exact: whatever dominates a point also
    dominates those that it is plainly better than. So a plainly dominated point is in the kernel of
    `pareto.non_dominated` only beside a better member that equals it in the exact objectives, and there it adds neither
    volume nor anything that it alone dominates.
    """
    front = np.empty((0, values.shape[1]))
    volumes: list[float] = []
    joined: list[bool] = []
    volume = 0.0
    kept = front
    for point in values:
        if np.isnan(point).any():
            volumes.append(volume)
            joined.append(False)
            continue
        if not (front <= point).all(axis=1).any():
            front = np.vstack([front[~(front >= point).all(axis=1)], point])
            kept = _kept(front, noisy)
            volume = _volume(front, corner)
        joined.append(bool((kept == point).all(axis=1).any()) or _ties(kept, point, noisy))
        volumes.append(volume)
    return volumes, joined


def _ties(kept: Floats, point: Floats, noisy: Noisy | None) -> bool:
    """Whether a point that the plain front lacks is in the kernel: equal to a member, slower within the floor."""
    if noisy is None:
        return False
    others = np.delete(np.arange(kept.shape[1]), noisy.column)
    same = kept[(kept[:, others] == point[others]).all(axis=1)]
    return bool(len(same)) and noisy.tie(float(same[:, noisy.column].min()), float(point[noisy.column]))


def _shuffled(values: Floats, corner: tuple[float, ...], shuffles: int, seed: int) -> tuple[ShuffledStep, ...]:
    if shuffles < 1:
        return ()
    count, box = len(values), math.prod(corner)
    stops = np.unique(np.geomspace(1, count, min(count, _CHECKPOINTS)).round().astype(int))
    generator = np.random.default_rng(seed)
    shares = np.zeros((shuffles, len(stops)))
    for row in shares:
        order = generator.permutation(count)
        front, start = np.empty((0, values.shape[1])), 0
        for place, stop in enumerate(stops.tolist()):
            chunk = values[order[start:stop]]
            both = np.vstack([front, chunk[~np.isnan(chunk).any(axis=1)]])
            front = np.unique(both[non_dominated(both)], axis=0)
            row[place] = _volume(front, corner) / box
            start = stop
    low, high = np.quantile(shares, (0.025, 0.975), axis=0)
    return tuple(
        ShuffledStep(ended=int(stop), mean=float(mean), low=float(below), high=float(above))
        for stop, mean, below, above in zip(stops, shares.mean(axis=0), low, high, strict=True)
    )
