"""Heads: what turns the last map into class scores."""

from __future__ import annotations

from torch import Tensor, nn


class GlobalAveragePool(nn.Module):
    """(N, C, H, W) -> (N, C): the mean of each channel, as torchvision's ShuffleNetV2 takes it."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C)."""
        return x.mean(dim=(2, 3))


def make_gather(kind: str) -> nn.Module:
    """(N, C, H, W) -> (N, features): flattened for `flatten`, else averaged over the map."""
    return nn.Flatten(1) if kind == "flatten" else GlobalAveragePool()


def make_classifier(
    kind: str, channels: int, num_classes: int, *, map_size: int, hidden: int, activation: str
) -> nn.Module:
    """(N, features) -> (N, num_classes), from a map of `channels` x `map_size` x `map_size`.

    `gap`: one linear layer on the averaged channels. `gap_hidden`: a linear layer to `hidden` features, ReLU unless
    `activation` is `none`, and a linear layer. `flatten`: one linear layer on every position of the map.
    """
    if kind == "gap_hidden":
        between = [nn.ReLU(inplace=True)] if activation == "relu" else []
        return nn.Sequential(nn.Linear(channels, hidden), *between, nn.Linear(hidden, num_classes))
    return nn.Linear(channels * map_size**2 if kind == "flatten" else channels, num_classes)
