"""Classes of few images in the loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.nn import functional as F

from archsearch.training.step import EagerStep
from archsearch.training.trainer import balanced_weights

LABELS = torch.tensor([0] * 90 + [1] * 9 + [2])


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS.numpy())
    assert balanced_weights(LABELS, 3).tolist() == pytest.approx(expected.tolist())
    assert balanced_weights(LABELS, 3)[LABELS].mean().item() == pytest.approx(1.0)


@pytest.mark.parametrize("parts", [1, 3])
def test_a_step_weighs_every_image_by_its_class_whatever_the_batch_holds(parts: int) -> None:
    model = nn.Linear(4, 3)
    inputs, labels = torch.randn(10, 4), torch.tensor([0] * 8 + [1, 2])
    weights = balanced_weights(LABELS, 3)
    by_hand = sum(
        weights[label] * F.cross_entropy(model(one[None]), label[None])
        for one, label in zip(inputs, labels, strict=True)
    )
    by_hand = (by_hand / 10).detach()  # type: ignore[union-attr]
    step = EagerStep(
        model, torch.optim.SGD(model.parameters(), lr=0.0), label_smoothing=0.0, device="cpu", amp=False,
        class_weights=weights,
    )  # fmt: skip
    step.parts = parts
    assert step(inputs, labels, 0.0).item() == pytest.approx(by_hand.item(), rel=1e-5)
