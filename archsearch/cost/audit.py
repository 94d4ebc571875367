"""A network against the four guidelines: scores, verdicts, and the units that they come from.

The sums behind the four guidelines, over any stretch of a trace. Sources: arXiv 1807.11164, section 2.

h w is the map of a convolution, c1 and c2 its channels, g its groups, B = h w c1 c2 / g its multiply-adds. All memory
access is in numbers, not bytes.

Where a network falls into units, told from what it did and not from its family.

A module whose parts run one after another, each on nothing but what the one before it made, is a chain, and is cut
between its parts. A module in which data take two ways (a shortcut, two branches) is a block: it and every other module
of its class are units that are not cut further (of a class of which some have a shortcut and some have none, like
MobileNetV2's, all are blocks). What remains between blocks (stem, head) is cut before each convolution and each matrix
product.

What kind an operator is: who works on channels, who gathers a window, who only passes over a map.

One network run once on one image: its operators in order, what each read of which, and the modules they ran in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from math import prod, sqrt
from operator import attrgetter
from statistics import fmean
from typing import Any

from torch import Tensor, nn

from archsearch.cost.count import evaluating, one_image, written_out
from archsearch.cost.memory import Traffic, numbers, storage
from archsearch.limits import GUIDELINES
from archsearch.table import Column, Table, table_of

IMAGE = -1  # the producer of what no operator made: the network's input
_CONVOLUTIONS = frozenset({"aten::convolution", "aten::_convolution", "torchvision::deform_conv2d"})


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """The shape of a convolution; `area` is h x w of one output map, `kernel` the numbers of its window."""

    incoming: int
    outgoing: int
    groups: int
    kernel: int
    area: int

    @property
    def depthwise(self) -> bool:
        """Whether each group takes one channel, of several."""
        return self.groups == self.incoming > 1

    @property
    def pointwise(self) -> bool:
        """Whether it is 1x1, grouped or not, but not depthwise."""
        return self.kernel == 1 and not self.depthwise


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One operator that moved something; all sizes in numbers, not bytes.

    Attributes:
        name: torch's, `aten::convolution`.
        path: dotted name of the innermost module that it ran in; "" for the network itself.
        maps: what it read of each earlier operator, by that one's index; IMAGE for the network's input.
        weights: numbers of parameters and buffers that it read.
        written: numbers that it wrote.
        convolution: its shape, if it is one.
    """

    name: str
    path: str
    maps: Mapping[int, int]
    weights: int
    written: int
    convolution: Convolution | None = None

    @property
    def read_maps(self) -> int:
        """Numbers read, weights left out."""
        return sum(self.maps.values())


@dataclass(eq=False)
class Call:
    """One call of one module: the operators from `first` up to `end`, and the calls made inside."""

    module: nn.Module
    path: str
    first: int
    end: int
    inner: list[Call]

    def elements(self) -> Iterator[Call | int]:
        """What the module did, in order: calls that ran operators, and the indices of operators of its own."""
        at = self.first
        for call in self.inner:
            yield from range(at, call.first)
            if call.end > call.first:
                yield call
            at = call.end
        yield from range(at, self.end)


@dataclass(frozen=True, kw_only=True)
class Trace:
    """The operators of one image in the order in which they ran, and the network's own call."""

    operators: tuple[Operator, ...]
    root: Call


def trace(model: nn.Module, input_size: int) -> Trace:
    """Run one image (1, 3, input_size, input_size) where the model is, in eval mode. The model is left as it was."""
    recorder = _Recorder(model)
    image = one_image(model, input_size)
    with evaluating(model), written_out(), recorder.watching(), recorder:
        model(image)
    return Trace(operators=tuple(recorder.operators), root=recorder.root)


