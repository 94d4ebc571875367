"""Run by torchrun: each rank trains its part of every batch; the first writes the weights. No test by itself."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from archsearch.data.dataset import Dataset
from archsearch.data.images import Images
from archsearch.models.families import build
from archsearch.models.variants import VARIANTS
from archsearch.training.distributed import DistributedStep, world_of
from archsearch.training.protocols import PROTOCOLS
from archsearch.training.retrain import RetrainedSeed, retrain_seed
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
    eager = EagerStep(model, optimizer, label_smoothing=0.1, device="cpu", amp=False)
    step = eager if world.size == 1 else DistributedStep(eager, world=world)
    losses = [float(step(world.part(inputs), world.part(labels), 0.1)) for inputs, labels in batches()]
    return model, losses


def images(count: int, *, seed: int) -> Images:
    """Noise: constant backgrounds, as of digits, make gradients that float32 gives to a tenth only."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 3, SIZE, SIZE), generator=generator, dtype=torch.uint8)
    return Images(pixels, torch.arange(count) % CLASSES)


def retrain(folder: Path) -> RetrainedSeed:
    """Eight steps of a full training, as `archsearch retrain` has it done."""
    torch.set_num_threads(1)
    few = Dataset(
        name="noise",
        classes=tuple(map(str, range(CLASSES))),
        train=images(512, seed=0),
        load_test=lambda: images(200, seed=1),
        flip=True,
        fingerprint="noise",
    )
    spec = VARIANTS["shufflenet_v2_x0_5"].spec.at_scale({"stem.stride": 1, "stem.pool": False}).normalised(SIZE)
    return retrain_seed(
        spec, few, PROTOCOLS["shufflenetv2-s"], epochs=1, batch_size=64, seed=0, input_size=SIZE, device="cpu",
        folder=folder, world=world_of("cpu"),
    )  # fmt: skip


if __name__ == "__main__":
    kind, place = sys.argv[1], Path(sys.argv[2])
    if kind == "retrain":
        retrain(place)
    else:
        network, found = train(kind)
        if world_of("cpu").first:
            torch.save({"weights": network.state_dict(), "losses": found}, place)
