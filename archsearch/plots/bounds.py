"""A study's upper bounds, as figures shade them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One upper bound of a study, inclusive.

    Attributes:
        name: what it bounds: params, macs, memory_bytes or latency_ms.
        value: in the unit that the name says; params and macs are counts.
        soft: whether a network over it is evaluated all the same; over a hard one it is rejected.
    """

    name: str
    value: float
    soft: bool = False
