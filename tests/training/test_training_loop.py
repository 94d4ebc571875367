from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from archsearch.errors import DivergedError, TrainingError
from archsearch.records import Epoch
from archsearch.training.loop import _counted, fit, scored, top1_percent

Batch = tuple[Tensor, Tensor]


class ListedBatches:
    """The same few batches every epoch."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    @property
    def steps_per_epoch(self) -> int:
        return len(self.batches)

    @property
    def batch_size(self) -> int:
        return len(self.batches[0][1])

    def epoch(self, epoch: int, *, first_step: int = 0) -> Iterator[Batch]:
        return iter(self.batches[first_step:])


def random_batches(steps: int) -> ListedBatches:
    generator = torch.Generator().manual_seed(0)
    return ListedBatches(
        [
            (torch.randn(6, 3, 8, 8, generator=generator), torch.randint(0, 3, (6,), generator=generator))
            for _ in range(steps)
        ]
    )


def run(
    model: nn.Module, batches: ListedBatches, *, epochs: int = 1, rate: float = 0.1, **options: object
) -> tuple[Epoch, ...]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9, nesterov=True, weight_decay=0.01, fused=True)
    given: dict[str, object] = {
        "optimizer": optimizer,
        "schedule": lambda step: rate,
        "label_smoothing": 0.1,
        "device": "cpu",
        "amp": False,
        "evaluate": lambda: 0.0,
        "seed": 0,
        **options,
    }
    return fit(model, batches, epochs=epochs, **given)  # type: ignore[arg-type]


def test_fit_takes_the_steps_that_a_plain_loop_takes(small_net: Callable[..., nn.Module]) -> None:
    batches, rates = random_batches(3), [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    ours, plain = small_net(), small_net()
    curve = run(ours, batches, epochs=2, schedule=lambda step: rates[step], chunk_steps=2)

    optimizer = torch.optim.SGD(plain.parameters(), lr=1.0, momentum=0.9, nesterov=True, weight_decay=0.01, fused=False)
    criterion, losses = nn.CrossEntropyLoss(label_smoothing=0.1), []
    for step in range(6):
        optimizer.param_groups[0]["lr"] = rates[step]
        inputs, labels = batches.batches[step % 3]
        loss = criterion(plain(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    for name, value in plain.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, msg=name)
    assert [point.train_loss for point in curve] == pytest.approx([sum(losses[:3]) / 3, sum(losses[3:]) / 3])
    assert [point.learning_rate for point in curve] == [0.3, 0.6]
    assert [point.epoch for point in curve] == [1, 2]


def test_a_training_takes_the_same_steps_where_gradients_were_turned_off(small_net: Callable[..., nn.Module]) -> None:
    on, off = small_net(), small_net()
    curve = run(on, random_batches(3))
    with torch.no_grad():
        assert [point.train_loss for point in run(off, random_batches(3))] == [point.train_loss for point in curve]
    assert all(torch.equal(value, off.state_dict()[name]) for name, value in on.state_dict().items())


@pytest.mark.parametrize(
    ("steps", "chunk_steps", "expected"),
    # The epoch's start, ceil(steps / chunk_steps) stretches of training, 3 batches scored and added up; 2 epochs.
    [(6, 2, 16), (7, 2, 18), (1, 10, 12), (10, 10, 12), (11, 10, 14)],
)
def test_the_device_is_offered_between_chunks(
    small_net: Callable[..., nn.Module], steps: int, chunk_steps: int, expected: int
) -> None:
    entered, inside = 0, False

    @contextmanager
    def chunk() -> Iterator[None]:
        nonlocal entered, inside
        assert not inside
        entered, inside = entered + 1, True
        yield
        inside = False

    net = small_net()

    def evaluate() -> float:
        return top1_percent(net, random_batches(3).batches, chunk=chunk)

    def on_epoch(point: Epoch) -> bool:
        assert not inside
        return True

    run(
        net, random_batches(steps), epochs=2, chunk=chunk, chunk_steps=chunk_steps, evaluate=evaluate,
        on_epoch=on_epoch,
    )  # fmt: skip
    assert entered == expected


def test_training_time_leaves_out_waiting_and_evaluation(
    small_net: Callable[..., nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("archsearch.training.loop.time.perf_counter", lambda: now)

    class TimedBatches(ListedBatches):
        def epoch(self, epoch: int, *, first_step: int = 0) -> Iterator[Batch]:
            nonlocal now
            for batch in self.batches:
                now += 1.0
                yield batch

    @contextmanager
    def chunk() -> Iterator[None]:
        nonlocal now
        now += 100.0
        yield
        now += 100.0

    def evaluate() -> float:
        nonlocal now
        now += 1000.0
        return 50.0

    batches = TimedBatches(random_batches(5).batches)
    curve = run(small_net(), batches, epochs=2, chunk=chunk, chunk_steps=2, evaluate=evaluate)
    assert [point.train_seconds for point in curve] == [5.0, 5.0]  # five steps of one second
    assert [point.top1_percent for point in curve] == [50.0, 50.0]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_reported_with_its_place(small_net: Callable[..., nn.Module], bad: float) -> None:
    batches = random_batches(5)
    batches.batches[3][0].fill_(bad)
    with pytest.raises(DivergedError, match=r"nan in epoch 1, step 4 of 5, at learning rate 0\.1"):
        run(small_net(), batches, chunk_steps=10)


def test_an_enormous_learning_rate_diverges(small_net: Callable[..., nn.Module]) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 3))
    with pytest.raises(DivergedError, match="learning rate 1e"):
        run(model, random_batches(8), epochs=5, rate=1e12)


def test_what_on_epoch_raises_ends_the_training(small_net: Callable[..., nn.Module]) -> None:
    class EnoughError(Exception):
        pass

    seen = []

    def on_epoch(point: Epoch) -> bool:
        seen.append(point.epoch)
        if point.epoch == 2:
            raise EnoughError
        return True

    with pytest.raises(EnoughError):
        run(small_net(), random_batches(2), epochs=5, on_epoch=on_epoch)
    assert seen == [1, 2]


def test_a_training_ends_when_on_epoch_says_so(small_net: Callable[..., nn.Module]) -> None:
    curve = run(small_net(), random_batches(2), epochs=5, on_epoch=lambda point: point.epoch < 3)
    assert [point.epoch for point in curve] == [1, 2, 3]


def test_what_a_network_draws_depends_on_seed_and_epoch_alone() -> None:
    def trained(*, seed: int, disturb: bool) -> Tensor:
        torch.default_generator.manual_seed(0)  # the same start for each; restored by the fixture below
        model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(192, 3))
        nn.init.constant_(model[2].weight, 0.01)  # type: ignore[arg-type]
        nn.init.zeros_(model[2].bias)  # type: ignore[arg-type]
        run(model, random_batches(3), epochs=2, seed=seed, on_epoch=lambda point: not disturb or len(torch.rand(7)) > 0)
        weight = model[2].weight
        assert isinstance(weight, Tensor)
        return weight.detach()

    with torch.random.fork_rng(devices=[]):
        plain, disturbed, other = (
            trained(seed=0, disturb=False), trained(seed=0, disturb=True), trained(seed=1, disturb=False),
        )  # fmt: skip
    assert torch.equal(plain, disturbed)
    assert not torch.equal(plain, other)


def test_top1_counts_every_image_in_eval_mode() -> None:
    class Argmax(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            assert not self.training
            assert torch.is_inference_mode_enabled()
            return inputs

    one = torch.eye(3)
    model = Argmax()
    # Three right, then one right and one wrong: 4 of 5. A mean over batches would give 75.
    batches = [(one, torch.tensor([0, 1, 2])), (one[:2], torch.tensor([0, 2]))]
    assert top1_percent(model, batches) == 80.0
    assert model.training


def test_a_batch_is_gathered_inside_the_chunk_that_scores_it() -> None:
    inside = False

    @contextmanager
    def chunk() -> Iterator[None]:
        nonlocal inside
        inside = True
        yield
        inside = False

    def gathered() -> Iterator[Batch]:
        for batch in random_batches(3).batches:
            assert inside
            yield batch

    assert 0.0 <= top1_percent(nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), gathered(), chunk=chunk) <= 100.0


def test_what_a_batch_came_to_is_read_before_its_chunk_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []

    class OnDevice(Tensor):
        def cpu(self, *_: object) -> Tensor:  # a GPU is waited for
            events.append("read")
            return self.as_subclass(Tensor)

    @contextmanager
    def chunk() -> Iterator[None]:
        yield
        events.append("left")

    def counted(model: nn.Module, *batch: Tensor, parts: int) -> tuple[Tensor, Tensor, int]:
        found, answers, classes = _counted(model, *batch, parts=parts)
        return found.as_subclass(OnDevice), answers, classes

    monkeypatch.setattr("archsearch.training.loop._counted", counted)
    given = [(torch.eye(3), torch.arange(3))] * 2
    assert top1_percent(nn.Identity(), given, chunk=chunk) == 100.0
    assert events == ["read", "left", "read", "left", "left"]  # the last chunk adds up


def test_no_memory_to_gather_a_batch_in_never_scores_fewer_images() -> None:
    def gathered() -> Iterator[Batch]:
        yield random_batches(1).batches[0]
        raise torch.OutOfMemoryError("out")

    with pytest.raises(torch.OutOfMemoryError):
        top1_percent(nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), gathered())


def test_top1_refuses_outputs_that_are_not_finite() -> None:
    outputs = torch.tensor([[1.0, 0.0], [math.nan, 0.0], [0.0, math.inf]])
    with pytest.raises(DivergedError, match="2 of 3 scored images"):
        top1_percent(nn.Identity(), [(outputs, torch.tensor([0, 0, 1]))])


def test_top1_of_nothing_is_an_error() -> None:
    with pytest.raises(TrainingError, match="no image"):
        top1_percent(nn.Identity(), [])


def test_a_score_knows_the_classes() -> None:
    # images of class 0, 0, 0, 0, 1, 2 answered 0, 0, 0, 1, 1, 0: recalls 3/4, 1/1, 0/1
    labels, answers = torch.tensor([0, 0, 0, 0, 1, 2]), torch.tensor([0, 0, 0, 1, 1, 0])
    outputs = torch.eye(3)[answers]
    found = scored(nn.Identity(), [(outputs[:4], labels[:4]), (outputs[4:], labels[4:])])
    assert found.confusion == ((3, 1, 0), (0, 1, 0), (1, 0, 0))
    assert found.top1_percent == pytest.approx(100 * 4 / 6)
    assert found.balanced_top1_percent == pytest.approx(100 * (0.75 + 1 + 0) / 3)
    assert found.majority_percent == pytest.approx(100 * 4 / 6)
    assert found.top5_percent is None  # of three classes it says nothing


def test_a_hundred_thousand_classes_are_scored_without_a_matrix_of_them() -> None:
    outputs = torch.zeros(3, 100_000)  # the matrix would take 80 GB
    outputs[torch.arange(3), torch.tensor([7, 0, 99_999])] = 1.0
    found = scored(nn.Identity(), [(outputs[:2], torch.tensor([7, 99_999])), (outputs[2:], torch.tensor([99_999]))])
    assert found.answers == {(7, 7): 1, (99_999, 0): 1, (99_999, 99_999): 1}
    assert found.top1_percent == pytest.approx(200 / 3) == found.majority_percent
    assert found.balanced_top1_percent == 75.0


def test_top5_counts_labels_among_the_five_highest_outputs() -> None:
    outputs = torch.arange(7.0).repeat(3, 1)  # the five highest are 2 to 6
    assert scored(nn.Identity(), [(outputs, torch.tensor([6, 2, 1]))]).top5_percent == pytest.approx(200 / 3)


def test_a_class_without_images_is_no_part_of_the_mean_recall() -> None:
    outputs = torch.eye(3)[torch.tensor([0, 1])]
    assert scored(nn.Identity(), [(outputs, torch.tensor([0, 0]))]).balanced_top1_percent == 50.0
