"""What can be tested of compiled networks and CUDA graphs without compiling for half a minute and without a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from archsearch.errors import MeasurementError
from archsearch.latency.backends import BACKENDS
from archsearch.latency.backends.torch_backend import CapturedForward, forward_of_its_own

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def images(batch: int = 2) -> Tensor:
    return torch.randn((batch, 3, 16, 16), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def limit_of_two() -> Iterator[None]:
    """Dynamo gives up on a code object after two compilations, in place of eight."""
    torch._dynamo.reset()
    with torch._dynamo.config.patch(recompile_limit=2):
        yield
    torch._dynamo.reset()


@pytest.mark.usefixtures("limit_of_two")
def test_more_networks_of_one_class_are_compiled_than_dynamo_takes_for_one_function() -> None:
    graphs: list[torch.fx.GraphModule] = []

    def count(graph: torch.fx.GraphModule, _: object) -> object:
        graphs.append(graph)
        return graph.forward

    compiled = []
    for channels in range(1, 6):
        model = nn.Sequential(nn.Conv2d(3, channels, 3), nn.ReLU()).eval()
        run = torch.compile(forward_of_its_own(model), backend=count, fullgraph=True, dynamic=False)
        compiled.append((model, run))
        with torch.inference_mode():
            torch.testing.assert_close(run(images()), model(images()))
    assert len(graphs) == 5
    for model, run in compiled:  # each is still there: nothing is compiled again
        with torch.inference_mode():
            torch.testing.assert_close(run(images()), model(images()))
    assert len(graphs) == 5


@pytest.mark.usefixtures("limit_of_two")
def test_without_functions_of_their_own_dynamo_refuses_the_third_network() -> None:
    """What `forward_of_its_own` is for: if torch no longer does this, it can go."""

    def compile_all() -> None:
        for channels in range(1, 6):
            model = nn.Sequential(nn.Conv2d(3, channels, 3), nn.ReLU()).eval()
            run = torch.compile(model, backend="eager", fullgraph=True, dynamic=False)
            with torch.inference_mode():
                run(images())

    with pytest.raises(torch._dynamo.exc.FailOnRecompileLimitHit):
        compile_all()


class FakeCuda:
    """Stands for the parts of torch.cuda that a capture uses, and keeps the order of what happens."""

    def __init__(self, *, capture_fails: bool = False) -> None:
        self.events: list[str] = []
        self._fails = capture_fails

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def stream(name: str) -> SimpleNamespace:
            return SimpleNamespace(
                name=name, wait_stream=lambda other: self.events.append(f"{name} waits for {other.name}")
            )

        main = stream("main")
        graph = SimpleNamespace(replay=lambda: self.events.append("replay"))
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: stream("side"))
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: main)
        monkeypatch.setattr(torch.cuda, "stream", lambda entered: self._inside(f"on {entered.name}"))
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: graph)
        monkeypatch.setattr(torch.cuda, "graph", lambda captured, *, stream: self._capture(stream.name))
        monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())

    @contextmanager
    def _inside(self, what: str) -> Iterator[None]:
        self.events.append(what)
        yield
        self.events.append(f"off {what}")

    @contextmanager
    def _capture(self, stream: str) -> Iterator[None]:
        with self._inside(f"capture on {stream}"):
            yield
        if self._fails:
            raise RuntimeError("operation not permitted when stream is capturing")


def test_a_forward_is_captured_after_warming_up_on_a_side_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order that torch's notes on CUDA graphs prescribe, on a stream of the network's own GPU."""
    cuda = FakeCuda()
    cuda.install(monkeypatch)
    model = nn.Conv2d(3, 4, 3)
    model.register_forward_hook(lambda *_: cuda.events.append("forward"))
    captured = CapturedForward(model, images())
    assert cuda.events == [
        "side waits for main", "on side", "forward", "forward", "forward", "off on side", "main waits for side",
        "capture on side", "forward", "off capture on side",
    ]  # fmt: skip
    del cuda.events[:]
    captured.replay()
    captured.replay()
    assert cuda.events == ["replay", "replay"]  # the module's own forward runs no more


def test_a_forward_that_cannot_be_captured_is_an_error_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeCuda(capture_fails=True).install(monkeypatch)
    with pytest.raises(MeasurementError, match="Conv2d cannot be captured in a CUDA graph: operation not permitted"):
        CapturedForward(nn.Conv2d(3, 4, 3), images())


@needs_gpu
def test_a_forward_that_waits_for_the_gpu_cannot_be_captured() -> None:
    class Waits(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * float(x.mean())

    with pytest.raises(MeasurementError, match="cannot be captured"):
        BACKENDS["cuda-graph"].prepare(Waits(), images().cuda(), threads=1)


@needs_gpu
def test_a_replay_is_timed_by_the_device() -> None:
    runner = BACKENDS["cuda-graph"].prepare(nn.Conv2d(3, 4, 3), images().cuda(), threads=1)
    with runner.ready():
        runner()
        runner.synchronize()
    took = runner.device_ms()
    assert took is not None
    assert took > 0


@pytest.mark.slow
def test_a_part_that_cannot_be_compiled_is_an_error() -> None:
    class Prints(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            torch._dynamo.graph_break()
            return x + 1

    with pytest.raises(MeasurementError, match=r"torch.compile cannot compile Prints"):
        BACKENDS["torch-compile"].prepare(Prints(), images(), threads=1)
