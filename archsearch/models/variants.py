"""The published networks, each a named point: choices, and where they were printed. No torch here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from archsearch.errors import UnknownNameError
from archsearch.models.spec import Spec
from archsearch.models.specs.mobilenet_v3_ldc import MobileNetV3LDCSpec
from archsearch.models.specs.references import MobileNetV2Spec, PlainCnnSpec, ResNetCifarSpec, TorchvisionSpec
from archsearch.models.specs.shufflenet_v1 import BOTTLENECK, CHANNELS, STEM_CHANNELS, ShuffleNetV1Spec
from archsearch.models.specs.shufflenet_v2 import V2_164, WIDTHS, ShuffleNetV2LargeSpec, ShuffleNetV2Spec
from archsearch.registry import Registry

# What a named network is.


@dataclass(frozen=True)
class Variant:
    """A network with a name.

    Attributes:
        name: as it is typed.
        spec: its choices.
        source: where it was printed.
        note: how it differs from what was printed, or what is not known; empty if nothing.
        reading: in few words which of several readings of the source this is; shown wherever the network is. Empty if
            there is one reading.
        published: whether the source describes this network; False for an idea carried over from another family.
        num_classes, input_size: the conditions (outputs, pixels) under which its printed size and cost hold.
    """

    name: str
    spec: Spec
    source: str
    note: str
    published: bool
    num_classes: int = 1000
    input_size: int = 224
    reading: str = ""


# Networks that stand on a front as outside anchors: torchvision's by name, CIFAR's ResNet-20, and a plain CNN.

TORCHVISION = "torchvision/"
ANY_OF_TORCHVISION = "torchvision/NAME names any classification model of torchvision, such as torchvision/resnet18"


def _of_references() -> Iterator[Variant]:
    """Every one that has a name of its own; torchvision's are made by `torchvision_variant`."""
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
    from archsearch.models.modules.references import model_names

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


# ShuffleNet V2 as published, also large, ShuffleNetV2-s in both readings, and LDC0 to LDC3 carried over.

_V2 = "Ma et al. 2018, ShuffleNet V2, arXiv 1807.11164"
_S = "ShuffleNetV2-s, doi 10.12677/iae.2023.114046"
_LDC = "the LDC paper's table 4 (MobileNetV3-small; doi 10.11896/jsjkx.211200036)"
_SE_READINGS = {
    "se": "SE on the branch, r = 16",
    "se_full": "SE over the unit's full width, which meets the 597M printed at 2x",
}


def _v2_widths() -> Iterator[Variant]:
    """Four widths, with and without SE and residuals (appendix, figure 2), in both forms of the down-sampling unit."""
    extras: Mapping[str, tuple[Mapping[str, Any], str, str]] = {
        "": ({}, "tables 5 and 8", ""),
        "_se": (
            {"attention": "se"},
            "appendix, figure 2b",
            "SE with r = 16 on the branch (Hu et al. 2018); the printed 597M of 2x with SE is met by `_se_full`.",
        ),
        "_se_full": (
            {"attention": "se_full"},
            "appendix, figure 2b, table 2, and table 8",
            "SE over the unit's full width c with a hidden layer of c/2, which costs c^2 multiply-adds a unit: the "
            "reading that meets the printed 597M of 2x with SE, in the authors' form. `_se` is the reading of figure "
            "2b with r = 16 on the branch.",
        ),
        "_residual": ({"residual": True}, "appendix, figure 2a", "The paper prints no numbers for this width."),
        "_se_residual": (
            {"attention": "se", "residual": True},
            "appendix, figure 2c",
            "SE with r = 16 on the branch (Hu et al. 2018). The paper prints no numbers for this width.",
        ),
    }
    forms = {
        "torchvision": ("", "Down-sampling units as torchvision builds them."),
        "authors": ("_authors", "Down-sampling units as the authors build them."),
    }
    for width in WIDTHS:
        for extra, (changes, where, about) in extras.items():
            for form, (suffix, how) in forms.items():
                name = f"shufflenet_v2_x{str(width).replace('.', '_')}{extra}{suffix}"
                spec = ShuffleNetV2Spec().with_choices({"width": width, "unit_form": form, **changes})
                same = " At this width both forms are the same network." if spec.unit_form != form else ""
                note, reading = f"{about} {how}{same}".strip(), _SE_READINGS.get(changes.get("attention", "none"), "")
                yield Variant(name, spec, f"{_V2}, {where}", note, published=True, reading=reading)


def _one(
    name: str,
    changes: Mapping[str, Any],
    source: str,
    note: str,
    *,
    published: bool = True,
    num_classes: int = 1000,
    reading: str = "",
) -> Variant:
    spec = ShuffleNetV2Spec().with_choices(changes)
    return Variant(name, spec, source, note, published, num_classes, reading=reading)


