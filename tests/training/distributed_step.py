"""Run by torchrun: each rank trains its part of every batch; the first writes the weights. No test by itself."""

from __future__ import annotations

import sys

import torch

from archsearch.models.families import build
from archsearch.models.variants import VARIANTS
from archsearch.training.distributed import DistributedStep, world_of
from archsearch.training.step import EagerStep

BATCH, STEPS, CLASSES, SIZE = 16, 3, 10, 32


def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The same batches in every process (double precision)."""
    generator = torch.Generator().manual_seed(0)
    return [
        (
            torch.randn(BATCH, 3, SIZE, SIZE, generator=generator, dtype=torch.double),
            torch.randint(CLASSES, (BATCH,), generator=generator),
        )
        for _ in range(STEPS)
    ]


def train(variant: str) -> tuple[torch.nn.Module, list[float]]:
    """The network after three steps, and the losses of the whole batches."""
    torch.set_num_threads(1)
    world = world_of("cpu")
    spec = VARIANTS[variant].spec.normalised(SIZE)
    model = build(spec, num_classes=CLASSES, input_size=SIZE, seed=0).double()
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9, weight_decay=5e-4)
    if world.size == 1:
        step = EagerStep(model, optimizer, label_smoothing=0.1, device="cpu", amp=False)
    else:
        step = DistributedStep(model, optimizer, label_smoothing=0.1, device="cpu", amp=False, world=world)
    losses = [float(step(world.part(inputs), world.part(labels), 0.1)) for inputs, labels in batches()]
    return model, losses


if __name__ == "__main__":
    network, found = train(sys.argv[1])
    if world_of("cpu").first:
        torch.save({"weights": network.state_dict(), "losses": found}, sys.argv[2])
