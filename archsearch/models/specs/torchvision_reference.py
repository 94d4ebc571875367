"""What can be chosen of a torchvision model: which one, and how it takes small images. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from archsearch.models.spec import FORMS, Macro, OneOf, Spec, Word, choice, resolved_form

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
