"""The drawing of a network: its parts, their costs, and what differs from a baseline."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from archsearch.analysis.baseline import Baseline
from archsearch.models.families import FAMILIES
from archsearch.models.spec import Spec
from archsearch.models.specs.shufflenet_v2 import ShuffleNetV2Spec
from archsearch.plots.architecture import (
    ADDED,
    CHANGED,
    GONE,
    UNITS,
    Architecture,
    Op,
    Part,
    UnitDiagram,
    architecture_of,
    record_architecture,
)
from archsearch.plots.architecture_figure import architecture_figure
from archsearch.records import Record

BASE = ShuffleNetV2Spec()
MARKUP = "<script>alert(1)</script>"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a layer table, made by hand."""

    name: str
    kind: str = "unit"
    output_shape: tuple[int, ...] = (8, 4, 4)
    params: int = 10
    macs: int = 100


def part(info: Architecture, name: str) -> Part:
    return next(each for each in info.parts if each.name == name)


def ops(found: Part) -> list[Op]:
    return [op for unit in found.units for op in unit_ops(unit)]


def unit_ops(unit: UnitDiagram) -> list[Op]:
    return [op for ops in (unit.before, *unit.branches, unit.after) for op in ops]


def signs(found: Part) -> dict[str, str]:
    return {op.text: op.sign for op in ops(found) if op.sign}


def changed(**changes: Any) -> Architecture:
    named = {name.replace("__", "."): value for name, value in changes.items()}
    return architecture_of(BASE.with_choices(named), BASE)


def test_shufflenet_v2_x1_0_has_the_units_of_its_paper() -> None:
    # arXiv 1807.11164, figure 3 c and d, table 5 at 1x: 116, 232, 464 channels, halves of 58, 116, 232; 4, 8, 4 units
    info = architecture_of(BASE)
    assert [each.name for each in info.parts] == ["stem", "stage2", "stage3", "stage4", "head"]
    down, basic = part(info, "stage2").units
    assert [op.text for op in down.branches[0]] == ["dw 3×3 s2", "1×1 → 58"]
    assert [op.text for op in down.branches[1]] == ["1×1 → 58", "dw 3×3 s2", "1×1 → 58"]
    assert [op.text for op in basic.before] == ["split 58 | 58"]
    assert [[op.text for op in branch] for branch in basic.branches] == [[], ["1×1 → 58", "dw 3×3", "1×1 → 58"]]
    assert [op.text for op in basic.after] == ["concat", "shuffle"]
    assert [part(info, f"stage{number}").units[1].count for number in (2, 3, 4)] == [3, 7, 3]
    assert [op.text for op in ops(part(info, "stem"))] == ["conv 3×3 s2 → 24", "max pool 3×3 s2"]
    assert [op.text for op in ops(part(info, "head"))] == ["1×1 → 1024", "average", "linear"]


def test_a_kernel_and_an_attention_are_marked_where_they_act_and_nowhere_else() -> None:
    info = changed(stage3__kernel=5, stage2__attention="eca")
    assert signs(part(info, "stage3")) == {"dw 5×5 s2": CHANGED, "dw 5×5": CHANGED}
    assert signs(part(info, "stage2")) == {"ECA": ADDED}
    assert not signs(part(info, "stage4")) and not signs(part(info, "stem")) and not signs(part(info, "head"))
    assert [change.sentence for change in part(info, "stage3").changes] == ["stage3.kernel 5 (baseline 3)"]
    assert "2 choices differ" in " ".join(info.subtitle)
    assert CHANGED in info.signs


def test_what_only_the_baseline_has_stays_in_the_drawing_as_gone() -> None:
    rich = BASE.with_choices({"attention": "se", "residual": True})
    info = architecture_of(BASE.with_choices({"stem.pool": False}), rich)
    assert signs(part(info, "stem")) == {"max pool 3×3 s2": GONE}
    assert signs(part(info, "stage2")) == {"SE": GONE, "add input": GONE}


