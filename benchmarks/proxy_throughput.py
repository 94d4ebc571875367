"""Training throughput of the proxy, beside the recipe that most people write, in one thread.

    python benchmarks/proxy_throughput.py [--images 4000] [--rounds 3] [--data FOLDER] [--batch 128]

ours:  archsearch's network (channels_last, a channel shuffle that keeps it), its batches on the device, its loop.
plain: torchvision's network (contiguous memory), PIL transforms, a DataLoader without worker processes, plain SGD.

Both train ShuffleNetV2 x0.5 and x1.0 with a stem of stride 2 and no max pool for one epoch on the same 32x32 images,
with crop, flip, normalisation, label smoothing and SGD with Nesterov momentum. A round runs both, the order swapped
each time; the ratio is taken within a round. Images per second are per second of CPU time of this process: nothing is
evaluated in it, and setting up is not counted.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from archsearch.data.batches import DeviceBatches
from archsearch.data.catalog import load_dataset
from archsearch.data.images import Images, channel_statistics
from archsearch.data.split import stratified_split
from archsearch.models.families import build
from archsearch.models.variants import VARIANTS
from archsearch.training.loop import fit
from archsearch.training.schedules import OneCycle, schedule_of
from archsearch.training.settings import ProxySettings

WIDTHS = {"x0.5": "shufflenet_v2_x0_5", "x1.0": "shufflenet_v2_x1_0"}
CROP_PADDING = 4
Statistics = tuple[float, float, float]


class PilImages(Dataset[tuple[Tensor, int]]):
    """The images as a map-style dataset that opens each with PIL, as torchvision's CIFAR10 does."""

    def __init__(self, images: Images, mean: Statistics, std: Statistics) -> None:
        self.pixels = images.pixels.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = images.labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(images.image_size, padding=CROP_PADDING),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(mean, std),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


def ours(variant: str, images: Images, classes: int, settings: ProxySettings) -> Callable[[], int]:
    """A function that trains for one epoch as a proxy does, and returns how many images it trained on."""
    spec = VARIANTS[variant].spec.with_choices({"stem.stride": 2, "stem.pool": False})
    model = build(spec, num_classes=classes, input_size=images.image_size, seed=0)
    model = model.to(memory_format=torch.channels_last)
    mean, std = channel_statistics(images)
    batches = DeviceBatches(
        images, device="cpu", input_size=images.image_size, batch_size=settings.batch_size,
        mean=mean, std=std, flip=True, crop_padding=CROP_PADDING, seed=0,
    )  # fmt: skip
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.0, momentum=settings.momentum, nesterov=True,
        weight_decay=settings.weight_decay, fused=True,
    )  # fmt: skip
    schedule = schedule_of(OneCycle(settings.learning_rate), epochs=1, steps_per_epoch=batches.steps_per_epoch)

    def epoch() -> int:
        fit(
            model, batches, epochs=1, optimizer=optimizer, schedule=schedule,
            label_smoothing=settings.label_smoothing, device="cpu", amp=False, evaluate=lambda: 0.0, seed=0,
            chunk_steps=settings.chunk_steps,
        )  # fmt: skip
        return batches.steps_per_epoch * batches.batch_size

    return epoch


def plain(variant: str, images: Images, classes: int, settings: ProxySettings) -> Callable[[], int]:
    """The same with torchvision's network and loader."""
    model = getattr(torchvision.models, variant)(num_classes=classes)
    model.conv1[0].stride = (2, 2)
    model.maxpool = nn.Identity()
    mean, std = channel_statistics(images)
    loader = DataLoader(
        PilImages(images, mean, std), batch_size=settings.batch_size, shuffle=True, num_workers=0, drop_last=True
    )
    optimizer = torch.optim.SGD(
        model.parameters(), lr=settings.learning_rate, momentum=settings.momentum, nesterov=True,
        weight_decay=settings.weight_decay,
    )  # fmt: skip

    def epoch() -> int:
        model.train()
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=len(loader) + 1)
        for inputs, labels in loader:
            loss = F.cross_entropy(model(inputs), labels, label_smoothing=settings.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        return len(loader) * settings.batch_size

    return epoch


def images_per_second(epoch: Callable[[], int]) -> float:
    """Images trained on per second of this process's CPU time."""
    start = time.process_time()
    trained = epoch()
    return trained / (time.process_time() - start)


def training_images(folder: Path | None, count: int) -> tuple[Images, int]:
    """`count` images and the number of classes: of a folder with train.npz, or random ones of the digits' size."""
    if folder is None:
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
        return Images(pixels, torch.arange(count) % 10), 10
    dataset = load_dataset(f"npz:{folder}")
    train, _ = stratified_split(dataset.train, validation_images=1, train_images=count, seed=0)
    return train, dataset.num_classes


def main() -> None:
    """Measure and print one line a width."""
    parser = argparse.ArgumentParser(description="Training throughput of the proxy beside the plain recipe.")
    parser.add_argument("--images", type=int, default=4000, help="images in an epoch (default 4000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--batch", type=int, default=128, help="batch size (default 128)")
    parser.add_argument("--data", type=Path, help="folder with train.npz; without it the images are random")
    options = parser.parse_args()
    if options.rounds < 1 or options.batch < 2 or options.images < options.batch:
        parser.error("at least one round, a batch of two, and as many images as a batch")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images, classes = training_images(options.data, options.images)
    settings = ProxySettings(batch_size=options.batch)
    print(
        f"torch {torch.__version__}, Python {sys.version.split()[0]}, 1 thread, "
        f"{torch.backends.cpu.get_cpu_capability()}, {len(images)} {'random ' if options.data is None else ''}images "
        f"{images.image_size}x{images.image_size}, batch {options.batch}, {options.rounds} rounds"
    )
    print(f"{'width':<7}{'ours img/cpu-s':>16}{'plain img/cpu-s':>17}{'ratio':>8}   ratio of each round")
    for width, variant in WIDTHS.items():
        recipes = {"ours": ours, "plain": plain}
        epochs = {name: make(variant, images, classes, settings) for name, make in recipes.items()}
        for epoch in epochs.values():
            epoch()  # kernels are chosen, memory is mapped
        rates: dict[str, list[float]] = {name: [] for name in epochs}
        for number in range(options.rounds):
            for name in list(epochs)[:: 1 if number % 2 == 0 else -1]:
                rates[name].append(images_per_second(epochs[name]))
        ratios = [own / other for own, other in zip(rates["ours"], rates["plain"], strict=True)]
        print(
            f"{width:<7}{statistics.median(rates['ours']):16.0f}{statistics.median(rates['plain']):17.0f}"
            f"{statistics.median(ratios):8.2f}   {', '.join(f'{ratio:.2f}' for ratio in ratios)}"
        )


if __name__ == "__main__":
    main()
