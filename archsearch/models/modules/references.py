"""Networks to compare with, built from their specifications: plain CNN, CIFAR ResNet, MobileNetV2, torchvision's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torchvision import models
from torchvision.models import MobileNetV2

from archsearch.blocks.conv import GlobalAveragePool, conv2d
from archsearch.errors import BuildError, UnknownNameError
from archsearch.models.spec import resolved_form
from archsearch.models.specs.references import (
    MobileNetV2Spec,
    PlainCnnSpec,
    PlainCnnStage,
    ResNetCifarSpec,
    TorchvisionSpec,
)


class PlainCnn(nn.Module):
    """(N, 3, H, W) -> (N, num_classes). Pools round sizes up, so that no map ever becomes empty.

    Weights start as PyTorch's layers make them.
    """

    def __init__(self, spec: PlainCnnSpec, *, num_classes: int) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        incoming = 3
        for index, stage in enumerate(spec.stages):
            if index:
                stages.append(nn.MaxPool2d(2, ceil_mode=True))
            stages.append(_stage(incoming, stage, stride=1 if index else spec.stem.stride))
            incoming = stage.channels
        self.stage1, self.pool1, self.stage2, self.pool2, self.stage3, self.pool3, self.stage4 = stages
        self.gather = GlobalAveragePool()
        self.fc = nn.Linear(incoming, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_classes) scores before softmax."""
        x = self.pool1(self.stage1(x))
        x = self.pool2(self.stage2(x))
        x = self.pool3(self.stage3(x))
        scores: Tensor = self.fc(self.gather(self.stage4(x)))
        return scores


def _stage(incoming: int, stage: PlainCnnStage, *, stride: int) -> nn.Sequential:
    """(N, incoming, H, W) -> (N, channels, ceil(H/s), ceil(W/s))."""
    layers: list[nn.Module] = []
    for index in range(stage.units):
        conv = conv2d(stage.channels if index else incoming, stage.channels, stage.kernel, 1 if index else stride)
        layers += [conv, nn.BatchNorm2d(stage.channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


# CIFAR ResNets.


class ResNetCifar(nn.Module):
    """(N, 3, H, W) -> (N, num_classes): He et al. 2016, section 4.2.

    Convolutions start as He et al. 2015 draw them (normal, fan out), as the paper has it.
    """

    def __init__(self, spec: ResNetCifarSpec, *, num_classes: int) -> None:
        super().__init__()
        stem = spec.stem
        self.stem = nn.Sequential(
            conv2d(3, stem.channels, 3, stem.stride), nn.BatchNorm2d(stem.channels), nn.ReLU(inplace=True)
        )
        self.stage1, self.stage2, self.stage3 = (
            nn.Sequential(
                *(
                    ResidualUnit(
                        stage.channels if index else incoming,
                        stage.channels,
                        stride=2 if number > 1 and index == 0 else 1,
                        padded=spec.shortcut == "pad",
                    )
                    for index in range(stage.units)
                )
            )
            for number, (incoming, stage) in enumerate(spec.widening(), start=1)
        )
        self.pool = GlobalAveragePool()
        self.fc = nn.Linear(spec.stages[-1].channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_classes) scores before softmax."""
        x = self.stage3(self.stage2(self.stage1(self.stem(x))))
        scores: Tensor = self.fc(self.pool(x))
        return scores


class ResidualUnit(nn.Module):
    """(N, i, H, W) -> (N, c, ceil(H/s), ceil(W/s)): two 3x3 convolutions; the input is added, then ReLU (figure 2)."""

    def __init__(self, incoming: int, channels: int, *, stride: int, padded: bool) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            conv2d(incoming, channels, 3, stride),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            conv2d(channels, channels, 3),
            nn.BatchNorm2d(channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or incoming != channels:
            self.shortcut = (
                PaddedShortcut(channels - incoming, stride)
                if padded
                else nn.Sequential(
                    nn.Conv2d(incoming, channels, 1, stride, bias=False),
                    nn.BatchNorm2d(channels),
                )
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, i, H, W) -> (N, c, ceil(H/s), ceil(W/s))."""
        return F.relu(self.branch(x) + self.shortcut(x), inplace=True)


class PaddedShortcut(nn.Module):
    """(N, i, H, W) -> (N, i + added, ceil(H/s), ceil(W/s)): every s-th pixel, zeros in added channels (option A)."""

    def __init__(self, added: int, stride: int) -> None:
        super().__init__()
        self.added, self.stride = added, stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, i, H, W) -> (N, i + added, ceil(H/s), ceil(W/s))."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))

    def extra_repr(self) -> str:
        """Channels added, and the stride."""
        return f"added={self.added}, stride={self.stride}"


# MobileNetV2, by torchvision's class.

# arXiv 1801.04381, table 2: expansion, channels, units, stride of the first unit
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_SMALL_INPUT_STAGE = 1  # the first stage with a stride


def build_mobilenet_v2(spec: MobileNetV2Spec, *, num_classes: int, input_size: int) -> nn.Module:
    """(N, 3, H, W) -> (N, num_classes), with torchvision's initial weights and its names of the parameters.

    For small inputs the stem and the first stage with a stride keep the map's size.
    """
    stages = [list(stage) for stage in _STAGES]
    small = resolved_form(spec.form, input_size) == "small_input"
    if small:
        stages[_SMALL_INPUT_STAGE][-1] = 1
    model: nn.Module = MobileNetV2(num_classes=num_classes, width_mult=spec.width, inverted_residual_setting=stages)
    if small:
        stem = next(part for part in model.modules() if isinstance(part, nn.Conv2d))
        stem.stride = (1, 1)
    return model


# torchvision's classification models, at any input size that they take.


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
