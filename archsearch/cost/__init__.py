"""What a network costs on paper: parameters, multiply-adds in named conventions, memory access, and the guidelines."""

from archsearch.cost.architecture import Layer, cost_layers_and_audit, cost_of
from archsearch.cost.audit import Audit, audit
from archsearch.cost.conventions import CONVENTIONS, Convention, macs_by_convention
from archsearch.cost.count import OperatorCount, count, count_operators
from archsearch.cost.memory import MemoryAccess, memory_access

__all__ = [
    "CONVENTIONS",
    "Audit",
    "Convention",
    "Layer",
    "MemoryAccess",
    "OperatorCount",
    "audit",
    "cost_layers_and_audit",
    "cost_of",
    "count",
    "count_operators",
    "macs_by_convention",
    "memory_access",
]
