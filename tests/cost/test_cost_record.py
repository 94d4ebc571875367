"""The cost as it is stored: whole, and as it was stored before conventions and memory were counted."""

from __future__ import annotations

import json
from dataclasses import asdict

from archsearch.cost import cost_of
from archsearch.models.variants import find_variant
from archsearch.records import Cost


def test_a_cost_comes_back_from_its_json() -> None:
    cost = cost_of(find_variant("shufflenet_v2_x0_5").spec, num_classes=10, input_size=32)
    assert Cost(**json.loads(json.dumps(asdict(cost)))) == cost
    assert cost.macs_by_convention["conv_linear"] == cost.macs


def test_a_cost_stored_before_conventions_is_read_and_says_that_they_are_missing() -> None:
    stored = '{"params": 300, "macs": 5000, "input_size": 32, "num_classes": 10, "unsupported_ops": {}}'
    cost = Cost(**json.loads(stored))
    assert (cost.params, cost.macs) == (300, 5000)
    assert dict(cost.macs_by_convention) == {}
    assert (cost.memory_read_bytes, cost.memory_written_bytes) == (None, None)
