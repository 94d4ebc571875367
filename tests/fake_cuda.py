"""CUDA tensors without a GPU: of shape, type and device alone.

torch's FakeTensorMode refuses operators whose tensors lie on several devices, and waiting for a value. `Captured`
refuses what a CUDA graph does not hold beside these: a tensor that is made on the CPU, or copied from it.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, in_kernel_invocation_manager
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from archsearch.models.spec import Spec

DEVICE = torch.device("cuda:0")

aten = torch.ops.aten
# torch works out in Python, in a millisecond, that these give a tensor like their first and so many vectors beside it.
NORMS = {aten.batch_norm.default: 0, aten.native_batch_norm.default: 2, aten.cudnn_batch_norm.default: 3}


class Captured(TorchDispatchMode):
    """Inside it, every tensor of every operator lies on `device`.

    With `alone` it is the only mode beside the fake tensors' own, and works out most results itself: in a fifth of the
    time, and unseen by other modes.
    """

    def __init__(self, device: str = "cuda", *, alone: bool = False) -> None:
        super().__init__()
        self.device, self.alone = device, alone

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.alone and func is torch.ops.prim.device.default:
            return args[0].fake_device
        given = tree_leaves((args, kwargs))
        self._check(func, given)
        fake = next((value for value in given if isinstance(value, FakeTensor)), None)
        if self.alone and fake is not None and not (kwargs and kwargs.get("device")):
            made = _forms(func, fake.fake_mode, args, kwargs or {})
        else:
            made = func(*args, **(kwargs or {}))
        self._check(func, tree_leaves(made))
        return made

    def _check(self, func: Any, values: list[Any]) -> None:
        for value in values:
            if isinstance(value, Tensor):
                device = value.fake_device if isinstance(value, FakeTensor) else value.device
                if device.type != self.device:
                    raise RuntimeError(f"{func} has a tensor on {device} inside a step that a CUDA graph is to hold")


def _forms(func: Any, mode: FakeTensorMode, args: Any, kwargs: Any) -> Any:
    """What an operator gives for tensors on one device, by torch's meta kernels as the mode itself does it."""

    def fake(value: Any) -> Any:
        return FakeTensor(mode, value, DEVICE) if type(value) is Tensor else value

    with in_kernel_invocation_manager(mode):
        if func not in NORMS:
            return tree_map(fake, func(*args, **kwargs))
        normed = fake(torch.empty_like(args[0], device="meta"))
        vectors = [fake(torch.empty_like(args[1], device="meta")) for _ in range(NORMS[func])]
        return (normed, *vectors) if vectors else normed


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
                module._parameters[name] = fake(parameter.detach()).requires_grad_()  # type: ignore[assignment]
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = fake(buffer)
    return model


def shortened(spec: Spec, most: int) -> Spec:
    """At most so many units a stage: those after the second are the second once more."""
    units = {name: min(value, most) for name, value in spec.choices().items() if re.fullmatch(r"stage\d\.units", name)}
    return spec.with_choices(units)


def fake_images(*, batch: int, size: int) -> Tensor:
    """(batch, 3, size, size), channels_last, inside a fake mode."""
    return torch.empty(batch, size, size, 3, device=DEVICE).permute(0, 3, 1, 2)


def walk(model: nn.Module, mode: FakeTensorMode, *, size: int) -> tuple[torch.device, torch.device]:
    """Where the loss of a step of training in bfloat16 lies, and where scores do; as a CUDA graph would hold both."""
    on_fake_cuda(model, mode)
    with mode:
        images, labels = fake_images(batch=4, size=size), torch.empty(4, dtype=torch.int64, device=DEVICE)
        model.train()
        with Captured(alone=True):
            with torch.autocast("cuda", dtype=torch.bfloat16, cache_enabled=False):
                scores = model(images)
            loss = nn.functional.cross_entropy(scores.float(), labels, label_smoothing=0.1)
        model.eval()
        with torch.inference_mode(), Captured(alone=True):
            return loss.device, model(images).device
