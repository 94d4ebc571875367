"""ShuffleNet V2 as published, ShuffleNetV2-s in both readings, and LDC0 to LDC3 carried over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from archsearch.models.shufflenet_v2.spec import WIDTHS, ShuffleNetV2Spec
from archsearch.models.variants.variant import Variant

_V2 = "Ma et al. 2018, ShuffleNet V2, arXiv 1807.11164"
_S = "ShuffleNetV2-s, doi 10.12677/iae.2023.114046"
_LDC = "the LDC paper's table 4 (MobileNetV3-small)"


def _v2_widths() -> Iterator[Variant]:
    """Four widths, with and without SE and residuals (appendix, figure 2), in both forms of the down-sampling unit."""
    extras: Mapping[str, tuple[Mapping[str, Any], str, str]] = {
        "": ({}, "tables 5 and 8", ""),
        "_se": (
            {"attention": "se"},
            "appendix, figure 2b",
            "SE with r = 16 on the branch (Hu et al. 2018); the printed 597M of 2x with SE needs a wider hidden layer.",
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
                yield Variant(name, spec, f"{_V2}, {where}", f"{about} {how}{same}".strip(), published=True)


def _one(
    name: str,
    changes: Mapping[str, Any],
    source: str,
    note: str,
    *,
    published: bool = True,
    num_classes: int = 1000,
) -> Variant:
    return Variant(name, ShuffleNetV2Spec().with_choices(changes), source, note, published, num_classes)


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
    )
    yield _one(
        "shufflenet_v2_s_described",
        {"kernel": 6, "head.type": "flatten"},
        f"{_S}, text",
        "As described: all nineteen depthwise kernels are 6x6, and the map is flattened into a fully connected layer. "
        "It does not have the printed 2,380,648 parameters: shufflenet_v2_s_counted has. Where the last map is 1x1, "
        "as at 32x32, flattening changes nothing.",
        num_classes=100,
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


def variants() -> Iterator[Variant]:
    """Every variant of this file."""
    yield from _v2_widths()
    yield from _others()
