"""Batch normalisation folded into the convolution or linear layer before it, as every deployment does.

In eval mode BN(conv(x)) = s * (W x + b - mean) / sqrt(var + eps) + t is itself a convolution; torch computes its
weights (`torch.nn.utils.fusion`), this file finds the pairs.
"""

from __future__ import annotations

import copy
import logging
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils import parametrize
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

logger = logging.getLogger(__name__)

Pair = tuple[str, str]  # dotted names of a layer and of the batch normalisation that follows it

# Tracing runs the network's own forward on proxies; what that cannot bear shows as one of these.
_UNTRACEABLE = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def folded(model: nn.Module) -> nn.Module:
    """A copy of `model` in eval mode with every foldable pair folded; `model` itself is not changed.

    A pair is a Conv2d whose result goes to a BatchNorm2d and nowhere else, or a Linear before a BatchNorm1d. Pairs are
    read off a symbolic trace, so attributes (`conv1`, `bn1`) count as a Sequential does; of a network that cannot be
    traced, neighbours in a Sequential. Subclasses of Conv2d keep their class, so a forward that pads first stays
    correct; one that does more after convolving would not, which is why the backend compares outputs. The batch
    normalisation becomes an Identity, so positions and names stay as they were.
    Pairs without running statistics, or whose modules are used twice, are left alone.
    """
    own = copy.deepcopy(model).eval()
    modules = dict(own.named_modules())
    owners = Counter(id(module) for _, module in own.named_modules(remove_duplicate=False))
    for first, second in _pairs(own):
        layer, norm = modules[first], modules[second]
        plain = not parametrize.is_parametrized(layer) and not layer._forward_hooks
        if owners[id(layer)] == owners[id(norm)] == 1 and plain:
            fused = _fused(layer, norm)
            if fused is not None:
                own.set_submodule(first, fused)
                own.set_submodule(second, nn.Identity())
    return own


def _pairs(model: nn.Module) -> list[Pair]:
    try:
        with torch.no_grad():
            graph = _LayerTracer().trace(model)
    except _UNTRACEABLE as error:
        logger.debug("%s cannot be traced, only neighbours in a Sequential are folded: %s", type(model).__name__, error)
        return list(_pairs_in_sequentials(model))
    return list(_pairs_in_graph(graph))


class _LayerTracer(fx.Tracer):
    """Stops at layers, subclasses of our own included: one node each."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.Conv2d | nn.Linear) or super().is_leaf_module(m, module_qualified_name)


def _pairs_in_graph(graph: fx.Graph) -> Iterator[Pair]:
    """Calls of one module whose result only one other module takes, each called once."""
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    tensors: set[Any] = {str(node.target).rpartition(".")[0] for node in graph.nodes if node.op == "get_attr"}
    for node in graph.nodes:
        users = list(node.users)
        if node.op != "call_module" or len(users) != 1 or users[0].op != "call_module" or users[0].kwargs:
            continue
        names = str(node.target), str(users[0].target)
        if calls[node.target] == calls[users[0].target] == 1 and not tensors.intersection(names):
            yield names


def _pairs_in_sequentials(model: nn.Module) -> Iterator[Pair]:
    """Neighbours in an `nn.Sequential` that runs its parts in order."""
    for name, parent in model.named_modules():
        if isinstance(parent, nn.Sequential) and type(parent).forward is nn.Sequential.forward:
            inside = [part for part, _ in parent.named_modules(remove_duplicate=False)]
            yield from pairwise(f"{name}.{part}".lstrip(".") for part in inside if part and "." not in part)


def _fused(layer: nn.Module, norm: nn.Module) -> nn.Module | None:
    """One layer that computes both, or None if these two are no such pair."""
    if isinstance(layer, nn.Conv2d) and type(norm) is nn.BatchNorm2d and norm.running_mean is not None:
        return fuse_conv_bn_eval(layer, norm)
    if type(layer) is nn.Linear and type(norm) is nn.BatchNorm1d and norm.running_mean is not None:
        return fuse_linear_bn_eval(layer, norm)
    return None
