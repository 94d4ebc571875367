"""How a study went: its hypervolume trial by trial, whether it still grows, and the curves of its trainings.

How the hypervolume would have grown had the same trials come in any other order stands beside how it did.

After each trial the hypervolume of all trials so far is measured from the study's one fixed reference point, as
`analysis.front` does: it never falls. Who is on the front then is decided as there, ties below the noise floor
included.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from archsearch.analysis.front import (
    DEFAULT_OBJECTIVES,
    MEASURED_OBJECTIVE,
    checked_reference,
    corner_text,
    noisy_latency,
)
from archsearch.analysis.intervals import Floats
from archsearch.analysis.means import TOLD_ELSEWHERE
from archsearch.analysis.objectives import complete_values
from archsearch.analysis.pareto import Noisy, hypervolume, non_dominated
from archsearch.errors import ConfigError
from archsearch.noise import NO_FLOOR, NoiseFloor
from archsearch.records import EarlyStop, Record, TrialStatus
from archsearch.table import ARCH_ID, NETWORK, TOP1, TRIAL, Column, InNotebooks, Table, table_of
from archsearch.text import plural

# What a study's `--trials` counts, and so what a search has spent.
COUNTED = (TrialStatus.COMPLETE, TrialStatus.STOPPED, TrialStatus.FAILED)
SHUFFLES = 40
FLAT = 0.001  # a growth of less than a thousandth of the hypervolume is none
_CHECKPOINTS = 60


@dataclass(frozen=True, kw_only=True)
class HistoryStep:
    """The hypervolume after one ended trial.

    Attributes:
        ended: trials that count and have ended, this one included (1 is the first).
        trial, label, arch_id, status: of the trial; stopped and failed ones add nothing, but they count.
        hypervolume, share: of all trials so far, as `Front` has them.
        on_front: whether the trial was on the front when it ended.
        seconds: wall time of all trials so far, those that do not count or were promoted among them; of several workers
            it is the sum.
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
class History(InNotebooks):
    """The hypervolume over a study: an `archsearch.table.Result`.

    Attributes:
        study: its name; "" without a record.
        objectives, reference_point, noise_floor: as the study's front has them.
        steps: one for each ended trial that counts, by trial number: the order in which trials were begun, which with
            several workers is nearly that in which they ended.
        shuffled: the same trials in random order. A search that learns lies above it for most of its length; one that
            draws at random lies within. It says nothing of networks that the search never tried.
        trials: ended trials that count, whether or not there are steps.
        reason: why there are no steps; "" if there are.
    """

    study: str
    objectives: tuple[str, ...]
    reference_point: tuple[float, ...] | None
    noise_floor: NoiseFloor
    steps: tuple[HistoryStep, ...]
    shuffled: tuple[ShuffledStep, ...]
    shuffles: int
    trials: int
    reason: str = ""
    warnings: ClassVar[tuple[str, ...]] = ()

    @property
    def title(self) -> str:
        """What is seen, of which study."""
        return f"Hypervolume over the trials: study {self.study}"

    @property
    def empty(self) -> str | None:
        """Why there is no hypervolume."""
        return None if self.steps else f"No hypervolume to show: {self.reason or 'no trials'}"

    @property
    def subtitle(self) -> tuple[str, ...]:
        """What it is a share of, and what stands beside it."""
        if not self.steps:
            return ()
        corner = corner_text(self.objectives, self.reference_point or ())
        band = f"; band: the same trials in {self.shuffles} random orders, middle 95 %" if self.shuffled else ""
        return (f"share of the box up to {corner}{band}",)

    @property
    def sentences(self) -> tuple[str, ...]:
        """How large it is, and which trial raised it last."""
        if not self.steps:
            return ()
        end, rises = self.steps[-1], self.rises
        last = f", {rises[-1].label} (after {rises[-1].ended:,}) the last" if rises else ""
        return (
            f"The hypervolume is {100.0 * end.share:.1f} % of the box after {plural(end.ended, 'trial')}; "
            f"{len(rises):,} of them raised it{last}.",
        )

    @property
    def method(self) -> str:
        """How the band is read."""
        if not self.shuffled:
            return ""
        return (
            "A search that learns lies above the band of random orders for most of its length; one that draws at "
            "random lies within. The band says nothing of networks that the search never tried."
        )

    @property
    def turns(self) -> tuple[HistoryStep, ...]:
        """The steps after which the hypervolume was another one, and the first and the last."""
        before = (None, *(step.share for step in self.steps))
        pairs = zip(self.steps, before, strict=False)
        return tuple(step for step, share in pairs if step.share != share or step is self.steps[-1])

    @property
    def rises(self) -> tuple[HistoryStep, ...]:
        """The steps of the trials that made it larger."""
        before = (0.0, *(step.share for step in self.steps))
        return tuple(step for step, share in zip(self.steps, before, strict=False) if step.share > share)

    def tables(self) -> tuple[Table, ...]:
        """The trials that changed it, and the random orders."""
        return (
            table_of(
                "Trials that raised it, and the last",
                self.turns,
                Column(title="Ended", decimals=0),
                TRIAL,
                NETWORK,
                Column(title="Status"),
                Column(title="Hypervolume", decimals=4),
                Column(title="Share", decimals=4),
                Column(title="On the front then", key="on_front"),
                Column(title="Time of all trials", key="seconds", unit="s", decimals=1),
                ARCH_ID,
            ),
            table_of(
                "The same trials in random orders",
                self.shuffled,
                Column(title="Ended", decimals=0),
                (Column(title="Mean", key="share_mean", decimals=4), lambda step: step.mean),
                (Column(title="Low", key="share_low", decimals=4), lambda step: step.low),
                (Column(title="High", key="share_high", decimals=4), lambda step: step.high),
                wide=True,
            ),
        )


