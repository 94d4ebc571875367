"""Operators counted by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archsearch.cost.memory import operators_run


class Halves(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, dim=1)  # views: nothing is written
        return torch.cat((torch.relu(first), second), dim=1)  # a ReLU and a copy


def test_operators_are_those_that_write_a_tensor() -> None:
    assert operators_run(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)), 8) == 3
    assert operators_run(nn.Sequential(nn.Conv2d(3, 4, 1), Halves(), nn.Flatten()), 8) == 3
    assert operators_run(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Identity(), nn.Dropout()), 8) == 1


def test_the_model_stays_in_the_mode_it_was_in() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).train()
    operators_run(model, 8)
    assert model.training
    assert int(model[1].num_batches_tracked) == 0
