"""Accuracies that papers print, as a front shows them beside the measured ones."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PrintedTop1:
    """Top-1 that a source prints for a named variant on the dataset of the study.

    Attributes:
        variant: our name of the network.
        top1_percent: as printed (percent).
        source: the short name by which the source is cited.
        conditions: what the source says of the training, its epochs among it.
    """

    variant: str
    top1_percent: float
    source: str
    conditions: str


@dataclass(frozen=True, kw_only=True)
class PrintedMark:
    """A printed accuracy in a figure: at our latency of the variant (milliseconds), with the variant's number."""

    printed: PrintedTop1
    number: int
    trial: int
    latency_ms: float