def test_units_and_split_are_marked() -> None:
    info = changed(stage4__units=3, stage3__split_ratio=0.25)
    assert part(info, "stage4").units[1].count == 2
    assert part(info, "stage4").units[1].sign == CHANGED
    # 232 channels: a quarter, 58, go through the main branch, 174 pass
    assert signs(part(info, "stage3"))["split 174 | 58"] == CHANGED
    assert changed(stage4__units=1).parts[3].units[1].count == 0  # the baseline's other units are gone


def test_full_width_attention_stands_after_both_branches() -> None:
    down, basic = part(changed(stage2__attention="se_full"), "stage2").units
    for unit in (down, basic):
        assert [op.text for op in unit.after] == ["concat", "SE, all", "shuffle"]
        assert "SE, all" not in [op.text for branch in unit.branches for op in branch]


def test_a_choice_of_no_part_is_named_in_the_heading() -> None:
    info = changed(unit_form="authors")
    assert [change.choice for change in info.changes] == ["unit_form"]
    assert "unit_form authors (baseline torchvision)" in " ".join(info.subtitle)


def test_rows_of_the_layer_table_go_to_their_parts_and_shares_add_up() -> None:
    # 10 rows of 100 MACs: conv1 and maxpool are the stem's, conv5, gather and fc the head's
    names = ["conv1", "maxpool", "stage2.0", "stage2.1", "stage3.0", "stage3.1", "stage4.0", "conv5", "gather", "fc"]
    rows = [Row(name=name, output_shape=(number, 2, 2)) for number, name in enumerate(names)]
    info = architecture_of(BASE, None, rows)  # type: ignore[arg-type]
    assert {each.name: each.macs for each in info.parts} == {
        "stem": 200,
        "stage2": 200,
        "stage3": 200,
        "stage4": 100,
        "head": 300,
    }
    assert [each.macs_percent for each in info.parts] == pytest.approx([20, 20, 20, 10, 30])
    assert part(info, "stage2").output_shape == (3, 2, 2)  # of its last row
    assert (info.params, info.macs) == (100, 1000)


def test_a_pool_between_stages_belongs_to_the_stage_after_it() -> None:
    names = ("stage1", "pool1", "stage2", "pool2", "stage3", "pool3", "stage4", "gather", "fc")
    info = architecture_of(FAMILIES["plain_cnn"].base, None, [Row(name=name) for name in names])  # type: ignore[misc]
    assert [each.macs for each in info.parts] == [100, 200, 200, 200, 200]


def test_the_baselines_cost_is_compared_in_percent() -> None:
    spec = BASE.with_choices({"stage2.kernel": 5})
    rows, base_rows = [Row(name="stage2.0", params=11, macs=125)], [Row(name="stage2.0")]
    info = architecture_of(spec, BASE, rows, baseline_layers=base_rows, baseline_name="x1")  # type: ignore[arg-type]
    assert "Baseline x1: 1 choice differs; params +10 %, MACs +25 %" in info.subtitle


def test_the_tables_say_what_the_drawing_shows() -> None:
    spec = BASE.with_choices({"stage2.kernel": 5, "unit_form": "authors"})
    rows = [Row(name="stage2.0", output_shape=(8, 4, 4), params=10, macs=100)]
    parts, changes = architecture_of(spec, BASE, rows).tables()  # type: ignore[arg-type]
    assert parts.rows[1] == ("stage2", "8 × 4 × 4", 100, 100.0, 10, 100.0)
    assert changes.rows == (("", "unit_form", "authors", "torchvision"), ("stage2", "stage2.kernel", "5", "3"))


def test_a_network_of_another_family_is_not_compared() -> None:
    info = architecture_of(BASE, FAMILIES["plain_cnn"].base)
    assert "another family" in " ".join(info.subtitle)
    assert info.signs == ""


