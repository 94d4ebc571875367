"""ShuffleNet V2 as published, also large, ShuffleNetV2-s in both readings, and LDC0 to LDC3 carried over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from archsearch.models.shufflenet_v2.spec import WIDTHS, ShuffleNetV2Spec
from archsearch.models.shufflenet_v2_large.spec import V2_164, ShuffleNetV2LargeSpec
from archsearch.models.variants.variant import Variant

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


def variants() -> Iterator[Variant]:
    """Every variant of this file."""
    yield from _v2_widths()
    yield from _others()
    yield from _large()
