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
        every: `LatencySettings.repeat_every`, above 0.
        published: networks (their arch_ids) that are evaluated before all others; the reference may be one of them.
    """

    def __init__(self, database: Database, study_id: int, *, every: int, published: Collection[str] = ()) -> None:
        self._database = database
        self._study_id = study_id
        self._every = every
        self._published = published

    @property
    def are_few(self) -> bool:
        """Whether the study has not the repeats that a noise floor is computed from."""
        return len(repeated_networks(self._database, self._study_id)) < LEAST_REPEATS

    def due(self, arch_id: str, latency: Latency, *, reference: str) -> str | None:
        """The network (its arch_id) that is to be measured a second time beside a trial whose latency is known by now.

        That is the trial's own as `is_due` says, and the reference's always; else the reference, if it is no trial's
        network; else None. A network is repeated once, but that two workers may begin at one moment.

        Args:
            arch_id, latency: of the trial.
            reference: the reference's arch_id.
        """
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
        if arch_id in self._published or reference in repeated or reference in ratios:
            return None
        return reference

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