def _others() -> Iterator[Variant]:
    yield _one(
        "shufflenet_v2_star_x1_0",
        {"extra_depthwise": True},
        f"{_V2}, section 4 and table 7",
        "ShuffleNet v2*, drawn for detection: one more 3x3 depthwise convolution a unit. The paper prints no cost.",
    )
    yield _one(
        "shufflenet_v2_s_counted",
        {"stem.kernel": 6, "head.type": "gap_hidden", "head.hidden": 1000, "head.activation": "none"},
        f"{_S}, table 1",
        "As counted: the only reading that gives the printed 2,380,648 parameters. The stem's kernel is 6x6, and a "
        "linear layer 1000 -> 100 follows the 1000-way classifier. The text describes shufflenet_v2_s_described.",
        num_classes=100,
        reading="as counted: a 6x6 stem and one more linear layer",
    )
    yield _one(
        "shufflenet_v2_s_described",
        {"kernel": 6, "head.type": "flatten"},
        f"{_S}, text",
        "As described: all nineteen depthwise kernels are 6x6, and the map is flattened into a fully connected layer. "
        "It does not have the printed 2,380,648 parameters: shufflenet_v2_s_counted has. Where the last map is 1x1, "
        "as at 32x32, flattening changes nothing.",
        num_classes=100,
        reading="as described: 6x6 depthwise kernels and a flattened map",
    )
    carried = {
        "dc0": ({"stem.type": "dcn"}, "a DCNv2 stem"),
        "ldc0": ({"stem.type": "ldc"}, "an LDC stem"),
        "ldc1": ({"stem.type": "ldc", "removed": "shallow"}, "an LDC stem, one unit of stage 3 removed"),
        "ldc2": ({"stem.type": "ldc", "removed": "deep"}, "an LDC stem, one unit of stage 4 removed"),
        "ldc3": ({"stem.type": "ldc", "removed": "both"}, "an LDC stem, one unit of stages 3 and 4 removed"),
    }
    for name, (changes, what) in carried.items():
        note = f"Carried over to ShuffleNet V2: {what}. No paper prints numbers for it."
        yield _one(f"shufflenet_v2_x1_0_{name}", changes, f"after {name.upper()} of {_LDC}", note, published=False)


def _large() -> Iterator[Variant]:
    where = f"{_V2}, appendix, table 2, and table 6"
    yield Variant(
        "shufflenet_v2_50",
        ShuffleNetV2LargeSpec(),
        where,
        "The first stage keeps the map: its first unit has two branches of stride 1. Units as the authors build them.",
        published=True,
    )
    stages: dict[str, Any] = {}
    for number, (channels, units) in enumerate(V2_164, start=2):
        stages |= {f"stage{number}.channels": channels, f"stage{number}.units": units}
    yield Variant(
        "se_shufflenet_v2_164",
        ShuffleNetV2LargeSpec().with_choices(
            {"stem.depth": 3, "stem.channels": 128, "residual": True, "attention": "se_full", **stages}
        ),
        where,
        "With residuals, and SE over each unit's full width c with a hidden layer of c/2 right before the sum: so the "
        "printed 12.7G is met. The paper prints no parameters. The authors' repository prints 140.7M for its V2.Large, "
        "which is another network: 3x3 convolutions of eight groups and widths of 64 to 512.",
        published=True,
    )


def _of_shufflenet_v2() -> Iterator[Variant]:
    """Every variant of the family."""
    yield from _v2_widths()
    yield from _others()
    yield from _large()


# ShuffleNet V1 as published: five widths, five numbers of groups, each plain, without shuffle and with SE.
#
# Not here, since no reading gives their printed cost: ShuffleNet v1-50 (2.3G, ShuffleNet V2, table 6) and 0.5x
# shallow (40M, ShuffleNet V1, table 5).

_V1 = "Zhang et al. 2017, ShuffleNet, arXiv 1707.01083"
_IN_THE_AUTHORS_CODE = {(width, groups) for width in (0.5, 1.0, 1.5, 2.0) for groups in (3, 8)}

