"""Two scores of a network that has not been trained, said to rank networks by accuracy: synflow and jacob_cov.

Both as in Abdelfattah et al. 2021, "Zero-cost proxies for lightweight NAS" (arXiv 2101.08134, section 3). They depend
on the initial weights, so they carry the seed that the network was built with. More is said to be better.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from archsearch.blocks.conv import BatchNorm

JACOB_COV_K = 1e-5  # keeps the logarithm and the quotient of an eigenvalue of 0 finite
JACOB_COV_IMAGES = 64
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


def synflow(model: nn.Module, *, input_size: int) -> float:
    """The synaptic flow of a network: the natural logarithm of the sum of |theta dR/dtheta| over its parameters.

    R is the sum of the outputs for one image of ones, all parameters replaced by their absolute values (Tanaka et al.
    2020, "Pruning neural networks without any data by iteratively conserving synaptic flow", arXiv 2006.05467, equation
    2 and algorithm 1). Batch normalisation does nothing to it (weight 1, bias 0, mean 0, variance 1), as in Abdelfattah
    et al. 2021; its parameters are not counted. Dropout is off. In double precision: without batch normalisation a deep
    network's outputs exceed single precision's range, and the sum is given by its logarithm, which ranks alike.

    Args:
        model: left as it is; its copy is run where it is.
        input_size: height and width of the image (pixels).

    Returns minus infinity if nothing flows, NaN if the sum exceeds double precision's range as well.
    """
    own = _copy(model).double().eval()
    passed: set[int] = set()
    for module in own.modules():
        if isinstance(module, BatchNorm):
            _pass_through(module)
            passed.update(id(parameter) for parameter in module.parameters(recurse=False))
    counted = [parameter for parameter in own.parameters() if id(parameter) not in passed]
    with torch.no_grad():
        for parameter in counted:
            parameter.abs_()
    device = counted[0].device if counted else torch.device("cpu")
    ones = torch.ones(1, 3, input_size, input_size, dtype=torch.float64, device=device)
    with torch.enable_grad():
        flow = own(ones).sum()
        gradients = torch.autograd.grad(flow, counted, allow_unused=True)
    total = math.fsum(
        float((parameter.detach() * gradient).abs().sum())
        for parameter, gradient in zip(counted, gradients, strict=True)
        if gradient is not None
    )
    if not math.isfinite(total):
        return math.nan
    return math.log(total) if total > 0.0 else -math.inf


def jacob_cov(model: nn.Module, images: Tensor) -> float:
    """How differently a network answers to different images: the first score of Mellor et al.

    The gradient of the summed outputs by each image, in training mode (batch normalisation over this batch, dropout
    off), then `correlation_score` of these gradients. Mellor et al. 2020, "Neural architecture search without
    training", arXiv 2006.04647, version 1, section 3.

    Args:
        model: left as it is; its copy is run where the images are.
        images: (N, 3, H, W), normalised; 2 or more, `JACOB_COV_IMAGES` of them elsewhere in this package.

    Returns NaN if the gradients of an image are all equal, as where none reaches it.
    """
    own = _copy(model).to(images.device).train()
    for module in own.modules():
        if isinstance(module, _DROPOUTS):
            module.eval()
    inputs = images.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(own(inputs).sum(), inputs)
    return correlation_score(gradient.reshape(len(images), -1).double().cpu().numpy())


def correlation_score(jacobian: ArrayLike) -> float:
    """-sum(log(v + k) + 1 / (v + k)) over the eigenvalues v of the rows' correlation matrix, k = 1e-5.

    At most -N, where no two of the N rows are correlated. NaN if a row has no spread or is not finite.

    Args:
        jacobian: (N, numbers), one row for each image.
    """
    rows = np.asarray(jacobian, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < 2:
        raise ValueError(f"a row for each of 2 or more images is needed, got shape {rows.shape}")
    if not np.isfinite(rows).all() or not (np.ptp(rows, axis=1) > 0.0).all():
        return math.nan
    eigenvalues = np.maximum(np.linalg.eigvalsh(np.corrcoef(rows)), 0.0)  # rounding takes a 0 below it
    shifted = eigenvalues + JACOB_COV_K
    return -float((np.log(shifted) + 1.0 / shifted).sum())


def _copy(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        return copy.deepcopy(model).requires_grad_(True)


def _pass_through(norm: BatchNorm) -> None:
    """Make a batch normalisation in eval mode give its input."""
    with torch.no_grad():
        if norm.running_mean is not None and norm.running_var is not None:
            norm.running_mean.zero_()
            norm.running_var.fill_(1.0 - norm.eps)  # it divides by the root of variance + eps
        if norm.affine:
            norm.weight.fill_(1.0)
            norm.bias.zero_()
