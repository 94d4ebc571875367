"""Boards that may share a study's measurements: of one model, and of one opinion about five networks."""

from __future__ import annotations

import json
import math
import random
import shlex
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
from makers import make_latency

import archsearch
from archsearch.errors import ConfigError
from archsearch.latency.settings import LatencySettings
from archsearch.search import run
from archsearch.search.plan import RunPlan
from archsearch.search.runtime import RunCallbacks
from archsearch.targets import pool
from archsearch.targets.pool import NETWORKS, PoolBoard, PoolCheck, check_one_model

ONE = PoolBoard(
    target="ssh:a",
    ratios=((0.50, 0.51), (1.50, 1.47), (2.00, 2.02), (0.80, 0.79), (1.20, 1.22)),
    reference_p10_ms=4.0,
    floor=0.04,
)


def of(*boards: PoolBoard) -> PoolCheck:
    return PoolCheck(boards=boards, drift_tolerance=0.25)


def test_boards_agree_where_every_network_differs_by_less_than_the_larger_floor() -> None:
    other = replace(ONE, target="ssh:b", floor=0.01, ratios=tuple((1.03 * a, 1.03 * b) for a, b in ONE.ratios))
    assert of(ONE, other).agrees
    assert of(ONE, other).sentences == ("Yes: latency.target ssh:a and latency.pool ssh:b in a study.",)
    assert not of(replace(ONE, floor=0.02), other).agrees


def test_one_network_of_five_that_differs_keeps_boards_apart_and_is_named() -> None:
    ratios = (*ONE.ratios[:4], (1.20 * 1.12, 1.22 * 1.12))
    found = of(ONE, replace(ONE, target="ssh:b", ratios=ratios))
    assert not found.agrees
    (said,) = found.warnings
    assert (
        said
        == "ssh:a and ssh:b differ by 12 % in resnet20, where two measurements on one board differ by at most 4.0 %"
    )
    assert json.loads(json.dumps(found.plain()))["agrees"] is False


def test_a_board_at_half_the_clock_is_kept_apart_although_its_ratios_are_the_same() -> None:
    (said,) = of(ONE, replace(ONE, target="ssh:b", reference_p10_ms=8.0)).warnings
    assert said == "ssh:a and ssh:b differ by 100 % in speed: 4.000 and 8.000 ms for shufflenet_v2_x1_0"


def test_of_three_boards_every_two_are_compared() -> None:
    far = replace(ONE, target="ssh:c", ratios=tuple((1.06 * a, 1.06 * b) for a, b in ONE.ratios))
    near = replace(ONE, target="ssh:b", ratios=tuple((1.03 * a, 1.03 * b) for a, b in ONE.ratios))
    said = of(ONE, near, far).warnings
    *each_network, mean = said
    assert len(each_network) == len(NETWORKS)
    assert all(each.startswith("ssh:a and ssh:c differ by 6.0 % in") for each in each_network)
    assert mean == (
        "ssh:c is slower than ssh:a by +6.0 % (+6.0 to +6.0) in the mean of five networks, which is more than 5.0 %"
    )


def test_boards_whose_floor_is_large_agree_with_anything_so_nothing_is_told_of_them() -> None:
    found = of(ONE, replace(ONE, target="ssh:b", floor=0.16))
    assert not found.agrees and found.verdict == "cannot be told"
    assert found.sentences == (
        "Cannot be told: these boards' latencies repeat within 16 % only; measure when nothing else runs there.",
    )
    (said,) = found.warnings
    assert said == "ssh:b's latencies repeat within 16 % only, and 10 % is the most with which agreement is told"
    # What differs by more than even that floor is told.
    far = replace(ONE, target="ssh:b", floor=0.16, ratios=tuple((1.3 * a, 1.3 * b) for a, b in ONE.ratios))
    assert of(ONE, far).verdict == "no"


def test_the_mean_offset_has_the_t_interval_of_five_differences_of_logarithms() -> None:
    shares = (0.00, 0.01, 0.02, 0.03, 0.04)  # of ln: mean 0.02, standard deviation 0.0158114
    ratios = tuple((a * math.exp(share), b * math.exp(share)) for share, (a, b) in zip(shares, ONE.ratios, strict=True))
    one = replace(ONE, floor=0.09)
    found = of(one, replace(one, target="ssh:b", ratios=ratios))
    (offset,) = found.offsets
    # t of four degrees of freedom at 97.5 % is 2.776445 (any table): 0.02 -+ 2.776445 x 0.0158114 / sqrt(5)
    assert (math.log1p(offset.low), math.log1p(offset.high)) == pytest.approx((0.000368, 0.039632), abs=1e-6)
    assert offset.mean == pytest.approx(math.expm1(0.02)) and found.verdict == "yes"
    uneven = tuple((a * math.exp(2 * share - 0.04), b * math.exp(2 * share - 0.04)) for share, (a, b)
                   in zip(shares, ONE.ratios, strict=True))  # fmt: skip
    assert of(one, replace(one, target="ssh:b", ratios=uneven)).verdict == "yes"  # 0 -+ 3.9 %
    wide = tuple((a * math.exp(3 * share - 0.06), b * math.exp(3 * share - 0.06)) for share, (a, b)
                 in zip(shares, ONE.ratios, strict=True))  # fmt: skip
    found = of(one, replace(one, target="ssh:b", ratios=wide))  # 0 -+ 5.9 %
    assert found.verdict == "cannot be told"
    (said,) = found.sentences
    assert said.startswith("Cannot be told: over the five networks the boards may differ by more than 5.0 %;")
    plain = found.plain()
    assert (plain["agrees"], plain["verdict"]) == (False, "cannot be told")
    assert plain["offsets"][0]["targets"] == ["ssh:a", "ssh:b"]
    assert plain["offsets"][0]["high_percent"] == pytest.approx(100 * math.expm1(3 * 0.019632), abs=1e-3)


