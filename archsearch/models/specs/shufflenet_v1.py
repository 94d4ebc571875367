"""What can be chosen in a ShuffleNet V1. Nothing here imports torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

from archsearch.blocks.attention import ATTENTION
from archsearch.errors import ConfigError
from archsearch.models.spec import ChoiceGroup, Flag, Macro, OneOf, Rule, Spec, Whole, choice, numbered
from archsearch.models.specs.shufflenet_v2 import shrunk

BASE_UNITS = (4, 8, 4)  # arXiv 1707.01083, table 1
# channels of stage 2, 3 and 4 at 1x by the number of groups (table 1)
CHANNELS: Mapping[int, tuple[int, int, int]] = {
    1: (144, 288, 576),
    2: (200, 400, 800),
    3: (240, 480, 960),
    4: (272, 544, 1088),
    8: (384, 768, 1536),
}
# Channels of the stem by width. The paper gives 24 at 1x alone. The authors' code (megvii-model/ShuffleNet-Series) has
# 0.5, 1.5 and 2 with three and with eight groups. 0.25 is inferred: 12 gives table 2's 13 million multiply-adds.
STEM_CHANNELS: Mapping[float, int] = {0.25: 12, 0.5: 12, 1.0: 24, 1.5: 24, 2.0: 48}
# With eight groups they must be a multiple of eight. At 0.25 (inferred) 8 comes nearer to the 13 million than 16.
STEM_CHANNELS_OF_EIGHT_GROUPS: Mapping[float, int] = {**STEM_CHANNELS, 0.25: 8, 0.5: 16}
BOTTLENECK = 4  # a unit works on a quarter of its output channels

_CHANNELS = Whole(4, 8192)


class _Groups(Rule):
    """One of the numbers of groups in the paper."""

    def read(self, value: object) -> int:
        """The number as int."""
        number = Whole(min(CHANNELS), max(CHANNELS)).read(value)
        if number not in CHANNELS:
            raise ValueError(value)
        return number

    def __str__(self) -> str:
        return f"one of {', '.join(map(str, CHANNELS))}"


@dataclass(frozen=True, kw_only=True)
class ShuffleNetV1Stem(ChoiceGroup):
    """The 3x3 convolution on the image, and the max pool after it."""

    stride: int = choice(Whole(1, 2), 2)
    pool: bool = choice(Flag(), True)
    channels: int = choice(_CHANNELS, STEM_CHANNELS[1.0])


@dataclass(frozen=True, kw_only=True)
class ShuffleNetV1Stage(ChoiceGroup):
    """One unit of stride 2 and `units - 1` units of stride 1; `kernel` is that of the depthwise convolutions."""

    channels: int = choice(_CHANNELS, CHANNELS[3][0])
    units: int = choice(Whole(1, 64), 4)
    kernel: int = choice(Whole(3, 7), 3)
    attention: str = choice(OneOf(ATTENTION.names()), "none")


@dataclass(frozen=True, kw_only=True)
class ShuffleNetV1Spec(Spec):
    """A ShuffleNet V1 by its choices; the defaults are 1x with three groups.

    `groups` of each 1x1 convolution but the very first of stage 2; `shuffle`: whether channels are shuffled between the
    two of a unit, which is stored as true where it changes nothing.

    Raises ConfigError if the groups do not divide the channels of the stem and of every stage, or if a stage does not
    widen its input: a unit of stride 2 concatenates its input.
    """

    family: ClassVar[str] = "shufflenet_v1"

    groups: int = choice(_Groups(), 3)
    shuffle: bool = choice(Flag(), True)
    stem: ShuffleNetV1Stem = field(default_factory=ShuffleNetV1Stem)
    stages: tuple[ShuffleNetV1Stage, ...] = numbered(
        "stage",
        2,
        tuple(
            ShuffleNetV1Stage(channels=channels, units=units)
            for channels, units in zip(CHANNELS[3], BASE_UNITS, strict=True)
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.stages) != len(BASE_UNITS):
            raise ConfigError(f"a ShuffleNet V1 has {len(BASE_UNITS)} stages, got {len(self.stages)}")
        self._check_channels()
        if all(self.hidden(stage) == self.groups for stage in self.stages) or self.groups == 1:
            object.__setattr__(self, "shuffle", True)  # one group, or one channel a group

    def hidden(self, stage: ShuffleNetV1Stage) -> int:
        """Channels of a unit's depthwise convolution: o/4, rounded down to a multiple of the groups, at least them.

        The paper says a quarter. At its widths that is none with two or four groups at 0.25x, 0.5x and 1.5x alone.
        """
        return max(self.groups, stage.channels // BOTTLENECK // self.groups * self.groups)

    def widening(self) -> tuple[tuple[int, ShuffleNetV1Stage], ...]:
        """Each stage with the channels that come into it."""
        incoming = (self.stem.channels, *(stage.channels for stage in self.stages[:-1]))
        return tuple(zip(incoming, self.stages, strict=True))

    def map_sizes(self, input_size: int) -> tuple[int, ...]:
        """Height and width of the map after the stem, after its pool, and after each stage (pixels)."""
        after_stem = shrunk(input_size, self.stem.stride)
        sizes = [after_stem, shrunk(after_stem, 2) if self.stem.pool else after_stem]
        for _ in self.stages:
            sizes.append(shrunk(sizes[-1], 2))
        return tuple(sizes)

    def normalised(self, input_size: int) -> Self:
        """The same network: every choice has an effect at every input size."""
        return self

    @classmethod
    def own_macros(cls) -> Mapping[str, Macro]:
        """`width`: the paper's width and groups, `0.5x g4`, which together set the channels of stem and stages."""
        allowed = (
            f"width and groups as 1.0xg3: {', '.join(map(str, STEM_CHANNELS))} and {', '.join(map(str, CHANNELS))}"
        )
        return {"width": Macro(_width, allowed)}

    def _check_channels(self) -> None:
        named = {"stem.channels": self.stem.channels}
        for number, (incoming, stage) in enumerate(self.widening(), start=2):
            named[f"stage{number}.channels"] = stage.channels
            if stage.channels <= incoming:
                raise ConfigError(
                    f"choice 'stage{number}.channels' cannot be {stage.channels}",
                    hint=f"allowed: more than the {incoming} channels into the stage",
                )
        for name, channels in named.items():
            if channels % self.groups:
                raise ConfigError(
                    f"choice '{name}' cannot be {channels} with {self.groups} groups",
                    hint=f"allowed: a multiple of {self.groups}; `width` sets groups and channels together",
                )


def scaled_channels(width: float, groups: int) -> tuple[int, int, int, int]:
    """Channels of the stem (STEM_CHANNELS) and of stages 2, 3 and 4: table 1's at 1x times `width`."""
    stems = STEM_CHANNELS_OF_EIGHT_GROUPS if groups == 8 else STEM_CHANNELS
    first, second, third = (int(channels * width) for channels in CHANNELS[groups])
    return stems[width], first, second, third


def _width(value: object) -> dict[str, object]:
    written = re.fullmatch(r"\s*([\d.]+)x?\s*g(\d+)\s*", value) if isinstance(value, str) else None
    if written is None or float(written[1]) not in STEM_CHANNELS or int(written[2]) not in CHANNELS:
        raise ValueError(value)
    groups = int(written[2])
    stem, *stages = scaled_channels(float(written[1]), groups)
    channels = {f"stage{number}.channels": each for number, each in enumerate(stages, start=2)}
    return {"groups": groups, "stem.channels": stem, **channels}
