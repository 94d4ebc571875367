"""The families of networks, and how one is built from a specification. torch is imported only when one is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from archsearch.errors import BuildError, ConfigError
from archsearch.models.shufflenet_v2.spec import ShuffleNetV2Spec
from archsearch.models.spec import Spec, read_json
from archsearch.registry import Registry

if TYPE_CHECKING:
    from torch import nn

SMALLEST_INPUT = 8  # below it a stock stem leaves nothing to the stages


@dataclass(frozen=True)
class Family:
    """A family of networks.

    Attributes:
        name: as in `Spec.family` and in YAML.
        base: the network that choices are changed from.
        source: the paper.
        summary: one line for a person.
        build: (spec, num_classes, input_size in pixels) -> the module with fresh weights.
    """

    name: str
    base: Spec
    source: str
    summary: str
    build: Callable[[Spec, int, int], nn.Module]


def _shufflenet_v2(spec: Spec, num_classes: int, input_size: int) -> nn.Module:
    from archsearch.models.shufflenet_v2.module import ShuffleNetV2

    return ShuffleNetV2(cast(ShuffleNetV2Spec, spec), num_classes=num_classes, input_size=input_size)


FAMILIES: Registry[Family] = Registry(
    "family",
    {
        "shufflenet_v2": Family(
            "shufflenet_v2",
            ShuffleNetV2Spec(),
            "Ma et al. 2018, ShuffleNet V2, arXiv 1807.11164",
            "split, depthwise, shuffle: built for speed on the device rather than for few operations",
            _shufflenet_v2,
        ),
    },
)


def build(spec: Spec, *, num_classes: int, input_size: int, seed: int | None = None) -> nn.Module:
    """The network of a spec with fresh weights, on the CPU, in training mode: (N, 3, H, W) -> (N, num_classes).

    Args:
        spec: what to build.
        num_classes: outputs of the classifier.
        input_size: height and width of the square input (pixels).
        seed: of the initial weights; None draws them from torch's global generator. With a seed, every generator
            keeps its state.

    Raises BuildError if the input is too small for the network or there are no classes.
    """
    if input_size < SMALLEST_INPUT:
        raise BuildError(
            f"{spec.family} cannot be built for inputs of {input_size} pixels",
            hint=f"the smallest input_size is {SMALLEST_INPUT}",
        )
    if num_classes < 1:
        raise BuildError(f"{spec.family} cannot be built for {num_classes} classes", hint="num_classes is at least 1")
    family = FAMILIES[spec.family]
    if seed is None:
        return family.build(spec, num_classes, input_size)
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every GPU's generator, too
        return family.build(spec, num_classes, input_size)


def spec_from_json(text: str) -> Spec:
    """The spec of any family that `canonical_json` wrote.

    Raises ConfigError if the text is not such JSON, UnknownNameError for an unknown family.
    """
    name = read_json(text).get("family")
    if not isinstance(name, str):
        raise ConfigError("architecture JSON: the key 'family' is missing", hint="write it with canonical_json()")
    return type(FAMILIES[name].base).from_canonical_json(text)
