"""What can be chosen in a MobileNetV2. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from archsearch.models.spec import FORMS, Decimal, Macro, OneOf, Spec, choice, resolved_form


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
