"""How a network drawn for ImageNet takes the small images of CIFAR. No torch here."""

from __future__ import annotations

FORMS = ("auto", "imagenet", "small_input")
SMALL_INPUT = 64  # pixels: CIFAR and Tiny ImageNet, but no crop of ImageNet


def resolved_form(form: str, input_size: int) -> str:
    """`imagenet` or `small_input`: what `auto` means at this input size (pixels)."""
    if form != "auto":
        return form
    return "small_input" if input_size <= SMALL_INPUT else "imagenet"
