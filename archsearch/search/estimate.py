"""How long a piece of work will take, and what that is known from. Nothing here imports torch."""

from __future__ import annotations

import heapq
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from archsearch.records import Record, TrialStatus
from archsearch.text import plural, rough_duration

OWN_TRIALS = "from this study's own trials"

_ONE_BY_ONE = 1000  # pieces that are given out one after the other; a study may ask for any number


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """How long some pieces of work (trials, trainings) will take that workers share.

    Attributes:
        first_seconds: of each of the first pieces, in the order in which they are begun.
        others, other_seconds: how many follow, and what each takes.
        workers: how many work at once; None: there are no workers to speak of.
        basis: what it is known from, in words.
        at_most: whether it may well be less: a stopping rule ends trainings early.
        before_seconds: until the first piece is begun.
    """

    basis: str
    first_seconds: tuple[float, ...] = ()
    others: int = 0
    other_seconds: float = 0.0
    workers: int | None = None
    at_most: bool = False
    before_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """Until the last piece has ended: whoever is free takes the next one."""
        workers = self.workers or 1
        rounds = max(self.others - _ONE_BY_ONE, 0) // workers  # of equal pieces, one for each worker
        left = self.others - rounds * workers
        free = [self.before_seconds] * workers
        for each in (*self.first_seconds, *(self.other_seconds,) * left):
            heapq.heapreplace(free, free[0] + each)
        return max(free) + rounds * self.other_seconds

    @property
    def pieces(self) -> int:
        """How many there are."""
        return len(self.first_seconds) + self.others

    def work_seconds(self, begin: int, end: int) -> float:
        """What the pieces from `begin` to before `end` take together, one after the other."""
        others = max(end - max(begin, len(self.first_seconds)), 0)
        return sum(self.first_seconds[begin:end]) + others * self.other_seconds

    def last(self, pieces: int) -> Estimate:
        """Of so many pieces from the end, or all."""
        first = max(pieces - self.others, 0)
        kept = self.first_seconds[len(self.first_seconds) - min(first, len(self.first_seconds)) :]
        return replace(self, first_seconds=kept, others=min(pieces, self.others))

    def within(self, seconds: float) -> int:
        """How many pieces, from the first on, are begun and ended within this time."""
        low, high = 0, self.pieces
        while low < high:
            middle = (low + high + 1) // 2
            first = self.first_seconds[:middle]
            fits = replace(self, first_seconds=first, others=middle - len(first)).seconds <= seconds
            low, high = (middle, high) if fits else (low, middle - 1)
        return low

    @property
    def text(self) -> str:
        """`25 min with 2 workers (from this study's own trials)`."""
        most = "at most " if self.at_most else ""
        by = "" if self.workers is None else f" with {plural(self.workers, 'worker')}"
        return f"{most}{rough_duration(self.seconds)}{by} ({self.basis})"

    @property
    def sentence(self) -> str:
        """The same, as every command says it."""
        return f"estimated time: {self.text}"


def own_trials_estimate(
    records: Sequence[Record], *, epochs: int, train_images: int, trials: int, workers: int, stopping: bool
) -> Estimate | None:
    """What so many trials more will take, by what the suggested ones of the study took (mean).

    None where no more of them than workers were trained. The published networks come first, only once, and are larger
    than most suggestions: they say little of those.

    Args:
        records: in the order of their trials.
        epochs, train_images: of the trials to come; what a whole training took is scaled to them.
        stopping: whether they may be stopped early, as some of the study's own were; else those do not count.
    """
    ended = (TrialStatus.COMPLETE, TrialStatus.STOPPED) if stopping else (TrialStatus.COMPLETE,)
    before: dict[str, float] = {}  # what a network took until it was promoted
    suggested: list[float] = []
    for record in records:
        if record.variant is not None or not record.seconds or record.score is None:
            continue
        seconds = before.get(record.arch_id, 0.0) + record.seconds
        if record.status is TrialStatus.INTERRUPTED:
            before[record.arch_id] = seconds
        elif record.status in ended:
            trained = record.score.epochs * record.score.train_images
            whole = record.status is TrialStatus.COMPLETE
            suggested.append(seconds * (epochs * train_images / trained if whole else 1.0))
    if len(suggested) <= workers:
        return None
    return Estimate(others=max(trials, 0), other_seconds=statistics.fmean(suggested), workers=workers, basis=OWN_TRIALS)