class _Recorder(Traffic):  # type: ignore[no-untyped-call]  # torch leaves its base untyped
    """Traffic that remembers each operator, and beneath which modules it ran."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.operators: list[Operator] = []
        self.root = Call(model, "", 0, 0, [])
        self._names = {module: name for name, module in model.named_modules()}
        self._stack: list[Call] = []
        self._weights = {storage(tensor) for tensor in (*model.parameters(), *model.buffers())}
        self._producers: dict[int, int] = {}  # the last operator that wrote a storage; a new one takes a freed key over

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Follow the calls of all modules."""
        hooks = []
        for module in self._names:
            hooks.append(module.register_forward_pre_hook(self._enter))
            hooks.append(module.register_forward_hook(self._leave))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enter(self, module: nn.Module, args: Any) -> None:
        at = len(self.operators)
        call = Call(module, self._names[module], at, at, [])
        if self._stack:
            self._stack[-1].inner.append(call)
        else:
            self.root = call
        self._stack.append(call)

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        self._stack.pop().end = len(self.operators)

    def noted(self, name: str, args: tuple[Any, ...], read: tuple[Tensor, ...], written: tuple[Tensor, ...]) -> None:
        """Remember one operator."""
        maps: dict[int, int] = {}
        weights = 0
        for tensor in read:
            if storage(tensor) in self._weights:
                weights += numbers(tensor)
            else:
                producer = self._producers.get(storage(tensor), IMAGE)
                maps[producer] = maps.get(producer, 0) + numbers(tensor)
        self._producers.update({storage(tensor): len(self.operators) for tensor in written})
        self.operators.append(
            Operator(
                name=name,
                path=self._stack[-1].path if self._stack else "",
                maps=maps,
                weights=weights,
                written=sum(map(numbers, written)),
                convolution=_convolution(args, written[0]) if name in _CONVOLUTIONS else None,
            )
        )


def _convolution(args: tuple[Any, ...], output: Tensor) -> Convolution:
    """Of `convolution(input, weight, bias, stride, padding, dilation, transposed, ...)` and of the deformable one.

    A transposed convolution has its weight the other way round.
    """
    images, weight = args[0], args[1]
    transposed = len(args) > 6 and args[6] is True
    incoming = int(images.shape[1])
    return Convolution(
        incoming=incoming,
        outgoing=int(output.shape[1]),
        groups=int(output.shape[1] // weight.shape[1]) if transposed else int(incoming // weight.shape[1]),
        kernel=prod(weight.shape[2:]),
        area=prod(output.shape[2:]),
    )


_PRODUCTS = frozenset({"addmm", "mm", "bmm", "baddbmm", "addbmm", "linear", "mv", "addmv", "dot"})
_GATHERING = ("pool", "mean", "sum", "amax", "amin", "max", "min", "argmax")
# Operators that write the numbers that they read, elsewhere or in another order.
_MOVING = frozenset(
    {"cat", "stack", "clone", "copy_", "index", "index_select", "gather", "constant_pad_nd", "_to_copy"}
    | {"channel_shuffle", "native_channel_shuffle", "pixel_shuffle", "pixel_unshuffle", "roll", "flip"}
)


class Kind(StrEnum):
    """The paper's classes of operators (figure 2), finer: what is element-wise is told apart."""

    CONVOLUTION = "convolution"
    PRODUCT = "product"  # linear layers and other matrix products
    POOLING = "pooling"  # and other means, sums and maxima over a map
    DEPTHWISE = "depthwise"  # counts as element-wise in G4
    NORMALISATION = "normalisation"  # batch norm: element-wise unless folded
    MOVEMENT = "movement"  # concatenation, shuffle, padding, copy: element-wise
    ELEMENTWISE = "element-wise"  # activations, sums and products of maps, and whatever else


FRAGMENTS = frozenset({Kind.CONVOLUTION, Kind.PRODUCT, Kind.POOLING, Kind.DEPTHWISE})
WITH_WEIGHTS = frozenset({Kind.CONVOLUTION, Kind.PRODUCT, Kind.DEPTHWISE})
PASSING_OVER = frozenset({Kind.DEPTHWISE, Kind.NORMALISATION, Kind.MOVEMENT, Kind.ELEMENTWISE})


def kind_of(operator: Operator) -> Kind:
    """The kind of an operator, by its name and its shape."""
    if operator.convolution is not None:
        return Kind.DEPTHWISE if operator.convolution.depthwise else Kind.CONVOLUTION
    name = operator.name.split("::")[1]
    if name in _PRODUCTS:
        return Kind.PRODUCT
    if "batch_norm" in name:
        return Kind.NORMALISATION
    if name in _MOVING:
        return Kind.MOVEMENT
    if any(name == word or (word == "pool" and word in name) for word in _GATHERING):
        return Kind.POOLING
    return Kind.ELEMENTWISE


_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)  # one class for all sorts of things


