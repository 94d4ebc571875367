"""Whether an exported file computes what the network computes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Outputs of an exported file against the network's own, on the same images.

    Attributes:
        images: how many were compared.
        largest_difference: of any output, as a share of the largest absolute output of the network.
        same_top1_percent: share of images with the same highest output (percent).
        largest_output: of the network, absolute; 0 where it gives nothing but zeros, so that nothing was compared.
    """

    images: int
    largest_difference: float
    same_top1_percent: float
    largest_output: float


def parity(expected: Tensor, got: Tensor) -> Parity:
    """Compare two sets of logits, both (N, classes). Raises ValueError for other shapes."""
    if expected.shape != got.shape or expected.ndim != 2:
        raise ValueError(f"two sets of logits (N, classes) are needed, got {tuple(expected.shape)}, {tuple(got.shape)}")
    largest = float(expected.abs().max())
    scale = max(largest, 1e-12)
    return Parity(
        images=len(expected),
        largest_difference=float((expected - got).abs().max()) / scale,
        same_top1_percent=float(100.0 * (expected.argmax(1) == got.argmax(1)).double().mean()),
        largest_output=largest,
    )
