"""How two versions of thop (pytorch-OpCounter) count, as tables of rules: one for each class of module.

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
from math import prod
from typing import Any

from torch import nn
from torchvision.ops import DeformConv2d

from archsearch.blocks.conv import SameConv2d
from archsearch.blocks.deform import DeformableConv2d, LightDeformableConv2d
from archsearch.cost.observe import ModuleCall

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


_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
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
    **dict.fromkeys((*_CONVOLUTIONS, *_FOREIGN), _convolution_with_bias),
    **dict.fromkeys(_BATCH_NORMS, _each_input(2)),
    **dict.fromkeys(_ADAPTIVE_POOLS, _adaptive_pool_whole),
    **dict.fromkeys(_RESIZES, _resize(_RESIZE_TIMES)),
    nn.LeakyReLU: _each_input(1),
}
"""thop 0.0.31.post2005241907, of May 2020."""

THOP_0_1_1: Mapping[type[nn.Module], Rule] = {
    **_SHARED,
    **dict.fromkeys((*_CONVOLUTIONS, *_FOREIGN), _convolution),
    **dict.fromkeys((*_BATCH_NORMS, *_OTHER_NORMS), _normalisation),
    **dict.fromkeys(_ADAPTIVE_POOLS, _adaptive_pool),
    **dict.fromkeys(_RESIZES, _resize({**_RESIZE_TIMES, "nearest": 1})),
    nn.PReLU: _each_input(1),
    nn.Softmax: _softmax,
}
"""thop 0.1.1.post2209072238, of September 2022."""