@dataclass(frozen=True, kw_only=True)
class Unit:
    """The operators from `first` up to `end`, named after the module (or the first of the modules) that ran them."""

    name: str
    block: bool
    first: int
    end: int


def units_of(trace: Trace) -> tuple[Unit, ...]:
    """Every operator in one unit, in order."""
    blocks = {
        type(call.module)
        for call in _calls(trace.root)
        if call is not trace.root
        and not isinstance(call.module, _CONTAINERS)
        and _is_composite(call)
        and not all(_serial(trace.operators, call))
    }
    units: list[Unit] = []
    for piece in _pieces(trace, trace.root, blocks):
        heavy = any(kind_of(trace.operators[at]) in WITH_WEIGHTS for at in range(piece.first, piece.end))
        last = units[-1] if units else None
        if piece.block or heavy or last is None or last.block:
            units.append(piece)
        else:  # an activation, a pooling: part of what came before it
            units[-1] = Unit(name=last.name, block=False, first=last.first, end=piece.end)
    return tuple(units)


def _calls(call: Call) -> Iterator[Call]:
    yield call
    for inner in call.inner:
        yield from _calls(inner)


def _is_composite(call: Call) -> bool:
    """Whether it called modules that did something; a layer does all by itself."""
    return any(isinstance(element, Call) for element in call.elements())


def _bounds(element: Call | int) -> tuple[int, int]:
    return (element, element + 1) if isinstance(element, int) else (element.first, element.end)


def _serial(operators: Sequence[Operator], call: Call) -> list[bool]:
    """For each two neighbours among a call's elements, whether the latter's side needs of all that was there before
    one thing alone, which the former made."""
    bounds = [_bounds(element) for element in call.elements()]
    found = []
    for (former, _), (latter, _) in pairwise(bounds):
        needed = {source for at in range(latter, call.end) for source in operators[at].maps if source < latter}
        found.append(len(needed) == 1 and min(needed) >= former)
    return found


def _pieces(trace: Trace, call: Call, blocks: set[type[nn.Module]]) -> Iterator[Unit]:
    """The blocks within a call, and single layers and operators between them."""
    elements = list(call.elements())
    serial = _serial(trace.operators, call)
    at = 0
    while at < len(elements):
        end = at + 1
        while end < len(elements) and not serial[end - 1]:
            end += 1
        element = elements[at]
        if end - at > 1:  # a stretch that cannot be cut, of a network or container that otherwise can
            first, last = _bounds(element)[0], _bounds(elements[end - 1])[1]
            yield Unit(name=_name(trace, element), block=True, first=first, end=last)
        elif isinstance(element, Call) and type(element.module) not in blocks and _is_composite(element):
            yield from _pieces(trace, element, blocks)
        else:
            first, last = _bounds(element)
            is_block = isinstance(element, Call) and type(element.module) in blocks
            yield Unit(name=_name(trace, element), block=is_block, first=first, end=last)
        at = end


