"""Images per second of one proxy training, beside the recipe of the tutorials and a hand-tuned loop.

    python benchmarks/training_throughput.py [--device cpu|cuda] [--widths 0.5 1.0] [--stems stock cifar] [--rounds 3]
        [--batch 128] [--seconds 4] [--json FILE] [--several 1 2 4]

ours:      archsearch's network, batches and loop; fp32 or bf16 as a short calibration chooses (--precision forces one).
tutorial:  (a) torchvision's network, a map-style dataset with PIL transforms, a DataLoader with the best of 0, 1 and 2
           worker processes (on a GPU of 0, 2, 4, 8), float32, eager, plain SGD.
hand:      (b) the same torchvision network tuned by hand: channels_last, images in memory as one tensor and augmented
           in batches, fused SGD, still float32 and eager (on a GPU bfloat16 autocast).

The stock stem has stride 2 and a max pool, the CIFAR stem neither. All train with crop, flip, normalisation, label
smoothing and SGD with Nesterov momentum on 32x32 images. Every recipe is a process of its own with one thread, with the
allocator settings that it has in use; in a round all run one after the other, and ratios are taken within a round. A
run ends with a whole step after --seconds. On a CPU a second is one of CPU time of the process and its loader's
workers; on a GPU it is wall time. Nothing is evaluated in it, and setting up (building, a graph's capture, the loader's
start) is not counted: a search pays it once a trial.

The share of the peak compares 6 operations for each multiply-add and image (forward and two of backward) with the
largest of four rates measured before: a square torch.matmul of 1,024 and an NHWC 1x1 convolution, in fp32 and in bf16.
The yardstick of a row is the best of its precision.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torchvision
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from archsearch.cost.architecture import cost_of
from archsearch.data.catalog import load_dataset
from archsearch.data.images import Images, channel_statistics
from archsearch.data.split import stratified_split
from archsearch.host import with_huge_pages
from archsearch.models.families import build
from archsearch.models.spec import Spec
from archsearch.models.variants import VARIANTS
from archsearch.search.precision import calibrate
from archsearch.training.graph import GraphStep
from archsearch.training.protocols import proxy_protocol
from archsearch.training.settings import ProxySettings
from archsearch.training.step import eagerly
from archsearch.training.trainer import Trainer

NAMES = {"0.5": "shufflenet_v2_x0_5", "1.0": "shufflenet_v2_x1_0"}
STEMS: dict[str, dict[str, Any]] = {"stock": {}, "cifar": {"stem.stride": 1, "stem.pool": False}}
RECIPES = ("ours", "tutorial", "hand")
CROP = 4
CLASSES = 10
Steps = Iterator[int]
"""Takes one step each time, and says how many images it had."""


def spec_of(width: str, stem: str) -> Spec:
    """The network that all recipes train."""
    return VARIANTS[NAMES[width]].spec.with_choices(STEMS[stem])


def torchvision_network(width: str, stem: str) -> nn.Module:
    """The same from torchvision, as a tutorial changes it for CIFAR."""
    model: nn.Module = getattr(torchvision.models, NAMES[width])(num_classes=CLASSES)
    if stem == "cifar":
        model.conv1[0].stride = (1, 1)
        model.maxpool = nn.Identity()
    return model.train()


def training_images(count: int) -> tuple[Images, str]:
    """CIFAR-10 where ARCHSEARCH_TEST_CIFAR10 names it, else random images; and which."""
    folder = os.environ.get("ARCHSEARCH_TEST_CIFAR10")
    if folder:
        train, _ = stratified_split(
            load_dataset(f"npz:{folder}").train, validation_images=100, train_images=count, seed=0
        )
        return train, "CIFAR-10"
    pixels = torch.randint(0, 256, (count, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return Images(pixels, torch.arange(count) % CLASSES), "random"


class PilImages(Dataset[tuple[Tensor, int]]):
    """The images as torchvision's CIFAR10 gives them: each opened with PIL and transformed alone."""

    def __init__(self, images: Images) -> None:
        mean, std = channel_statistics(images)
        self.pixels = images.pixels.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = images.labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=CROP),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(mean, std),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


