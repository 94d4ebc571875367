from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from archsearch.training.step import Averaged


def one_number(value: float) -> nn.Module:
    model = nn.Linear(1, 1, bias=False)
    set_to(model, value)
    return model


def set_to(model: nn.Module, value: float) -> None:
    nn.init.constant_(model.weight, value)  # type: ignore[arg-type]


def test_the_average_is_a_mean_first_and_then_a_moving_one() -> None:
    model = one_number(100.0)  # the weights before the first step do not count
    averaged = Averaged(model, steps=2)
    found = []
    for value in (1.0, 3.0, 8.0, 8.0):
        set_to(model, value)
        averaged.update()
        found.append(averaged.model.weight.item())  # type: ignore[union-attr, operator]
    # 1; (1 + 3) / 2; then halfway towards each: 2 + (8 - 2) / 2 = 5, 5 + (8 - 5) / 2 = 6.5
    assert found == [1.0, 2.0, 5.0, 6.5]
    assert model.weight.item() == 8.0  # type: ignore[union-attr, operator]


def test_after_its_mean_it_is_torchs_own_exponential_average(small_net: Callable[..., nn.Module]) -> None:
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    model = small_net()
    ours = Averaged(model, steps=1)
    ours.update()  # of one step: a copy of the network, as torch's begins
    ours._steps = 4
    ours.count = 4  # past its mean
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(1 - 1 / 4), use_buffers=True)
    theirs.update_parameters(model)
    for step in range(5):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * (step + 1))
        model(torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(step)))  # moves the statistics
        ours.update()
        theirs.update_parameters(model)
    expected = theirs.module.state_dict()
    for name, value in ours.model.state_dict().items():
        if not name.endswith("num_batches_tracked"):  # theirs averages whole numbers, too
            torch.testing.assert_close(value, expected[name], msg=name)
    assert int(ours.model[1].num_batches_tracked) == 5  # type: ignore[index, union-attr, arg-type]


def test_its_state_goes_on_where_it_was(small_net: Callable[..., nn.Module]) -> None:
    model = small_net()
    averaged, other = Averaged(model, steps=10), Averaged(small_net(1), steps=10)
    for _ in range(3):
        with torch.no_grad():
            model[0].weight.mul_(0.9)  # type: ignore[index, union-attr, operator]
        averaged.update()
    other.load_state_dict(averaged.state_dict())
    assert other.count == 3
    for name, value in averaged.model.state_dict().items():
        assert torch.equal(other.model.state_dict()[name], value), name


@pytest.mark.parametrize("steps", [0, -3])
def test_a_memory_of_less_than_a_step_is_the_network_itself(steps: int) -> None:
    model = one_number(1.0)
    averaged = Averaged(model, steps=steps)
    for value in (2.0, 5.0):
        set_to(model, value)
        averaged.update()
        assert averaged.model.weight.item() == value  # type: ignore[union-attr, operator]
