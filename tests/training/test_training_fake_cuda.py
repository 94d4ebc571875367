"""Trainings on a GPU that is not there: batches, captured steps, scores; and gradients on torch's meta device.

What has no fake is stood in for: autograd's engine and the fused SGD kernel want a GPU's driver, and so do the states
of its generator. The stand-in of the kernel looks where its tensors lie.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import fake_cuda
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from archsearch.blocks.stems import counting_form
from archsearch.data.batches import DeviceBatches
from archsearch.data.images import Images
from archsearch.latency.backends.fold import folded
from archsearch.models.families import build
from archsearch.models.variants import find_variant
from archsearch.space.search_space import load_space
from archsearch.training import graph, seeding
from archsearch.training.graph import GraphStep
from archsearch.training.protocols import PROTOCOLS, Protocol, proxy_protocol
from archsearch.training.settings import ProxySettings
from archsearch.training.step import EagerStep
from archsearch.training.trainer import Trainer

ROOT = Path(__file__).parents[2]
SPACES = sorted(path.stem for path in (ROOT / "search_spaces").glob("*.yaml"))


def images(count: int = 40, size: int = 32) -> Images:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, size, size), generator=generator, dtype=torch.uint8)
    return Images(pixels, torch.arange(count) % 4)


def network(space: str, seed: int) -> nn.Module:
    found = load_space(space)
    spec = fake_cuda.shortened(found.spec(found.sample(seed)).normalised(32), 2)
    return build(spec, num_classes=4, input_size=32)


def recorded(work: Callable[[], None]) -> Callable[[], None]:
    """Runs the work each time under the rules of a capture."""

    def again() -> None:
        with fake_cuda.Captured():
            work()

    again()
    return again


class Leased(TorchDispatchMode):
    """Knows the operators that ran on the GPU while no chunk was entered; views launch nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.outside, self.within = False, list[str](), 0

    @contextmanager
    def chunk(self) -> Iterator[None]:
        self.inside = True
        try:
            yield
        finally:
            self.inside = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        tensors = [value for value in tree_leaves((args, kwargs, made)) if isinstance(value, Tensor)]
        if any(value.device.type == "cuda" for value in tensors) and not func.is_view and func.namespace != "prim":
            self.within += self.inside
            self.outside += [] if self.inside else [str(func)]
        return made