def ours(options: argparse.Namespace, images: Images) -> Steps:
    """A proxy's own trainer, step by step."""
    settings = ProxySettings(batch_size=options.batch, epochs=1000)
    mean, std = channel_statistics(images)
    on_gpu = options.device.startswith("cuda")
    trainer = Trainer(
        build(spec_of(options.width, options.stem), num_classes=CLASSES, input_size=32, seed=0), images, images,
        proxy_protocol(settings), epochs=1000, batch_size=options.batch, input_size=32, mean=mean, std=std, flip=True,
        seed=0, device=options.device, make_step=GraphStep if on_gpu else eagerly, precision=options.precision,
    )  # fmt: skip
    trainer.model.train()
    step, pending = trainer.step, []
    for epoch in range(1000):
        for inputs, labels in trainer.fed.epoch(epoch):
            pending.append(step(inputs, labels, 0.05))
            if not on_gpu or len(pending) == 10:  # as the loop reads losses: once a chunk
                torch.stack(pending).tolist()
                pending = []
            yield len(labels)


def tutorial(options: argparse.Namespace, images: Images) -> Steps:
    """(a): what a tutorial shows."""
    model = torchvision_network(options.width, options.stem).to(options.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
    loader = DataLoader(
        PilImages(images), batch_size=options.batch, shuffle=True, drop_last=True, num_workers=options.loaders,
        pin_memory=options.device != "cpu", persistent_workers=options.loaders > 0,
    )  # fmt: skip
    while True:
        for pixels, classes in loader:
            inputs, labels = pixels.to(options.device), classes.to(options.device)
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs), labels, label_smoothing=0.1)
            loss.backward()
            optimizer.step()
            loss.item()
            yield len(labels)


def hand(options: argparse.Namespace, images: Images) -> Steps:
    """(b): the same network, tuned by hand."""
    device, on_gpu = options.device, options.device != "cpu"
    model = torchvision_network(options.width, options.stem).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True)
    average, deviation = (torch.tensor(v, device=device).view(3, 1, 1) for v in channel_statistics(images))
    whole = (images.pixels.to(device).float() / 255 - average) / deviation
    padded = F.pad(whole, (CROP,) * 4).contiguous(memory_format=torch.channels_last)
    targets = images.labels.to(device)
    while True:
        order = torch.randperm(len(images), device=device)
        for first in range(0, len(images) - options.batch + 1, options.batch):
            chosen = order[first : first + options.batch]
            top, left = torch.randint(0, 2 * CROP + 1, (2,)).tolist()  # one crop a batch, as such loops do
            inputs = padded[chosen, :, top : top + 32, left : left + 32]
            mirrored = torch.rand(len(chosen), 1, 1, 1, device=device) < 0.5
            inputs = torch.where(mirrored, inputs.flip(3), inputs).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cuda", dtype=torch.bfloat16, enabled=on_gpu):
                logits = model(inputs)
            loss = F.cross_entropy(logits.float(), targets[chosen], label_smoothing=0.1)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            yield len(chosen)


def seconds_spent(device: str) -> float:
    """CPU time of this process and of its loader's workers; on a GPU wall time, the device waited for."""
    if device == "cpu":
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(each.ru_utime + each.ru_stime for each in used) + _workers_seconds()
    torch.cuda.synchronize()
    return time.perf_counter()


def _workers_seconds() -> float:
    """CPU time of the processes that this one has started and that still run."""
    ticks = 0
    tasks = Path("/proc/self/task")
    for task in tasks.iterdir() if tasks.is_dir() else ():
        for child in (task / "children").read_text().split():
            try:
                fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def serve(options: argparse.Namespace) -> None:
    """Be one recipe's process: a line in asks for one run, a line out has images, seconds and the device's memory."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images, _ = training_images(options.images)
    steps = {"ours": ours, "tutorial": tutorial, "hand": hand}[options.recipe](options, images)
    for _ in range(3):
        next(steps)
    print("ready", flush=True)
    for _line in sys.stdin:
        trained, start = 0, seconds_spent(options.device)
        while (spent := seconds_spent(options.device) - start) < options.seconds:
            for _ in range(1 if options.device == "cpu" else 20):
                trained += next(steps)
        print(json.dumps({"images": trained, "seconds": spent}), flush=True)


class Recipe:
    """A recipe's process. `ours` has the environment of a study's workers; the others have what a script has."""

    def __init__(self, recipe: str, options: argparse.Namespace, **given: Any) -> None:
        arguments = {
            "recipe": recipe, "device": options.device, "batch": options.batch, "images": options.images,
            "seconds": options.seconds, **given,
        }  # fmt: skip
        command = [sys.executable, __file__]
        for name, value in arguments.items():
            command += [f"--{name}", str(value)]
        environment = with_huge_pages(os.environ) if recipe == "ours" else dict(os.environ)
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._line()

    def ask(self) -> None:
        """Begin a run."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def images_per_second(self) -> float:
        """Of the run that was asked for."""
        found = json.loads(self._line())
        return float(found["images"] / found["seconds"])

    def run(self) -> float:
        """A whole run."""
        self.ask()
        return self.images_per_second()

    def end(self) -> None:
        """Let the process end."""
        self.process.stdin.close()  # type: ignore[union-attr]
        self.process.wait()

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a recipe's process ended with exit code {self.process.wait()}")
        return line


