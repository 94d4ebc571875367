"""What `comparison` takes and finds: sides, and what they say of the networks that they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from archsearch.analysis.conditions import Conditions
from archsearch.noise import NO_FLOOR, NoiseFloor
from archsearch.records import Record


@dataclass(frozen=True, kw_only=True)
class Side:
    """One study, or one device of a study, to be compared.

    Attributes:
        name: for people; the names of a comparison's sides differ.
        records: of any status; complete ones count.
        noise_floor: difference of two latencies from which on they differ here.
        facts: what the study says of itself that could differ: its dataset, for one.
    """

    name: str
    records: tuple[Record, ...]
    noise_floor: NoiseFloor = NO_FLOOR
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SharedNetwork:
    """One network that every side has; each tuple has one value for each side.

    Attributes:
        label: the variant's name, or the label in the first side.
        error_percent, latency_ms: the median over the side's records of the network.
        records: how many that were.
        on_front: whether it is on the side's front of the shared networks alone, ties below the noise floor included.
    """

    arch_id: str
    label: str
    error_percent: tuple[float, ...]
    latency_ms: tuple[float, ...]
    records: tuple[int, ...]
    on_front: tuple[bool, ...]

    def values(self, objective: str) -> tuple[float, ...]:
        """The network's value in each side: of `latency_ms` or `error_percent`."""
        return self.latency_ms if objective == "latency_ms" else self.error_percent


@dataclass(frozen=True, kw_only=True)
class RankCorrelation:
    """How alike two sides rank the shared networks by one objective.

    Attributes:
        first, second: the sides' names.
        n: networks.
        kendall, spearman: None where a side has fewer than 2 networks or all values equal; `reason` says so.
        kendall_low, ...: the intervals; None below MIN_INTERVAL networks, and where all pairs agree or all disagree.
    """

    objective: str
    first: str
    second: str
    n: int
    kendall: float | None = None
    kendall_low: float | None = None
    kendall_high: float | None = None
    spearman: float | None = None
    spearman_low: float | None = None
    spearman_high: float | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Mover:
    """A network that two sides rank differently.

    Attributes:
        from_rank, to_rank: in the first and the second side, 1 the best; equal values share their mean rank.
        reversed_pairs: networks that it is better than on one side and worse on the other, in latency by more than the
            noise floor of each side.
    """

    objective: str
    first: str
    second: str
    arch_id: str
    label: str
    from_rank: float
    to_rank: float
    reversed_pairs: int

    @property
    def places(self) -> float:
        """Places lost from the first side to the second; negative if it gained."""
        return self.to_rank - self.from_rank


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Something in which the sides were not treated alike, with the value on each side."""

    what: str
    values: tuple[str, ...]
    consequence: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Several sides, and what they say of the networks that all of them have.

    Attributes:
        sides: names.
        networks: complete networks of each side.
        shared: networks that every side has, by the latency of the first.
        correlations: for each objective and each pair of sides, of the networks that these two share.
        movers: for each objective and each pair, those with the most reversed pairs, at most MOVERS.
        differences: of conditions between the sides.
        conditions: of each side.
        reason: why nothing is compared; "" if something is.
    """

    sides: tuple[str, ...]
    networks: tuple[int, ...]
    shared: tuple[SharedNetwork, ...]
    correlations: tuple[RankCorrelation, ...]
    movers: tuple[Mover, ...]
    differences: tuple[Difference, ...]
    conditions: tuple[Conditions, ...]
    reason: str = ""

    def _repr_html_(self) -> str:
        from archsearch.analysis.display import html_of

        return html_of(self)

    @property
    def leaving(self) -> tuple[SharedNetwork, ...]:
        """Networks that are on one side's front and not on another's."""
        return tuple(network for network in self.shared if len(set(network.on_front)) > 1)
