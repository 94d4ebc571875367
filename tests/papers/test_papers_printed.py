from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from archsearch.errors import ConfigError, UnknownNameError
from archsearch.models.variants import find_variant
from archsearch.papers.printed import (
    DATA,
    REASONS,
    Paper,
    PrintedValue,
    find_paper,
    load_paper,
    load_papers,
    read_reasons,
)

ENVIRONMENT = "ARCHSEARCH_TEST_PRINTED_VALUES"
# How many values each table prints: rows x columns, counted in the papers. Where cells are empty, hand arithmetic.
VALUES = {
    ("cifar_models", "results"): 6 * 2 + 4,
    ("ldc", "4"): 6 * 5,
    ("shufflenet_series", "results"): 4 + 8 + 2 + 3,  # V2, V1, Large and ExLarge, V2+
    ("shufflenet_v1", "1"): 5,
    ("shufflenet_v1", "2"): 3 * 5,
    ("shufflenet_v1", "3"): 6 * 3,
    ("shufflenet_v1", "4"): 3,
    ("shufflenet_v1", "5"): 10 * 2 + 6,
    ("shufflenet_v1", "6"): 7,
    ("shufflenet_v1", "7"): 4,
    ("shufflenet_v1", "8"): 5 * 3,
    ("shufflenet_v2", "1"): 4 * 6,
    ("shufflenet_v2", "2"): 4 * 6,
    ("shufflenet_v2", "3"): 5 * 6,
    ("shufflenet_v2", "4"): 4 * 6,
    ("shufflenet_v2", "5"): 4 * 3,
    ("shufflenet_v2", "6"): 5 * 2,
    ("shufflenet_v2", "7"): 5 * 4 * 2,
    ("shufflenet_v2", "8"): 39 * 4 - 2 * 2,  # no speeds of the two CondenseNets
    ("shufflenet_v2", "App.1a"): 4 * 4 * 6,
    ("shufflenet_v2", "App.1b"): 4 * 3 * 4,
    ("shufflenet_v2", "App.2"): 4,
    ("shufflenet_v2", "Fig.2"): 4,
    ("shufflenet_v2_s", "1"): 2,
    ("shufflenet_v2_s", "2"): 3 * 2,
    ("shufflenet_v2_s", "4.1"): 8,
    ("torchvision", "-"): 4,
}


def value(paper: str, table: str, model: str, column: str) -> PrintedValue:
    (found,) = (
        each
        for printed in find_paper(paper).tables
        if printed.table == table
        for row in printed.rows
        if row.model == model
        for each in row.values
        if each.column == column
    )
    return found


def test_every_table_has_as_many_values_as_are_printed() -> None:
    found = {(paper.key, table.table): len(table.values) for paper in load_papers() for table in paper.tables}
    assert found == VALUES
    # The six papers and sources have 628; the README of the CIFAR models has the others.
    assert sum(number for (paper, _), number in found.items() if paper != "cifar_models") == 628


@pytest.mark.parametrize(
    ("paper", "table", "model", "column", "printed", "unit"),
    [
        ("shufflenet_v2", "8", "ShuffleNet v2 1x (ours)", "top1_err", 30.6, "%"),
        ("shufflenet_v2", "8", "ShuffleNet v2 2x (ours, with SE)", "complexity", 597, "MFLOPs"),
        ("shufflenet_v2", "5", "ShuffleNet v2 1.0x", "channels", [24, 116, 232, 464, 1024], ""),
        ("shufflenet_v2", "6", "SE-ShuffleNet v2-164 (ours, with residual)", "flops_macs", 12.7, "1e9"),
        ("shufflenet_v1", "1", "ShuffleNet 1x g=3", "complexity", 137, "MFLOPs"),
        ("shufflenet_v1", "3", "ShuffleNet 1x g=8", "no_shuffle", 37.6, "%"),
        ("shufflenet_v2_s", "1", "ShuffleNetV2-s", "params", 2380648, "count"),
        ("shufflenet_v2_s", "2", "traditional CNN", "cifar100", 53.69, "%"),
        ("ldc", "4", "LDC3", "macs", 54.1, "1e6"),
        ("ldc", "4", "LDC0", "cifar100", 68.37, "%"),
        ("torchvision", "-", "shufflenet_v2_x1_0", "accuracy", [69.362, 88.316], "%"),
        ("cifar_models", "results", "ResNet-20", "cifar10", 92.60, "%"),
    ],
)
def test_values_are_those_of_the_papers(
    paper: str, table: str, model: str, column: str, printed: Any, unit: str
) -> None:
    found = value(paper, table, model, column)
    assert (found.value, found.unit) == (printed, unit)