def rate_of(work: Callable[[], object], operations: float, device: str) -> float:
    """Best rate of five (10^9 operations a second)."""
    best = 0.0
    for _ in range(6):
        start, times = seconds_spent(device), 0
        while (spent := seconds_spent(device) - start) < 0.1:
            for _ in range(5):
                work()
            times += 5
        best = max(best, times * operations / spent / 1e9)
    return best


def peaks(device: str) -> dict[str, dict[str, float]]:
    """GFLOP/s of torch.matmul and of a 1x1 NHWC convolution, by precision."""
    side = 1024 if device == "cpu" else 8192
    images = 32 if device == "cpu" else 1024
    found: dict[str, dict[str, float]] = {}
    with torch.inference_mode():
        for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            a, b = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
            conv = nn.Conv2d(256, 256, 1, bias=False).to(device, kind).to(memory_format=torch.channels_last)
            x = torch.randn(images, 256, 16, 16, device=device).to(kind).to(memory_format=torch.channels_last)
            found[name] = {
                "matmul": rate_of(lambda a=a, b=b: a @ b, 2.0 * side**3, device),  # type: ignore[misc]
                "conv1x1": rate_of(lambda conv=conv, x=x: conv(x), 2.0 * images * 256 * 256 * 256, device),  # type: ignore[misc]
            }
    return found


def best_loaders(options: argparse.Namespace, width: str, stem: str) -> int:
    """The number of the DataLoader's workers with which (a) trains most images a second, in one short run each."""
    rates = {}
    for loaders in (0, 1, 2) if options.device == "cpu" else (0, 2, 4, 8):
        recipe = Recipe("tutorial", options, width=width, stem=stem, loaders=loaders)
        rates[loaders] = recipe.run()
        recipe.end()
    return max(rates, key=lambda loaders: rates[loaders])


def compared(options: argparse.Namespace, width: str, stem: str, peak: dict[str, dict[str, float]]) -> dict[str, Any]:
    """One row: a width and a stem, all recipes in turn."""
    spec = spec_of(width, stem)
    precision = options.precision
    if precision is None:
        precision = "bf16"
        if options.device == "cpu":
            networks = [lambda: build(spec, num_classes=CLASSES, input_size=32, seed=0)]
            found = calibrate(networks, num_classes=CLASSES, input_size=32, batch_size=options.batch)
            precision = found.precision
    loaders = best_loaders(options, width, stem)
    given = {"ours": {"precision": precision}, "tutorial": {"loaders": loaders}, "hand": {}}
    recipes = {name: Recipe(name, options, width=width, stem=stem, **given[name]) for name in RECIPES}
    rates: dict[str, list[float]] = {name: [] for name in RECIPES}
    for number in range(options.rounds):
        for name in RECIPES if number % 2 == 0 else reversed(RECIPES):
            rates[name].append(recipes[name].run())
    for recipe in recipes.values():
        recipe.end()
    row: dict[str, Any] = {
        "width": width, "stem": stem, "precision": precision, "loader_workers": loaders,
        "images_per_second": {name: statistics.median(rates[name]) for name in RECIPES}, "rounds": rates,
    }  # fmt: skip
    for other in RECIPES[1:]:
        ratios = [own / theirs for own, theirs in zip(rates["ours"], rates[other], strict=True)]
        row[f"ratio_to_{other}"] = statistics.median(ratios)
    macs = cost_of(spec, num_classes=CLASSES, input_size=32).macs
    row["gflops"] = row["images_per_second"]["ours"] * 6 * macs / 1e9
    row["yardstick_gflops"] = max(peak[precision].values())
    row["share_of_peak"] = row["gflops"] / row["yardstick_gflops"]
    return row