def _name(trace: Trace, element: Call | int) -> str:
    if isinstance(element, Call):
        return element.path
    operator = trace.operators[element]
    name = operator.name.split("::")[1]
    return f"{operator.path}.{name}" if operator.path else name


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


@dataclass(frozen=True, kw_only=True)
class UnitAudit:
    """One unit of a network.

    Attributes:
        name: dotted name of its (first) module.
        block: whether data take several ways in it or in others of its class; else a layer of stem or head.
        scores: by guideline; None where the guideline has nothing to say (no 1x1 convolution, no map moved).
        broken: names of the guidelines whose thresholds they exceed.
        fragments: G3's score: convolutions, poolings and matrix products, a convolution of g groups as g of them.
        branches: the most of them that stand side by side, a grouped one counting once.
        in_series: convolutions that could be one with the convolution before.
        kernels, kernels_unfolded: operators that move memory, with batch norms folded and without.
        element_wise_share, element_wise_share_unfolded: of the unit's memory access as written, with batch norms folded
            and without; None where nothing is moved.
    """

    name: str
    block: bool
    scores: Mapping[str, float | None]
    broken: tuple[str, ...]
    fragments: int
    branches: int
    in_series: int
    kernels: int
    kernels_unfolded: int
    element_wise_share: float | None
    element_wise_share_unfolded: float | None


@dataclass(frozen=True, kw_only=True)
class GuidelineCheck:
    """One guideline's verdict on a network.

    Attributes:
        title: the guideline in few words.
        score: of the whole network; lower is better.
        threshold: the largest score that passes.
        passed: whether the network keeps the guideline.
        units: names of the units whose own scores exceed the threshold, in order.
    """

    title: str
    score: float
    threshold: float
    passed: bool
    units: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What the guidelines say of one network at one input size.

    Attributes:
        input_size: height and width of the image (pixels).
        findings: by guideline.
        units: in the order of the data; they hold every operator.
        kernels, kernels_unfolded, in_series: of the whole network, as of a unit.
        element_wise_share, element_wise_share_unfolded: of the whole network's memory access, as of a unit.
    """

    input_size: int
    findings: Mapping[str, GuidelineCheck]
    units: tuple[UnitAudit, ...]
    kernels: int
    kernels_unfolded: int
    in_series: int
    element_wise_share: float | None
    element_wise_share_unfolded: float | None

    @property
    def scores(self) -> dict[str, float]:
        """The network's score by guideline."""
        return {name: finding.score for name, finding in self.findings.items()}

    @property
    def broken(self) -> tuple[str, ...]:
        """Names of the guidelines that the network breaks."""
        return tuple(name for name, finding in self.findings.items() if not finding.passed)

    def verdicts(self) -> Table:
        """The four verdicts."""
        rows = []
        for name, check in self.findings.items():
            units = ", ".join(check.units)
            if len(check.units) > 3:
                units = f"{len(check.units)} of {len(self.units)}: {', '.join(check.units[:2])} ..."
            numbers = (GUIDELINES[name].text(number) for number in (check.score, check.threshold))
            unit = f" ({GUIDELINES[name].unit})" if GUIDELINES[name].unit else ""
            rows.append((f"{name} {check.title}{unit}", *numbers, "kept" if check.passed else "broken", units or None))
        return Table(
            title="Guidelines",
            columns=(
                Column(title="Guideline", whole=True),
                Column(title="Score", whole=True),
                Column(title="Keeps up to", whole=True),
                Column(title="Verdict"),
                Column(title="Units that break it"),
            ),
            rows=tuple(rows),
        )

    def scored_units(self, title: str) -> Table:
        """A row for each unit; G3's verdict on the network is the mean over its blocks."""
        element_wise = Column(title="Element-wise", key="element_wise_percent", unit="%", decimals=0)
        with_bn = Column(title="With BN", key="element_wise_unfolded_percent", unit="%", decimals=0, wide=True)
        return table_of(
            title,
            self.units,
            Column(title="Unit", key="name", whole=True),
            Column(title="Block"),
            *score_columns("scores"),
            (Column(title="Breaks", key="broken", whole=True), lambda unit: ", ".join(unit.broken) or None),
            Column(title="Branches", decimals=0, wide=True),
            Column(title="In series", decimals=0, wide=True),
            Column(title="Kernels", decimals=0, wide=True),
            (element_wise, lambda unit: _percent(unit.element_wise_share)),
            (with_bn, lambda unit: _percent(unit.element_wise_share_unfolded)),
        )


