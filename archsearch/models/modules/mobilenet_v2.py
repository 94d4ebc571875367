"""MobileNetV2 built from its specification, by torchvision's class."""

from __future__ import annotations

from torch import nn
from torchvision.models import MobileNetV2

from archsearch.models.spec import resolved_form
from archsearch.models.specs.mobilenet_v2 import MobileNetV2Spec

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
