"""The table of layers: its rows, shapes and sums."""

from __future__ import annotations

from typing import Any

import pytest

from archsearch.cost import cost_layers_and_audit
from archsearch.models.families import FAMILIES

BASE = FAMILIES["shufflenet_v2"].base

POINTS: list[dict[str, Any]] = [
    {"width": 1.0},
    {"width": 0.5, "attention": "se", "residual": True, "head.type": "gap_hidden", "head.hidden": 100},
    {"width": 0.5, "stem.type": "dcn", "stem.stride": 1, "stem.pool": False, "removed": "both"},
    {"width": 0.5, "stem.type": "ldc", "attention": "cbam", "head.type": "flatten", "split_ratio": 0.25},
]


@pytest.mark.parametrize("changes", POINTS)
def test_the_columns_sum_to_the_whole_network(changes: dict[str, Any]) -> None:
    spec = BASE.with_choices(changes)
    cost, rows, _ = cost_layers_and_audit(spec, num_classes=10, input_size=64)
    assert sum(row.params for row in rows) == cost.params
    assert sum(row.macs for row in rows) == cost.macs


def test_rows_and_shapes_are_those_of_the_papers_table() -> None:
    _, rows, _ = cost_layers_and_audit(BASE.with_choices({"width": 1.0}), num_classes=1000, input_size=224)
    shapes = [row.output_shape for row in rows]
    # ShuffleNet V2, table 5, 1x: conv 24 at 112, pool 56, 4 units of 116 at 28, 8 of 232 at 14, 4 of 464 at 7, conv5
    # 1024 at 7, 1000 classes
    expected = [(24, 112, 112), (24, 56, 56)]
    expected += [(116, 28, 28)] * 4 + [(232, 14, 14)] * 8 + [(464, 7, 7)] * 4 + [(1024, 7, 7)]
    assert [shape for shape in shapes if len(shape) == 3 and shape[1] > 1] == expected
    assert shapes[-1] == (1000,)
    by_name = {row.name: row for row in rows}
    assert by_name["conv1"].macs == 112 * 112 * 24 * 27
    assert by_name["conv1"].kind == "conv 3x3 s2"
    assert by_name["maxpool"].kind == "max pool 3x3 s2"
    assert (by_name["maxpool"].macs, by_name["maxpool"].params) == (0, 0)
    assert by_name["conv5"].macs == 7 * 7 * 464 * 1024
    assert (rows[-1].kind, rows[-1].macs, rows[-1].params) == ("linear", 1_024_000, 1_025_000)
    # a basic unit of stage 2: 1x1 58->58, depthwise 3x3, 1x1 58->58, at 28x28; three batch norms
    assert by_name["stage2.1"].macs == 28 * 28 * (58 * 58 + 58 * 9 + 58 * 58)
    assert by_name["stage2.1"].params == 58 * 58 + 58 * 9 + 58 * 58 + 3 * 2 * 58


def test_removed_units_and_a_missing_pool_have_no_rows() -> None:
    spec = BASE.with_choices({"width": 0.5, "stage3.removed": 5, "stem.pool": False})
    names = [row.name for row in cost_layers_and_audit(spec, num_classes=10, input_size=32)[1]]
    assert [name for name in names if name.startswith("stage3.")] == ["stage3.0", "stage3.1", "stage3.2"]
    assert "maxpool" not in names
