"""The guideline audit: the paper's formulas by hand, and its own verdicts (arXiv 1807.11164, sections 2 and 3)."""

from __future__ import annotations

import re
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.models.shufflenetv2 import InvertedResidual as ShuffleUnit

from archsearch.cost import audit, memory_access
from archsearch.cost.audit import Audit, Convolution, Flow, UnitAudit, least_maps, lower_bound, trace, ungrouped
from archsearch.cost.audit import memory_access as pointwise_memory_access
from archsearch.limits import GUIDELINES
from archsearch.models.families import build
from archsearch.models.modules.shufflenet_v1 import AddUnit
from archsearch.models.specs.shufflenet_v1 import ShuffleNetV1Stage
from archsearch.models.variants import find_variant
from archsearch.table import plain


def audited(name: str, input_size: int = 224) -> Audit:
    spec = find_variant(name).spec.normalised(input_size)
    return audit(build(spec, num_classes=1000, input_size=input_size, seed=0), input_size)


def unit_named(found: Audit, name: str) -> UnitAudit:
    (unit,) = (unit for unit in found.units if unit.name == name)
    return unit


class _After(nn.Module):
    """A unit on a map of `channels` that a convolution makes of the image."""

    def __init__(self, channels: int, unit: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.unit = unit

    def forward(self, x: Tensor) -> Any:
        return self.unit(self.stem(x))


# Section 3: ShuffleNet V1's "pointwise group convolutions and bottleneck structures increase MAC (G1 and G2)", "using
# too many groups violates G3", "the element-wise Add operation in the shortcut is also undesirable (G4)"; MobileNetV2's
# inverted bottleneck violates G1, its depthwise convolutions and ReLUs on thick maps G4; ShuffleNet V2 keeps all four.
@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("shufflenet_v1_x1_0_g3", ("G1", "G2", "G4")),
        ("shufflenet_v1_x1_0_g8", ("G1", "G2", "G3", "G4")),
        ("torchvision/mobilenet_v2", ("G1", "G4")),
        ("mobilenet_v2_x0_5", ("G1", "G4")),
        *((f"shufflenet_v2_{width}", ()) for width in ("x0_5", "x1_0", "x1_5", "x2_0")),
        *((f"shufflenet_v2_{width}_authors", ()) for width in ("x0_5", "x1_0", "x1_5", "x2_0")),
        ("torchvision/shufflenet_v2_x1_0", ()),
    ],
)  # fmt: skip
def test_the_verdicts_are_those_of_the_paper(name: str, broken: tuple[str, ...]) -> None:
    assert audited(name).broken == broken


@pytest.mark.parametrize("name", ["shufflenet_v1_x1_0_g3", "shufflenet_v2_x2_0", "mobilenet_v2_x0_5"])
def test_no_verdict_of_the_paper_is_a_close_call(name: str) -> None:
    for found in audited(name).findings.values():
        assert abs(found.score / found.threshold - 1) > 0.02, found


# 24 -> 96 channels on 4x4
@pytest.mark.parametrize(
    ("groups", "access", "bound", "without", "maps"),
    [
        # hw(c1+c2) + c1c2/g; 2 hw sqrt(c1c2) + c1c2/g, sqrt(24 * 96) = 48; hw(c1 + c2/g) + c1c2/g; 2 hw sqrt(c1c2/g)
        (1, 16 * 120 + 2304, 2 * 16 * 48 + 2304, 16 * 120 + 2304, 2 * 16 * 48),
        (4, 16 * 120 + 576, 2 * 16 * 48 + 576, 16 * (24 + 24) + 576, 2 * 16 * 24),
    ],
)
def test_the_formulas_are_the_papers(groups: int, access: int, bound: int, without: int, maps: int) -> None:
    conv = Convolution(incoming=24, outgoing=96, groups=groups, kernel=1, area=16)
    assert pointwise_memory_access(conv) == access
    assert lower_bound(conv) == pytest.approx(bound)
    assert ungrouped(conv) == without
    assert least_maps(conv) == pytest.approx(maps)


def test_the_lower_bound_is_equation_1_and_reached_by_equal_widths() -> None:
    # B = hw c1 c2 is 49 * 3600 in each
    for incoming, outgoing in ((60, 60), (30, 120), (10, 360)):
        conv = Convolution(incoming=incoming, outgoing=outgoing, groups=1, kernel=1, area=49)
        assert lower_bound(conv) == pytest.approx(2 * sqrt(49 * 49 * 3600) + 3600)
        assert (pointwise_memory_access(conv) > lower_bound(conv) * (1 + 1e-12)) == (incoming != outgoing)


