"""What other forms of small convolutions save of a training step on a CPU, for each published network of a study.

    python benchmarks/small_maps.py [STUDY] [--steps 15]

Each network is trained twice in one thread, step by step in turn, on random images of 32x32 at the study's batch: with
PyTorch's own convolutions, and with the forms of `archsearch/training/conv_forms.py`. Printed: the median step of each
way (ms of CPU time), and the median ratio of neighbouring steps.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import argparse
import statistics
import time

import torch

from archsearch.host import keep_freed_memory
from archsearch.models.families import build
from archsearch.search.config import load_study
from archsearch.search.variants import study_variants
from archsearch.training.step import EagerStep

WARM_UP = 3
SIZE, CLASSES = 32, 10


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", nargs="?", default="quickstart", help="a shipped study's name or a YAML file")
    parser.add_argument("--steps", type=int, default=15, help="timed steps of each way (default 15)")
    options = parser.parse_args()

    config = load_study(options.study)
    batch = config.proxy.batch_size
    keep_freed_memory()
    generator = torch.Generator().manual_seed(0)
    images = torch.randn((batch, 3, SIZE, SIZE), generator=generator).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (batch,), generator=generator)
    ratios = []
    print(f"{config.name}: batch {batch}, {SIZE}x{SIZE}\n{'network':<40}{'plain ms':>10}{'forms ms':>10}{'times':>8}")
    for variant in study_variants(config, config.search_space(), input_size=SIZE):
        steps = []
        for _ in range(2):
            model = build(variant.spec, num_classes=CLASSES, input_size=SIZE, seed=0).train()
            model = model.to(memory_format=torch.channels_last)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9, fused=True)
            steps.append(EagerStep(model, optimizer, label_smoothing=0.0, device="cpu", amp=False))
        steps[0].forms = {}
        taken: list[list[float]] = [[], []]
        for _ in range(WARM_UP + options.steps):
            for step, spent in zip(steps, taken, strict=True):
                began = time.process_time()
                step(images, labels, 0.01)
                spent.append(1000 * (time.process_time() - began))
        plain, forms = (spent[WARM_UP:] for spent in taken)
        ratio = statistics.median(one / other for one, other in zip(plain, forms, strict=True))
        ratios.append(ratio)
        medians = statistics.median(plain), statistics.median(forms)
        print(f"{variant.name:<40}{medians[0]:>10.1f}{medians[1]:>10.1f}{ratio:>8.2f}", flush=True)
    print(f"median of {len(ratios)} networks: {statistics.median(ratios):.2f} times")


if __name__ == "__main__":
    main()
