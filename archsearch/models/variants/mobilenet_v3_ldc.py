"""MobileNetV3-small as the LDC paper prints it: plain, with a deformable stem, with LDC, and with layers removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from archsearch.models.mobilenet_v3_ldc.spec import MobileNetV3LDCSpec
from archsearch.models.variants.variant import Variant

_TABLE = "Sun et al. 2022, low-cost deformable convolution (LDC), doi 10.11896/jsjkx.211200036, table 4"
_HOW = (
    "The printed counts need three departures from MobileNetV3: SE is on the projected channels, every unit of stride "
    "1 has a shortcut (layer 8 by a 1x1 convolution), and layer 2 keeps its 1x1 expansion. The paper trained with "
    "dropout 0.25 on CIFAR (head.dropout); here it is 0."
)


def variants() -> Iterator[Variant]:
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
