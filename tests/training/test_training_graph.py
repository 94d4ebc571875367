"""Steps replayed from a graph: with a recorder that only remembers here, and on a GPU with the real one."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from archsearch.data.batches import DeviceBatches
from archsearch.data.images import Images
from archsearch.models.families import build
from archsearch.space.search_space import load_space
from archsearch.training import graph as graph_module
from archsearch.training.graph import BrokenCaptureError, CudaRecorder, GraphStep, broken_capture
from archsearch.training.loop import fit
from archsearch.training.step import EagerStep, eagerly

STEPS = 4
RATES = [0.1, 0.05, 0.2, 0.01]


class Remembering:
    """A recorder as CUDA's: three warm-up runs, one run while recording that must change nothing, then replays."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.fails, self.recorded, self.replayed = fails, 0, 0

    def __call__(self, work: Callable[[], None]) -> Callable[[], None]:
        for _ in range(3):
            work()
        if self.fails is not None:
            raise self.fails
        self.recorded += 1

        def again() -> None:
            self.replayed += 1
            work()

        return again


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(288, 4)
    ).train()


def batches(
    device: str = "cpu", *, flip: bool = True, cutout: int = 0, size: int = 8, count: int = 40, photos: bool = False
) -> DeviceBatches:
    generator = torch.Generator().manual_seed(0)
    images = Images(
        torch.randint(0, 256, (count, 3, size, size), generator=generator, dtype=torch.uint8), torch.arange(count) % 4
    )
    return DeviceBatches(
        images, device=device, input_size=size, batch_size=10, mean=(0.4, 0.5, 0.6), std=(0.2, 0.2, 0.3),
        flip=flip, crop_padding=0 if photos else 2, seed=5, cutout=cutout,
        least_crop_area=0.25 if photos else None, colour_jitter=0.4 if photos else 0.0,
    )  # fmt: skip


def sgd(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True)


def eager_step(model: nn.Module, optimizer: torch.optim.Optimizer) -> EagerStep:
    return EagerStep(model, optimizer, label_smoothing=0.1, device="cpu", amp=False)


def trained(step: EagerStep | GraphStep, given: DeviceBatches, *, steps: int = STEPS) -> list[float]:
    fed = step.feed(given) if isinstance(step, GraphStep) else given
    losses = []
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(3)
        for rate, (inputs, labels) in zip(RATES[:steps], fed.epoch(0), strict=False):
            losses.append(step(inputs, labels, rate))
    return [loss.item() for loss in losses]  # read late, as the loop does


