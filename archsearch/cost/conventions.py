"""The named conventions in which papers and tools count multiply-adds. Two numbers compare within one of them only.

How two versions of thop (pytorch-OpCounter) count, as tables of rules: one for each class of module.

thop watches modules, not operators: what is written as a function (`x.mean`, `F.relu`, an addition) is invisible to it,
and so is every class of module without a rule, subclasses of those with one included. The rules are those of
`thop/vision/basic_hooks.py` and `thop/profile.py` in versions 0.0.31 and 0.1.1, for one image in eval mode.

Left out: the recurrent layers. Other than in thop: classes of convolutions that it does not know, those of this project
and torchvision's deformable one, are counted like plain ones of the same kernel, as they would have been in the network
of a paper; and a network that is one bare layer is counted by 0.0.31's rules, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor, nn
from torchvision.ops import DeformConv2d

from archsearch.blocks.conv import SameConv2d
from archsearch.blocks.stems import DeformableConv2d, LightDeformableConv2d
from archsearch.cost.count import OperatorCount, count_operators
from archsearch.cost.memory import MemoryAccess, memory_access
from archsearch.registry import Registry

# One network seen at work once: what its trace held, which modules ran on which shapes, and what its operators moved.
#
# Every convention of counting and every table is a function of what is observed here, so that a network is built,
# traced and run once however many numbers are asked for.


@dataclass(frozen=True, kw_only=True)
class ModuleCall:
    """One call of one module, with the shapes of its first input and of its output, batch included."""

    module: nn.Module
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What one image in eval mode showed.

    Attributes:
        model: the network.
        operators: multiply-adds by operator and by module, from the trace.
        calls: the modules that made one tensor of another, in the order of their ends.
        memory: bytes read and written by all operators.
    """

    model: nn.Module
    operators: OperatorCount
    calls: tuple[ModuleCall, ...]
    memory: MemoryAccess


def observe(model: nn.Module, input_size: int) -> Observation:
    """Trace and run one image (1, 3, input_size, input_size) where the model is. The model is left as it was."""
    calls: list[ModuleCall] = []

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> None:
        first = next(iter((*args, *kwargs.values())), None)
        if isinstance(first, Tensor) and isinstance(output, Tensor):
            calls.append(
                ModuleCall(module=module, input_shape=tuple(first.shape), output_shape=tuple(output.shape)),
            )

    hooks = [module.register_forward_hook(note, with_kwargs=True) for module in model.modules()]
    try:
        memory = memory_access(model, input_size)
    finally:
        for hook in hooks:
            hook.remove()
    return Observation(model=model, operators=count_operators(model, input_size), calls=tuple(calls), memory=memory)


Shape = tuple[int, ...]
Rule = Callable[[Any, Shape, Shape], int]
"""(module, shape of its input, shape of its output), batch included -> what thop adds for one call."""


def thop_macs(model: nn.Module, calls: Iterable[ModuleCall], rules: Mapping[type[nn.Module], Rule]) -> int:
    """The sum of a version's rules over the calls of a network's modules.

    A module that stands at several places of the network is added at each of them, with all of its calls.
    """
    counted: Counter[nn.Module] = Counter()
    for call in calls:
        rule = rules.get(type(call.module))
        if rule is not None:
            counted[call.module] += rule(call.module, call.input_shape, call.output_shape)

    def inside(module: nn.Module) -> int:
        return counted[module] + sum(inside(child) for child in module.children())

    return inside(model)


