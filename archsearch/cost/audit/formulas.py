"""The sums behind the four guidelines, over any stretch of a trace. Sources: arXiv 1807.11164, section 2.

h w is the map of a convolution, c1 and c2 its channels, g its groups, B = h w c1 c2 / g its multiply-adds. All memory
access is in numbers, not bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

from archsearch.cost.audit.kinds import FRAGMENTS, PASSING_OVER, WITH_WEIGHTS, Kind, kind_of
from archsearch.cost.audit.trace import Convolution, Operator


def memory_access(conv: Convolution) -> float:
    """Of a 1x1 convolution: hw(c1 + c2) + c1 c2 / g (G1; with groups G2, equation 2)."""
    return conv.area * (conv.incoming + conv.outgoing) + conv.incoming * conv.outgoing / conv.groups


def lower_bound(conv: Convolution) -> float:
    """2 sqrt(hwB) + B / hw, reached by c1 = c2 (equation 1); with g groups 2 sqrt(g hwB) + B / hw.

    With groups it is the bound of all convolutions of the same B and g, so that G1 judges the widths alone.
    """
    weights = conv.incoming * conv.outgoing / conv.groups
    return 2 * conv.area * sqrt(conv.incoming * conv.outgoing) + weights


def ungrouped(conv: Convolution) -> float:
    """hw c1 + B / c1 + B / hw: of the convolution without groups of the same input and the same B (equation 2, g = 1).

    It has c2 / g output channels.
    """
    weights = conv.incoming * conv.outgoing / conv.groups
    return conv.area * (conv.incoming + conv.outgoing / conv.groups) + weights


def least_maps(conv: Convolution) -> float:
    """2 sqrt(hwB): what a 1x1 convolution of the same B that keeps G1 and G2 moves in maps (equation 1, no weights)."""
    return 2 * conv.area * sqrt(conv.incoming * conv.outgoing / conv.groups)


@dataclass(frozen=True, kw_only=True)
class Sums:
    """What a stretch of operators adds up to; all but the counts in numbers moved.

    Attributes:
        pointwise, lower_bound, ungrouped: memory access of its 1x1 convolutions, its lower bound (G1), and that of the
            convolutions without groups (G2).
        element_wise_maps: maps moved by element-wise operators, batch norms folded, movements in a row as one.
        channel_maps: maps moved by convolutions and matrix products, 1x1 convolutions at the least (G4).
        element_wise, total: memory access of element-wise operators and of all, as written, batch norms folded.
        batch_norm: memory access of the batch norms that could be folded.
        fragments: convolutions, poolings and matrix products; a convolution of g groups as g, a depthwise one as one.
        kernels: operators that move something, batch norms folded.
        folded: batch norms that could be folded.
        in_series: convolutions that could be one with the convolution before them.
    """

    pointwise: float = 0.0
    lower_bound: float = 0.0
    ungrouped: float = 0.0
    element_wise_maps: float = 0.0
    channel_maps: float = 0.0
    element_wise: float = 0.0
    total: float = 0.0
    batch_norm: float = 0.0
    fragments: int = 0
    kernels: int = 0
    folded: int = 0
    in_series: int = 0

    @property
    def g1(self) -> float | None:
        """Memory access of 1x1 convolutions over its lower bound; None without any."""
        return self.pointwise / self.lower_bound if self.lower_bound else None

    @property
    def g2(self) -> float | None:
        """Memory access of 1x1 convolutions over that of ungrouped ones; None without any."""
        return self.pointwise / self.ungrouped if self.ungrouped else None

    @property
    def g4(self) -> float | None:
        """Share of element-wise operators in the maps moved; None where no map is moved by either kind."""
        both = self.element_wise_maps + self.channel_maps
        return self.element_wise_maps / both if both else None

    @property
    def element_wise_share(self) -> float | None:
        """Share of element-wise operators in all memory access as written, with batch norms folded."""
        return self.element_wise / self.total if self.total else None

    @property
    def element_wise_share_unfolded(self) -> float | None:
        """The same with every batch norm an operator of its own."""
        total = self.total + self.batch_norm
        return (self.element_wise + self.batch_norm) / total if total else None


class Flow:
    """A trace's operators with who takes whose results, as the sums need it."""

    def __init__(self, operators: Sequence[Operator]) -> None:
        self.operators = operators
        self.kinds = [kind_of(operator) for operator in operators]
        self._readers: Counter[int] = Counter(source for operator in operators for source in operator.maps)
        self._folded = {at for at in range(len(operators)) if self._foldable(at)}
        self._merged = {at for at in range(len(operators)) if self._continues_a_movement(at)}

    def sums(self, first: int, end: int) -> Sums:
        """Over the operators from `first` up to `end`."""
        indices = range(first, end)
        kept = [at for at in indices if at not in self._folded]
        every = {at: self._moved(at) for at in indices}
        convs = [conv for at in kept if (conv := self.operators[at].convolution) is not None and conv.pointwise]
        return Sums(
            pointwise=sum(map(memory_access, convs)),
            lower_bound=sum(map(lower_bound, convs)),
            ungrouped=sum(map(ungrouped, convs)),
            element_wise_maps=sum(self._maps(at) for at in kept if self.kinds[at] in PASSING_OVER),
            channel_maps=sum(
                self._maps(at) for at in kept if self.kinds[at] in WITH_WEIGHTS and self.kinds[at] not in PASSING_OVER
            ),
            element_wise=sum(every[at] for at in kept if self.kinds[at] in PASSING_OVER),
            total=sum(every[at] for at in kept),
            batch_norm=sum(every[at] for at in indices if at in self._folded),
            fragments=sum(self._fragments(at) for at in kept),
            kernels=len(kept),
            folded=len(indices) - len(kept),
            in_series=sum(self._could_join(at) for at in kept),
        )

    def branches(self, first: int, end: int) -> int:
        """The most convolutions, poolings and matrix products of a stretch that wait for equally many before them."""
        depth: dict[int, int] = {}
        for at in range(first, end):
            before = max((depth[source] for source in self.operators[at].maps if source in depth), default=0)
            depth[at] = before + (self.kinds[at] in FRAGMENTS)
        return max(Counter(depth[at] for at in depth if self.kinds[at] in FRAGMENTS).values(), default=0)

    def _moved(self, at: int) -> int:
        operator = self.operators[at]
        return operator.read_maps + operator.weights + operator.written

    def _maps(self, at: int) -> float:
        """Maps that an operator moves, in the sense of G4's score."""
        operator = self.operators[at]
        conv = operator.convolution
        if conv is not None and conv.pointwise:
            return least_maps(conv)
        moved = operator.read_maps + operator.written
        if at in self._merged:  # neither its predecessor's writing nor its reading of that
            (source,) = operator.maps
            moved -= operator.maps[source] + self.operators[source].written
        return moved

    def _fragments(self, at: int) -> int:
        conv = self.operators[at].convolution
        if self.kinds[at] is Kind.CONVOLUTION and conv is not None:
            return conv.groups
        return int(self.kinds[at] in FRAGMENTS)

    def _only_source(self, at: int, kinds: Iterable[Kind]) -> int | None:
        """The operator of those kinds that alone feeds this one, and that feeds nothing else."""
        sources = self.operators[at].maps
        if len(sources) != 1:
            return None
        (source,) = sources
        return source if source >= 0 and self._readers[source] == 1 and self.kinds[source] in kinds else None

    def _foldable(self, at: int) -> bool:
        return self.kinds[at] is Kind.NORMALISATION and self._only_source(at, WITH_WEIGHTS) is not None

    def _continues_a_movement(self, at: int) -> bool:
        return self.kinds[at] is Kind.MOVEMENT and self._only_source(at, (Kind.MOVEMENT,)) is not None

    def _could_join(self, at: int) -> bool:
        """Whether a convolution and the one before it could be one of no more multiply-adds.

        Nothing but a batch norm may stand between them, and one of the two is 1x1, so that padding is no matter.
        """
        second = self.operators[at].convolution
        before = self._only_source(at, (*WITH_WEIGHTS, Kind.NORMALISATION))
        if second is None or before is None:
            return False
        if before in self._folded:
            (before,) = self.operators[before].maps
        first = self.operators[before].convolution
        if first is None or 1 not in (first.kernel, second.kernel):
            return False
        groups = first.groups if first.groups == second.groups else 1
        joined = second.area * first.kernel * second.kernel * first.incoming * second.outgoing / groups
        return joined <= _macs(first) + _macs(second)


def _macs(conv: Convolution) -> float:
    return conv.area * conv.kernel * conv.incoming * conv.outgoing / conv.groups
