from __future__ import annotations

import threading
from collections import Counter
from types import SimpleNamespace
from typing import cast

import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from archsearch.errors import BuildError, MeasurementError
from archsearch.latency.backends import BACKENDS
from archsearch.latency.backends.onnx_runtime import OnnxRunner, _session
from archsearch.models.families import build
from archsearch.models.onnx_export import OPSET, Exporter, export_onnx
from archsearch.models.variants import find_variant


def images(batch: int = 2) -> Tensor:
    return torch.randn((batch, 3, 32, 32), generator=torch.Generator().manual_seed(1))


def network(name: str = "shufflenet_v2_x0_5") -> nn.Module:
    return build(find_variant(name).spec.normalised(32), num_classes=10, input_size=32, seed=0)


def prepared(model: nn.Module, *, threads: int = 1) -> OnnxRunner:
    return cast(OnnxRunner, BACKENDS["onnxruntime"].prepare(model, images(), threads=threads))


class Mean(nn.Module):
    """(N, 3, H, W) -> (N, 3), by hand: the mean of each channel, times a factor."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) * self.factor


class Constant(Mean):
    """A computation that leaves torch and comes back: a tracer takes its result for a constant."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(x.detach().numpy().sum((2, 3)))


class PartlyConstant(Constant):
    """The same beside one that the tracer sees."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x.amax((2, 3))


class Inverse(nn.Module):
    """An operator without a counterpart in ONNX."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.eigvalsh(x @ x.mT)


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
def test_both_exporters_write_a_valid_model_of_convolutions_without_batch_norm(exporter: Exporter) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 900, 10))
    exported = export_onnx(model, images(), exporter=exporter)
    assert exported.exporter == exporter
    read = onnx.load_model_from_string(exported.data)
    onnx.checker.check_model(read)
    assert [(entry.domain, entry.version) for entry in read.opset_import if not entry.domain] == [("", OPSET)]
    runner = OnnxRunner(exported, images(), threads=1)
    with torch.inference_mode():
        torch.testing.assert_close(runner.output_for(images()), model.eval()(images()), rtol=1e-4, atol=1e-5)


def test_an_export_does_not_change_the_callers_network_and_warns_of_nothing(
    recwarn: pytest.WarningsRecorder, capfd: pytest.CaptureFixture[str]
) -> None:
    model = network().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    export_onnx(model, images())
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["shufflenet_v2_x1_0_dc0", "shufflenet_v2_x1_0_ldc0"])
def test_a_deformable_stem_is_exported_as_a_sampling(name: str) -> None:
    read = onnx.load_model_from_string(export_onnx(network(name), images()).data)
    assert Counter(node.op_type for node in read.graph.node)["GridSample"] == 1


def test_what_torchscript_cannot_export_is_tried_by_dynamo(monkeypatch: pytest.MonkeyPatch) -> None:
    def removed(*_: object) -> bytes:
        raise TypeError("export() got an unexpected keyword argument")

    monkeypatch.setattr("archsearch.models.onnx_export._by_torchscript", removed)
    assert export_onnx(Mean(), images()).exporter == "dynamo"
    with pytest.raises(BuildError, match="unexpected keyword"):
        export_onnx(Mean(), images(), exporter="torchscript")


def test_an_operator_that_onnx_lacks_is_an_error_that_names_both_exporters() -> None:
    with pytest.raises(BuildError, match=r"Inverse cannot be exported to ONNX: torchscript: .*; dynamo: "):
        export_onnx(Inverse(), images())
    with pytest.raises(MeasurementError, match="measure it with the backend 'torch'"):
        prepared(Inverse())


def test_every_run_computes_the_output_of_the_images_that_are_bound() -> None:
    runner, others = prepared(Mean()), images().flip(0) + 1
    torch.testing.assert_close(runner.output_for(images()), images().mean((2, 3)) * 2)
    torch.testing.assert_close(runner.output_for(others), others.mean((2, 3)) * 2)


def test_the_callers_network_and_images_may_change_afterwards() -> None:
    model, own = Mean(), images()
    runner = cast(OnnxRunner, BACKENDS["onnxruntime"].prepare(model, own, threads=1))
    with torch.no_grad():
        model.factor.fill_(5)
    own.zero_()
    torch.testing.assert_close(runner.output_for(images()), images().mean((2, 3)) * 2)
    with runner.ready():
        runner()
    made = torch.from_numpy(runner._binding.copy_outputs_to_cpu()[0])  # of the images that it was prepared with
    torch.testing.assert_close(made, images().mean((2, 3)) * 2)


def test_a_computation_that_the_export_lost_is_an_error() -> None:
    with pytest.raises(MeasurementError, match="does not read its input"):
        prepared(Constant())
    with pytest.raises(MeasurementError, match="exporting to ONNX changed the network's output"):
        prepared(PartlyConstant())


def test_an_input_in_another_memory_format_is_read_right() -> None:
    inputs = images().contiguous(memory_format=torch.channels_last)
    runner = cast(OnnxRunner, BACKENDS["onnxruntime"].prepare(Mean(), inputs, threads=1))
    torch.testing.assert_close(runner.output_for(inputs), images().mean((2, 3)) * 2)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_session_runs_in_order_with_its_threads_which_stop_spinning_after_a_run(threads: int) -> None:
    options = prepared(Mean(), threads=threads).session.get_session_options()
    assert options.intra_op_num_threads == threads
    assert options.inter_op_num_threads == 1
    assert options.execution_mode == ort.ExecutionMode.ORT_SEQUENTIAL
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"


def test_a_run_leaves_the_waiting_for_a_gpu_to_whoever_times_it(monkeypatch: pytest.MonkeyPatch) -> None:
    runner, given = prepared(Mean()), list[ort.RunOptions]()
    session = SimpleNamespace(run_with_iobinding=lambda _binding, options: given.append(options))
    monkeypatch.setattr(runner, "session", session)
    runner()
    # else a session waits for its stream before it returns, and the event after it would count that wait as well
    assert [options.get_run_config_entry("disable_synchronize_execution_providers") for options in given] == ["1"]


@pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="onnxruntime-gpu is installed")
def test_a_gpu_without_the_cuda_provider_is_an_error() -> None:
    data = export_onnx(Mean(), images()).data
    with pytest.raises(MeasurementError, match="has no CUDAExecutionProvider"):
        _session(data, threads=1, device=torch.device("cuda"), stream=None)


@pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="onnxruntime-gpu is installed")
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_session_that_fell_back_to_the_cpu_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    data = export_onnx(Mean(), images()).data
    with pytest.raises(MeasurementError, match="would have run on the CPU"):
        _session(data, threads=1, device=torch.device("cuda"), stream=None)


@pytest.mark.skipif(
    not (torch.cuda.is_available() and "CUDAExecutionProvider" in ort.get_available_providers()),
    reason="needs a GPU and onnxruntime-gpu",
)
def test_on_a_gpu_the_events_time_the_run() -> None:
    runner = BACKENDS["onnxruntime"].prepare(network(), images().cuda(), threads=1)
    with runner.ready():
        runner()
        runner.synchronize()
    took = runner.device_ms()
    assert took is not None
    assert took > 0


def test_networks_exported_by_two_threads_leave_standard_output_to_the_process(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def export() -> None:
        spec = find_variant("shufflenet_v2_x0_5").spec.normalised(32)
        for _ in range(3):
            export_onnx(build(spec, num_classes=10, input_size=32, seed=0), torch.zeros(1, 3, 32, 32))

    threads = [threading.Thread(target=export) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("still there", flush=True)
    assert capfd.readouterr().out == "still there\n"