def together(options: argparse.Namespace, width: str, stem: str) -> dict[str, float]:
    """Images per second of several trials on one device at once, added up."""
    found = {}
    for several in options.several:
        precision = options.precision or ("fp32" if options.device == "cpu" else "bf16")
        trials = [Recipe("ours", options, width=width, stem=stem, precision=precision) for _ in range(several)]
        totals = []
        for _ in range(options.rounds):
            for trial in trials:
                trial.ask()
            totals.append(sum(trial.images_per_second() for trial in trials))
        for trial in trials:
            trial.end()
        found[str(several)] = statistics.median(totals)
    return found


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Training throughput of one proxy beside two other recipes.")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument("--widths", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--stems", nargs="+", choices=STEMS, default=list(STEMS))
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--batch", type=int, default=128, help="images a step (default 128)")
    parser.add_argument("--images", type=int, default=4000, help="images of the training set (default 4000)")
    parser.add_argument("--seconds", type=float, default=4.0, help="seconds a run (default 4)")
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="of ours (default: calibrated; on a GPU bf16)")
    parser.add_argument("--several", nargs="*", type=int, default=[], help="trials on one device at once, e.g. 1 2 4")
    parser.add_argument("--json", type=Path, help="write everything that was measured to this file")
    parser.add_argument("--recipe", choices=RECIPES, help=argparse.SUPPRESS)
    parser.add_argument("--width", choices=NAMES, help=argparse.SUPPRESS)
    parser.add_argument("--stem", choices=STEMS, help=argparse.SUPPRESS)
    parser.add_argument("--loaders", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.batch < 2 or options.images < options.batch or options.seconds <= 0:
        parser.error("at least one round, a batch of two, as many images as a batch, and some time")
    return options


def main() -> None:
    """Measure and print one line a width and stem."""
    options = parsed()
    if options.recipe:
        serve(options)
        return
    torch.set_num_threads(1)
    _, images = training_images(options.batch)
    machine = torch.backends.cpu.get_cpu_capability()
    if options.device != "cpu":
        machine = torch.cuda.get_device_name()
    peak = peaks(options.device)
    print(
        f"torch {torch.__version__}, Python {platform.python_version()}, {options.device} ({machine}), 1 thread, "
        f"{images} images 32x32, batch {options.batch}, {options.rounds} rounds of {options.seconds:g} s"
    )
    for precision, rates in peak.items():
        print(f"peak {precision}: matmul {rates['matmul']:.0f}, 1x1 conv NHWC {rates['conv1x1']:.0f} GFLOP/s")
    unit = "img/cpu-s" if options.device == "cpu" else "img/s"
    print(
        f"{'width':<6}{'stem':<7}{'in':<6}{'ours ' + unit:>15}{'(a) tutorial':>14}{'(b) hand':>10}"
        f"{'to (a)':>8}{'to (b)':>8}{'GFLOP/s':>9}{'of peak':>9}   loader workers of (a)"
    )
    rows = []
    for width in options.widths:
        for stem in options.stems:
            row = compared(options, width, stem, peak)
            if options.several:
                row["several_images_per_second"] = together(options, width, stem)
            rows.append(row)
            rate = row["images_per_second"]
            print(
                f"x{width:<5}{stem:<7}{row['precision']:<6}{rate['ours']:15.0f}{rate['tutorial']:14.0f}"
                f"{rate['hand']:10.0f}{row['ratio_to_tutorial']:8.2f}{row['ratio_to_hand']:8.2f}"
                f"{row['gflops']:9.1f}{row['share_of_peak']:9.1%}   {row['loader_workers']}",
                flush=True,
            )
            for several, total in row.get("several_images_per_second", {}).items():
                print(f"      {several} at once: {total:.0f} {unit} together", flush=True)
    if options.json:
        facts = {
            "torch": torch.__version__, "python": platform.python_version(), "device": options.device,
            "machine": machine, "images": images, "batch": options.batch, "unit": unit, "peak_gflops": peak,
            "rows": rows,
        }  # fmt: skip
        options.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
