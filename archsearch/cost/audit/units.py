"""Where a network falls into units, told from what it did and not from its family.

A module whose parts run one after another, each on nothing but what the one before it made, is a chain, and is cut
between its parts. A module in which data take two ways (a shortcut, two branches) is a block: it and every other module
of its class are units that are not cut further (of a class of which some have a shortcut and some have none, like
MobileNetV2's, all are blocks). What remains between blocks (stem, head) is cut before each convolution and each matrix
product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from archsearch.cost.audit.kinds import WITH_WEIGHTS, kind_of
from archsearch.cost.audit.trace import Call, Operator, Trace

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
