"""Decodes and trains on more pictures than a process may hold, and compares time and memory with what is estimated.

    python benchmarks/image_memory.py --images 100000 --size 224

Pictures are JPEGs of random colours, written into a temporary folder (removed at the end). A process whose address
space is limited, as by `ulimit -v` (torch alone takes 4 GiB of it), decodes them once and trains `shufflenet_v2_x1_0`
for some steps, then scores it on its validation images.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

_BASES = 200  # different pictures; copies of them differ in a comment, so each is decoded


def make_pictures(root: Path, images: int, side: int) -> None:
    """Two classes; every file has a content of its own."""
    generator = np.random.default_rng(0)
    bases = []
    for _ in range(_BASES):
        rough = Image.fromarray(generator.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        picture = rough.resize((side * 4 // 3, side), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(1))
        file = io.BytesIO()
        picture.save(file, format="JPEG", quality=90)
        bases.append(file.getvalue())
    for name in ("train/a", "train/b", "test/a", "test/b"):
        (root / name).mkdir(parents=True)
    for number in range(images):
        comment = str(number).encode()
        base = bases[number % _BASES]  # a comment segment after the start of the image (ITU T.81, B.2.4.5)
        content = base[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + base[2:]
        (root / "train" / "ab"[number % 2] / f"{number:07}.jpg").write_bytes(content)
    for label in "ab":
        (root / "test" / label / "0.jpg").write_bytes(bases[0])


def work(root: Path, size: int, batch: int, validation: int, steps: int) -> None:
    """Decode, train and score in this process; prints what was estimated and what it took as JSON."""
    import torch

    from archsearch.data.catalog import load_dataset
    from archsearch.data.images import channel_statistics
    from archsearch.models.families import build
    from archsearch.models.variants import find_variant
    from archsearch.search.needs import needs_of
    from archsearch.training.protocols import proxy_protocol
    from archsearch.training.settings import ProxySettings
    from archsearch.training.trainer import Trainer

    torch.set_num_threads(1)
    began = time.perf_counter()
    dataset = load_dataset(f"folder:{root}", data_dir=root / "cache")
    looked = time.perf_counter() - began
    proxy = ProxySettings(batch_size=batch, validation_images=validation, input_size=size)
    positions = dataset.split_positions(validation_images=validation, train_images=None, seed=0)
    network = build(find_variant("shufflenet_v2_x1_0").spec, num_classes=2, input_size=size, seed=0)
    needs = needs_of(dataset, positions, proxy, network, input_size=size)
    began = time.perf_counter()
    train, scored = dataset.split(validation_images=validation, train_images=None, seed=0, image_size=size)
    decoded = time.perf_counter() - began
    mean, std = channel_statistics(train)
    trainer = Trainer(
        network, train, scored, proxy_protocol(proxy), epochs=1, batch_size=batch, input_size=size, mean=mean, std=std,
        flip=True, seed=0, device="cpu", precision="fp32",
    )  # fmt: skip
    began = time.perf_counter()
    for inputs, labels in itertools.islice(trainer.fed.epoch(0), steps):
        trainer.step(inputs, labels, 0.01)
    trained = time.perf_counter() - began
    trainer._evaluate()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    result = {
        "images": len(train) + len(scored),
        "disk_gib": needs.disk_bytes / 2**30,
        "look_seconds": looked,
        "decode_seconds": decoded,
        "estimated_decode_seconds": needs.decode_seconds,
        "train_images_per_second": steps * batch / trained,
        "peak_gib": int(status["VmHWM"].split()[0]) / 2**20,
        "estimated_peak_gib": needs.process_bytes / 2**30,
        "peak_address_space_gib": int(status["VmPeak"].split()[0]) / 2**20,
    }
    print(json.dumps({name: round(value, 3) for name, value in result.items()}, indent=2))


def main() -> int:
    """Make the pictures and start the limited process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=224, help="input size (pixels)")
    parser.add_argument("--side", type=int, default=256, help="shorter side of the pictures (pixels)")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--validation", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--limit-gib", type=float, default=8.0, help="address space of the process, as ulimit -v")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work is not None:
        work(given.work, given.size, given.batch, given.validation, given.steps)
        return 0
    limit = int(given.limit_gib * 2**30)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_pictures(root, given.images, given.side)
        return subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--work", str(root)],
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        ).returncode


if __name__ == "__main__":
    raise SystemExit(main())
