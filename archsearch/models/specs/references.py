"""What can be chosen in networks to compare with: plain CNN, CIFAR ResNet, MobileNetV2, torchvision. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from archsearch.errors import ConfigError
from archsearch.models.spec import (
    FORMS,
    ChoiceGroup,
    Decimal,
    Macro,
    OneOf,
    Spec,
    Whole,
    Word,
    choice,
    numbered,
    resolved_form,
)

CHANNELS = (32, 64, 128, 256)


@dataclass(frozen=True, kw_only=True)
class PlainCnnStem(ChoiceGroup):
    """The first convolution of stage 1 is the one on the image; this is its stride."""

    stride: int = choice(Whole(1, 2), 2)


@dataclass(frozen=True, kw_only=True)
class PlainCnnStage(ChoiceGroup):
    """`units` times convolution, batch normalisation, ReLU."""

    channels: int = choice(Whole(4, 4096), CHANNELS[0])
    units: int = choice(Whole(1, 64), 2)
    kernel: int = choice(Whole(3, 7), 3)


@dataclass(frozen=True, kw_only=True)
class PlainCnnSpec(Spec):
    """A VGG-like stack (Simonyan and Zisserman 2015, arXiv 1409.1556, with batch normalisation), four stages.

    A 2x2 max pool stands between stages; a global average pool and one linear layer follow the last. The widths are
    ours: 1,430,216 parameters at 1000 classes and 1,175,786 at 10, about ShuffleNetV2 x0.5's and x1.0's.
    """

    family: ClassVar[str] = "plain_cnn"

    stem: PlainCnnStem = field(default_factory=PlainCnnStem)
    stages: tuple[PlainCnnStage, ...] = numbered("stage", 1, tuple(PlainCnnStage(channels=each) for each in CHANNELS))

    def normalised(self, input_size: int) -> Self:
        """The same network: every choice has an effect at every input size."""
        return self

    @classmethod
    def own_macros(cls) -> Mapping[str, Macro]:
        """None beside those of the stages."""
        return {}


# CIFAR ResNets.

SHORTCUTS = ("pad", "conv")
DEPTHS = (20, 32, 44, 56, 110)  # table 6
_CHANNELS = Whole(4, 4096)


@dataclass(frozen=True, kw_only=True)
class ResNetCifarStem(ChoiceGroup):
    """The 3x3 convolution on the image."""

    channels: int = choice(_CHANNELS, 16)
    stride: int = choice(Whole(1, 2), 1)


@dataclass(frozen=True, kw_only=True)
class ResNetCifarStage(ChoiceGroup):
    """`units` units of two 3x3 convolutions each; the first of a later stage has stride 2."""

    channels: int = choice(_CHANNELS, 16)
    units: int = choice(Whole(1, 64), 3)


@dataclass(frozen=True, kw_only=True)
class ResNetCifarSpec(Spec):
    """A ResNet of section 4.2: 6n + 2 layers for n units a stage; the defaults are ResNet-20.

    `shortcut` is how a unit that widens passes its input on. pad (option A, the paper's for CIFAR): every other pixel,
    with channels of zeros added. conv (option B): a 1x1 convolution with batch normalisation.

    Raises ConfigError for shortcut pad where a stage narrows its input: there is nothing to pad.
    """

    family: ClassVar[str] = "resnet_cifar"

    shortcut: str = choice(OneOf(SHORTCUTS), "pad")
    stem: ResNetCifarStem = field(default_factory=ResNetCifarStem)
    stages: tuple[ResNetCifarStage, ...] = numbered(
        "stage", 1, tuple(ResNetCifarStage(channels=each) for each in (16, 32, 64))
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shortcut != "pad":
            return
        for number, (incoming, stage) in enumerate(self.widening(), start=1):
            if stage.channels < incoming:
                raise ConfigError(
                    f"choice 'stage{number}.channels' cannot be {stage.channels} with shortcut pad",
                    hint=f"allowed: at least the {incoming} channels into the stage, or shortcut conv",
                )

    def widening(self) -> tuple[tuple[int, ResNetCifarStage], ...]:
        """Each stage with the channels that come into it."""
        incoming = (self.stem.channels, *(stage.channels for stage in self.stages[:-1]))
        return tuple(zip(incoming, self.stages, strict=True))

    def normalised(self, input_size: int) -> Self:
        """The same network: every choice has an effect at every input size."""
        return self

    @classmethod
    def own_macros(cls) -> Mapping[str, Macro]:
        """`depth`: layers in all, 6n + 2."""
        return {"depth": Macro(_depth, f"one of {', '.join(map(str, DEPTHS))}")}


def _depth(value: object) -> dict[str, object]:
    depth = Whole(min(DEPTHS), max(DEPTHS)).read(value)
    if depth not in DEPTHS:
        raise ValueError(value)
    return {f"stage{number}.units": (depth - 2) // 6 for number in (1, 2, 3)}


# MobileNetV2.


@dataclass(frozen=True, kw_only=True)
class MobileNetV2Spec(Spec):
    """A MobileNetV2 by its width multiplier; channels are rounded to multiples of 8 and the head is never narrowed.

    `form` is how it takes the image. imagenet: as in table 2. small_input: the stem and the stage of 24 channels get
    stride 1, as published CIFAR versions have it (chenyaofo/pytorch-cifar-models); no parameter changes.
    auto: small_input for images of at most 64 pixels, else imagenet.
    """

    family: ClassVar[str] = "mobilenet_v2"

    width: float = choice(Decimal(0.1, 4.0), 1.0)
    form: str = choice(OneOf(FORMS), "auto")

    def normalised(self, input_size: int) -> Self:
        """The same network with `auto` resolved."""
        return replace(self, form=resolved_form(self.form, input_size))

    @classmethod
    def own_macros(cls) -> Mapping[str, Macro]:
        """None."""
        return {}


# torchvision's models: which one, and how it takes small images.

# Models whose stem is the same in both forms: a VGG begins with stride 1, a patch embedding's kernel equals its stride,
# and MaxViT's attention windows are laid out for a stem of stride 2.
_ONE_FORM = ("vgg", "convnext", "swin", "vit", "maxvit")


@dataclass(frozen=True, kw_only=True)
class TorchvisionSpec(Spec):
    """A model of `torchvision.models` by its name there.

    `form` is how it takes the image. imagenet: as torchvision builds it. small_input: the first convolution, where it
    has a stride, gets stride 1, and a max pool before the second convolution is taken out, as is customary for CIFAR;
    no parameter changes. auto: small_input for images of at most 64 pixels, else imagenet.
    """

    family: ClassVar[str] = "torchvision"

    name: str = choice(Word(r"[a-z0-9_]+", "a classification model of torchvision.models, e.g. resnet18"), "resnet18")
    form: str = choice(OneOf(FORMS), "auto")

    def normalised(self, input_size: int) -> Self:
        """The same network with `auto` resolved; imagenet where a model has one form only."""
        form = "imagenet" if self.name.startswith(_ONE_FORM) else resolved_form(self.form, input_size)
        return replace(self, form=form)

    @classmethod
    def own_macros(cls) -> Mapping[str, Macro]:
        """None."""
        return {}