# printed costs that the network does not have in the convention of the rest of its table
_DIFFERENCES: Mapping[tuple[float, int], str] = {
    (0.5, 4): "Table 5 prints 38M; it has 36.5M multiply-adds of convolutions and the linear layer.",
    (1.0, 3): "The authors' repository prints 138M; it has 137.5M multiply-adds of convolutions and the linear layer.",
    (
        1.0,
        8,
    ): "Table 5 prints 140M; it has 138.4M multiply-adds of convolutions and the linear layer, which is the 138M "
    "of the authors' repository, and 136.8M of convolutions, table 1's 137M.",
    (
        0.25,
        8,
    ): "Table 2 prints 13M for all groups; it has 12.4M multiply-adds of convolutions and the linear layer, and "
    "would have 15.7M with 16 channels in the stem.",
    (
        2.0,
        3,
    ): "The authors' repository prints 5.4M parameters: its classifier has no biases, which are 1,000 of 5.451M.",
}
_EXTRAS: Mapping[str, tuple[Mapping[str, Any], str, str]] = {
    "": ({}, "tables 1, 2 and 5", ""),
    "_noshuffle": ({"shuffle": False}, "table 3", "Channels are not shuffled."),
    "_se": (
        {"attention": "se"},
        "table 5",
        "SE with r = 16 (Hu et al. 2018) on each unit's output, before the sum or, in units of stride 2, after the "
        "concatenation: so 2x with three groups costs the printed 527M. The paper prints no other width or groups.",
    ),
}


def _of_shufflenet_v1() -> Iterator[Variant]:
    """Every variant of the family."""
    for width in STEM_CHANNELS:
        for groups in CHANNELS:
            plain = ShuffleNetV1Spec().with_choices({"width": f"{width}xg{groups}"})
            for extra, (changes, where, about) in _EXTRAS.items():
                name = f"shufflenet_v1_x{str(width).replace('.', '_')}_g{groups}{extra}"
                same = "With one group there is nothing to shuffle: it is the plain network." if groups == 1 else ""
                notes = [
                    same if extra == "_noshuffle" and same else about,
                    _about(plain, width, groups),
                    "" if extra else _DIFFERENCES.get((width, groups), ""),
                ]
                spec = plain.with_choices(changes)
                yield Variant(name, spec, f"{_V1}, {where}", " ".join(filter(None, notes)), published=True)


def _about(spec: ShuffleNetV1Spec, width: float, groups: int) -> str:
    """What the paper does not state and had to be taken from the authors' code or inferred."""
    notes = []
    if width != 1.0:
        origin = "is the authors' code's" if (width, groups) in _IN_THE_AUTHORS_CODE else "is inferred"
        notes.append(f"The stem's width, {spec.stem.channels}, {origin}: the paper gives it at 1x only.")
    if any(spec.hidden(stage) * BOTTLENECK != stage.channels for stage in spec.stages):
        notes.append("A quarter of the channels is rounded down to a multiple of the groups where it is none.")
    return " ".join(notes)


# MobileNetV3-small as the LDC paper prints it: plain, with a deformable stem, with LDC, and with layers removed.

_TABLE = "Sun et al. 2022, low-cost deformable convolution (LDC), doi 10.11896/jsjkx.211200036, table 4"
_HOW = (
    "The printed counts need three departures from MobileNetV3: SE is on the projected channels, every unit of stride "
    "1 has a shortcut (layer 8 by a 1x1 convolution), and layer 2 keeps its 1x1 expansion. The paper trained with "
    "dropout 0.25 on CIFAR (head.dropout); here it is 0."
)


def _of_mobilenet_v3_ldc() -> Iterator[Variant]:
    """The six rows of table 4."""
    rows: Mapping[str, tuple[str, Mapping[str, Any], str]] = {
        "mb0": ("mb0", {}, "The baseline."),
        "dc0": ("DC0", {"stem.type": "dcn"}, "The first convolution is a DCNv2."),
        "ldc0": ("LDC0", {"stem.type": "ldc"}, "The first convolution is an LDC."),
        "ldc1": ("LDC1", {"stem.type": "ldc", "removed": "shallow"}, "LDC0 without layer 6."),
        "ldc2": ("LDC2", {"stem.type": "ldc", "removed": "deep"}, "LDC0 without layer 11."),
        "ldc3": ("LDC3", {"stem.type": "ldc", "removed": "both"}, "LDC0 without layers 6 and 11."),
    }
    for name, (row, changes, what) in rows.items():
        spec = MobileNetV3LDCSpec().with_choices(changes)
        source, note = f"{_TABLE}, row {row}", f"{what} {_HOW}"
        yield Variant(f"mobilenet_v3_small_{name}", spec, source, note, published=True)


VARIANTS: Registry[Variant] = Registry(
    "variant",
    {
        each.name: each
        for family in (_of_shufflenet_v2, _of_shufflenet_v1, _of_mobilenet_v3_ldc, _of_references)
        for each in family()
    },
    listed_by="archsearch variants",
)


def find_variant(name: str) -> Variant:
    """The variant of this name, or the reference network `torchvision/NAME` (looking that up imports torchvision).

    Raises UnknownNameError with the nearest one.
    """
    if name.startswith(TORCHVISION):
        return torchvision_variant(name)
    if name in VARIANTS:
        return VARIANTS[name]
    raise UnknownNameError("variant", name, VARIANTS, listed_by=VARIANTS.listed_by, also=ANY_OF_TORCHVISION)
