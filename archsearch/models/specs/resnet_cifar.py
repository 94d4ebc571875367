"""What can be chosen in a CIFAR ResNet. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

from archsearch.errors import ConfigError
from archsearch.models.spec import ChoiceGroup, Macro, OneOf, Spec, Whole, choice, numbered

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
