"""CUDA tensors without a GPU: of shape, type and device alone. Read it with `runpy.run_path`.

torch's FakeTensorMode refuses operators whose tensors lie on several devices, and waiting for a value. `Captured`
refuses what a CUDA graph does not hold beside these: a tensor that is made on the CPU, or copied from it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

DEVICE = torch.device("cuda:0")


class Captured(TorchDispatchMode):
    """Inside it, every tensor of every operator lies on `device`."""

    def __init__(self, device: str = "cuda") -> None:
        super().__init__()
        self.device = device

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, made)):
            if isinstance(value, Tensor) and value.device.type != self.device:
                raise RuntimeError(f"{func} has a tensor on {value.device} inside a step that a CUDA graph is to hold")
        return made


def fake_mode(*, counts: bool = False) -> FakeTensorMode:
    """A mode that takes a network's real tensors, which `Module.to` makes fake ones of.

    With `counts` an operator whose result's size depends on values gives one of a size that nobody knows.
    """
    return FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv() if counts else None)


def on_fake_cuda(model: nn.Module, mode: FakeTensorMode) -> nn.Module:
    """The network with its tensors on a GPU that is not there, channels_last; faster than `Module.to` is there."""

    def fake(value: Tensor) -> Tensor:
        layout = torch.channels_last if value.ndim == 4 else torch.contiguous_format
        return FakeTensor(mode, torch.empty_like(value, device="meta", memory_format=layout), DEVICE)

    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = nn.Parameter(fake(parameter.detach()))
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = fake(buffer)
    return model


def fake_images(*, batch: int, size: int) -> Tensor:
    """(batch, 3, size, size), channels_last, inside a fake mode."""
    return torch.empty(batch, size, size, 3, device=DEVICE).permute(0, 3, 1, 2)


def walk(model: nn.Module, mode: FakeTensorMode, *, size: int) -> None:
    """Forward passes of training, in bfloat16 with its loss, and of scoring, as a CUDA graph would hold them."""
    on_fake_cuda(model, mode)
    with mode:
        images, labels = fake_images(batch=4, size=size), torch.empty(4, dtype=torch.int64, device=DEVICE)
        model.train()
        with Captured():
            with torch.autocast("cuda", dtype=torch.bfloat16, cache_enabled=False):
                scores = model(images)
            nn.functional.cross_entropy(scores.float(), labels, label_smoothing=0.1)
        model.eval()
        with torch.inference_mode(), Captured():
            assert model(images).device == DEVICE
