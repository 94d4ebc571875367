"""Networks run without a pause for minutes: how much slower they become by heat, and whether they still rank alike.

What one minute says of a board without a fan is not what ten say: four systems on a chip ranked otherwise after half an
hour than after one minute, and one of them took twice as long (MegaDetector, issue 34). The reference runs in the same
turns, so ratios tell whether heat slows all alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from archsearch.analysis.tables import NETWORK
from archsearch.table import Column, InNotebooks, Table, table_of
from archsearch.text import duration, plural

SHARE = 0.1  # of the time: its beginning and its end are compared
_SLOWER = 0.05  # from which on a network is said to become slower


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One visit: when it ended, and each network's p10 in it, the reference's last (milliseconds)."""

    ended_seconds: float
    p10_ms: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class SustainedNetwork:
    """One network at the beginning and at the end: medians of its p10s over the turns there (milliseconds)."""

    label: str
    first_ms: float
    last_ms: float

    @property
    def slower(self) -> float:
        """0.1: it took 10 % longer at the end."""
        return self.last_ms / self.first_ms - 1.0


@dataclass(frozen=True, kw_only=True)
class Sustained(InNotebooks):
    """What became of networks under a sustained load: an `archsearch.table.Result`.

    Attributes:
        study, device: of which networks, and where they ran.
        seconds: how long.
        turns: how often each ran.
        networks: the fastest at the beginning first; the reference is not among them.
        reference: the network that ran in turn with them.
        contended: whether others may have used the device.
        state: what the device said of itself: clocks, heat, throttling.
    """

    study: str
    device: str
    seconds: float
    turns: int
    networks: tuple[SustainedNetwork, ...]
    reference: SustainedNetwork
    contended: bool
    state: tuple[tuple[str, str], ...] = ()
    empty: str | None = None
    method: ClassVar[str] = (
        "All networks and the reference run in turns, one after the other. First and last: median over the "
        f"turns of the first and the last {100.0 * SHARE:g} % of the time, of each turn's p10."
    )

    @property
    def moved(self) -> tuple[SustainedNetwork, ...]:
        """Networks with another place at the end than at the beginning."""
        by_end = sorted(self.networks, key=lambda each: each.last_ms)
        return tuple(one for one, other in zip(self.networks, by_end, strict=True) if one is not other)

    @property
    def title(self) -> str:
        """What was done."""
        return f"{duration(self.seconds)} without a pause: the front of study {self.study}"

    @property
    def subtitle(self) -> tuple[str, ...]:
        """Where, and how often."""
        said = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in self.state)
        return (f"{self.device} · {plural(self.turns, 'turn')}" + (f" · {said}" if said else ""),)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Whether they become slower, and whether they rank alike."""
        slower = [each for each in (*self.networks, self.reference) if each.slower > _SLOWER]
        worst = max((*self.networks, self.reference), key=lambda each: each.slower)
        heat = (
            f"{len(slower)} of {len(self.networks) + 1} networks become slower by more than {100.0 * _SLOWER:g} %, "
            f"{worst.label} the most: {worst.first_ms:.3f} ms at first, {worst.last_ms:.3f} ms in the end."
            if slower
            else f"No network becomes slower by more than {100.0 * _SLOWER:g} %."
        )
        order = (
            f"The order changes: {', '.join(each.label for each in self.moved)} have another place in the end."
            if self.moved
            else "The order of the networks is the same in the end."
        )
        return heat, order

    @property
    def warnings(self) -> tuple[str, ...]:
        """What else may have made them slower."""
        return ("other work used the device meanwhile, or it slowed itself down",) if self.contended else ()

    def tables(self) -> tuple[Table, ...]:
        """One line a network."""
        became = 1.0 + self.reference.slower
        return (
            table_of(
                "First and last",
                (*self.networks, self.reference),
                NETWORK,
                Column(title="First", key="first_ms", unit="ms", decimals=3),
                Column(title="Last", key="last_ms", unit="ms", decimals=3),
                (Column(title="Slower", key="slower_percent", unit="%", decimals=1), lambda each: 100.0 * each.slower),
                (
                    Column(title="Slower than the reference became", key="ratio_percent", unit="%", decimals=1),
                    lambda each: 100.0 * ((1.0 + each.slower) / became - 1.0),
                ),
            ),
        )


def ends_of(turns: Sequence[Turn], labels: Sequence[str]) -> tuple[SustainedNetwork, ...]:
    """Each network in the first and in the last `SHARE` of the time; at least one turn of each. Of at least two turns.

    Raises ValueError for fewer.
    """
    if len(turns) < 2:
        raise ValueError(f"a beginning and an end are two turns, got {len(turns)}")
    last = turns[-1].ended_seconds
    first = [turn.p10_ms for turn in turns if turn.ended_seconds <= SHARE * last] or [turns[0].p10_ms]
    end = [turn.p10_ms for turn in turns if turn.ended_seconds > (1.0 - SHARE) * last]
    begun, ended = np.median(np.array(first), axis=0), np.median(np.array(end), axis=0)
    return tuple(
        SustainedNetwork(label=label, first_ms=float(one), last_ms=float(other))
        for label, one, other in zip(labels, begun, ended, strict=True)
    )
