"""What can be chosen in a large ShuffleNet V2. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from archsearch.errors import ConfigError
from archsearch.models.spec import ChoiceGroup, Flag, Macro, OneOf, Spec, Whole, choice, numbered
from archsearch.models.specs.shufflenet_v2 import (
    UNIT_FORMS,
    ShuffleNetV2Head,
    ShuffleNetV2Stage,
    plain_form,
    shrunk,
    widening,
)

# arXiv 1807.11164, appendix, table 2: width and units of the stages at 56x56, 28x28, 14x14 and 7x7 (conv2 to conv5)
V2_50 = ((244, 3), (488, 4), (976, 6), (1952, 3))
V2_164 = ((340, 10), (680, 10), (1360, 23), (2720, 10))
HEAD_CHANNELS = 2048


@dataclass(frozen=True, kw_only=True)
class ShuffleNetV2LargeStem(ChoiceGroup):
    """`depth` 3x3 convolutions on the image, the first with the stride, and the max pool after them.

    The last emits `channels`, those before it half as many: v2-50 has one of 64, v2-164 64, 64 and 128.
    """

    depth: int = choice(Whole(1, 3), 1)
    stride: int = choice(Whole(1, 2), 2)
    pool: bool = choice(Flag(), True)
    channels: int = choice(Whole(4, 8192), 64)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels after each convolution."""
        return (self.channels // 2,) * (self.depth - 1) + (self.channels,)


@dataclass(frozen=True, kw_only=True)
class ShuffleNetV2LargeSpec(Spec):
    """A ShuffleNet V2 of four stages by its choices; the defaults are v2-50 in the authors' form.

    Stages are as in ShuffleNetV2Spec, and so is `unit_form`. Stage 2 keeps the map: its first unit has stride 1.

    Raises ConfigError if the authors' form is asked for where a stage does not widen its input.
    """

    family: ClassVar[str] = "shufflenet_v2_large"

    unit_form: str = choice(OneOf(UNIT_FORMS), "authors")
    stem: ShuffleNetV2LargeStem = field(default_factory=ShuffleNetV2LargeStem)
    stages: tuple[ShuffleNetV2Stage, ...] = numbered(
        "stage", 2, tuple(ShuffleNetV2Stage(channels=channels, units=units) for channels, units in V2_50)
    )
    head: ShuffleNetV2Head = field(default_factory=lambda: ShuffleNetV2Head(channels=HEAD_CHANNELS))

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.stages) != len(V2_50):
            raise ConfigError(f"a large ShuffleNet V2 has {len(V2_50)} stages, got {len(self.stages)}")
        object.__setattr__(self, "unit_form", plain_form(self.unit_form, self.widening()))

    def widening(self) -> tuple[tuple[int, ShuffleNetV2Stage], ...]:
        """Each stage with the channels that come into it."""
        return widening(self.stem.channels, self.stages)

    def map_sizes(self, input_size: int) -> tuple[int, ...]:
        """Height and width of the map after the stem, after its pool, and after each stage (pixels)."""
        after_stem = shrunk(input_size, self.stem.stride)
        sizes = [after_stem, shrunk(after_stem, 2) if self.stem.pool else after_stem]
        for number in range(len(self.stages)):
            sizes.append(shrunk(sizes[-1], 2) if number else sizes[-1])
        return tuple(sizes)

    def normalised(self, input_size: int) -> Self:
        """The same network; flattening a 1x1 map is `gap`."""
        if self.head.type == "flatten" and self.map_sizes(input_size)[-1] == 1:
            return replace(self, head=replace(self.head, type="gap"))
        return self

    @classmethod
    def own_macros(cls) -> Mapping[str, Macro]:
        """None beside those that set every stage."""
        return {}
