"""ShuffleNet V1 as published: five widths, five numbers of groups, each plain, without shuffle and with SE.

Not here, since no reading gives their printed cost: ShuffleNet v1-50 (2.3G, ShuffleNet V2, table 6) and 0.5x shallow
(40M, ShuffleNet V1, table 5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from archsearch.models.shufflenet_v1.spec import BOTTLENECK, CHANNELS, STEM_CHANNELS, ShuffleNetV1Spec
from archsearch.models.variants.variant import Variant

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


def variants() -> Iterator[Variant]:
    """Every variant of this file."""
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
