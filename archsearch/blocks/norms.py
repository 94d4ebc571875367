"""Batch normalisation as one type: torch's common base has a private name."""

from __future__ import annotations

from torch import nn

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm
"""For annotations and isinstance; lazy ones are subclasses."""
