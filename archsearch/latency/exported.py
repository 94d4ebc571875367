"""What exporting changes in latency: the network in torch beside its ONNX files, in the same bursts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from archsearch.latency.backends import BACKENDS
from archsearch.latency.backends.onnx_runtime import OnnxRunner
from archsearch.latency.huge_pages import use_huge_pages
from archsearch.latency.lease import DeviceLease
from archsearch.latency.prepare import conditions_of, random_input
from archsearch.latency.protocol import measure_group
from archsearch.latency.settings import OTHER_BACKEND, LatencySettings
from archsearch.latency.watch import DeviceWatch
from archsearch.models.onnx_export import OnnxModel
from archsearch.records import Latency

_DEVICE = "cpu"


@dataclass(frozen=True, kw_only=True)
class ExportLatency:
    """Latencies on this machine's CPU, batch 1, one thread.

    Attributes:
        files: by name, each run by ONNX Runtime; its reference is the network in torch (batch norms folded, eager), so
            `ratio_to_reference` is after over before and `reference_p10_ms` is before.
    """

    files: Mapping[str, Latency]


def measure_exported(model: nn.Module, files: Mapping[str, bytes], *, input_size: int) -> ExportLatency:
    """Measure ONNX files against the network that they were made of, under the usual protocol.

    Args:
        model: the network in eval mode, on the CPU.
        files: ONNX models by a name for each.
        input_size: height and width (pixels).

    Raises MeasurementError if the network or a file cannot be run or timed.
    """
    settings = LatencySettings(backend="onnxruntime", batch=1)
    lease = DeviceLease.of_device(_DEVICE)
    with lease.shared():
        example = random_input(batch=1, input_size=input_size, device=_DEVICE, seed=0)
        reference = BACKENDS[OTHER_BACKEND].prepare(model, example, threads=settings.threads)
        runners = [
            OnnxRunner(OnnxModel(data=content, exporter="torchscript"), example, threads=settings.threads)
            for content in files.values()
        ]
        for runner in (*runners, reference) * 2:  # the second run lays out the memory
            runner()
        use_huge_pages()
    conditions = conditions_of("the network in torch", settings, _DEVICE, input_size)
    latencies = measure_group(
        runners, reference, settings, lease=lease, conditions=conditions, watch=DeviceWatch(_DEVICE)
    )
    return ExportLatency(files=dict(zip(files, latencies, strict=True)))