def score_columns(
    scores: str, *, with_threshold: bool = False
) -> tuple[tuple[Column, Callable[[Any], float | None]], ...]:
    """A column for the score of each guideline, and what it shows of an item, of which `scores` is an attribute."""
    of = attrgetter(scores)

    def column(name: str) -> tuple[Column, Callable[[Any], float | None]]:
        each = GUIDELINES[name]
        shown = Column(
            title=f"{name} ≤ {each.text(each.threshold)}" if with_threshold else name,
            key=f"{name.lower()}_percent" if each.unit == "%" else name.lower(),
            unit=each.unit,
            decimals=each.decimals,
        )
        return shown, lambda item: each.shown(of(item)[name])

    return tuple(map(column, GUIDELINES))


def _percent(share: float | None) -> float | None:
    return None if share is None else 100.0 * share


def audit(model: nn.Module, input_size: int) -> Audit:
    """Score any network on one image (1, 3, input_size, input_size); `docs/guidelines.md` has the formulas.

    The image is run once in eval mode where the model is; the model is left as it was. Takes about 0.1 s for
    ShuffleNetV2 x1.0 at 224 pixels.
    """
    return audit_of(trace(model, input_size), input_size)


def audit_of(traced: Trace, input_size: int) -> Audit:
    """The same of a network that has been traced already."""
    flow = Flow(traced.operators)
    units = tuple(_unit(flow, unit) for unit in units_of(traced))
    whole = flow.sums(0, len(traced.operators))
    scores = {
        "G1": _or(whole.g1, 1.0),  # a network without 1x1 convolutions wastes nothing in them
        "G2": _or(whole.g2, 1.0),
        "G3": fmean([unit.fragments for unit in units if unit.block] or [unit.fragments for unit in units] or [0]),
        "G4": _or(whole.g4, 0.0),
    }
    return Audit(
        input_size=input_size,
        findings={
            name: GuidelineCheck(
                title=GUIDELINES[name].title,
                score=score,
                threshold=GUIDELINES[name].threshold,
                passed=score <= GUIDELINES[name].threshold,
                units=tuple(unit.name for unit in units if name in unit.broken),
            )
            for name, score in scores.items()
        },
        units=units,
        kernels=whole.kernels,
        kernels_unfolded=whole.kernels + whole.folded,
        in_series=whole.in_series,
        element_wise_share=whole.element_wise_share,
        element_wise_share_unfolded=whole.element_wise_share_unfolded,
    )


def _unit(flow: Flow, unit: Unit) -> UnitAudit:
    sums: Sums = flow.sums(unit.first, unit.end)
    scores = {"G1": sums.g1, "G2": sums.g2, "G3": float(sums.fragments), "G4": sums.g4}
    return UnitAudit(
        name=unit.name,
        block=unit.block,
        scores=scores,
        broken=tuple(
            name for name, score in scores.items() if score is not None and score > GUIDELINES[name].threshold
        ),
        fragments=sums.fragments,
        branches=flow.branches(unit.first, unit.end),
        in_series=sums.in_series,
        kernels=sums.kernels,
        kernels_unfolded=sums.kernels + sums.folded,
        element_wise_share=sums.element_wise_share,
        element_wise_share_unfolded=sums.element_wise_share_unfolded,
    )


def _or(score: float | None, otherwise: float) -> float:
    return otherwise if score is None else score
