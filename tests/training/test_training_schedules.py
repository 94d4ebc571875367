from __future__ import annotations

import math

import pytest
import torch

from archsearch.training.schedules import OneCycle, Stepped, WarmRestarts, schedule_of


def test_one_cycle_rises_to_the_peak_and_falls_to_zero() -> None:
    # 2 epochs of 5 steps: 10 steps, 20% of them (2) rising: 0.5, 1.0; then 8 falling: 8/8, 7/8, ..., 1/8; then 0.
    rate = schedule_of(OneCycle(1.0, 0.2), epochs=2, steps_per_epoch=5)
    assert [rate(step) for step in range(11)] == [0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.0]


def test_one_cycle_without_warmup_begins_at_the_peak() -> None:
    rate = schedule_of(OneCycle(0.4, 0.0), epochs=1, steps_per_epoch=4)
    assert [rate(step) for step in range(5)] == pytest.approx([0.4, 0.3, 0.2, 0.1, 0.0])


def test_one_cycle_of_a_single_step_uses_the_peak() -> None:
    assert schedule_of(OneCycle(0.4, 0.2), epochs=1, steps_per_epoch=1)(0) == 0.4


@pytest.mark.parametrize(
    ("epoch", "rate"), [(1, 0.01), (69, 0.01), (70, 0.01), (71, 0.001), (90, 0.001), (91, 0.0001), (100, 0.0001)]
)
def test_stepped_rate_holds_to_the_end_of_the_epochs_that_the_paper_prints(epoch: int, rate: float) -> None:
    # doi 10.12677/iae.2023.114046: 0.01 for epochs 1-70, 0.001 to 90, 0.0001 to 100 (first epoch is 1).
    rule = Stepped(((70, 0.01), (90, 0.001), (100, 0.0001)))
    first, last = (epoch - 1) * 7, epoch * 7 - 1
    assert rule.rate(first, epochs=100, steps_per_epoch=7) == rate
    assert rule.rate(last, epochs=100, steps_per_epoch=7) == rate


@pytest.mark.parametrize(
    ("epochs", "high", "middle"),
    # 0.7 E and 0.9 E epochs; 15 epochs: 10.5 and 13.5, so the 11th and 14th, half begun before, keep the higher rate.
    [(10, 7, 2), (20, 14, 4), (30, 21, 6), (15, 11, 3), (1, 1, 0)],
)
def test_stepped_boundaries_move_with_the_number_of_epochs(epochs: int, high: int, middle: int) -> None:
    rule = Stepped(((70, 0.01), (90, 0.001), (100, 0.0001)))
    rates = [rule.rate(epoch, epochs=epochs, steps_per_epoch=1) for epoch in range(epochs)]
    assert rates == [0.01] * high + [0.001] * middle + [0.0001] * (epochs - high - middle)


@pytest.mark.parametrize(("period", "lowest"), [(5, 0.0), (3, 0.01)])
def test_warm_restarts_are_those_of_torch_stepped_once_an_epoch(period: int, lowest: float) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.05)
    theirs = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=period, eta_min=lowest)
    rate = schedule_of(WarmRestarts(0.05, period, lowest), epochs=15, steps_per_epoch=4)
    for epoch in range(15):
        assert [rate(4 * epoch + step) for step in range(4)] == pytest.approx([theirs.get_last_lr()[0]] * 4)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize(
    ("epochs", "shares"),
    [
        (3, [0, 1 / 3, 2 / 3]),  # one period, of 3 epochs
        (4, [0, 1 / 4, 2 / 4, 3 / 4]),
        (8, [0, 1 / 4, 2 / 4, 3 / 4] * 2),  # 8 / 5 is nearest to 2 periods
        (7, [place / 7 for place in range(7)]),  # to 1
        (13, [place * 3 % 13 / 13 for place in range(13)]),  # to 3, of 4 1/3 epochs each
    ],
)
def test_a_training_that_does_not_end_with_a_period_has_whole_ones_of_its_own(epochs: int, shares: list[float]) -> None:
    rates = [WarmRestarts(0.1, 5).rate(epoch, epochs=epochs, steps_per_epoch=1) for epoch in range(epochs)]
    assert rates == pytest.approx([0.05 * (1 + math.cos(math.pi * share)) for share in shares])
    assert rates[-1] < 0.03  # it ends near its lowest rate
