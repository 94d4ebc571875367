"""Counts of the named networks as data: they never change, and counting them all takes two minutes.

`benchmarks/paper_counts.py` writes the file; tests count all of them anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).resolve().parent / "counts.json"


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Trainable parameters, and multiply-adds of one image by convention, of one network."""

    params: int
    macs: Mapping[str, int]


def key_of(arch_id: str, *, input_size: int, num_classes: int) -> str:
    """What a network's counts are known by; `input_size` in pixels."""
    return f"{arch_id} {input_size} {num_classes}"


def stored_counts(arch_id: str, *, input_size: int, num_classes: int) -> Counts | None:
    """The counts of a network; None if it is no named one at its printed conditions."""
    return _stored().get(key_of(arch_id, input_size=input_size, num_classes=num_classes))


def text_of(counts: Mapping[str, Counts]) -> str:
    """The file that holds these counts."""
    return json.dumps({key: asdict(counts[key]) for key in sorted(counts)}, indent=0) + "\n"


@cache
def _stored() -> Mapping[str, Counts]:
    content = json.loads(FILE.read_text(encoding="utf-8"))
    return {key: Counts(params=found["params"], macs=found["macs"]) for key, found in content.items()}
