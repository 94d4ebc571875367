"""What a protocol makes of a network: groups of parameters, averaged weights, the steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from archsearch.data.images import Images
from archsearch.models.families import FAMILIES, build
from archsearch.training.checkpoint import checkpoint_bytes, read_checkpoint
from archsearch.training.graph import GraphStep
from archsearch.training.loop import Scored, top1_percent
from archsearch.training.protocols import PROTOCOLS, Protocol
from archsearch.training.schedules import Stepped
from archsearch.training.step import EagerStep, eagerly
from archsearch.training.trainer import Trainer, _details, parameter_groups, usual_step

MODERN = PROTOCOLS["modern"]


@pytest.fixture
def trainer_of(coloured: Callable[..., Images]) -> Callable[..., Trainer]:
    def made(model: nn.Module, protocol: Protocol, **options: Any) -> Trainer:
        given = {"epochs": 2, "batch_size": 16, "input_size": 16, "seed": 0, "device": "cpu", "flip": True, **options}
        half = (0.5, 0.5, 0.5)
        return Trainer(model, coloured(48, 1), coloured(30, 2), protocol, mean=half, std=half, **given)

    return made


@pytest.mark.parametrize("family", ["shufflenet_v2", "mobilenet_v3_ldc", "plain_cnn"])
def test_weight_decay_leaves_out_what_has_one_axis(family: str) -> None:
    model = build(FAMILIES[family].base, num_classes=3, input_size=32, seed=0)
    decayed, kept = parameter_groups(model, MODERN)
    assert (decayed["weight_decay"], kept["weight_decay"]) == (5e-4, 0.0)
    left_out = {id(parameter) for parameter in kept["params"]}
    for name, module in model.named_modules():
        for kind, parameter in module.named_parameters(recurse=False):
            plain = kind == "bias" or isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d)
            assert (id(parameter) in left_out) == plain, f"{name}.{kind}"
    assert len(decayed["params"]) + len(kept["params"]) == len(list(model.parameters()))
    (everything,) = parameter_groups(model, PROTOCOLS["shufflenetv2-s"])
    assert len(everything["params"]) == len(list(model.parameters()))
    assert everything["weight_decay"] == 5e-4


def test_the_average_is_what_is_scored_and_kept(
    small_net: Callable[..., nn.Module], trainer_of: Callable[..., Trainer]
) -> None:
    # Six steps in all, a memory of 3. Rate 0 from the second epoch on: then the weights rest, and the average moves.
    protocol = replace(MODERN, average_fraction=0.5, schedule=Stepped(((50, 0.1), (100, 0.0))), weight_decay=0.0)
    protocol = replace(protocol, momentum=0.0, nesterov=False, alternate_flip=False)
    trainer, states = trainer_of(small_net(), protocol), []

    def on_epoch(point: object) -> bool:
        states.append([model[0].weight.detach().clone() for model in (trainer.model, trainer.result)])  # type: ignore[index, union-attr, operator]
        return True

    curve = trainer.run(on_epoch=on_epoch)
    (weights, mean), (same, moved) = states
    assert torch.equal(weights, same)
    assert not torch.equal(weights, mean)
    # after 3 steps of weight 1/3 towards resting weights: (2/3)^3 of the distance is left
    torch.testing.assert_close(moved - weights, (2 / 3) ** 3 * (mean - weights), rtol=1e-4, atol=1e-7)
    assert curve[-1].top1_percent == top1_percent(trainer.result, trainer._evaluation.evaluation(500))
    assert trainer.result is not trainer.model


def test_without_an_average_the_network_itself_is_kept(
    small_net: Callable[..., nn.Module], trainer_of: Callable[..., Trainer]
) -> None:
    trainer = trainer_of(small_net(), PROTOCOLS["one-cycle"])
    assert trainer.result is trainer.model


def test_memory_that_runs_out_leaves_no_trace_in_the_average(
    small_net: Callable[..., nn.Module], trainer_of: Callable[..., Trainer]
) -> None:
    """Fails at the second step of the second epoch, which begins anew in halves."""
    taken = []

    class Failing:
        def __init__(self, step: EagerStep) -> None:
            self.step, self.parts = step, 1

        def __call__(self, *given: Any) -> torch.Tensor:
            taken.append(self.parts)
            if len(taken) == 5:
                raise torch.OutOfMemoryError
            self.step.parts = self.parts
            return self.step(*given)

    protocol = replace(MODERN, average_fraction=0.5)
    failed = trainer_of(small_net(), protocol, make_step=Failing)
    failed.run()
    assert taken == [1, 1, 1, 1, 1, 2, 2, 2]
    whole = trainer_of(small_net(), protocol)
    whole.run(on_epoch=lambda point: False)
    whole.step.parts = 2
    whole.run(start_epoch=1)
    for name, value in whole.result.state_dict().items():
        assert torch.equal(failed.result.state_dict()[name], value), name
    assert failed._averaged is not None
    assert failed._averaged.count == 6


def test_a_training_in_parts_goes_on_in_parts_after_an_epoch(
    small_net: Callable[..., nn.Module], trainer_of: Callable[..., Trainer]
) -> None:
    trainer, again = (trainer_of(small_net(), PROTOCOLS["one-cycle"]) for _ in range(2))
    trainer.step.parts = 4
    trainer.run(on_epoch=lambda point: False)
    kept = read_checkpoint(checkpoint_bytes(trainer.checkpoint({}, (), epoch=1)))
    assert kept is not None
    again.restore(kept)
    assert again.step.parts == 4


def test_a_score_of_more_than_two_thousand_classes_holds_no_confusion_matrix() -> None:
    few, many = (
        _details(Scored(top1_percent=100.0, top5_percent=100.0, classes=classes, answers={(1, 1): 2}), confusion=True)
        for classes in (2000, 2001)
    )
    assert [len(few["confusion"]), few["confusion"][1][:3]] == [2000, (0, 2, 0)]
    assert (many["confusion"], many["balanced_top1_percent"]) == (None, 100.0)


def test_steps_on_a_cpu_are_plain() -> None:
    assert usual_step("cpu") is eagerly
    assert usual_step("cuda:1") is GraphStep