def test_a_networks_g1_and_g2_are_the_sums_over_its_pointwise_convolutions() -> None:
    net = nn.Sequential(nn.Conv2d(3, 12, 1), nn.ReLU(), nn.Conv2d(12, 12, 1, groups=3), nn.Conv2d(12, 5, 3))
    scores = audit(net, 4).scores
    # 16 * 15 + 36 = 276 and 16 * 24 + 48 = 432; bounds 2 * 16 * 6 + 36 = 228 and 432; ungrouped 276 and
    # 16 * (12 + 4) + 48 = 304
    assert scores["G1"] == pytest.approx((276 + 432) / (228 + 432))
    assert scores["G2"] == pytest.approx((276 + 432) / (276 + 304))


def test_a_network_without_pointwise_convolutions_keeps_g1_and_g2() -> None:
    found = audit(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, groups=4)), 8)
    assert (found.scores["G1"], found.scores["G2"]) == (1.0, 1.0)
    assert [unit.scores["G1"] for unit in found.units] == [None, None]


@pytest.mark.parametrize("channels", [24, 48])
@pytest.mark.parametrize("size", [8, 16])
def test_the_unit_of_shufflenet_v2_has_a_g4_of_five_sevenths_at_every_width_and_size(channels: int, size: int) -> None:
    # in maps of the branch's width: ReLU 2, depthwise 2, ReLU 2, concatenation and shuffle as one operator 2 + 2;
    # two 1x1 convolutions 2 each: 10 / (10 + 4). torchvision's unit shuffles in an operator of its own.
    found = audit(_After(channels, ShuffleUnit(channels, channels, 1)), size)
    assert unit_named(found, "unit").scores["G4"] == pytest.approx(10 / 14)
    # as it is written concatenation and shuffle move 4 each: 14 of 18, and the weights: 9 a channel, and two matrices
    b, maps = channels // 2, channels // 2 * size * size
    share = unit_named(found, "unit").element_wise_share
    assert share == pytest.approx((14 * maps + 9 * b) / (18 * maps + 9 * b + 2 * b * b))


@pytest.mark.parametrize("groups", [2, 3, 8])
def test_the_unit_of_shufflenet_v1_has_more_for_its_sum_and_its_groups(groups: int) -> None:
    stage = ShuffleNetV1Stage(channels=96 * groups, units=2)
    hidden = 24 * groups
    unit = AddUnit(hidden, stage, groups=groups, shuffle=True)
    found = unit_named(audit(_After(96 * groups, unit), 8), "unit")
    # in maps of the bottleneck's width: ReLU 2, shuffle 2, depthwise 2, sum 4 + 4 + 4, ReLU 8; the least for two 1x1
    # convolutions of 1 -> 4 in g groups is 2 sqrt(4 / g) each
    assert found.scores["G4"] == pytest.approx(26 / (26 + 4 * sqrt(4 / groups)))
    assert found.scores["G3"] == 2 * groups + 1
    assert found.branches == 1  # the shortcut is no operator


def test_the_unit_of_mobilenet_v2_has_thick_maps() -> None:
    found = unit_named(audit(_After(8, InvertedResidual(8, 8, 1, 6)), 8), "unit")
    # in maps of the block's width: ReLU 12, depthwise 12, ReLU 12, sum 3; two 1x1 of 1 -> 6: 2 sqrt(6) each
    assert found.scores["G4"] == pytest.approx(39 / (39 + 4 * sqrt(6)))
    assert found.scores["G1"] == pytest.approx((64 * 7 * 8 + 6 * 64) / (2 * 64 * 8 * sqrt(6) + 6 * 64))
    assert (found.fragments, found.kernels, found.kernels_unfolded) == (3, 6, 9)


class _Parallel(nn.Module):
    """Table 3's fragments in parallel: n 1x1 convolutions of one map, added."""

    def __init__(self, channels: int, fragments: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(fragments))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([part(x) for part in self.parts]).sum(0)


@pytest.mark.parametrize("fragments", [2, 4])
def test_fragments_in_parallel_and_in_series_are_counted(fragments: int) -> None:
    parallel = unit_named(audit(_After(6, _Parallel(6, fragments)), 4), "unit")
    assert (parallel.branches, parallel.in_series) == (fragments, 0)
    assert parallel.fragments == fragments + 1  # and the sum over them, a reduction
    series = audit(nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(fragments))), 4)
    assert series.in_series == fragments - 1


@pytest.mark.parametrize(
    ("between", "width", "joined"),
    [
        ([nn.BatchNorm2d(8)], 8, 1),  # 64 <= 64 + 64
        ([nn.BatchNorm2d(8), nn.ReLU()], 8, 0),  # not linear
        ([], 2, 0),  # a bottleneck: 64 > 16 + 16
        ([], 32, 1),
    ],
)
def test_two_convolutions_could_be_one_if_that_is_no_dearer(between: list[nn.Module], width: int, joined: int) -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, width, 1), *between, nn.Conv2d(width, 8, 1))
    assert audit(net, 8).in_series == joined


