"""One network run once on one image: its operators in order, what each read of which, and the modules they ran in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor, nn

from archsearch.cost.count import evaluating, one_image, written_out
from archsearch.cost.memory import Traffic, numbers, storage

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
