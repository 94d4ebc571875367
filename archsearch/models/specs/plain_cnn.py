"""What can be chosen in the plain CNN. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

from archsearch.models.spec import ChoiceGroup, Macro, Spec, Whole, choice, numbered

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
