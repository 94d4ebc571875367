"""Which batch a study measures in, on a simulated device whose time is that of its launches or of its work."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import Tensor, nn

from archsearch.errors import MeasurementError
from archsearch.latency.backends import BACKENDS, Backend
from archsearch.latency.backends.base import Open
from archsearch.latency.settings import LatencySettings
from archsearch.records import StudyBatch
from archsearch.search.batch import measured_batch

LAUNCH_MS = 0.3
Find = Callable[..., StudyBatch]


@pytest.fixture
def find(world, timed, monkeypatch) -> Find:  # type: ignore[no-untyped-def]
    """Measures two networks that take `wide_us` and `narrow_us` an image, but never less than their launches."""
    runs = world.backend("launches", 1.0)
    most: dict[str, int] = {}

    def export(model: nn.Module, example_input: Tensor, *, threads: int, precision: str) -> Open:
        batch = len(example_input)
        if batch > most["images"]:
            raise RuntimeError("CUDA out of memory")
        took_ms = max(LAUNCH_MS, batch * model.run_ms(0))
        return runs.export(timed(model.name, lambda _: took_ms), example_input, threads=threads)

    backend = Backend(name="launches", summary="", precisions={"cpu": ("fp32",)}, export=export, version=lambda: "1")
    monkeypatch.setitem(BACKENDS._entries, "launches", backend)

    def found(batch: int | str, *, wide_us: float, narrow_us: float, memory: int = 10_000) -> StudyBatch:
        most["images"] = memory
        return measured_batch(
            timed("wide", lambda _: wide_us / 1000), timed("narrow", lambda _: narrow_us / 1000),
            names=("wide", "narrow"), settings=LatencySettings(backend="launches", batch=batch), device="cpu",
            input_size=8, lease=world, clock=world.clock, sleep=world.sleep,
        )  # fmt: skip

    return found


def test_the_smallest_batch_is_taken_in_which_the_wide_network_takes_one_and_a_half_times_as_long(find: Find) -> None:
    # Launches: 300 us. The wide network: 8 us an image, 256 us at 32, 512 us at 64; the narrow one: 128 us at 64.
    found = find("auto", wide_us=8, narrow_us=2)
    assert (found.batch, found.chosen, found.wide, found.narrow) == (64, True, "wide", "narrow")
    assert found.ratio == pytest.approx(512 / 300)
    assert [batch for batch, _ in found.ratios] == [1, 2, 4, 8, 16, 32, 64]
    assert [ratio for _, ratio in found.ratios[:-1]] == pytest.approx([1.0] * 6)
    assert not found.on_launch_floor


def test_where_no_batch_is_large_enough_the_largest_is_taken_and_said_to_be_on_the_floor(find: Find) -> None:
    found = find("auto", wide_us=0.4, narrow_us=0.1)  # 410 us at 1024, beside 300 us
    assert found.batch == 1024
    assert found.ratio == pytest.approx(409.6 / 300)
    assert found.on_launch_floor


def test_a_batch_beyond_the_devices_memory_is_not_taken(find: Find) -> None:
    found = find("auto", wide_us=8, narrow_us=2, memory=40)
    assert (found.batch, found.on_launch_floor) == (32, True)


def test_networks_that_cannot_run_even_in_the_first_batch_are_an_error(find: Find) -> None:
    with pytest.raises(MeasurementError, match="out of memory"):
        find("auto", wide_us=8, narrow_us=2, memory=0)


@pytest.mark.parametrize(("batch", "ratio", "floor"), [(8, 1.0, True), (64, 512 / 300, False)])
def test_a_batch_that_somebody_fixed_is_kept_and_measured(find: Find, batch: int, ratio: float, floor: bool) -> None:
    found = find(batch, wide_us=8, narrow_us=2)
    assert (found.batch, found.chosen, found.on_launch_floor) == (batch, False, floor)
    assert found.ratio == pytest.approx(ratio)


def test_who_chooses_and_from_where() -> None:
    unsaid, auto, fixed = LatencySettings(), LatencySettings(batch="auto"), LatencySettings(batch=8)
    assert [each.chooses_batch_on("cuda:0") for each in (unsaid, auto, fixed)] == [True, True, False]
    assert [each.chooses_batch_on("cpu") for each in (unsaid, auto, fixed)] == [False, True, False]
    assert (auto.batch_on("cpu"), auto.batch_on("cuda")) == (1, 8)
