"""Ways of running a network: one file each, and a line here. Importing this imports no torch."""

from archsearch.latency.backends.base import Backend
from archsearch.latency.backends.onnx_runtime import ONNXRUNTIME
from archsearch.latency.backends.torch_backend import CUDA_GRAPH, TORCH, TORCH_COMPILE, TORCH_EAGER
from archsearch.registry import Registry

BACKENDS: Registry[Backend] = Registry(
    "latency backend", {entry.name: entry for entry in (ONNXRUNTIME, TORCH, TORCH_EAGER, CUDA_GRAPH, TORCH_COMPILE)}
)

__all__ = ["BACKENDS", "Backend"]