def test_boards_that_differ_evenly_by_about_the_tolerance_are_not_said_to_differ_unevenly() -> None:
    shares = (0.046, 0.048, 0.049, 0.050, 0.052)  # of ln: mean 0.049, and 0.049 -+ 0.0028 holds ln(1.05) = 0.0488
    ratios = tuple((a * math.exp(share), b * math.exp(share)) for share, (a, b) in zip(shares, ONE.ratios, strict=True))
    found = of(replace(ONE, floor=0.09), replace(ONE, target="ssh:b", floor=0.09, ratios=ratios))
    assert found.verdict == "cannot be told"
    assert found.sentences == (
        "Cannot be told: over the five networks the boards may differ by more than 5.0 %; measure when nothing else "
        "runs there.",
    )


def simulated(generator: random.Random, *, noise: float, apart: float) -> PoolCheck:
    """Two boards whose measurements scatter by so much (a share), the second one slower by so much."""
    boards = []
    for target, factor in (("ssh:a", 1.0), ("ssh:b", 1.0 + apart)):
        first, second = (
            [
                make_latency(ratio_to_reference=factor * true * math.exp(generator.gauss(0.0, noise)))
                for true in (0.5, 1.5, 2.0, 0.8, 1.2)
            ]
            for _ in range(2)
        )
        boards.append(PoolBoard.of(target, first, second))
    return of(*boards)


@pytest.mark.parametrize(
    ("noise", "apart", "least", "most"),
    [(0.01, 0.0, 285, 300), (0.05, 0.10, 0, 3), (0.05, 0.0, 0, 15), (0.02, 0.10, 0, 3), (0.01, 0.05, 0, 15)],
)
def test_of_300_simulated_pools_quiet_equal_boards_are_pooled_and_boards_apart_are_not(
    noise: float, apart: float, least: int, most: int
) -> None:
    generator = random.Random(20261130)
    pooled = sum(simulated(generator, noise=noise, apart=apart).agrees for _ in range(300))
    assert least <= pooled <= most


def test_boards_of_one_model_differ_in_their_machine_id_and_in_what_changes_alone() -> None:
    facts = {"cpu": "Cortex-A76", "machine_id": "1", "governor": "performance", "boot_id": "x"}
    check_one_model({"ssh:a": facts, "ssh:b": facts | {"machine_id": "2", "boot_id": "y"}})
    with pytest.raises(ConfigError, match="not boards of one model: governor is performance and ondemand"):
        check_one_model({"ssh:a": facts, "ssh:b": facts | {"governor": "ondemand"}})


def test_one_machine_behind_two_pipes_is_measured_twice_on_each() -> None:
    python = shlex.quote(sys.executable)
    steps: list[str] = []
    found = pool.check_pool(
        (f"command:{python}", f"command:env {python}"),
        LatencySettings(
            backend="onnxruntime", bursts=4, visits=2, runs_per_burst=2, spread_seconds=0, warmup_windows=2, remeasure=0
        ),
        input_size=32,
        on_step=steps.append,
    )
    assert [board.target for board in found.boards] == [f"command:{python}", f"command:env {python}"]
    assert all(len(board.ratios) == 5 and board.floor > 0.0 for board in found.boards)
    for board in found.boards:  # 5 times the multiply-adds of x0.5, on any machine
        assert board.ratio(0) < board.ratio(1)
    assert steps[0] == "connecting" and len(steps) == 3
    assert found.tables()[0].rows[0][0] == found.boards[0].target


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (("ssh:a",), "two boards or more are needed"),
        (("command:python3", "command:python3"), "two boards or more are needed, each once"),
        (("local", "command:python3"), "local is this machine: only boards share measurements"),
        (("shh:a", "command:python3"), "target 'shh:a': unknown"),
    ],
)
def test_what_is_no_pool_is_refused_before_anything_is_measured(targets: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        archsearch.target_pool(*targets)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"pool": ["ssh:b"]}, "set target to a board"),
        ({"target": "ssh:a", "pool": ["ssh:a"]}, "pool names boards that are no target yet, each once; got ssh:a"),
        ({"target": "ssh:a", "pool": ["local"]}, "pool names boards"),
        ({"target": "ssh:a", "also_targets": ["ssh:b"], "pool": ["ssh:b"]}, "pool names boards"),
    ],
)
def test_a_pool_is_of_boards_that_are_no_target_yet(content: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LatencySettings.model_validate(content)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (replace(ONE, target="ssh:b", floor=0.16), "whether the boards of latency.pool agree cannot be told: ssh:b's"),
        (replace(ONE, target="ssh:b", reference_p10_ms=8.0), "the boards of latency.pool do not agree: ssh:a and"),
    ],
)
def test_a_new_study_is_refused_where_its_boards_differ_and_where_it_cannot_be_told(
    other: PoolBoard, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "check_pool", lambda *given, **named: of(ONE, other))
    latency = LatencySettings(target="ssh:a", pool=("ssh:b",))
    plan = cast(RunPlan, SimpleNamespace(config=SimpleNamespace(latency=latency), input_size=32))
    with pytest.raises(ConfigError, match=said):
        run._pool(plan, RunCallbacks())
