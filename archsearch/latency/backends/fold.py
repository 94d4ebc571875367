"""Batch normalisation folded into the convolution before it, as every deployment does.

In eval mode BN(conv(x)) = s * (W x + b - mean) / sqrt(var + eps) + t is itself a convolution; torch computes its
weights (`torch.nn.utils.fusion.fuse_conv_bn_eval`), this file finds the pairs.
"""

from __future__ import annotations

import copy
from collections import Counter

from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.fusion import fuse_conv_bn_eval


def folded(model: nn.Module) -> nn.Module:
    """A copy of `model` in eval mode with every foldable pair folded; `model` itself is not changed.

    A pair is a Conv2d directly followed by a BatchNorm2d in an `nn.Sequential`. Subclasses of Conv2d keep their
    class, so a forward that pads first stays correct; one that does more after convolving would not, which is why
    the backend compares outputs. The BatchNorm2d becomes an Identity, so positions stay as they were.
    Pairs outside a Sequential, without running statistics, or whose modules are used twice are left alone.
    """
    own = copy.deepcopy(model).eval()
    uses = Counter(id(child) for parent in own.modules() for child in parent._modules.values())
    for parent in own.modules():
        if not isinstance(parent, nn.Sequential) or type(parent).forward is not nn.Sequential.forward:
            continue
        for index in range(len(parent) - 1):
            conv, norm = parent[index], parent[index + 1]
            if not isinstance(conv, nn.Conv2d) or type(norm) is not nn.BatchNorm2d:
                continue
            if uses[id(conv)] == uses[id(norm)] == 1 and _foldable(conv, norm):
                parent[index] = fuse_conv_bn_eval(conv, norm)
                parent[index + 1] = nn.Identity()
    return own


def _foldable(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> bool:
    return norm.running_mean is not None and not parametrize.is_parametrized(conv) and not conv._forward_hooks
