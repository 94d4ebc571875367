"""What kind an operator is: who works on channels, who gathers a window, who only passes over a map."""

from __future__ import annotations

from enum import StrEnum

from archsearch.cost.audit.trace import Operator

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
