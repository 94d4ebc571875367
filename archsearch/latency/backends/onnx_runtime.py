"""ONNX Runtime: exported once, optimised by the runtime when the session opens, then run with bound input and output.

On a CPU, eager torch at batch 1 mostly counts operators; this runtime's own cost for one is small, so that it ranks
networks by their work. It is the default there.
"""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from archsearch.errors import BuildError, MeasurementError
from archsearch.latency.backends.base import Backend, Open, check_same_output
from archsearch.latency.backends.torch_backend import plain_output
from archsearch.latency.backends.torch_runner import TimedRunner
from archsearch.latency.precision import Precision, cast
from archsearch.latency.runner import Runner
from archsearch.models.onnx_export import INPUT_NAME, OUTPUT_NAME, OnnxModel, export_onnx

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_LOG_ERRORS = 3  # onnxruntime's severity: 0 verbose, 1 info, 2 warning, 3 error


class OnnxRunner(TimedRunner):
    """A session whose input is a tensor's own memory, so that a run copies nothing in.

    The session's threads belong to it, so nothing of the process has to be set. On a GPU the session works on a stream
    of its own that CUDA events time.
    """

    def __init__(
        self, exported: OnnxModel, example_input: Tensor, *, threads: int, precision: Precision = "fp32"
    ) -> None:
        """Open a session for `exported`, which takes the type of `example_input`, on the device of that.

        `precision`: whether a GPU may round to TF32. Raises MeasurementError where it fails.
        """
        import numpy as np
        import onnxruntime as ort
        import torch

        device = example_input.device
        stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        super().__init__(device, stream)
        self._input = example_input.detach().clone(memory_format=torch.contiguous_format)
        self.synchronize()  # the input was written on another stream
        self.session = _session(exported.data, threads=threads, device=device, stream=stream, tf32=precision == "tf32")
        if INPUT_NAME not in {entry.name for entry in self.session.get_inputs()}:
            raise MeasurementError(
                "the exported network does not read its input: what it computes is not done by torch's operators",
                hint="measure it with the backend 'torch'",
            )
        # else a run waits for its stream before it returns, and the event after it would count that, too
        # (onnxruntime_run_options_config_keys.h); on a CPU a run is done when it returns
        self._options = ort.RunOptions()
        self._options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        index = self._device.index or 0
        self._binding = self.session.io_binding()
        self._binding.bind_input(
            name=INPUT_NAME, device_type=self._device.type, device_id=index, element_type=_numpy_type(self._input, np),
            shape=tuple(self._input.shape), buffer_ptr=self._input.data_ptr(),
        )  # fmt: skip
        self._binding.bind_output(name=OUTPUT_NAME, device_type=self._device.type, device_id=index)

    def output_for(self, images: Tensor) -> Tensor:
        """What the session gives for other images of the same shape, on the CPU; later runs are on its own again."""
        own = self._input.clone()
        try:
            with self.ready():
                self._input.copy_(images)
                self.synchronize()  # the session's stream does not wait for torch's
                self()
                self.synchronize()
                output: Tensor = self._torch.from_numpy(self._binding.copy_outputs_to_cpu()[0])
                return output
        finally:
            self._input.copy_(own)
            self.synchronize()

    def __call__(self) -> None:
        """One run of the session."""
        if self._events is None:
            self._run()
        else:
            self._timed(self._run)

    def _run(self) -> None:
        self.session.run_with_iobinding(self._binding, self._options)

    def ready(self) -> AbstractContextManager[None]:
        """Nothing to set on a CPU; the current GPU otherwise."""
        return self._torch.cuda.device(self._device) if self._events is not None else nullcontext()


def _session(
    data: bytes, *, threads: int, device: torch.device, stream: torch.cuda.Stream | None, tf32: bool = False
) -> Any:
    """An InferenceSession with exactly these threads, on exactly this device.

    One operator after another. More threads than one would go on spinning after a run, in the way of the network whose
    burst comes next; they are told to stop at its end (within a run they spin, as they do by default).
    """
    import onnxruntime as ort

    provider = _CUDA if device.type == "cuda" else _CPU
    if provider not in ort.get_available_providers():
        raise MeasurementError(
            f"this onnxruntime {ort.__version__} has no {provider}",
            hint="install onnxruntime-gpu in place of onnxruntime, or use another backend",
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _LOG_ERRORS
    options.add_session_config_entry("session.force_spinning_stop", "1")
    provider_options: dict[str, str] = {}
    if stream is not None:
        provider_options = {
            "device_id": str(device.index or 0),
            "user_compute_stream": str(stream.cuda_stream),
            "use_tf32": str(int(tf32)),  # 1 by default
        }
    session = ort.InferenceSession(data, options, providers=[(provider, provider_options)])
    if session.get_providers()[0] != provider:  # it falls back to the CPU without an error
        raise MeasurementError(
            f"onnxruntime {ort.__version__} could not use its {provider} and would have run on the CPU",
            hint="its CUDA and cuDNN must be those that this version was built for",
        )
    return session


def _numpy_type(tensor: Tensor, np: Any) -> Any:
    """The NumPy type of a tensor's elements: onnxruntime takes these."""
    return np.dtype(str(tensor.dtype).removeprefix("torch.")).type


def _export(model: nn.Module, example_input: Tensor, *, threads: int, precision: Precision = "fp32") -> Open:
    own, inputs = cast(copy.deepcopy(model), example_input, precision)
    try:
        exported = export_onnx(own, inputs)
    except BuildError as error:
        raise MeasurementError(error.message, hint="measure it with the backend 'torch'") from error
    # Compared on other images than it was exported with, so that a constant in place of a computation shows.
    others = -example_input.flip(-1)
    expected = plain_output(model, others)

    def opened() -> Runner:
        try:
            runner = OnnxRunner(exported, inputs, threads=threads, precision=precision)
            got = runner.output_for(others.to(inputs.dtype))
            with runner.ready():
                runner()  # the runtime plans its memory in the first run, and takes it in the second
        except _onnxruntime_errors() as error:
            raise MeasurementError(f"ONNX Runtime cannot run the exported network: {error}") from error
        check_same_output(
            expected=expected,
            got=got,
            what="exporting to ONNX",
            hint="what this network does depends on the values of its input; measure it with the backend 'torch'",
            precision=precision,
        )
        return runner

    return opened


def _onnxruntime_errors() -> tuple[type[Exception], ...]:
    """The library's own errors: each derives from Exception alone, and no base class is common to them."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return tuple(kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception))


def _version() -> str:
    import onnxruntime as ort  # of onnxruntime or onnxruntime-gpu, whichever is installed

    return str(ort.__version__)


ONNXRUNTIME = Backend(
    name="onnxruntime",
    summary="ONNX Runtime, exported by torch; the CUDA provider on a GPU",
    precisions={"cpu": ("fp32",), "cuda": ("fp32", "tf32", "fp16")},
    export=_export,
    version=_version,
)
