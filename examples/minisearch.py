"""How archsearch works, in one file to read from top to bottom: Optuna, torch and archsearch's blocks, nothing else.

    python examples/minisearch.py                 # trains and measures 14 networks: two minutes of one CPU core
    python examples/minisearch.py --replay benchmarks/data/cifar10_random.json.gz    # 252 stored ones: seconds

A search space -> a suggestion -> a network -> its proxy (a short training) and its latency, measured in turns with a
reference network -> the Pareto front -> the network to take. `--replay` takes errors and latencies that archsearch
stored instead of making them: tests/test_minisearch.py holds front and recommendation equal to the full program's.

Left out is what makes a search survive a working day: a database, several workers, a device that is leased, resuming,
early stopping, constraints, GPUs, a noise floor learnt from networks measured twice, intervals over seeds.
"""

import argparse
import gzip
import hashlib
import json
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from torch import Tensor, nn
from torch.nn import functional as F

from archsearch.blocks.attention import ATTENTION
from archsearch.blocks.attention.se import JointSqueezeExcitation
from archsearch.blocks.conv import depthwise, make_classifier, make_gather, pointwise
from archsearch.blocks.shuffle import ChannelShuffle
from archsearch.blocks.stems import make_stem

# ---- 1. The search space: the values of each choice of a ShuffleNet V2 (arXiv 1807.11164) of width 0.5

ATTENTIONS = ("none", "se", "se_full", "se_hard", "eca", "cbam", "coordinate", "simam")
UNITS = {"stage2": 4, "stage3": 8, "stage4": 4}
SPACE: dict[str, BaseDistribution] = {
    "unit_form": CategoricalDistribution(("torchvision", "authors")),
    "stem.type": CategoricalDistribution(("conv", "dcn", "ldc")),
    "stem.kernel": IntDistribution(3, 7),
    **{f"{stage}.kernel": IntDistribution(3, 7) for stage in UNITS},
    "split_ratio": FloatDistribution(0.25, 0.75, step=0.125),
    **{f"{stage}.attention": CategoricalDistribution(ATTENTIONS) for stage in UNITS},
    "residual": CategoricalDistribution((False, True)),
    "extra_depthwise": CategoricalDistribution((False, True)),
    "head.type": CategoricalDistribution(("gap", "gap_hidden", "flatten")),
    "head.hidden": CategoricalDistribution((128, 256, 512, 1000)),
    "head.activation": CategoricalDistribution(("none", "relu")),
    **{f"{stage}.removed": IntDistribution(0, units - 1) for stage, units in UNITS.items()},
}
Choices = dict[str, Any]
PLAIN: Choices = {  # as published
    "unit_form": "torchvision", "stem.type": "conv", "stem.kernel": 3, "split_ratio": 0.5, "residual": False,
    "extra_depthwise": False, "head.type": "gap", "head.hidden": 1000, "head.activation": "relu",
    **{f"{stage}.{key}": value for stage in UNITS for key, value in
       (("kernel", 3), ("attention", "none"), ("removed", 0))},
}  # fmt: skip
CHANNELS = (48, 96, 192)  # of the three stages
PUBLISHED = {"shufflenet_v2_x0_5": CHANNELS, "shufflenet_v2_x1_0": (116, 232, 464)}  # evaluated first
STEM_CHANNELS, HEAD_CHANNELS, INPUT_SIZE, LAST_MAP, CLASSES = 24, 1024, 32, 2, 10
Evaluate = Callable[[str, Choices], tuple[float, float, int]]  # name and choices -> the last three of these:


@dataclass(frozen=True)
class Evaluated:
    """A network with its two objectives, both lower-is-better, and how many images its error was counted on."""

    trial: int
    name: str  # of a published network
    choices: Choices
    error_percent: float
    latency_ms: float
    images: int

    def __str__(self) -> str:
        changed = ", ".join(f"{choice}={value}" for choice, value in self.choices.items() if value != PLAIN[choice])
        return (
            f"trial {self.trial:3}  {100 - self.error_percent:.2f} %  {self.latency_ms:.3f} ms  {self.name or changed}"
        )