@pytest.fixture
def stood_in_for(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often each stand-in was called."""
    calls = {"backward": 0, "fused SGD": 0, "rates on the GPU": 0}

    def backward(loss: Tensor) -> None:
        calls["backward"] += 1
        assert loss.device == fake_cuda.DEVICE

    def fused_sgd(*tensors: list[Tensor], **more: Any) -> None:
        calls["fused SGD"] += 1
        found = [value for value in tree_leaves((tensors, more)) if isinstance(value, Tensor)]
        assert {value.device for value in found} == {fake_cuda.DEVICE}
        calls["rates on the GPU"] += isinstance(more["lr"], Tensor)

    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (2**34, 2**34))
    monkeypatch.setattr(seeding, "_cuda_index", lambda _device: None)
    monkeypatch.setattr(graph, "_random_state", lambda _device: torch.get_rng_state())
    monkeypatch.setattr(graph, "_set_random_state", lambda _device, _state: None)
    monkeypatch.setattr(torch.Tensor, "backward", backward)
    monkeypatch.setattr(torch, "_fused_sgd_", fused_sgd)
    monkeypatch.setattr(FakeTensor, "tolist", lambda values: [0.5] * values.numel())  # losses, and counts of images
    return calls


@pytest.mark.parametrize(
    "protocol", [proxy_protocol(ProxySettings(batch_size=10)), *(PROTOCOLS[name] for name in PROTOCOLS.names())],
    ids=lambda protocol: protocol.name,
)  # fmt: skip
def test_a_whole_training_stays_on_its_device_and_inside_its_chunks(
    protocol: Protocol, stood_in_for: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = torch.optim.SGD.zero_grad

    def zero_grad(optimizer: torch.optim.SGD, set_to_none: bool = True) -> None:
        real(optimizer, set_to_none=set_to_none)
        for group in optimizer.param_groups:  # what the stand-in of backward leaves undone
            for parameter in group["params"]:
                parameter.grad = torch.empty_like(parameter)

    monkeypatch.setattr(torch.optim.SGD, "zero_grad", zero_grad)
    model, leased = network("shufflenet_v2", 3), Leased()
    with fake_cuda.fake_mode(), leased:
        with leased.chunk():
            trainer = Trainer(
            model, images(30), images(), protocol, epochs=2, batch_size=10, input_size=32,
            mean=(0.5,) * 3, std=(0.2,) * 3, flip=True, seed=0, device="cuda:0",
            make_step=partial(GraphStep, record=recorded),
        )  # fmt: skip
        assert trainer.precision == "bf16"
        curve = trainer.run(chunk=leased.chunk, chunk_steps=2)
    assert leased.within > 1000 and leased.outside == []  # nothing runs on the GPU without the lease
    assert len(curve) == 2
    assert isinstance(trainer.step, GraphStep) and trainer.step.eager_because is None
    # once while it is recorded, then three steps in each of two epochs; the kernel once for each group of parameters
    groups = len(trainer.optimizer.param_groups)
    assert stood_in_for == {"backward": 7, "fused SGD": 7 * groups, "rates on the GPU": groups}


@pytest.mark.parametrize(
    "augmented", [{"crop_padding": 4}, {"crop_padding": 0, "least_crop_area": 0.25, "colour_jitter": 0.4}]
)
def test_batches_of_several_processes_stay_on_their_device(
    monkeypatch: pytest.MonkeyPatch, augmented: dict[str, Any]
) -> None:
    """They are not planned: the images that are mirrored are drawn on the CPU, and their numbers brought over."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (2**34, 2**34))
    given = DeviceBatches(
        images(), device="cpu", input_size=32, batch_size=10, mean=(0.5,) * 3, std=(0.2,) * 3, flip=True,
        seed=0, cutout=8, **augmented,
    )  # fmt: skip
    expected = [(inputs.shape, labels.shape) for inputs, labels in given.epoch(0)]
    with fake_cuda.fake_mode(counts=True):
        given = DeviceBatches(
            images(), device="cuda:0", input_size=32, batch_size=10, mean=(0.5,) * 3, std=(0.2,) * 3, flip=True,
            seed=0, cutout=8, **augmented,
        )  # fmt: skip
        found = list(given.epoch(0))
        scored = list(given.evaluation(16))
    assert [(inputs.shape, labels.shape) for inputs, labels in found] == expected
    assert {value.device for batch in found + scored for value in batch} == {fake_cuda.DEVICE}
    assert [len(labels) for _, labels in scored] == [16, 16, 8]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("space", SPACES)
def test_gradients_and_the_optimizer_stay_on_their_device(space: str, seed: int) -> None:
    """On torch's meta device, whose tensors too are shapes alone: autograd's engine takes it without a driver."""
    model = network(space, seed).to("meta", memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9, nesterov=True, weight_decay=5e-4)
    step = EagerStep(model, optimizer, label_smoothing=0.1, device="cpu", amp=False)
    step.parts = 1 + seed % 2
    inputs = torch.empty(4, 32, 32, 3, device="meta").permute(0, 3, 1, 2)
    labels = torch.empty(4, dtype=torch.int64, device="meta")
    with counting_form(), fake_cuda.Captured("meta"):  # the deformable form of a GPU
        loss = step(inputs, labels, 0.1)
    assert loss.device.type == "meta"
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_tensor_that_a_backward_pass_makes_on_the_cpu_is_found() -> None:
    class Misplaced(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Tensor:
            return grad + torch.ones(len(grad)).to(grad.device)[:, None]

    layer = nn.Linear(3, 4, device="meta")
    scores = Misplaced.apply(layer(torch.empty(2, 3, device="meta")))
    with pytest.raises(RuntimeError, match="has a tensor on cpu"), fake_cuda.Captured("meta"):
        scores.sum().backward()


@pytest.mark.parametrize(
    "name", ["shufflenet_v2_x0_5", "shufflenet_v2_x0_5_se_authors", "mobilenet_v3_small_ldc0", "resnet20"]
)
def test_the_folded_form_of_a_latency_stays_on_its_device(name: str) -> None:
    model = build(find_variant(name).spec.normalised(32), num_classes=4, input_size=32).eval()
    fast = folded(model)
    norms = [sum(isinstance(module, nn.BatchNorm2d) for module in one.modules()) for one in (fast, model)]
    assert norms[0] < 2 < norms[1]
    mode = fake_cuda.fake_mode()
    fake_cuda.on_fake_cuda(fast, mode)
    with mode, torch.inference_mode(), fake_cuda.Captured():
        assert fast(fake_cuda.fake_images(batch=8, size=32)).device == fake_cuda.DEVICE