def test_every_number_of_a_network_has_a_variant_or_a_reason_and_every_other_a_reason() -> None:
    for paper in load_papers():
        for table in paper.tables:
            for row in table.rows:
                for printed in row.values:
                    for number in printed.numbers:
                        explained = bool(number.reason) or (number.computed_kind and row.variant is not None)
                        # an architecture is a drawing: only its count is compared
                        assert explained or number.kind == "setting", (paper.key, table.table, row.model)


VARIANTS = sorted(
    {row.variant for paper in load_papers() for table in paper.tables for row in table.rows if row.variant}
)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_that_the_data_names_exists(name: str) -> None:
    assert find_variant(name).name == name


def test_every_reason_is_used() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in DATA.glob("*.yaml"))
    assert [key for key in read_reasons(REASONS) if f"reason: {key}" not in text] == []


def test_an_unknown_paper_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'shufflenet_v2'"):
        find_paper("shufflenet_v22")


def _as_listed(printed: PrintedValue, paper: Paper, table: str, model: str) -> tuple[str, ...]:
    return (paper.source, table, model, printed.metric, json.dumps(printed.value), printed.unit, printed.conditions)


@pytest.mark.skipif(ENVIRONMENT not in os.environ, reason=f"{ENVIRONMENT} names no JSON file of the printed values")
def test_nothing_was_lost_on_the_way_from_the_list_of_printed_values() -> None:
    keys = ("source", "table", "model", "metric", "value", "unit", "conditions")
    listed = json.loads(Path(os.environ[ENVIRONMENT]).read_text(encoding="utf-8"))
    wanted = Counter(tuple(json.dumps(row[key]) if key == "value" else row[key] for key in keys) for row in listed)
    found = Counter(
        _as_listed(printed, paper, table.table, row.model)
        for paper in load_papers()
        if paper.key != "cifar_models"
        for table in paper.tables
        for row in table.rows
        for printed in row.values
    )
    assert found == wanted


GOOD = """\
key: p
title: A paper
reference: Somebody 2020
source: P
link: https://example.org
tables:
  - table: "1"
    caption: Sizes
    columns:
      macs: {kind: macs, unit: M, convention: conv_linear}
      error: {kind: accuracy, unit: "%", reason: imagenet}
    rows:
      - {model: net, variant: shufflenet_v2_x1_0, macs: 146, error: 30.6}
"""


def test_a_small_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(GOOD)
    paper = load_paper(path, {"imagenet": "needs ImageNet"})
    (row,) = paper.tables[0].rows
    macs, error = row.values
    assert (macs.numbers[0].convention, macs.numbers[0].reason) == ("conv_linear", "")
    assert (error.numbers[0].convention, error.numbers[0].reason) == (None, "needs ImageNet")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("title: A paper", "title: A paper\nlinks: x", "did you mean 'link'?"),
        ("title: A paper\n", "", "the key 'title' is missing"),
        ("caption: Sizes", "caption: 3", "tables.0.caption"),
        ("kind: macs", "kind: flops", "columns.macs.kind"),
        ("unit: M,", "unit: furlong,", "columns.macs.unit"),
        (", convention: conv_linear", "", "columns.macs.convention"),
        ("convention: conv_linear", "convention: thop", "columns.macs.convention"),
        (", reason: imagenet}", "}", "columns.error.reason"),
        ("reason: imagenet", "reason: imagnet", "did you mean 'imagenet'?"),
        ("macs: 146, error", "mac: 146, error", "did you mean 'macs'?"),
        (", variant: shufflenet_v2_x1_0", "", "row 'net': a count without a variant needs a reason"),
        (", macs: 146, error: 30.6", "", "row 'net': no value"),
    ],
)
def test_a_wrong_file_is_named_with_its_key(old: str, new: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ConfigError) as raised:
        load_paper(path, {"imagenet": "needs ImageNet"})
    assert str(path) in str(raised.value)
    assert said in str(raised.value)