# ---- 2. Suggestions: a sampler made anew for each, with a seed of its own, so that a search could be continued
def tpe(seed: int) -> optuna.samplers.BaseSampler:
    """archsearch's `tpe`; its default, `ehvi`, models what a network would add to the front."""
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # as Optuna calls `multivariate`
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=10, multivariate=True, group=True)


def search(
    evaluate: Evaluate, *, trials: int, seed: int = 0, sampler: Callable[[int], optuna.samplers.BaseSampler] = tpe
) -> list[Evaluated]:
    """Ask, evaluate, tell, so many times; the published networks come first."""
    study = optuna.create_study(directions=["minimize", "minimize"])
    found: list[Evaluated] = []
    for name, channels in PUBLISHED.items():
        found.append(Evaluated(len(found), name, PLAIN, *evaluate(name, PLAIN)))
        print(found[-1])
        if channels == CHANNELS:  # the sampler learns from it; the others lie outside its space
            values = found[-1].error_percent, found[-1].latency_ms
            study.add_trial(optuna.create_trial(params=PLAIN, distributions=SPACE, values=values))
    while len(found) < trials:
        digest = hashlib.sha256(f"{seed}/{len(found) + 1}".encode()).digest()
        study.sampler = sampler(int.from_bytes(digest[:4], "big") & 0x7FFFFFFF)
        asked = study.ask(SPACE)
        found.append(Evaluated(len(found), "", asked.params, *evaluate("", asked.params)))
        print(found[-1])
        study.tell(asked, [found[-1].error_percent, found[-1].latency_ms])
    return found


# ---- 3. From choices to a network, out of archsearch's blocks
class Unit(nn.Module):
    """(N, i, H, W) -> (N, c, H', W'): some channels pass by, the others are worked on, then both are shuffled.

    A unit that halves the map (`down`) narrows what passes by; arXiv 1807.11164, figure 3 c and d.
    """

    def __init__(self, incoming: int, channels: int, choices: Choices, stage: str, *, down: bool) -> None:
        super().__init__()
        kernel, attention = choices[f"{stage}.kernel"], choices[f"{stage}.attention"]
        hidden = int(channels * choices["split_ratio"] + 0.5)
        self.passing = incoming if down and choices["unit_form"] == "authors" else channels - hidden
        taken, made = incoming if down else hidden, channels - self.passing
        self.residual = choices["residual"] and not down
        self.branch1 = nn.Sequential(
            depthwise(incoming, kernel, 2), nn.BatchNorm2d(incoming),
            pointwise(incoming, self.passing), nn.BatchNorm2d(self.passing), nn.ReLU(),
        ) if down else None  # fmt: skip
        self.branch2 = nn.Sequential(
            *([depthwise(taken, 3), nn.BatchNorm2d(taken)] if choices["extra_depthwise"] else []),
            pointwise(taken, hidden), nn.BatchNorm2d(hidden), nn.ReLU(),
            depthwise(hidden, kernel, 2 if down else 1), nn.BatchNorm2d(hidden),
            pointwise(hidden, made), nn.BatchNorm2d(made),
            *([] if self.residual else [nn.ReLU()]),
            *([] if attention in ("none", "se_full") else [ATTENTION[attention](made)]),
        )  # fmt: skip
        self.attention = JointSqueezeExcitation(self.passing, made) if attention == "se_full" else None
        self.shuffle = ChannelShuffle(self.passing, made)

    def forward(self, x: Tensor) -> Tensor:
        """(N, i, H, W) -> (N, c, H', W')."""
        passed, taken = (self.branch1(x), x) if self.branch1 else (x[:, : self.passing], x[:, self.passing :])
        made = self.branch2(taken)
        if self.attention is not None:
            passed, made = self.attention(passed, made)
        return self.shuffle(passed, F.relu(made + taken) if self.residual else made)


