"""SimAM, attention without parameters: Yang et al. 2021 (ICML, PMLR 139), equation 5 and its figure 3."""

from __future__ import annotations

from torch import Tensor, nn

LAMBDA = 1e-4  # the paper's regulariser
NOTHING = 1e-12  # makes 0/0 on a 1x1 map 0, and is lost in rounding on any other


class SimAM(nn.Module):
    """(N, C, H, W) -> (N, C, H, W): each neuron scaled by the sigmoid of its inverse energy in its channel.

    The inverse energy is d / (4 (v + lambda)) + 1/2, where d is the squared distance from the channel's mean and v the
    sum of d over H*W - 1. A 1x1 map has d = 0 and is scaled by sigmoid(1/2).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        distance = (x - x.mean(dim=(2, 3), keepdim=True)).square()
        others = x.shape[2] * x.shape[3] - 1 + NOTHING
        variance = distance.sum(dim=(2, 3), keepdim=True) / others
        return x * (distance / (4 * (variance + LAMBDA)) + 0.5).sigmoid()
