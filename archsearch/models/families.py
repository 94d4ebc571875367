"""The families of networks, and how one is built from a specification. torch is imported only when one is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, cast

from archsearch.errors import BuildError, ConfigError
from archsearch.models.spec import Spec, read_json
from archsearch.models.specs.mobilenet_v3_ldc import MobileNetV3LDCSpec
from archsearch.models.specs.references import MobileNetV2Spec, PlainCnnSpec, ResNetCifarSpec, TorchvisionSpec
from archsearch.models.specs.shufflenet_v1 import ShuffleNetV1Spec
from archsearch.models.specs.shufflenet_v2 import ShuffleNetV2LargeSpec, ShuffleNetV2Spec
from archsearch.records import LARGEST_INPUT, MOST_CLASSES
from archsearch.registry import Registry
from archsearch.validation import whole

if TYPE_CHECKING:
    from torch import nn

SMALLEST_INPUT = 8  # below it a stock stem leaves nothing to the stages
_DRAWING = RLock()  # the generator that weights are drawn from is one for all threads


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
    from archsearch.models.modules.shufflenet_v2 import ShuffleNetV2

    return ShuffleNetV2(cast(ShuffleNetV2Spec, spec), num_classes=num_classes, input_size=input_size)


def _shufflenet_v2_large(spec: Spec, num_classes: int, input_size: int) -> nn.Module:
    from archsearch.models.modules.shufflenet_v2 import ShuffleNetV2Large

    return ShuffleNetV2Large(cast(ShuffleNetV2LargeSpec, spec), num_classes=num_classes, input_size=input_size)


def _shufflenet_v1(spec: Spec, num_classes: int, input_size: int) -> nn.Module:
    from archsearch.models.modules.shufflenet_v1 import ShuffleNetV1

    return ShuffleNetV1(cast(ShuffleNetV1Spec, spec), num_classes=num_classes)


def _mobilenet_v3_ldc(spec: Spec, num_classes: int, input_size: int) -> nn.Module:
    from archsearch.models.modules.mobilenet_v3_ldc import MobileNetV3LDC

    return MobileNetV3LDC(cast(MobileNetV3LDCSpec, spec), num_classes=num_classes)


def _resnet_cifar(spec: Spec, num_classes: int, input_size: int) -> nn.Module:
    from archsearch.models.modules.references import ResNetCifar

    return ResNetCifar(cast(ResNetCifarSpec, spec), num_classes=num_classes)


def _mobilenet_v2(spec: Spec, num_classes: int, input_size: int) -> nn.Module:
    from archsearch.models.modules.references import build_mobilenet_v2

    return build_mobilenet_v2(cast(MobileNetV2Spec, spec), num_classes=num_classes, input_size=input_size)


def _plain_cnn(spec: Spec, num_classes: int, input_size: int) -> nn.Module:
    from archsearch.models.modules.references import PlainCnn

    return PlainCnn(cast(PlainCnnSpec, spec), num_classes=num_classes)


def _torchvision(spec: Spec, num_classes: int, input_size: int) -> nn.Module:
    from archsearch.models.modules.references import build_torchvision

    return build_torchvision(cast(TorchvisionSpec, spec), num_classes=num_classes, input_size=input_size)


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
        "shufflenet_v2_large": Family(
            "shufflenet_v2_large",
            ShuffleNetV2LargeSpec(),
            "Ma et al. 2018, ShuffleNet V2, arXiv 1807.11164, appendix, table 2",
            "ShuffleNet V2 of four stages: v2-50 and SE-v2-164",
            _shufflenet_v2_large,
        ),
        "shufflenet_v1": Family(
            "shufflenet_v1",
            ShuffleNetV1Spec(),
            "Zhang et al. 2017, ShuffleNet, arXiv 1707.01083",
            "grouped 1x1 convolutions with a channel shuffle between them",
            _shufflenet_v1,
        ),
        "mobilenet_v3_ldc": Family(
            "mobilenet_v3_ldc",
            MobileNetV3LDCSpec(),
            "Sun et al. 2022, low-cost deformable convolution (LDC), doi 10.11896/jsjkx.211200036, table 4",
            "MobileNetV3-small with a plain, deformable or lightweight deformable stem and removable layers",
            _mobilenet_v3_ldc,
        ),
        "resnet_cifar": Family(
            "resnet_cifar",
            ResNetCifarSpec(),
            "He et al. 2016, ResNet, arXiv 1512.03385, section 4.2",
            "residual networks for 32x32 images, an outside anchor",
            _resnet_cifar,
        ),
        "mobilenet_v2": Family(
            "mobilenet_v2",
            MobileNetV2Spec(),
            "Sandler et al. 2018, MobileNetV2, arXiv 1801.04381, table 2",
            "inverted residuals by width multiplier, an outside anchor",
            _mobilenet_v2,
        ),
        "plain_cnn": Family(
            "plain_cnn",
            PlainCnnSpec(),
            "ours, after the plain CNN of ShuffleNetV2-s, doi 10.12677/iae.2023.114046",
            "convolution, batch normalisation, ReLU and max pools: the baseline without shortcuts",
            _plain_cnn,
        ),
        "torchvision": Family(
            "torchvision",
            TorchvisionSpec(),
            "torchvision.models",
            "any classification model of torchvision by name, an outside anchor",
            _torchvision,
        ),
    },
)


def build(
    spec: Spec, *, num_classes: int, input_size: int, seed: int | None = None, by_name: bool = False
) -> nn.Module:
    """The network of a spec with fresh weights, on the CPU, in training mode: (N, 3, H, W) -> (N, num_classes).

    Args:
        spec: what to build.
        num_classes: outputs of the classifier.
        input_size: height and width of the square input (pixels).
        seed: of the initial weights; None draws them from torch's global generator. With a seed, every generator
            keeps its state.
        by_name: each parameter is drawn from (seed, its name), so that networks share the weights of all layers that
            they share (`models.named_weights`); else one after the other. Needs a seed.

    Raises BuildError if the input is too small for the network or too large, or there are no classes or too many.
    """
    if not isinstance(spec, Spec):
        raise ConfigError(
            f"build takes a specification, got {spec!r:.80}", hint="archsearch.create_model(NAME) takes a name"
        )
    if input_size < SMALLEST_INPUT:
        raise BuildError(
            f"{spec.family} cannot be built for inputs of {input_size} pixels",
            hint=f"the smallest input_size is {SMALLEST_INPUT}",
        )
    if input_size > LARGEST_INPUT or num_classes > MOST_CLASSES:
        raise BuildError(
            f"{spec.family} is not built for inputs of {input_size} pixels and {num_classes} classes",
            hint=f"at most {LARGEST_INPUT} pixels and {MOST_CLASSES:,} classes: more would take all memory",
        )
    if num_classes < 1:
        raise BuildError(f"{spec.family} cannot be built for {num_classes} classes", hint="num_classes is at least 1")
    family = FAMILIES[spec.family]
    import torch

    if (seed := whole(seed, "seed")) is None:
        with _DRAWING:
            return family.build(spec, num_classes, input_size)
    with _DRAWING, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every GPU's generator, too
        if by_name:
            from archsearch.models.named_weights import with_named_weights

            return with_named_weights(lambda: family.build(spec, num_classes, input_size), seed)
        return family.build(spec, num_classes, input_size)


def spec_from_json(text: str) -> Spec:
    """The spec of any family that `canonical_json` wrote.

    Raises ConfigError if the text is not such JSON, UnknownNameError for an unknown family.
    """
    name = read_json(text).get("family")
    if not isinstance(name, str):
        raise ConfigError("architecture JSON: the key 'family' is missing", hint="write it with canonical_json()")
    return type(FAMILIES[name].base).from_canonical_json(text)
