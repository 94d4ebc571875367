"""Memory access of a network: the bytes that its operators read and write, from shapes.

ShuffleNet V2 (arXiv 1807.11164), section 2, guideline G1, counts what a 1x1 convolution c1 -> c2 on a map of h x w
moves: hw(c1 + c2) + c1 c2 numbers, its two maps and its weights; G2 gives hw(c1 + c2) + c1 c2 / g for g groups. Here
that rule holds for every operator: each reads every tensor that it takes once (maps, weights, biases, statistics) and
writes every tensor that it makes once, at the size that its numbers have (4 bytes for float32).

Assumed: no cache keeps a map from one operator to the next, and no operator is fused with another, so this is what the
network as it is written moves, an upper bound for a runtime that fuses. A view (split, slice, reshape without copying)
moves nothing; an operator in place reads and writes its tensor; a broadcast tensor is read at the size that it has; one
tensor taken twice by one operator is read once. Constants that the network makes for itself (zeros, ranges) are part of
the program and move nothing. What only training needs is not written: the saved statistics of a batch norm, the
positions of a maximum. A deformable convolution is one operator, with its offsets and its mask as inputs.

How many operators one image makes a network run: what a device has to start, whatever each of them costs.

A per-operator price (a kernel's launch, a framework's dispatch) is paid once for each, so where latency follows this
number, the network is too small for the device (ShuffleNet V2, arXiv 1807.11164, guideline G3, names kernel launching).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from archsearch.cost.count import evaluating, one_image, written_out

# Their other outputs (saved statistics, positions of maxima) are there for the backward pass only.
_FIRST_OUTPUT_ONLY = ("batch_norm", "native_group_norm", "native_layer_norm", "max_pool2d", "max_pool3d")
_OVERWRITING = frozenset({"copy_", "fill_", "zero_"})  # what stood there before is not read
_SHAPE_ONLY = frozenset(  # they take a tensor for its shape and make a constant
    {f"{kind}_like" for kind in ("empty", "full", "ones", "zeros")}
    | {f"new_{kind}" for kind in ("empty", "empty_strided", "full", "ones", "zeros")}
)


@dataclass(frozen=True, kw_only=True)
class MemoryAccess:
    """Bytes moved by one image.

    Attributes:
        read_bytes, written_bytes: by all operators together.
        by_operator: bytes read and written together, of each operator (`aten::convolution`).
    """

    read_bytes: int
    written_bytes: int
    by_operator: Mapping[str, int]

    @property
    def total_bytes(self) -> int:
        """Read and written."""
        return self.read_bytes + self.written_bytes


def memory_access(model: nn.Module, input_size: int) -> MemoryAccess:
    """What one image (1, 3, input_size, input_size) makes the network read and write, in eval mode; see above.

    The image is run where the model is; the model is left as it was.
    """
    image = one_image(model, input_size)
    traffic = Traffic()
    with evaluating(model), written_out(), traffic:
        model(image)
    return traffic.total()


class Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Counts the bytes of every operator that runs inside it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._read: Counter[str] = Counter()
        self._written: Counter[str] = Counter()
        self._constants: dict[int, Tensor] = {}  # kept alive, so that no other storage gets their key

    def total(self) -> MemoryAccess:
        """What has been counted so far."""
        both = self._read + self._written
        return MemoryAccess(
            read_bytes=self._read.total(), written_bytes=self._written.total(), by_operator=dict(sorted(both.items()))
        )

    def __torch_dispatch__(
        self, func: Any, types: Sequence[Any], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run one operator and note what it moved."""
        result = func(*args, **(kwargs or {}))
        self._note(func, args, kwargs or {}, result)
        return result

    def _note(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        inputs, changed = list(_tensors((args, list(kwargs.values())))), list(_changed(func, args, kwargs))
        known = {storage(tensor) for tensor in inputs}
        made = [tensor for tensor in _tensors(result) if storage(tensor) not in known]
        name = func.name().split(".")[0]
        operator = name.split("::")[1]
        if not inputs or operator in _SHAPE_ONLY:
            self._constants.update({storage(tensor): tensor for tensor in made})
            return
        if not made and not changed:  # a view
            return
        if any(part in name for part in _FIRST_OUTPUT_ONLY):
            made = made[:1]
        for tensor in changed:
            self._constants.pop(storage(tensor), None)
        overwritten = {_part(tensor) for tensor in changed} if operator in _OVERWRITING else set()
        read = {
            _part(tensor): tensor
            for tensor in inputs
            if storage(tensor) not in self._constants and _part(tensor) not in overwritten
        }
        self._read[name] += sum(map(_bytes, read.values()))
        self._written[name] += sum(map(_bytes, [*made, *changed]))
        self.noted(name, args, tuple(read.values()), (*made, *changed))

    def noted(self, name: str, args: tuple[Any, ...], read: tuple[Tensor, ...], written: tuple[Tensor, ...]) -> None:
        """Called after each operator that moved something, with what it read and wrote; for subclasses."""


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _tensors(each)


def _changed(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[Tensor]:
    """The tensors that the operator's schema says it writes in place."""
    for position, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            yield from _tensors(args[position] if position < len(args) else kwargs.get(argument.name))


def storage(tensor: Tensor) -> int:
    """Which storage a tensor lies in, for as long as it lives."""
    return int(tensor.untyped_storage()._cdata)


def _part(tensor: Tensor) -> tuple[Any, ...]:
    """Which numbers of which storage a tensor is."""
    return storage(tensor), tensor.storage_offset(), tuple(tensor.shape), tensor.stride()


def numbers(tensor: Tensor) -> int:
    """The numbers that a tensor really has: one that was expanded holds each of them many times."""
    return prod(size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride or size == 0)


def _bytes(tensor: Tensor) -> int:
    return numbers(tensor) * tensor.element_size()


def operators_run(model: nn.Module, input_size: int) -> int:
    """Operators that write a tensor when one image (1, 3, input_size, input_size) runs in eval mode; views are none.

    Of the module as it is: give it with batch norms folded, as it is deployed. The model is left as it was.
    """
    image = one_image(model, input_size)
    counter = _OperatorCounter()
    with evaluating(model), written_out(), counter:
        model(image)
    return counter.operators


class _OperatorCounter(Traffic):  # type: ignore[no-untyped-call]  # torch leaves its base untyped
    def __init__(self) -> None:
        super().__init__()
        self.operators = 0

    def noted(self, name: str, args: tuple[Any, ...], read: tuple[Tensor, ...], written: tuple[Tensor, ...]) -> None:
        """One operator moved something."""
        self.operators += 1