def test_a_depthwise_convolution_before_a_pointwise_one_could_not_be_one_with_it() -> None:
    net = nn.Sequential(nn.Conv2d(3, 3, 3, groups=3), nn.BatchNorm2d(3), nn.Conv2d(3, 8, 1))
    assert audit(net, 8).in_series == 0


def test_only_batch_norms_after_weights_are_folded() -> None:
    # 3 x 4 x 4 maps: the first batch norm stands before any convolution and stays an element-wise operator
    net = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1, bias=False), nn.BatchNorm2d(3))
    found = audit(net, 4)
    assert (found.kernels, found.kernels_unfolded) == (2, 3)
    norm, conv = 48 + 12 + 48, 48 + 9 + 48  # reads weight, bias, mean and variance
    assert found.element_wise_share == pytest.approx(norm / (norm + conv))
    assert found.element_wise_share_unfolded == pytest.approx(2 * norm / (2 * norm + conv))


@pytest.mark.parametrize(
    ("network", "blocks", "fragments"),
    [
        (models.resnet18, 8, [2, 2, 3, 2, 3, 2, 3, 2]),  # the first of stages 2 to 4 has a convolution as its shortcut
        (models.googlenet, 9, [7] * 9),  # 1x1; 1x1 and 3x3 twice; pool and 1x1
        (models.mobilenet_v2, 17, [2] + [3] * 16),
        (models.shufflenet_v2_x1_0, 16, [5, 3, 3, 3, 5, 3, 3, 3, 3, 3, 3, 3, 5, 3, 3, 3]),
    ],
)
def test_units_are_found_in_networks_of_others(network: Any, blocks: int, fragments: list[int]) -> None:
    more = {"init_weights": False, "aux_logits": False} if network is models.googlenet else {}
    found = [unit for unit in audit(network(**more), 64).units if unit.block]
    assert len(found) == blocks
    assert [unit.fragments for unit in found] == fragments


@pytest.mark.parametrize(
    "name", ["vgg11", "densenet121", "squeezenet1_1", "vit_b_32", "efficientnet_b0", "convnext_tiny"]
)
def test_every_operator_of_any_network_is_in_one_unit(name: str) -> None:
    found = audit(models.get_model(name).eval(), 224)
    assert sum(unit.kernels_unfolded for unit in found.units) == found.kernels_unfolded
    assert set(found.scores) == set(GUIDELINES)


@pytest.mark.parametrize("name", ["shufflenet_v1_x1_0_g3", "shufflenet_v2_x0_5_se", "mobilenet_v3_small_ldc1"])
def test_the_trace_moves_what_memory_access_says(name: str) -> None:
    spec = find_variant(name).spec.normalised(64)
    model = build(spec, num_classes=10, input_size=64, seed=0)
    operators = trace(model, 64).operators
    sums = Flow(operators).sums(0, len(operators))
    assert 4 * (sums.total + sums.batch_norm) == memory_access(model, 64).total_bytes  # 4 bytes for a number


def test_the_model_is_left_as_it_was() -> None:
    model = models.shufflenet_v2_x0_5().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    audit(model, 64)
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_the_plain_data_hold_every_score_and_verdict() -> None:
    found = audited("shufflenet_v1_x1_0_g8")
    written = plain(found)
    assert {name: each["score"] for name, each in written["findings"].items()} == found.scores
    assert [name for name, each in written["findings"].items() if not each["passed"]] == list(found.broken)
    assert len(written["units"]) == len(found.units)
    assert set(written["findings"]["G3"]["units"]) == {unit.name for unit in found.units if unit.block}


DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "guidelines.md"
ROWS = re.findall(r"^\| `([\w/]+)` \| (.+) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(("name", "cells"), ROWS, ids=[name for name, _ in ROWS])
def test_the_document_says_what_the_audit_says(name: str, cells: str) -> None:
    found = audited(name)
    g1, g2, g3, g4 = found.scores.values()
    written = f"{g1:.2f} | {g2:.2f} | {g3:.1f} | {100 * g4:.1f} | {', '.join(found.broken) or 'none'}"
    assert cells == written


def test_the_document_has_the_thresholds_of_the_code() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for name in GUIDELINES:
        (stated,) = re.findall(rf"^- {name}, \*\*([\d.]+)\*\*", text, re.MULTILINE)
        assert float(stated) == GUIDELINES[name].threshold
