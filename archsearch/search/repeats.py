"""Which networks of a study are measured a second time, and where that is stored: see `noise.noise_floor_of`."""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Collection, Sequence

from archsearch.noise import LEAST_REPEATS, Repeat
from archsearch.records import Latency
from archsearch.store.database import Database
from archsearch.store.measured import measured_networks, repeated_networks
from archsearch.store.studies import add_repeat

SIZES = (0.75, 1.5)  # latencies over the reference's that part small, middle and large networks
_BEHIND = 2  # so many repeats too few, and a network of any size is taken


class Repeats:
    """The repeats of one study.

    Args:
        database, study_id: the study.
        every: `LatencySettings.repeat_every`.
    """

    def __init__(self, database: Database, study_id: int, *, every: int) -> None:
        self._database = database
        self._study_id = study_id
        self._every = every

    def due(self, arch_id: str, latency: Latency, *, reference: str) -> str | None:
        """The network (its arch_id) that is to be measured a second time beside a trial whose latency is known by now.

        That is the trial's own as `is_due` says, and the reference's always; else the reference, while no trial of the
        study has it; else None. No network is measured so twice, but that two workers may begin at one moment.

        Args:
            arch_id, latency: of the trial.
            reference: the reference's arch_id.
        """
        if not self._every:
            return None
        repeated = repeated_networks(self._database, self._study_id)
        ratios = measured_networks(self._database, self._study_id) | {arch_id: latency.ratio_to_reference}
        if arch_id not in repeated and (
            arch_id == reference
            or is_due(
                latency.ratio_to_reference,
                measured=list(ratios.values()),
                repeated=[ratios[each] for each in repeated if each in ratios],
                every=self._every,
            )
        ):
            return arch_id
        return None if reference in repeated or reference in ratios else reference

    def store(self, repeat: Repeat, latency: Latency) -> None:
        """Store a repeat with the second measurement."""
        add_repeat(self._database, self._study_id, repeat, latency)


def is_due(ratio: float, *, measured: Collection[float], repeated: Sequence[float], every: int) -> bool:
    """Whether a network of this ratio to the reference is to be measured a second time.

    Of n networks min(3, n) + n // `every` are. When one is wanted, the next network is taken that is of the size
    (`SIZES`) that has the fewest repeats, of those that the study has measured at all; when two are, the next one.

    Args:
        ratio: of the network, to the reference.
        measured: ratios of all networks that were measured, this one among them.
        repeated: ratios of those that were measured a second time.
        every: above 0.
    """
    wanted = min(LEAST_REPEATS, len(measured)) + len(measured) // every - len(repeated)
    if wanted <= 0:
        return False
    if wanted >= _BEHIND or len(measured) <= LEAST_REPEATS:
        return True
    repeats = Counter(bisect(SIZES, each) for each in repeated)
    return repeats[bisect(SIZES, ratio)] == min(repeats[size] for size in {bisect(SIZES, each) for each in measured})
