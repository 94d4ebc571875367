"""torchvision's classification models, built at any input size that they take."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torchvision import models

from archsearch.errors import BuildError, UnknownNameError
from archsearch.models.specs.torchvision_reference import TorchvisionSpec


def model_names() -> tuple[str, ...]:
    """Names of torchvision's classification models; those for quantised weights, detection and video are not among."""
    return tuple(models.list_models(module=models))


def build_torchvision(spec: TorchvisionSpec, *, num_classes: int, input_size: int) -> nn.Module:
    """torchvision's own class, (N, 3, input_size, input_size) -> (N, num_classes), with its default initial weights.

    Auxiliary classifiers are left out. Raises UnknownNameError with the nearest name if torchvision has no such
    classification model, BuildError if the model does not take images of this size.
    """
    names = model_names()
    if spec.name not in names:
        raise UnknownNameError("torchvision model", spec.name, names)
    try:
        model: nn.Module = models.get_model(
            spec.name, weights=None, num_classes=num_classes, **_arguments(spec.name, input_size)
        )
        if spec.normalised(input_size).form == "small_input":
            adapt_stem(model)
        _try_shapes(model, input_size)
    except (RuntimeError, ValueError, AssertionError) as error:  # torchvision checks sizes with all three
        why = " ".join(str(error).split())
        raise BuildError(
            f"torchvision's {spec.name} does not take images of {input_size}x{input_size} pixels: {why}",
            hint="its usual input_size is 224 (inception_v3: 299)",
        ) from error
    return model


def adapt_stem(model: nn.Module) -> None:
    """Make a network for ImageNet take small images, in place (CIFAR's custom, e.g. He et al. 2016, section 4.2).

    The first convolution gets stride 1, and a max pool before the second one is taken out. A first convolution of
    stride 1 and a patch embedding, whose kernel equals its stride, are left as they are, and so is all after them.
    """
    found = [(name, part) for name, part in model.named_modules() if isinstance(part, nn.Conv2d | nn.MaxPool2d)]
    first = found[0][1] if found else None
    if not isinstance(first, nn.Conv2d) or first.stride in ((1, 1), first.kernel_size):
        return
    first.stride = (1, 1)
    for name, part in found[1:]:
        if isinstance(part, nn.Conv2d):
            return
        model.set_submodule(name, nn.Identity())


def _arguments(name: str, input_size: int) -> dict[str, Any]:
    """What some models need beside the number of classes."""
    if name.startswith("vit_"):
        return {"image_size": input_size}
    if name.startswith("maxvit"):
        return {"input_size": (input_size, input_size)}
    if name in ("googlenet", "inception_v3"):
        return {"aux_logits": False, "init_weights": True}  # True is the default; None announces that it will change
    return {}


def _try_shapes(model: nn.Module, input_size: int) -> None:
    """Run one image without computing anything. Raises RuntimeError where a map becomes too small."""
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    empty = {name: torch.empty_like(value, device="meta") for name, value in state.items()}
    image = torch.empty((1, 3, input_size, input_size), device="meta")
    model.eval()
    with torch.no_grad():
        functional_call(model, empty, (image,))
    model.train()