def _convolution(module: Any, input_shape: Shape, output_shape: Shape) -> int:
    return prod(output_shape) * int(module.in_channels // module.groups) * int(prod(module.kernel_size))


def _convolution_with_bias(module: Any, input_shape: Shape, output_shape: Shape) -> int:
    """One more for each output element if there is a bias: only 0.0.31 counts it."""
    return _convolution(module, input_shape, output_shape) + (0 if module.bias is None else prod(output_shape))


def _own_deformable(module: Any, input_shape: Shape, output_shape: Shape) -> int:
    """The kernel alone, which has no bias; the predictors of offsets and mask are modules of their own."""
    return output_shape[0] * prod(output_shape[2:]) * int(module.weight.numel())


def _linear(module: Any, input_shape: Shape, output_shape: Shape) -> int:
    return int(module.in_features) * prod(output_shape)


def _each_input(times: int) -> Rule:
    return lambda module, input_shape, output_shape: times * prod(input_shape)


def _each_output(times: int) -> Rule:
    return lambda module, input_shape, output_shape: times * prod(output_shape)


def _normalisation(module: Any, input_shape: Shape, output_shape: Shape) -> int:
    """0.1.1: 2 for each element, 4 with learned scale and shift."""
    affine = getattr(module, "affine", False) or getattr(module, "elementwise_affine", False)
    return (4 if affine else 2) * prod(input_shape)


def _adaptive_pool_whole(module: Any, input_shape: Shape, output_shape: Shape) -> int:
    """0.0.31: the window's size, each side rounded down, and one for the division."""
    sides = zip(input_shape[2:], output_shape[2:], strict=True)
    return (prod(before // after for before, after in sides) + 1) * prod(output_shape)


def _adaptive_pool(module: Any, input_shape: Shape, output_shape: Shape) -> int:
    """0.1.1: the mean window's size and one for the division; only the product is rounded down."""
    sides = zip(input_shape[2:], output_shape[2:], strict=True)
    return int((prod(before / after for before, after in sides) + 1) * prod(output_shape))


def _softmax(module: Any, input_shape: Shape, output_shape: Shape) -> int:
    features = input_shape[int(module.dim)]
    return prod(input_shape) // features * (3 * features - 1)


def _resize(times: Mapping[str, int]) -> Rule:
    return lambda module, input_shape, output_shape: times.get(module.mode, 0) * prod(output_shape)


_THOP_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_FOREIGN = (SameConv2d, DeformConv2d)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_OTHER_NORMS = (nn.LayerNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
_AVERAGE_POOLS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
_ADAPTIVE_POOLS = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
_RESIZES = (nn.Upsample, nn.UpsamplingBilinear2d, nn.UpsamplingNearest2d)
_RESIZE_TIMES = {"linear": 5, "bilinear": 11, "bicubic": 224 + 35}
_SHARED: Mapping[type[nn.Module], Rule] = {
    DeformableConv2d: _own_deformable,
    LightDeformableConv2d: _own_deformable,
    nn.Linear: _linear,
    **dict.fromkeys(_AVERAGE_POOLS, _each_output(1)),
}

THOP_0_0_31: Mapping[type[nn.Module], Rule] = {
    **_SHARED,
    **dict.fromkeys((*_THOP_CONVOLUTIONS, *_FOREIGN), _convolution_with_bias),
    **dict.fromkeys(_BATCH_NORMS, _each_input(2)),
    **dict.fromkeys(_ADAPTIVE_POOLS, _adaptive_pool_whole),
    **dict.fromkeys(_RESIZES, _resize(_RESIZE_TIMES)),
    nn.LeakyReLU: _each_input(1),
}
"""thop 0.0.31.post2005241907, of May 2020."""

THOP_0_1_1: Mapping[type[nn.Module], Rule] = {
    **_SHARED,
    **dict.fromkeys((*_THOP_CONVOLUTIONS, *_FOREIGN), _convolution),
    **dict.fromkeys((*_BATCH_NORMS, *_OTHER_NORMS), _normalisation),
    **dict.fromkeys(_ADAPTIVE_POOLS, _adaptive_pool),
    **dict.fromkeys(_RESIZES, _resize({**_RESIZE_TIMES, "nearest": 1})),
    nn.PReLU: _each_input(1),
    nn.Softmax: _softmax,
}
"""thop 0.1.1.post2209072238, of September 2022."""


_CONVOLUTIONS = ("conv", "_convolution_mode", "deform_conv2d")


@dataclass(frozen=True, kw_only=True)
class Convention:
    """A way to count the multiply-adds of one image.

    Attributes:
        summary: what is counted, in one line for a person.
        count: what was observed of a network -> its multiply-adds in this convention.
    """

    summary: str
    count: Callable[[Observation], int]


CONVENTIONS: Registry[Convention] = Registry(
    "convention",
    {
        "conv": Convention(
            summary="convolutions only",
            count=lambda seen: sum(seen.operators.by_operator.get(kind, 0) for kind in _CONVOLUTIONS),
        ),
        "conv_linear": Convention(
            summary="convolutions and linear layers: what MACs mean here",
            count=lambda seen: seen.operators.macs,
        ),
        "thop_0_0_31": Convention(
            summary="thop of 2020: and 1 for each output with a bias, 2 for each value in batch norm, pooling modules",
            count=lambda seen: thop_macs(seen.model, seen.calls, THOP_0_0_31),
        ),
        "thop_0_1_1": Convention(
            summary="thop of 2022: no biases, 4 for each value in batch norm, pooling modules",
            count=lambda seen: thop_macs(seen.model, seen.calls, THOP_0_1_1),
        ),
        "fvcore": Convention(
            summary="fvcore's own table: 2 for each value in batch norm, adaptive pooling, resizing",
            count=lambda seen: sum(seen.operators.fvcore_by_operator.values()),
        ),
    },
)


def macs_by_convention(model: nn.Module, input_size: int) -> Mapping[str, int]:
    """Multiply-adds of one image (1, 3, input_size, input_size) in every convention, by its name.

    The model is counted in eval mode, where it is, and left as it was.
    """
    return macs_as_observed(observe(model, input_size))


def macs_as_observed(seen: Observation) -> dict[str, int]:
    """The same of a network that has been observed already."""
    return {name: CONVENTIONS[name].count(seen) for name in CONVENTIONS}
