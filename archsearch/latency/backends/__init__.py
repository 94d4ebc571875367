"""Ways of running a network: one file each, and a line here. Importing this imports no torch."""

from archsearch.latency.backends.base import Backend
from archsearch.latency.backends.torch_backend import TORCH, TORCH_EAGER
from archsearch.registry import Registry

BACKENDS: Registry[Backend] = Registry("latency backend", {entry.name: entry for entry in (TORCH, TORCH_EAGER)})

__all__ = ["BACKENDS", "Backend"]
