from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import shufflenet_v2_x0_5, shufflenet_v2_x1_0

from archsearch.errors import MeasurementError
from archsearch.latency.backends import BACKENDS
from archsearch.latency.backends.fold import folded
from archsearch.latency.backends.onnx_runtime import OnnxRunner
from archsearch.latency.runner import Runner


def with_random_statistics(model: nn.Module, seed: int) -> nn.Module:
    """Batch normalisation as after training: no mean 0, no variance 1."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
                nn.init.normal_(module.bias, 0, 0.2, generator=generator)
    return model


def images(batch: int = 2, size: int = 32) -> Tensor:
    return torch.randn((batch, 3, size, size), generator=torch.Generator().manual_seed(1))


class PaddingConv2d(nn.Conv2d):
    """A convolution that pads by itself before convolving, like a SAME convolution."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(nn.functional.pad(x, (1, 2, 1, 2)))


class ActivatedConv2d(nn.Conv2d):
    """A convolution that does more after convolving: batch normalisation does not commute with it."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).relu()


# The compiler takes half a minute, a CUDA graph needs a GPU.
_MARKS = {
    "torch-compile": [pytest.mark.slow],
    "cuda-graph": [pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")],
}
RUNNABLE = [pytest.param(name, marks=_MARKS.get(name, [])) for name in BACKENDS]


def images_for(name: str) -> Tensor:
    return images().to("cpu" if "cpu" in BACKENDS[name].devices else "cuda")


def threads_of(runner: Runner) -> int:
    """Threads that a run would have now: torch's, or the session's own."""
    if isinstance(runner, OnnxRunner):
        return int(runner.session.get_session_options().intra_op_num_threads)
    return torch.get_num_threads()


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


@pytest.mark.parametrize("build", [shufflenet_v2_x0_5, shufflenet_v2_x1_0])
def test_folding_a_shufflenet_removes_every_norm_and_keeps_the_output(build: type) -> None:
    model = with_random_statistics(build(num_classes=10), seed=0).eval()
    fast = folded(model)
    with torch.inference_mode():
        torch.testing.assert_close(fast(images()), model(images()), rtol=1e-4, atol=1e-4)
    assert norms(model) == 56  # one for each convolution of the published network
    assert norms(fast) == 0


def test_folding_does_not_change_the_callers_network() -> None:
    model = with_random_statistics(shufflenet_v2_x0_5(num_classes=10), seed=0).train()
    before = copy.deepcopy(model.state_dict())
    folded(model)
    assert all(module.training for module in model.modules())
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_convolution_that_pads_first_is_folded_and_keeps_its_class() -> None:
    model = with_random_statistics(
        nn.Sequential(PaddingConv2d(3, 8, 4, stride=2, bias=False), nn.BatchNorm2d(8), nn.ReLU()), seed=3
    ).eval()
    fast = folded(model)
    with torch.inference_mode():
        torch.testing.assert_close(fast(images()), model(images()), rtol=1e-4, atol=1e-4)
    assert norms(fast) == 0
    assert type(fast.get_submodule("0")) is PaddingConv2d


def test_what_cannot_be_folded_is_left_alone() -> None:
    shared = nn.Conv2d(4, 4, 1)
    hooked = nn.Conv2d(3, 4, 1)
    hooked.register_forward_hook(lambda _layer, _inputs, output: 2 * output)
    cases = {
        "a hook": (nn.Sequential(hooked, nn.BatchNorm2d(4)), 1),
        "used twice": (nn.Sequential(nn.Conv2d(3, 4, 1), shared, nn.BatchNorm2d(4), shared, nn.BatchNorm2d(4)), 2),
        "no running statistics": (nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)), 1),
        "no convolution before": (nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.BatchNorm2d(3)), 2),
    }
    for what, (untrained, total) in cases.items():
        model = with_random_statistics(untrained, seed=5).eval()
        assert norms(model) == total, what
        fast = folded(model)
        with torch.inference_mode():
            torch.testing.assert_close(fast(images()), model(images()), rtol=1e-4, atol=1e-4, msg=what)
        assert norms(fast) == total, what


def test_a_fold_that_would_change_the_network_is_an_error() -> None:
    model = with_random_statistics(nn.Sequential(ActivatedConv2d(3, 8, 3), nn.BatchNorm2d(8)), seed=7)
    with pytest.raises(MeasurementError, match="torch-eager"):
        BACKENDS["torch"].prepare(model, images(), threads=1)


@pytest.mark.parametrize("name", RUNNABLE)
def test_every_backend_runs_a_private_copy_in_eval_mode_without_gradients(name: str) -> None:
    seen: list[tuple[bool, bool]] = []

    class Spy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append((self.training, torch.is_grad_enabled()))
            return x

    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), Spy()).train()
    before = copy.deepcopy(model.state_dict())
    runner = BACKENDS[name].prepare(model, images_for(name), threads=1)
    with runner.ready():
        runner()
        runner.synchronize()
    assert isinstance(runner, Runner)
    assert len(seen) >= 2
    assert set(seen) == {(False, False)}
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", RUNNABLE)
def test_what_every_backend_exported_is_opened_anew_whatever_became_of_the_caller_s_network(name: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    opened = BACKENDS[name].export(model, images_for(name), threads=1)
    for value in model.state_dict().values():
        value.zero_()
    first, second = opened(), opened()  # each is compared with the network as it was
    if isinstance(first, OnnxRunner) and isinstance(second, OnnxRunner):
        assert first.session is not second.session
    for runner in (first, second):
        with runner.ready():
            runner()
            runner.synchronize()


@pytest.mark.parametrize("name", ["torch", "torch-eager"])
def test_what_torch_opens_has_weights_and_input_of_its_own(name: str) -> None:
    seen: list[tuple[int, int]] = []

    class Spy(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            seen.append((self.weight.data_ptr(), x.data_ptr()))
            return super().forward(x)

    opened = BACKENDS[name].export(Spy(3, 4, 3), images_for(name), threads=1)
    seen.clear()
    kept = [opened(), opened()]
    assert len({weight for weight, _ in seen}) == len({images for _, images in seen}) == len(kept)


@pytest.mark.parametrize("name", RUNNABLE)
def test_every_backend_sets_its_threads_while_ready_and_restores_them(name: str) -> None:
    runner = BACKENDS[name].prepare(nn.Sequential(nn.Conv2d(3, 4, 3)), images_for(name), threads=2)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with pytest.raises(KeyboardInterrupt), runner.ready():
            assert threads_of(runner) == 2
            raise KeyboardInterrupt
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", RUNNABLE)
def test_every_backend_refuses_what_it_would_change(name: str) -> None:
    """The folded form of this network is another network; the others give no such form or run it as it is."""
    model = with_random_statistics(nn.Sequential(ActivatedConv2d(3, 8, 3), nn.BatchNorm2d(8)), seed=7)
    if name in ("torch", "torch-compile", "cuda-graph"):
        with pytest.raises(MeasurementError, match="torch-eager"):
            BACKENDS[name].prepare(model, images_for(name), threads=1)
    else:
        BACKENDS[name].prepare(model, images_for(name), threads=1)


@pytest.mark.parametrize("name", BACKENDS.names())
def test_every_backend_tells_its_devices_and_version(name: str) -> None:
    backend = BACKENDS[name]
    assert backend.name == name
    assert backend.devices
    assert backend.version()[0].isdigit()
    assert backend.summary


def test_listing_the_backends_imports_neither_torch_nor_onnxruntime() -> None:
    program = (
        "import sys; from archsearch.latency.backends import BACKENDS; "
        "sys.exit(bool({'torch', 'onnx', 'onnxruntime', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