def test_an_unknown_family_is_drawn_from_its_layer_table_by_the_size_of_its_maps() -> None:
    spec = FAMILIES["torchvision"].base
    assert spec.family not in UNITS
    rows = [
        Row(name="conv1", kind="conv 7x7 s2", output_shape=(64, 16, 16)),
        Row(name="bn1", kind="batch norm", output_shape=(64, 16, 16), macs=0),
        Row(name="layer1.0", kind="basic block", output_shape=(64, 8, 8)),
        Row(name="layer1.1", kind="basic block", output_shape=(64, 8, 8)),
        Row(name="fc", kind="linear", output_shape=(10,)),
    ]
    info = architecture_of(spec, None, rows)  # type: ignore[arg-type]
    assert [each.name for each in info.parts] == ["16 × 16", "8 × 8", "features"]
    assert [op.text for each in info.parts for op in ops(each)] == [
        "conv 7x7 s2 → 64",
        "basic block → 64, 2 times",
        "linear → 10",
    ]
    assert architecture_of(spec).empty is not None


@pytest.mark.parametrize("width", [400, 1000])
@pytest.mark.parametrize("family", sorted(UNITS))
def test_every_family_is_drawn_with_every_box_inside_the_figure(family: str, width: int) -> None:
    spec: Spec = FAMILIES[family].base
    figure = architecture_figure(architecture_of(spec, spec), width=width, height=600)
    across, down = figure.layout.xaxis.range[1], figure.layout.yaxis.range[0]
    boxes = [shape for shape in figure.layout.shapes if shape.type == "rect"]
    assert len(boxes) > 5
    assert all(shape.x1 <= across + 1 and shape.y1 <= down + 1 for shape in boxes)
    assert figure == architecture_figure(architecture_of(spec, spec), width=width, height=600)


def test_a_unit_that_only_the_baseline_has_is_named_and_not_drawn() -> None:
    found = changed(stage3__units=1)  # a down unit and nothing after it
    drawn = architecture_figure(found, width=1000, height=600)
    texts = [each.text for each in drawn.layout.annotations]
    assert f"<b>{GONE} no basic unit</b>" in texts
    assert not any("× 0" in text for text in texts)
    drawn_boxes = [each for each in drawn.layout.shapes if each.type == "rect"]
    ops_there = sum(
        len(ops(each)) - sum(len(unit_ops(unit)) for unit in each.units if not unit.count) for each in found.parts
    )
    assert len(drawn_boxes) == ops_there


def test_a_stored_record_is_drawn_without_a_layer_table(make_record: Callable[..., Record]) -> None:
    record = make_record(3, params=2_000_000, macs=40_000_000, choices={**BASE.choices(), "stage2.kernel": 7})
    info = record_architecture(record, study="s")
    assert info.empty is None
    assert "2.00 M params" in info.subtitle[0]
    assert signs(part(info, "stage2")) == {"dw 7×7 s2": CHANGED, "dw 7×7": CHANGED}
    assert all(each.macs is None for each in info.parts)


def test_a_stored_record_is_compared_with_the_study_s_base(make_record: Callable[..., Record]) -> None:
    small = BASE.with_choices({"width": 0.5})
    record = make_record(2, choices={**small.choices(), "stage2.kernel": 7})
    info = record_architecture(record, study="s", baseline=Baseline(name="x0_5", choices=small.choices()))
    assert "Baseline x0_5: 1 choice differs" in info.subtitle


def test_a_record_that_cannot_be_drawn_says_why(make_record: Callable[..., Record]) -> None:
    assert "No complete network" in (record_architecture(None, study="s").empty or "")
    assert "nonsense" in (record_architecture(make_record(0, choices={"nonsense": 1}), study="s").empty or "")


def test_names_stay_text() -> None:
    info = architecture_of(BASE, BASE.with_choices({"kernel": 5}), name=MARKUP, baseline_name=MARKUP)
    assert "<script" not in json.dumps(architecture_figure(info).to_plotly_json(), default=str)