def build(choices: Choices, channels_of_stages: tuple[int, ...] = CHANNELS) -> nn.Sequential:
    """The network: (N, 3, 32, 32) -> (N, 10). Its parts are named as in torchvision's ShuffleNetV2."""
    incoming = STEM_CHANNELS
    parts: dict[str, nn.Module] = {"conv1": make_stem(choices["stem.type"], incoming, choices["stem.kernel"], 2)}
    for stage, channels in zip(UNITS, channels_of_stages, strict=True):
        wide = (incoming, *[channels] * (UNITS[stage] - choices[f"{stage}.removed"] - 1))  # into each unit
        units = [Unit(into, channels, choices, stage, down=not number) for number, into in enumerate(wide)]
        parts[stage] = nn.Sequential(*units)
        incoming = channels
    parts["conv5"] = nn.Sequential(pointwise(incoming, HEAD_CHANNELS), nn.BatchNorm2d(HEAD_CHANNELS), nn.ReLU())
    kind, hidden, activation = (choices[f"head.{name}"] for name in ("type", "hidden", "activation"))
    parts["gather"] = make_gather(kind)
    parts["fc"] = make_classifier(kind, HEAD_CHANNELS, CLASSES, map_size=LAST_MAP, hidden=hidden, activation=activation)
    return nn.Sequential(OrderedDict(parts)).to(memory_format=torch.channels_last)


# ---- 4. The proxy, a short training that ends at the rate 0; and the latency, in turns with the reference
def digits() -> tuple[Tensor, Tensor]:
    """The embedded digits in an order drawn once: images (1797, 3, 32, 32), normalised, and labels."""
    with np.load(Path(__file__).parents[1] / "archsearch/data/digits.npz") as file:
        pixels, labels = file["images"], file["labels"].astype(np.int64)
    order = np.random.default_rng(0).permutation(len(labels))
    images = torch.tensor(pixels[order], dtype=torch.float32).reshape(-1, 1, 8, 8)
    images = F.interpolate((images - images.mean()) / images.std(), size=INPUT_SIZE).repeat(1, 3, 1, 1)
    return images, torch.tensor(labels[order])


