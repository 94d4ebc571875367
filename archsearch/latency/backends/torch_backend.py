"""PyTorch in eager mode: as the user writes it, and with what costs nothing to do before deployment.

Folding and channels_last cut 10 to 35% of an eager ShuffleNetV2 on CPU; neither changes the result.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from archsearch.latency.backends.agreement import check_same_output
from archsearch.latency.backends.base import Backend, Open
from archsearch.latency.backends.torch_runner import TorchRunner
from archsearch.latency.precision import PRECISIONS, Precision, cast, float32_arithmetic
from archsearch.latency.runner import Runner

if TYPE_CHECKING:
    from torch import Tensor, nn


def fast_form(model: nn.Module, example_input: Tensor, precision: Precision) -> tuple[nn.Module, Tensor]:
    """A private copy with batch normalisation folded (in float32), and the input, on the input's device.

    Both are channels_last and in `precision`.
    """
    import torch

    from archsearch.latency.backends.fold import folded

    fast, inputs = cast(folded(model).to(example_input.device), example_input, precision)
    return fast.to(memory_format=torch.channels_last), inputs.contiguous(memory_format=torch.channels_last)


def plain_output(model: nn.Module, example_input: Tensor) -> Tensor:
    """What the module itself gives in eval mode and IEEE float32, on the input's device."""
    import torch

    with torch.inference_mode(), float32_arithmetic("fp32", example_input.device):
        made: Tensor = copy.deepcopy(model).eval().to(example_input.device)(example_input)
    return made


def torch_version() -> str:
    """torch's version, without importing it."""
    return version("torch")


def _export_folded(model: nn.Module, example_input: Tensor, *, threads: int, precision: Precision = "fp32") -> Open:
    fast, inputs = fast_form(model, example_input, precision)
    expected = plain_output(model, example_input)

    def opened() -> Runner:
        import torch

        run = partial(copy.deepcopy(fast), inputs.clone())
        runner = TorchRunner(run, device=inputs.device, threads=threads, precision=precision)
        with runner.ready(), torch.inference_mode():
            check_same_output(
                expected=expected,
                got=run(),
                what="folding batch normalisation",
                hint="a convolution of this network does more than convolve; measure it with the backend 'torch-eager'",
                precision=precision,
            )
        return runner

    return opened


def _export_eager(model: nn.Module, example_input: Tensor, *, threads: int, precision: Precision = "fp32") -> Open:
    own, inputs = cast(copy.deepcopy(model).eval().to(example_input.device), example_input, precision)

    def opened() -> Runner:
        run = partial(copy.deepcopy(own), inputs.clone())
        runner = TorchRunner(run, device=inputs.device, threads=threads, precision=precision)
        with runner.ready():
            runner()
            runner.synchronize()
        return runner

    return opened


# On a CPU float16 runs, too, but most have no instructions for it, and nobody deploys it there.
TORCH_PRECISIONS: Mapping[str, tuple[Precision, ...]] = {"cpu": ("fp32", "bf16"), "cuda": PRECISIONS}

TORCH = Backend(
    name="torch",
    summary="PyTorch eager, batch normalisation folded into convolutions, channels_last",
    precisions=TORCH_PRECISIONS,
    export=_export_folded,
    version=torch_version,
)
TORCH_EAGER = Backend(
    name="torch-eager",
    summary="PyTorch eager, the module as it is",
    precisions=TORCH_PRECISIONS,
    export=_export_eager,
    version=torch_version,
)
