"""Which networks of a study are measured a second time, and where that is stored: see `noise.noise_floor_of`."""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Collection, Sequence

from archsearch.noise import LEAST_REPEATS, Repeat
from archsearch.records import Latency
from archsearch.store.database import Database
from archsearch.store.measured import measured_networks
from archsearch.store.studies import add_repeat, find_study

SIZES = (0.75, 1.5)  # latencies over the reference's that part small, middle and large networks
_BEHIND = 2  # so many repeats too few, and a network of any size is taken


class Repeats:
    """The repeats of one study.

    Args:
        database, study: the study, by its name.
        every: `LatencySettings.repeat_every`.
    """

    def __init__(self, database: Database, study: str, *, every: int) -> None:
        self._database = database
        self._study = study
        self._every = every

    def due(self, arch_id: str, latency: Latency) -> bool:
        """Whether a network whose latency is known by now is to be measured a second time."""
        if not self._every:
            return False
        info = find_study(self._database, self._study)
        repeated = {repeat.arch_id for repeat in info.repeats}
        ratios = measured_networks(self._database, info.id)
        if arch_id in repeated or latency.reference_p10_ms <= 0.0:
            return False
        ratios[arch_id] = latency.ratio_to_reference
        return is_due(
            latency.ratio_to_reference,
            measured=list(ratios.values()),
            repeated=[ratios[each] for each in repeated if each in ratios],
            every=self._every,
        )

    def store(self, repeat: Repeat, latency: Latency) -> None:
        """Store a repeat with the second measurement."""
        add_repeat(self._database, find_study(self._database, self._study).id, repeat, latency)


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
