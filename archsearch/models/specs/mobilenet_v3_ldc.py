"""What can be chosen in the LDC paper's MobileNetV3-small. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from archsearch.blocks.attention import ATTENTION
from archsearch.errors import ConfigError
from archsearch.models.spec import ChoiceGroup, Decimal, Flag, Macro, OneOf, Spec, Whole, choice, numbered

STEM_TYPES = ("conv", "dcn", "ldc")
ACTIVATION_NAMES = ("relu", "hard_swish")
HEAD_TYPES = ("gap", "gap_hidden")
FIRST_LAYER = 2  # the paper counts the stem as layer 1
WIDTHS = (0.5, 0.75, 1.0, 1.25)
DIVISOR = 8
STEM_CHANNELS = 16
HEAD_CHANNELS = 576
HEAD_HIDDEN = 1280
# layers taken away in the LDC paper's LDC1, LDC2 and LDC3 (table 4): layer 6, layer 11, both
REMOVED: Mapping[str, tuple[bool, bool]] = {
    "none": (False, False),
    "shallow": (True, False),
    "deep": (False, True),
    "both": (True, True),
}

_CHANNELS = Whole(4, 8192)


def scaled_channels(channels: int, width: float) -> int:
    """Channels at a width multiplier: the nearest multiple of 8, at least 8, and not below 90% (MobileNets' rule)."""
    wanted = channels * width
    rounded = max(DIVISOR, int(wanted + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded + DIVISOR if rounded < 0.9 * wanted else rounded


@dataclass(frozen=True, kw_only=True)
class MobileNetV3LdcStem(ChoiceGroup):
    """Layer 1: the convolution on the image, with batch normalisation and hard-swish."""

    type: str = choice(OneOf(STEM_TYPES), "conv")
    kernel: int = choice(Whole(3, 7), 3)
    stride: int = choice(Whole(1, 2), 2)
    channels: int = choice(_CHANNELS, STEM_CHANNELS)


@dataclass(frozen=True, kw_only=True)
class LayerSpec(ChoiceGroup):
    """One inverted residual: 1x1 to `expansion` channels, depthwise, 1x1 to `channels`, attention on what comes out.

    A layer of stride 1 adds its input. `removed` takes the layer away; the others after it keep their numbers.
    """

    kernel: int = choice(Whole(3, 7), 3)
    expansion: int = choice(_CHANNELS, 16)
    channels: int = choice(_CHANNELS, 16)
    stride: int = choice(Whole(1, 2), 1)
    attention: str = choice(OneOf(ATTENTION.names()), "none")
    activation: str = choice(OneOf(ACTIVATION_NAMES), "relu")
    removed: bool = choice(Flag(), False)


def _layer(kernel: int, expansion: int, channels: int, attention: str, activation: str, stride: int) -> LayerSpec:
    return LayerSpec(
        kernel=kernel,
        expansion=expansion,
        channels=channels,
        stride=stride,
        attention=attention,
        activation=activation,
    )


# layers 2 to 12 of the LDC paper's MobileNetV3-small
LAYERS: tuple[LayerSpec, ...] = (
    _layer(3, 16, 16, "se_hard", "relu", 2),
    _layer(3, 72, 24, "none", "relu", 2),
    _layer(3, 88, 24, "none", "relu", 1),
    _layer(5, 96, 40, "se_hard", "hard_swish", 2),
    _layer(5, 240, 40, "se_hard", "hard_swish", 1),
    _layer(5, 240, 40, "se_hard", "hard_swish", 1),
    _layer(5, 120, 48, "se_hard", "hard_swish", 1),
    _layer(5, 144, 48, "se_hard", "hard_swish", 1),
    _layer(5, 288, 96, "se_hard", "hard_swish", 2),
    _layer(5, 576, 96, "se_hard", "hard_swish", 1),
    _layer(5, 576, 96, "se_hard", "hard_swish", 1),
)


@dataclass(frozen=True, kw_only=True)
class MobileNetV3LdcHead(ChoiceGroup):
    """Layers 13 to 16: the last 1x1 convolution, the average over the map, and the classifier.

    `gap_hidden` has a linear layer to `hidden` features with batch normalisation and hard-swish before the last one;
    `gap` has the last one alone. `dropout` is the share of features dropped before the last linear layer in training.
    """

    type: str = choice(OneOf(HEAD_TYPES), "gap_hidden")
    channels: int = choice(_CHANNELS, HEAD_CHANNELS)
    hidden: int = choice(Whole(1, 8192), HEAD_HIDDEN)
    dropout: float = choice(Decimal(0.0, 0.9), 0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.type == "gap":
            object.__setattr__(self, "hidden", HEAD_HIDDEN)


@dataclass(frozen=True, kw_only=True)
class MobileNetV3LDCSpec(Spec):
    """The LDC paper's MobileNetV3-small by its choices; the defaults are the row mb0 of its table 4.

    A removed layer passes its input on, so it may be removed only where it neither shrinks the map nor changes the
    channels; its other choices then have no effect and are set to the defaults of that layer.

    Raises ConfigError if another layer is removed.
    """

    family: ClassVar[str] = "mobilenet_v3_ldc"

    stem: MobileNetV3LdcStem = field(default_factory=MobileNetV3LdcStem)
    layers: tuple[LayerSpec, ...] = numbered("layer", FIRST_LAYER, LAYERS)
    head: MobileNetV3LdcHead = field(default_factory=MobileNetV3LdcHead)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.layers) != len(LAYERS):
            raise ConfigError(f"a MobileNetV3-small has {len(LAYERS)} inverted residuals, got {len(self.layers)}")
        layers = tuple(
            _taken_away(number, incoming, layer) if layer.removed else layer
            for number, incoming, layer in self.numbered_layers()
        )
        object.__setattr__(self, "layers", layers)

    def numbered_layers(self) -> tuple[tuple[int, int, LayerSpec], ...]:
        """Each inverted residual, removed ones too, with its number in the paper and the channels that come into it."""
        incoming = (self.stem.channels, *(layer.channels for layer in self.layers[:-1]))
        numbers = range(FIRST_LAYER, FIRST_LAYER + len(self.layers))
        return tuple(zip(numbers, incoming, self.layers, strict=True))

    def normalised(self, input_size: int) -> Self:
        """The same: no choice of this family loses its effect on a small map."""
        return self

    @classmethod
    def own_macros(cls) -> Mapping[str, Macro]:
        """`width` and `removed`.

        `width` scales the channels of the stem, of every layer and its expansion, and of the last convolution, as
        torchvision's MobileNetV3 does; torchvision scales the hidden linear layer too, which here is a choice of its
        own (`head.hidden`). `removed` is about layers 6 and 11 alone.
        """
        width = Macro(_width, f"one of {', '.join(map(str, WIDTHS))}", tuple(WIDTHS))
        removed = Macro(_removed, f"one of {', '.join(REMOVED)}", tuple(REMOVED))
        return {"width": width, "removed": removed}


def _taken_away(number: int, incoming: int, layer: LayerSpec) -> LayerSpec:
    """A removed layer with its own defaults but for the channels, which pass through it."""
    if layer.stride != 1:
        raise ConfigError(
            f"choice 'layer{number}.removed' cannot be true: the layer has stride {layer.stride}",
            hint=f"set layer{number}.stride to 1, or remove another layer",
        )
    if layer.channels != incoming:
        raise ConfigError(
            f"choice 'layer{number}.removed' cannot be true: the layer turns {incoming} channels into {layer.channels}",
            hint=f"set layer{number}.channels to {incoming}, or remove another layer",
        )
    return replace(LAYERS[number - FIRST_LAYER], channels=incoming, removed=True)


def _width(value: object) -> dict[str, object]:
    width = Decimal(min(WIDTHS), max(WIDTHS)).read(value)
    if width not in WIDTHS:
        raise ValueError(value)
    sizes = {"stem.channels": STEM_CHANNELS, "head.channels": HEAD_CHANNELS}
    for number, layer in enumerate(LAYERS, start=FIRST_LAYER):
        sizes |= {f"layer{number}.expansion": layer.expansion, f"layer{number}.channels": layer.channels}
    return {name: scaled_channels(size, width) for name, size in sizes.items()}


def _removed(value: object) -> dict[str, object]:
    shallow, deep = REMOVED[OneOf(tuple(REMOVED)).read(value)]
    return {"layer6.removed": shallow, "layer11.removed": deep}