def hypervolume_history(
    records: Sequence[Record],
    objectives: Sequence[str] = DEFAULT_OBJECTIVES,
    reference_point: Sequence[float] | None = None,
    *,
    noise_floor: NoiseFloor | float = NO_FLOOR,
    shuffles: int = SHUFFLES,
) -> History:
    """The history of these records.

    Args:
        records: of one study, of any status.
        reference_point: one value for each objective; without it there are no steps.
        noise_floor: the study's; a number is a share.
        shuffles: random orders; 0 for none.

    Raises ConfigError for other than 2 or 3 objectives, or a reference point that does not fit them.
    """
    corner = checked_reference(objectives, reference_point, of="a hypervolume")
    ordered = sorted(records, key=lambda record: record.trial)
    counted = [record for record in ordered if record.status in COUNTED]
    reason = ""
    if not counted:
        reason = "no trial has ended yet" if not records else "no trial that counts has ended"
    elif corner is None:
        reason = "the study has no reference point, so there is no hypervolume"
    history = History(
        study=records[0].study if records else "",
        objectives=tuple(objectives),
        reference_point=corner,
        noise_floor=NoiseFloor.given(noise_floor),
        steps=(),
        shuffled=(),
        shuffles=0,
        trials=len(counted),
        reason=reason,
    )
    if reason or corner is None:
        return history
    known = {record.trial: row for record, row in zip(*complete_values(counted, objectives), strict=True)}
    missing = np.full(len(objectives), np.nan)  # a trial without finite values is on no front
    values = np.array([known.get(record.trial, missing) for record in counted])
    volumes, joined = _growth(values, corner, noisy_latency(objectives, history.noise_floor))
    total, seconds = 0.0, {}
    for record in ordered:
        total += 0.0 if record.status is TrialStatus.RUNNING else record.seconds or 0.0
        seconds[record.trial] = total
    steps = tuple(
        HistoryStep(
            ended=index + 1,
            trial=record.trial,
            label=record.label,
            arch_id=record.arch_id,
            status=record.status,
            hypervolume=volumes[index],
            share=volumes[index] / math.prod(corner),
            on_front=joined[index],
            seconds=seconds[record.trial],
        )
        for index, record in enumerate(counted)
    )
    if len(counted) < 2:
        return replace(history, steps=steps)
    return replace(history, steps=steps, shuffled=_shuffled(values, corner, shuffles), shuffles=shuffles)


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

    Only the plain front (without noise) of the points so far is kept, and its members under the noise floor. That is
    exact: whatever dominates a point also dominates those that it is plainly better than. So a plainly dominated point
    is in the kernel of `pareto.non_dominated` only beside a member that equals it in the exact objectives, and there it
    adds neither volume nor anything that it alone dominates.
    """
    front = members = np.empty((0, values.shape[1]))
    volumes: list[float] = []
    joined: list[bool] = []
    volume = 0.0
    for point in values:
        known = not np.isnan(point).any()
        if known and not (front <= point).all(axis=1).any():
            front = np.vstack([front[~(front >= point).all(axis=1)], point])
            members = front[non_dominated(front, noisy)]
            volume = _volume(front, corner)
        joined.append(known and bool(non_dominated(np.vstack([members, point]), noisy)[-1]))
        volumes.append(volume)
    return volumes, joined


def _shuffled(values: Floats, corner: tuple[float, ...], shuffles: int) -> tuple[ShuffledStep, ...]:
    if shuffles < 1:
        return ()
    count, box = len(values), math.prod(corner)
    stops = np.unique(np.geomspace(1, count, min(count, _CHECKPOINTS)).round().astype(int))
    generator = np.random.default_rng(0)
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


@dataclass(frozen=True, kw_only=True)
class Plateau:
    """What the last trials added.

    Attributes:
        before: hypervolume of the trials before them (product of the objectives' units), above 0.
        after: hypervolume with them, where their latencies count as slower by the study's noise floor: a network that
            is faster by less than the floor may be so by luck, and has gained nothing.
    """

    before: float
    after: float

    @property
    def growth(self) -> float:
        """What the last trials added, as a share of the hypervolume before them."""
        return (self.after - self.before) / self.before

    @property
    def flat(self) -> bool:
        """Whether that is nothing worth going on for (less than `FLAT`)."""
        return self.growth < FLAT


def plateau_of(
    records: Sequence[Record],
    objectives: Sequence[str],
    reference_point: Mapping[str, float] | None,
    *,
    trials: int,
    noise_floor: NoiseFloor | float = NO_FLOOR,
) -> Plateau | None:
    """What the last `trials` ended trials added to the hypervolume.

    Args:
        records: of any status, in any order. Complete, stopped and failed ones count; repeats and rejected ones do
            not, as for `--trials`.
        reference_point: the study's, by objective; None while it has none.
        trials: how many of the last ones to look at, by number.
        noise_floor: the difference of two latencies from which on they differ; a number is a share.

    Returns:
        None while nothing can be said: no reference point, no trials before the last ones, or none of them better
        than the reference point.

    Raises ConfigError if `trials` is below 1.
    """
    if trials < 1:
        raise ConfigError(f"a plateau is of at least 1 trial, got {trials}")
    ended = sorted((record for record in records if record.status in COUNTED), key=lambda record: record.trial)
    if reference_point is None or len(ended) <= trials:
        return None
    corner = [reference_point[name] for name in objectives]
    _, first = complete_values(ended[:-trials], objectives)
    before = hypervolume(first, corner)
    if before <= 0.0:
        return None
    _, last = complete_values(ended[-trials:], objectives)
    if MEASURED_OBJECTIVE in objectives:
        column = list(objectives).index(MEASURED_OBJECTIVE)
        last[:, column] = NoiseFloor.given(noise_floor).upper(last[:, column])
    return Plateau(before=before, after=hypervolume(np.concatenate([first, last]), corner))


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """One training: top-1 (percent) after each epoch, the first of which is 1.

    Attributes:
        stopped: whether a stopping rule ended it; `rule` says what a rule said of it, whether or not it was followed.
        stop_epoch: the epoch after which the rule spoke; None if it never did.
    """

    trial: int
    label: str
    epochs: tuple[int, ...]
    top1_percent: tuple[float, ...]
    on_front: bool
    variant: bool
    stopped: bool
    rule: str = ""
    stop_epoch: int | None = None


@dataclass(frozen=True, kw_only=True)
class LearningCurves(InNotebooks):
    """The learning curves of a study: an `archsearch.table.Result`.

    Attributes:
        counts: in words: trainings, early stops, and what has no curve.
    """

    study: str
    curves: tuple[LearningCurve, ...]
    splits: tuple[str, ...]
    counts: str
    sentences: tuple[str, ...] = ()
    method: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What is seen, of which study."""
        return f"Learning curves: study {self.study}"

    @property
    def subtitle(self) -> tuple[str, ...]:
        """How many trainings there were, and how they ended."""
        return (self.counts,) if self.counts else ()

    @property
    def empty(self) -> str | None:
        """Why there is no curve."""
        return None if self.curves else f"No learning curve to show ({self.counts or 'no trainings'})"

    def tables(self) -> tuple[Table, ...]:
        """The curves."""
        return (
            table_of(
                "Curves",
                self.curves,
                TRIAL,
                NETWORK,
                (Column(title="Epochs", decimals=0), lambda each: each.epochs[-1]),
                (replace(TOP1, title="Last top-1"), lambda each: each.top1_percent[-1]),
                Column(title="On the front", key="on_front"),
                Column(title="Stopped"),
                Column(title="Stop epoch", decimals=0),
                (Column(title="Rule", wide=True), lambda each: each.rule or None),
                (
                    Column(title="Top-1 after each epoch (%)", key="curve_percent", wide=True),
                    lambda each: ", ".join(f"{value:.6g}" for value in each.top1_percent),
                ),
            ),
        )


def learning_curves(records: Sequence[Record], front: Sequence[int], *, study: str) -> LearningCurves:
    """The curves of these records.

    Args:
        records: of any status, with their curves; those that were not trained, or whose curve is not at hand, are
            counted and have none. Of a trial that was promoted it is the curve of the one that went on with it.
        front: numbers of the trials on the front.
    """
    members = set(front)
    trained = [record for record in records if record.score is not None and record.status not in TOLD_ELSEWHERE]
    curves = [curve for record in trained if (curve := _curve(record, record.trial in members)) is not None]
    stopped = sum(record.status is TrialStatus.STOPPED for record in trained)
    spared = sum(bool(record.early_stop and not record.early_stop.stopped) for record in trained)
    failed = sum(record.status is TrialStatus.FAILED for record in records)
    # of the whole schedules: a training that was stopped has fewer
    whole = [each.score for each in trained if each.status is not TrialStatus.STOPPED and each.score is not None]
    epochs = " / ".join(map(str, sorted({score.epochs for score in whole if score.curve})))
    trainings = len({(record.arch_id, record.score) for record in trained})  # one for all names of a network
    counts = [
        plural(trainings, "training") + (f" of {plural(epochs, 'epoch')}" if epochs else ""),
        f"{stopped:,} stopped early" if stopped else "none stopped early",
        f"{spared:,} spared though the rule spoke" if spared else "",
        f"{failed:,} failed without a score" if failed else "",
        f"{len(trained) - len(curves):,} without a stored curve" if len(curves) < len(trained) else "",
    ]
    return LearningCurves(
        study=study,
        curves=tuple(curves),
        splits=tuple(sorted({record.score.split for record in trained if record.score is not None})),
        counts="; ".join(part for part in counts if part) if trained else "",
    )


def _curve(record: Record, on_front: bool) -> LearningCurve | None:
    points = [] if record.score is None else [each for each in record.score.curve if math.isfinite(each.top1_percent)]
    if not points:
        return None
    said = record.early_stop
    stopped = record.status is TrialStatus.STOPPED
    return LearningCurve(
        trial=record.trial,
        label=record.label,
        epochs=tuple(each.epoch for each in points),
        top1_percent=tuple(each.top1_percent for each in points),
        on_front=on_front,
        variant=record.variant is not None,
        stopped=stopped,
        rule=_rule_text(said) if said is not None else (record.reason or "") if stopped else "",
        stop_epoch=said.epoch if said is not None else points[-1].epoch if stopped else None,
    )


def _rule_text(said: EarlyStop) -> str:
    text = f"rule {said.policy} after epoch {said.epoch} of {said.of_epochs}, at {said.error_percent:.2f} % error"
    if said.expected_error_percent is not None:
        text += f": expected {said.expected_error_percent:.2f} % at the end"
        if said.optimistic_error_percent is not None:
            text += f", at best {said.optimistic_error_percent:.2f} %"
    return text if said.stopped else f"{text}; it went on: {said.exempt or 'the rule was not followed'}"
