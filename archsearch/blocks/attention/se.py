"""Squeeze-and-excitation: Hu et al. 2018, "Squeeze-and-Excitation Networks" (arXiv 1709.01507), section 3."""

from __future__ import annotations

from torchvision import ops

REDUCTION = 16  # the paper's default r
SMALLEST = 8  # narrower layers than this lose more than they save


class SqueezeExcitation(ops.SqueezeExcitation):  # type: ignore[misc]  # torchvision is untyped
    """(N, C, H, W) -> (N, C, H, W): channels scaled by pool, 1x1 C -> max(8, C//16), ReLU, 1x1 -> C, sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, max(SMALLEST, channels // REDUCTION))