def proxy(network: nn.Module, *, epochs: int, train_images: int, seed: int) -> tuple[float, int]:
    """Train; the validation error (percent) after the last epoch, and the number of validation images."""
    images, labels = digits()
    generator, batch = torch.Generator().manual_seed(seed), 32
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)
    one_cycle = torch.optim.lr_scheduler.OneCycleLR(  # linearly up, then down to 0
        optimizer, 0.05, epochs * (train_images // batch), pct_start=0.2, anneal_strategy="linear", cycle_momentum=False
    )
    network.train()
    for _ in range(epochs):
        for chosen in torch.randperm(train_images, generator=generator)[: train_images // batch * batch].split(batch):
            optimizer.zero_grad()
            F.cross_entropy(network(images[chosen]), labels[chosen], label_smoothing=0.1).backward()
            optimizer.step()
            one_cycle.step()
    network.eval()
    with torch.inference_mode():  # no search opens a test split: these images only rank
        wrong = network(images[train_images:]).argmax(1) != labels[train_images:]
    return 100.0 * float(wrong.float().mean()), len(wrong)


@torch.inference_mode()
def interleaved_ms(network: nn.Module, reference: nn.Module, *, bursts: int = 20, runs: int = 5) -> tuple[float, float]:
    """The p10 of both (ms) with one image, one thread, timed in turns.

    Interference comes in episodes that slow both, so it leaves their ratio; and the p10 is of undisturbed runs.
    """
    image, took_ns = torch.zeros(1, 3, INPUT_SIZE, INPUT_SIZE), (list[int](), list[int]())
    for burst in range(bursts):
        for which in (burst % 2, 1 - burst % 2):
            for run in range(-2, runs):  # two of each burst are not counted
                began = time.perf_counter_ns()
                (network, reference)[which](image)
                if run >= 0:
                    took_ns[which].append(time.perf_counter_ns() - began)
    return float(np.quantile(took_ns[0], 0.1)) / 1e6, float(np.quantile(took_ns[1], 0.1)) / 1e6


def trained(
    name: str, choices: Choices, *, reference: nn.Module, reference_ms: float, epochs: int = 2, images: int = 1200
) -> tuple[float, float, int]:
    """Build, measure and train one network. `reference_ms`: at the start; what slows the device later slows both."""
    torch.manual_seed(0)
    network = build(choices, PUBLISHED.get(name, CHANNELS)).eval()
    own_ms, beside_ms = interleaved_ms(network, reference)
    error_percent, counted_on = proxy(network, epochs=epochs, train_images=images, seed=0)
    return error_percent, own_ms / beside_ms * reference_ms, counted_on


def replayed(name: str, choices: Choices, *, study: dict[str, Any]) -> tuple[float, float, int]:
    """Look one network up in what benchmarks/export_study.py wrote of a study that archsearch ran."""
    wanted = {"variant": name} if name else {"suggested": choices, "variant": None}
    trial = next(each for each in study["trials"] if wanted.items() <= each.items())
    return trial["curve"][-1], trial["latency_ms"], 1500  # validation images of the study `cifar10_random`


# ---- 5. The Pareto front, where latencies closer than the noise floor are ties, and the network to take
def front(networks: list[Evaluated], floor: float) -> list[Evaluated]:
    """The networks that no network of the front dominates, fastest first; `floor` is a share, such as 0.02.

    Better is a lower error, or a latency lower by more than the floor. Whatever could dominate comes first.
    """
    kept: list[Evaluated] = []
    for each in sorted(networks, key=lambda network: (network.error_percent, network.latency_ms)):
        for other in kept:  # of no higher error
            faster = other.latency_ms * (1 + floor) < each.latency_ms
            slower = each.latency_ms * (1 + floor) < other.latency_ms
            if faster or (other.error_percent < each.error_percent and not slower):
                break
        else:
            kept.append(each)
    return sorted(kept, key=lambda network: (network.latency_ms, network.error_percent, network.trial))


def recommended(members: list[Evaluated], floor: float) -> Evaluated:
    """Of all members whose accuracy cannot be told from the knee's, the fastest; of ties with it, the most accurate.

    The knee has the smallest sum of both objectives scaled to [0, 1] (Das 1999); without one: the most accurate.
    """
    errors, latencies, images = np.array([(each.error_percent, each.latency_ms, each.images) for each in members]).T
    scaled = sum((each - each.min()) / (np.ptp(each) or 1.0) for each in (errors, latencies))
    distinct = len(set(zip(errors, latencies, strict=True)))
    start = (scaled if distinct > 2 and scaled.min() < 1.0 - 1e-12 else errors).argmin()
    variances = errors * (100.0 - errors) / images  # of shares that were counted: the binomial distribution's
    alike = np.abs(errors - errors[start]) <= 1.96 * np.sqrt(variances + variances[start])  # within a 95 % interval
    tied = alike & (latencies <= latencies[alike].min() * (1 + floor))
    return min(np.array(members)[tied], key=lambda each: (each.error_percent, each.latency_ms))


def main() -> None:
    """Search, then print the front and the network to take."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=14)
    parser.add_argument("--replay", type=Path, metavar="FILE", help="a stored study, instead of training and measuring")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if arguments.replay is None:
        torch.set_num_threads(1)
        reference = build(PLAIN, PUBLISHED["shufflenet_v2_x1_0"]).eval()
        evaluate = partial(trained, reference=reference, reference_ms=interleaved_ms(reference, reference)[0])
        networks, floor = search(evaluate, trials=arguments.trials), 0.03  # archsearch learns the floor as it goes
    else:
        study = json.loads(gzip.decompress(arguments.replay.read_bytes()))
        evaluate, floor = partial(replayed, study=study), study["noise_floor"]
        networks = search(evaluate, trials=len(study["trials"]), sampler=optuna.samplers.RandomSampler)
    members = front(networks, floor)
    print(
        f"\nFront: {len(members)} of {len(networks)} networks (validation top-1 and latency); ties: {100 * floor:.1f} %"
    )
    print("\n".join(map(str, members)), f"\n\nTake {recommended(members, floor)}")


if __name__ == "__main__":
    main()
