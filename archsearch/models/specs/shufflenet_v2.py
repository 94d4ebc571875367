"""What can be chosen in a ShuffleNet V2, a large one among them. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import ClassVar, Self

from archsearch.blocks.attention import ATTENTION
from archsearch.errors import ConfigError
from archsearch.models.spec import ChoiceGroup, Decimal, Flag, Macro, OneOf, Spec, Whole, choice, numbered

UNIT_FORMS = ("torchvision", "authors")
STEM_TYPES = ("conv", "dcn", "ldc")
HEAD_TYPES = ("gap", "gap_hidden", "flatten")
ACTIVATIONS = ("relu", "none")

BASE_UNITS = (4, 8, 4)  # arXiv 1807.11164, table 5
# stage 2, 3, 4 and head channels by width multiplier (table 5; x2.0 as torchvision and the authors' code build it)
WIDTHS: Mapping[float, tuple[int, int, int, int]] = {
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (244, 488, 976, 2048),
}
STEM_CHANNELS = 24
# units removed from stages 3 and 4: the LDC paper's LDC1, LDC2 and LDC3 carried over
REMOVED: Mapping[str, tuple[int, int]] = {"none": (0, 0), "shallow": (1, 0), "deep": (0, 1), "both": (1, 1)}
_COARSE = (2, 4, 8, 10, 20, 100)  # denominators of the ratios that people write

_CHANNELS = Whole(4, 8192)


def _main_channels(channels: int, ratio: float) -> int:
    return int(channels * ratio + 0.5)


def _plainest(channels: int, ratio: float) -> float:
    """The ratio of the smallest denominator in _COARSE with the same main branch, else the ratio itself."""
    wanted = _main_channels(channels, ratio)
    for denominator in _COARSE:
        for numerator in range(1, denominator):
            plain = numerator / denominator
            if 0.25 <= plain <= 0.75 and _main_channels(channels, plain) == wanted:
                return plain
    return ratio


@dataclass(frozen=True, kw_only=True)
class ShuffleNetV2Stem(ChoiceGroup):
    """The convolution on the image, and the max pool after it."""

    type: str = choice(OneOf(STEM_TYPES), "conv")
    kernel: int = choice(Whole(3, 7), 3)
    stride: int = choice(Whole(1, 2), 2)
    pool: bool = choice(Flag(), True)
    channels: int = choice(_CHANNELS, STEM_CHANNELS)


@dataclass(frozen=True, kw_only=True)
class ShuffleNetV2Stage(ChoiceGroup):
    """One down-sampling unit and `units - 1` units of stride 1.

    `split_ratio` is stored as the plainest ratio that gives the main branch the same number of channels: at 48
    channels 0.33 and 1/3 are the same network, and so the same choice.
    """

    channels: int = choice(_CHANNELS, 116)
    units: int = choice(Whole(1, 64), 4)
    kernel: int = choice(Whole(3, 7), 3)
    split_ratio: float = choice(Decimal(0.25, 0.75), 0.5)
    attention: str = choice(OneOf(ATTENTION.names()), "none")
    residual: bool = choice(Flag(), False)
    extra_depthwise: bool = choice(Flag(), False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "split_ratio", _plainest(self.channels, self.split_ratio))
        if self.units == 1:  # a down-sampling unit has no residual
            object.__setattr__(self, "residual", False)

    @property
    def main_channels(self) -> int:
        """Channels m of the main branch: int(c * split_ratio + 0.5)."""
        return _main_channels(self.channels, self.split_ratio)


@dataclass(frozen=True, kw_only=True)
class ShuffleNetV2Head(ChoiceGroup):
    """The last 1x1 convolution and the classifier. `hidden` and `activation` belong to `gap_hidden` alone."""

    type: str = choice(OneOf(HEAD_TYPES), "gap")
    channels: int = choice(_CHANNELS, 1024)
    hidden: int = choice(Whole(1, 8192), 1000)
    activation: str = choice(OneOf(ACTIVATIONS), "relu")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.type != "gap_hidden":
            object.__setattr__(self, "hidden", 1000)
            object.__setattr__(self, "activation", "relu")


@dataclass(frozen=True, kw_only=True)
class ShuffleNetV2Spec(Spec):
    """A ShuffleNet V2 by its choices; the defaults are torchvision's x1.0.

    `unit_form` is how a down-sampling unit shares its output. torchvision: both branches narrow the input, the left to
    c - m channels and the main to m. authors: the left keeps the input's i channels, the main emits the other c - i.

    Raises ConfigError if the authors' form is asked for where a stage does not widen its input.
    """

    family: ClassVar[str] = "shufflenet_v2"

    unit_form: str = choice(OneOf(UNIT_FORMS), "torchvision")
    stem: ShuffleNetV2Stem = field(default_factory=ShuffleNetV2Stem)
    stages: tuple[ShuffleNetV2Stage, ...] = numbered(
        "stage",
        2,
        tuple(
            ShuffleNetV2Stage(channels=channels, units=units)
            for channels, units in zip(WIDTHS[1.0][:3], BASE_UNITS, strict=True)
        ),
    )
    head: ShuffleNetV2Head = field(default_factory=ShuffleNetV2Head)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.stages) != len(BASE_UNITS):
            raise ConfigError(f"a ShuffleNet V2 has {len(BASE_UNITS)} stages, got {len(self.stages)}")
        object.__setattr__(self, "unit_form", plain_form(self.unit_form, self.widening()))

    def widening(self) -> tuple[tuple[int, ShuffleNetV2Stage], ...]:
        """Each stage with the channels that come into it."""
        return widening(self.stem.channels, self.stages)

    def map_sizes(self, input_size: int) -> tuple[int, ...]:
        """Height and width of the map after the stem, after its pool, and after each stage (pixels)."""
        return map_sizes(input_size, self.stem, (2,) * len(self.stages))

    def normalised(self, input_size: int) -> Self:
        """The same network; flattening a 1x1 map is `gap`."""
        return replace(self, head=plain_head(self.head, map_size=self.map_sizes(input_size)[-1]))

    @classmethod
    def own_macros(cls) -> Mapping[str, Macro]:
        """`width`, `removed` and `stageN.removed`."""
        width = Macro(_width, f"one of {', '.join(map(str, WIDTHS))}", tuple(WIDTHS))
        removed = Macro(_removed, f"one of {', '.join(REMOVED)}", tuple(REMOVED))
        stages = {
            f"stage{number}.removed": _removed_from(f"stage{number}", units)
            for number, units in enumerate(BASE_UNITS, start=2)
        }
        return {"width": width, "removed": removed, **stages}


def widening(incoming: int, stages: tuple[ShuffleNetV2Stage, ...]) -> tuple[tuple[int, ShuffleNetV2Stage], ...]:
    """Each stage with the channels that come into it; `incoming` come into the first."""
    return tuple(zip((incoming, *(stage.channels for stage in stages[:-1])), stages, strict=True))


def plain_form(form: str, stages: tuple[tuple[int, ShuffleNetV2Stage], ...]) -> str:
    """The unit form; torchvision where both are the same network. Stages come with their incoming channels.

    Raises ConfigError if the authors' form is asked for where a stage does not widen its input.
    """
    if form != "authors":
        return form
    for number, (incoming, stage) in enumerate(stages, start=2):
        if stage.channels <= incoming:
            raise ConfigError(
                f"choice 'stage{number}.channels' cannot be {stage.channels} with unit_form authors",
                hint=f"allowed: more than the {incoming} channels into the stage, or the torchvision form",
            )
    same = all(stage.channels - stage.main_channels == incoming for incoming, stage in stages)
    return "torchvision" if same else form


def map_sizes(
    input_size: int, stem: ShuffleNetV2Stem | ShuffleNetV2LargeStem, strides: tuple[int, ...]
) -> tuple[int, ...]:
    """Height and width of the map after the stem, after its pool, and after each stage (pixels)."""
    return tuple(accumulate((input_size, stem.stride, 2 if stem.pool else 1, *strides), shrunk))[1:]


def plain_head(head: ShuffleNetV2Head, *, map_size: int) -> ShuffleNetV2Head:
    """The head on a map of this size (pixels); `gap` where it would flatten a single pixel."""
    return replace(head, type="gap") if head.type == "flatten" and map_size == 1 else head


def shrunk(size: int, stride: int) -> int:
    """Height or width (pixels) after a stride: ceil(size / stride)."""
    return -(-size // stride)


def _width(value: object) -> dict[str, object]:
    width = Decimal(min(WIDTHS), max(WIDTHS)).read(value)
    if width not in WIDTHS:
        raise ValueError(value)
    *stages, head = WIDTHS[width]
    channels = {f"stage{number}.channels": each for number, each in enumerate(stages, start=2)}
    return {"stem.channels": STEM_CHANNELS, **channels, "head.channels": head}


def _removed(value: object) -> dict[str, object]:
    shallow, deep = REMOVED[OneOf(tuple(REMOVED)).read(value)]
    return {"stage3.units": BASE_UNITS[1] - shallow, "stage4.units": BASE_UNITS[2] - deep}


def _removed_from(stage: str, units: int) -> Macro:
    rule = Whole(0, units - 1)
    return Macro(lambda value: {f"{stage}.units": units - rule.read(value)}, str(rule))


# Large ShuffleNet V2.

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
        return map_sizes(input_size, self.stem, (1, *(2 for _ in self.stages[1:])))

    def normalised(self, input_size: int) -> Self:
        """The same network; flattening a 1x1 map is `gap`."""
        return replace(self, head=plain_head(self.head, map_size=self.map_sizes(input_size)[-1]))

    @classmethod
    def own_macros(cls) -> Mapping[str, Macro]:
        """None beside those that set every stage."""
        return {}
