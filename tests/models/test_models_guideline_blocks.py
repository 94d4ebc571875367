"""The networks of the four experiments: the paper's arithmetic, and that each is what its row says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn

from archsearch.errors import ConfigError
from archsearch.models.guideline_blocks import BottleneckBlock, ParallelBlock, guideline_network
from archsearch.models.guideline_spec import (
    BEST_LABEL,
    Bottleneck,
    ChannelRatio,
    Fragments,
    Groups,
    printed_network,
)
from archsearch.papers.printed import find_paper

TABLES = {table.table: table for table in find_paper("shufflenet_v2").tables if table.table in "1234"}
ROWS = [(name, row.model) for name, table in TABLES.items() for row in table.rows]
NARROW = [(name, model) for name, model in ROWS if printed_network(name, model).input_channels <= 64]
PIXELS = 56 * 56


@pytest.mark.parametrize(("table", "model"), NARROW)
def test_multiply_adds_are_those_that_fvcore_counts(table: str, model: str) -> None:
    spec = printed_network(table, model)
    network = guideline_network(spec)
    counted = FlopCountAnalysis(network, torch.zeros(1, spec.input_channels, 56, 56))
    assert counted.unsupported_ops_warnings(False).by_operator()["conv"] == spec.macs


def test_the_ratios_of_table_1_cost_what_the_paper_says() -> None:
    # c1 x c2 of the GPU column: 128 x 128, 90 x 180, 52 x 312, 36 x 432
    products = [
        printed_network("1", f"c1:c2={ratio} x1").block_macs_per_pixel // 2
        for ratio in ("1:1 (128,128)", "1:2 (90,180)", "1:6 (52,312)", "1:12 (36,432)")
    ]
    assert products == [16384, 16200, 16224, 15552]


@pytest.mark.parametrize(("table", "model"), ROWS)
def test_all_rows_of_a_column_cost_about_the_same(table: str, model: str) -> None:
    spec = printed_network(table, model)
    column = [
        other
        for name, text in ROWS
        if name == table
        for other in [printed_network(table, text)]
        if other.scale == spec.scale and 0.5 < other.macs / spec.macs < 2  # the two devices' columns apart
    ]
    best = next(other for other in column if other.label == BEST_LABEL[table])
    assert spec.macs == pytest.approx(best.macs, rel=0.06)


def test_rows_become_the_networks_they_name() -> None:
    assert printed_network("1", "c1:c2=1:6 (13,78) x2") == ChannelRatio(c1=26, c2=156, ratio="1:6", times=2)
    assert printed_network("2", "g=4 c=128 x2") == Groups(channels=256, groups=4, times=2)
    assert printed_network("3", "4-fragment-parallel c=64") == Fragments(channels=64, fragments=4, parallel=True)
    assert printed_network("4", "bottleneck ReLU=no shortcut=yes c=32") == Bottleneck(
        channels=32, relu=False, shortcut=True
    )


def test_what_names_no_network_is_refused() -> None:
    with pytest.raises(ConfigError, match="table 2: the row 'g=x c=64 x1'"):
        printed_network("2", "g=x c=64 x1")
    with pytest.raises(ConfigError, match="table 5"):
        printed_network("5", "g=1 c=64 x1")


def test_groups_that_do_not_divide_the_channels_take_the_nearest_that_they_do() -> None:
    spec = printed_network("2", "g=8 c=180 x1")  # 180 / 8 = 22.5, so 184 = 8 x 23
    assert spec.input_channels == 184
    assert spec.printed_macs == 10 * PIXELS * 180 * 180 // 8
    assert printed_network("2", "g=8 c=180 x2").input_channels == 360  # 45 x 8, as printed


@pytest.mark.parametrize(("channels", "fragments", "expected"), [(64, 2, 44), (64, 4, 32), (128, 2, 92), (512, 4, 256)])
def test_fragments_have_the_nearest_multiple_of_4(channels: int, fragments: int, expected: int) -> None:
    # 64 / sqrt 2 = 45.25 and 128 / sqrt 2 = 90.5
    spec = Fragments(channels=channels, fragments=fragments, parallel=False)
    assert spec.input_channels == expected
    assert spec.printed_macs == 10 * PIXELS * channels * channels


@pytest.mark.parametrize(
    ("spec", "block"),
    [
        (ChannelRatio(c1=9, c2=18, ratio="1:2", times=1), nn.Sequential),
        (Groups(channels=16, groups=4, times=1), nn.Conv2d),
        (Fragments(channels=16, fragments=2, parallel=False), nn.Sequential),
        (Fragments(channels=16, fragments=4, parallel=True), ParallelBlock),
        (Bottleneck(channels=16, relu=True, shortcut=True), BottleneckBlock),
    ],
)
def test_a_network_is_ten_blocks_that_keep_the_shape(
    spec: ChannelRatio | Groups | Fragments | Bottleneck, block: Callable[..., nn.Module]
) -> None:
    network = guideline_network(spec)
    image = torch.randn(2, spec.input_channels, 8, 8)
    assert [type(each) for each in network] == [block] * 10
    assert network.input_channels == spec.input_channels
    assert not network.training
    output = network(image)
    assert output.shape == image.shape
    assert torch.isfinite(output).all()


def test_parallel_fragments_are_added() -> None:
    block = ParallelBlock(4, 3)
    image = torch.randn(1, 4, 5, 5)
    expected = torch.stack([fragment(image) for fragment in block.fragments]).sum(0)
    assert torch.allclose(block(image), expected, atol=1e-6)


def test_the_bottleneck_is_resnets_with_or_without_its_element_wise_operators() -> None:
    image = torch.randn(1, 8, 5, 5)
    for relu in (True, False):
        for shortcut in (True, False):
            block = BottleneckBlock(Bottleneck(channels=8, relu=relu, shortcut=shortcut))
            act = torch.relu if relu else torch.nn.Identity()
            plain = block.expand(act(block.middle(act(block.reduce(image)))))
            assert torch.allclose(block(image), act(plain + image if shortcut else plain), atol=1e-6)


def test_weights_are_drawn_by_the_seed_and_leave_torchs_generator_alone() -> None:
    spec = Groups(channels=8, groups=2, times=1)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, same, other = (guideline_network(spec, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first[0].weight, same[0].weight)
    assert not torch.equal(first[0].weight, other[0].weight)
