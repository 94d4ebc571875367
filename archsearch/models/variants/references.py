"""Networks that stand on a front as outside anchors: torchvision's by name, CIFAR's ResNet-20, and a plain CNN."""

from __future__ import annotations

from collections.abc import Iterator

from archsearch.errors import UnknownNameError
from archsearch.models.mobilenet_v2.spec import MobileNetV2Spec
from archsearch.models.plain_cnn.spec import PlainCnnSpec
from archsearch.models.resnet_cifar.spec import ResNetCifarSpec
from archsearch.models.torchvision_reference.spec import TorchvisionSpec
from archsearch.models.variants.variant import Variant

TORCHVISION = "torchvision/"
ANY_OF_TORCHVISION = "torchvision/NAME names any classification model of torchvision, such as torchvision/resnet18"


def variants() -> Iterator[Variant]:
    """Every variant of this file that has a name of its own; torchvision's are made by `torchvision_variant`."""
    yield Variant(
        "resnet20",
        ResNetCifarSpec(),
        "He et al. 2016, ResNet, arXiv 1512.03385, section 4.2 and table 6",
        "Reference network. Option A, the paper's shortcut for CIFAR: zeros are padded and no parameter is added "
        "(shortcut=conv is option B, which other published CIFAR versions use). Drawn for 32x32; at 224x224 its maps "
        "stay seven times as large, unless stem.stride is 2.",
        published=True,
        num_classes=10,
        input_size=32,
    )
    yield Variant(
        "mobilenet_v2_x0_5",
        MobileNetV2Spec(width=0.5),
        "Sandler et al. 2018, MobileNetV2, arXiv 1801.04381, table 2, width multiplier 0.5",
        "Reference network. Adapted to inputs of at most 64 pixels: the stem and the stage of 24 channels get stride 1 "
        "(form=small_input, as in chenyaofo/pytorch-cifar-models); form=imagenet keeps the paper's strides.",
        published=True,
    )
    yield Variant(
        "plain_cnn",
        PlainCnnSpec(),
        "after the plain CNN of ShuffleNetV2-s, doi 10.12677/iae.2023.114046",
        "The structure is ours: the paper prints the accuracy of a plain CNN (84.47 / 53.69 % on CIFAR-10 / 100), no "
        "structure. Four stages of two 3x3 convolutions with batch normalisation and ReLU (32, 64, 128, 256 channels), "
        "max pools between, global average pool, one linear layer.",
        published=False,
    )


def torchvision_names() -> tuple[str, ...]:
    """`torchvision/NAME` for every classification model of the torchvision that is installed, which this imports."""
    from archsearch.models.torchvision_reference.module import model_names

    return tuple(f"{TORCHVISION}{name}" for name in model_names())


def torchvision_variant(name: str) -> Variant:
    """The reference network `torchvision/NAME`. Raises UnknownNameError with the nearest one."""
    known = torchvision_names()
    if name not in known:
        raise UnknownNameError("reference network", name, known, listed_by="archsearch variants --family torchvision")
    model = name.removeprefix(TORCHVISION)
    spec = TorchvisionSpec(name=model)
    adapted = (
        "Adapted to inputs of at most 64 pixels: the first convolution gets stride 1 and a max pool before the second "
        "one is taken out (form=small_input; form=imagenet keeps torchvision's)."
        if spec.normalised(1) != spec.normalised(224)
        else "Its stem is torchvision's at every input size."
    )
    return Variant(name, spec, f"torchvision.models.{model}", f"Reference network, not pretrained. {adapted}", True)