def states(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    momentum = {f"momentum {i}": value["momentum_buffer"] for i, value in optimizer.state_dict()["state"].items()}
    return {**model.state_dict(), **momentum}


@pytest.mark.parametrize(
    ("flip", "cutout", "photos"), [(True, 0, False), (False, 0, False), (True, 3, False), (True, 3, True)]
)
def test_replayed_steps_are_the_eager_ones_bit_for_bit(flip: bool, cutout: int, photos: bool) -> None:
    first = network()
    second = copy.deepcopy(first)
    one, two = sgd(first), sgd(second)
    eager = eager_step(first, one)
    recorder = Remembering()
    graph = GraphStep(eager_step(second, two), record=recorder)
    given = batches(flip=flip, cutout=cutout, photos=photos)
    assert trained(eager, given) == trained(graph, given)
    assert (recorder.recorded, recorder.replayed, graph.eager_because) == (1, STEPS, None)
    for name, value in states(first, one).items():
        assert torch.equal(states(second, two)[name], value), name
    assert [group["lr"] for group in two.param_groups] == [RATES[-1]]


@pytest.mark.parametrize(
    "error", [RuntimeError("operation not permitted when stream is capturing"), torch.OutOfMemoryError("out")]
)
def test_what_cannot_be_captured_is_trained_eagerly_and_the_log_says_why(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    first = network()
    second = copy.deepcopy(first)
    one, two = sgd(first), sgd(second)
    eager = eager_step(first, one)
    graph = GraphStep(eager_step(second, two), record=Remembering(fails=error))
    with caplog.at_level(logging.INFO):
        assert trained(graph, batches()) == trained(eager, batches())
    assert str(error) in caplog.text
    assert graph.eager_because is not None and str(error) in graph.eager_because
    for name, value in states(first, one).items():
        assert torch.equal(states(second, two)[name], value), name


def test_a_capture_that_could_not_be_closed_is_remembered_and_one_that_was_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(graph_module, "_BROKEN", list[str]())
    for error in (torch.OutOfMemoryError("out"), BrokenCaptureError("a copy from the CPU")):
        assert broken_capture() is None
        model = network()
        step = GraphStep(eager_step(model, sgd(model)), record=Remembering(fails=error))
        assert all(math.isfinite(loss) for loss in trained(step, batches()))
    assert broken_capture() == "a copy from the CPU"


@pytest.mark.parametrize("closes", [True, False])
def test_a_recorder_tells_a_failed_capture_from_one_that_broke(monkeypatch: pytest.MonkeyPatch, closes: bool) -> None:
    """torch ends a capture on the way out: where CUDA refuses that, the error of the work is only its context."""

    @contextmanager
    def capture(_graph: object, *, stream: object, capture_error_mode: str) -> Iterator[None]:
        assert (stream, capture_error_mode) == (side, "thread_local")  # a stream of this GPU, whichever came before
        try:
            yield
        finally:
            if not closes:
                raise RuntimeError("CUDA error: operation failed due to a previous error during capture")

    side, main = (SimpleNamespace(wait_stream=lambda _other: None, name=name) for name in ("side", "main"))
    for name, value in {
        "device": lambda _device: nullcontext(), "stream": lambda _stream: nullcontext(),
        "Stream": lambda _device: side, "current_stream": lambda _device: main,
        "CUDAGraph": lambda: SimpleNamespace(replay=lambda: None), "graph": capture,
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, value)
    runs = list[int]()

    def work() -> None:
        runs.append(1)
        if len(runs) == 4:  # after three to warm up
            raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError, match="not permitted when stream is capturing") as caught:
        CudaRecorder(torch.device("cuda:0"))(work)
    assert isinstance(caught.value, BrokenCaptureError) is not closes


def test_an_error_that_is_none_of_the_capture_passes_through() -> None:
    model = network()
    graph = GraphStep(
        eager_step(model, sgd(model)),
        record=Remembering(fails=ValueError("wrong")),
    )
    with pytest.raises(ValueError, match="wrong"):
        trained(graph, batches())


def test_a_step_in_parts_is_eager_from_then_on() -> None:
    model = network()
    recorder = Remembering()
    graph = GraphStep(eager_step(model, sgd(model)), record=recorder)
    trained(graph, batches(), steps=2)
    graph.parts = 2
    trained(graph, batches(), steps=2)
    assert recorder.replayed == 2
    assert graph.eager_because is not None and "memory" in graph.eager_because


def test_a_restored_optimizer_is_captured_anew() -> None:
    model = network()
    optimizer = sgd(model)
    recorder = Remembering()
    graph = GraphStep(eager_step(model, optimizer), record=recorder)
    trained(graph, batches(), steps=2)
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    trained(graph, batches(), steps=2)
    assert recorder.recorded == 2


@pytest.mark.parametrize(("flip", "cutout"), [(True, 0), (False, 0), (True, 3)])
def test_a_rendered_plan_is_the_epochs_own_batch(flip: bool, cutout: int) -> None:
    given = batches(flip=flip, cutout=cutout)
    planned, whole = list(given.plans(1, first_step=1)), list(given.epoch(1, first_step=1))
    assert len(planned) == len(whole) == given.steps_per_epoch - 1
    for (plan, labels), (inputs, expected) in zip(planned, whole, strict=True):
        rendered = given.rendered(plan)
        assert torch.equal(rendered, inputs)
        assert torch.equal(labels, expected)
        assert rendered.is_contiguous(memory_format=torch.channels_last)


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


@needs_gpu
@pytest.mark.parametrize("seed", range(6))
def test_on_a_gpu_every_point_is_captured_and_trains_as_eagerly(seed: int) -> None:
    space = load_space("shufflenet_v2").restricted({"width": [0.5]}, {"stem.pool": False}, where="this test")
    spec = space.spec(space.sample(seed)).normalised(32)
    given = batches("cuda", size=32, count=80)
    curves = []
    for taken in (eagerly, GraphStep):
        model = build(spec, num_classes=4, input_size=32, seed=0)
        model = model.to("cuda", memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        optimizer = sgd(model)
        step = taken(EagerStep(model, optimizer, label_smoothing=0.1, device="cuda", amp=True))
        fed = step.feed(given) if isinstance(step, GraphStep) else given
        curve = fit(
            model, fed, epochs=2, optimizer=optimizer, schedule=lambda _step: 0.02, label_smoothing=0.1,
            device="cuda", amp=True, evaluate=lambda: 0.0, seed=0, step=step,
        )  # fmt: skip
        curves.append([epoch.train_loss for epoch in curve])
        if isinstance(step, GraphStep):
            assert step.eager_because is None
    # bfloat16, and sums that a GPU adds in no fixed order
    assert curves[1] == pytest.approx(curves[0], rel=0.05)


@needs_gpu
def test_on_a_gpu_dropout_draws_anew_at_every_replay() -> None:
    model = network().cuda()
    step = GraphStep(EagerStep(model, sgd(model), label_smoothing=0.0, device="cuda", amp=False))
    given = batches("cuda")
    fed = step.feed(given)
    inputs, labels = next(iter(fed.epoch(0)))
    losses = {step(inputs, labels, 0.0).item() for _ in range(4)}
    assert step.eager_because is None
    assert len(losses) == 4


@needs_gpu
def test_on_a_gpu_a_network_that_waits_for_the_device_falls_back() -> None:
    class Waiting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.inner(x)
            return out * (1.0 if out.sum().item() > 0 else 2.0)  # reads a value: no capture allows it

    model = Waiting().cuda()
    step = GraphStep(EagerStep(model, sgd(model), label_smoothing=0.0, device="cuda", amp=False))
    inputs, labels = next(iter(step.feed(batches("cuda")).epoch(0)))
    assert torch.isfinite(step(inputs, labels, 0.1))
    assert step.eager_because is not None
