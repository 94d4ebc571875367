"""How long a study will take: by arithmetic on times that are made up, and once with networks that are timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from makers import make_record

from archsearch.errors import MeasurementError
from archsearch.records import Record, TrialStatus
from archsearch.search import timing
from archsearch.search.config import StudyConfig
from archsearch.search.estimate import Estimate, own_trials_estimate
from archsearch.search.plan import plan_run
from archsearch.search.runtime import RunProgress, Runtime
from archsearch.search.sharing import Load
from archsearch.search.timing import MeasuringTime, NetworkTime, time_at, timed_estimate, trial_seconds

NETWORK = NetworkTime(macs=1e6, train_seconds=0.002, score_seconds=0.0005)
NO_MEASURING = MeasuringTime(ready_seconds=0.0, held_seconds=0.0)


def trial(number: int, seconds: float, *, epochs: int = 4, variant: str | None = None, stopped: bool = False) -> Record:
    status = TrialStatus.STOPPED if stopped else TrialStatus.COMPLETE
    record = make_record(number, top1=60.0, epochs=epochs, variant=variant, status=status)
    return replace(record, seconds=seconds)


def test_whoever_is_free_takes_the_next_piece() -> None:
    # after 8 s of preparation one takes 10 s and then 3 s, the other 3 + 3 + 3 + 3 s
    estimate = Estimate(first_seconds=(10.0, 3.0), others=4, other_seconds=3.0, workers=2, basis="", before_seconds=8.0)
    assert estimate.seconds == 8.0 + 13.0
    assert replace(estimate, workers=None).seconds == 8.0 + 25.0
    assert Estimate(basis="", workers=2, before_seconds=8.0).seconds == 8.0
    assert replace(estimate, others=10**15).seconds == pytest.approx(1.5e15)  # in no time


def test_a_part_of_the_pieces_is_counted_as_it_is() -> None:
    estimate = Estimate(first_seconds=(10.0, 3.0), others=4, other_seconds=2.0, workers=2, basis="")
    assert estimate.pieces == 6
    assert [estimate.work_seconds(*part) for part in ((0, 6), (1, 4), (3, 9), (2, 2))] == [21.0, 7.0, 12.0, 0.0]
    assert (estimate.last(5).first_seconds, estimate.last(5).others) == ((3.0,), 4)
    assert (estimate.last(3).first_seconds, estimate.last(3).others) == ((), 3)
    assert (estimate.last(9).first_seconds, estimate.last(0).pieces) == ((10.0, 3.0), 0)
    # 10 s beside 3 + 2 + 2 + 2, and the last one ends after 11
    assert [estimate.within(seconds) for seconds in (9.0, 10.0, 12.0, 99.0)] == [0, 5, 6, 6]


def test_every_command_says_an_estimate_in_the_same_words() -> None:
    estimate = Estimate(first_seconds=(1500.0,), workers=2, basis="from this study's own trials")
    assert estimate.sentence == "estimated time: 25 min with 2 workers (from this study's own trials)"
    bounded = replace(estimate, workers=None, at_most=True, basis="3 networks timed for 3 steps")
    assert bounded.text == "at most 25 min (3 networks timed for 3 steps)"


def test_trials_to_come_take_what_the_suggested_ones_took() -> None:
    published = [trial(number, 100.0, variant="resnet20") for number in range(2)]
    suggested = [trial(2 + number, seconds) for number, seconds in enumerate((10.0, 20.0, 60.0))]
    found = own_trials_estimate(
        [*published, *suggested], epochs=4, train_images=10_000, trials=6, workers=2, stopping=False
    )
    assert found is not None and (found.others, found.other_seconds) == (6, 30.0)  # (10 + 20 + 60) / 3
    # no more suggestions than workers say nothing yet, and published networks nothing of them
    early = [*published * 9, *suggested[:2]]
    assert own_trials_estimate(early, epochs=4, train_images=10_000, trials=1, workers=2, stopping=False) is None


def test_a_training_on_fewer_images_takes_less_in_their_share() -> None:
    records = [trial(0, 40.0), trial(1, 60.0)]  # 50 s in the mean, of 10,000 images
    found = own_trials_estimate(records, epochs=4, train_images=1_000, trials=2, workers=1, stopping=False)
    assert found is not None and found.seconds == pytest.approx(2 * 5.0)


def test_a_stopped_training_counts_where_others_may_be_stopped_and_as_it_was() -> None:
    records = [trial(0, 40.0, epochs=4), trial(1, 10.0, epochs=1, stopped=True)]
    kept = own_trials_estimate(records, epochs=4, train_images=10_000, trials=1, workers=1, stopping=True)
    assert kept is not None and kept.other_seconds == 25.0
    whole = own_trials_estimate(
        [*records, trial(2, 50.0)], epochs=8, train_images=10_000, trials=1, workers=1, stopping=False
    )
    assert whole is not None and whole.other_seconds == 90.0  # twice the epochs of the two whole trainings: 80 and 100
    assert own_trials_estimate(records[1:], epochs=4, train_images=10_000, trials=1, workers=2, stopping=False) is None


@pytest.mark.parametrize(("stopping", "seconds"), [(True, (40.0 + 60.0 + 20.0) / 3), (False, (40.0 + 60.0) / 2)])
def test_a_promoted_training_took_what_it_had_taken_before_too(stopping: bool, seconds: float) -> None:
    promoted = [trial(0, 10.0, epochs=1, stopped=True), trial(1, 12.0, epochs=1, stopped=True)]
    begun = [replace(record, status=TrialStatus.INTERRUPTED) for record in promoted]
    ended = [trial(3, 30.0), trial(4, 48.0)]
    records = [
        *begun,
        trial(2, 20.0, epochs=1, stopped=True),
        *(replace(record, arch_id=before.arch_id) for record, before in zip(ended, begun, strict=True)),
    ]
    found = own_trials_estimate(records, epochs=4, train_images=10_000, trials=5, workers=1, stopping=stopping)
    assert found is not None and found.other_seconds == pytest.approx(seconds)


def test_a_network_between_two_timed_ones_takes_what_lies_between_and_none_is_extrapolated() -> None:
    small, large = NETWORK, NetworkTime(macs=5e6, train_seconds=0.006, score_seconds=0.0015)
    assert time_at([large, small], 2e6) == NetworkTime(macs=2e6, train_seconds=0.003, score_seconds=0.00075)
    assert time_at([large, small], 9e6).train_seconds == 0.006 and time_at([small], 5.0).score_seconds == 0.0005


def test_a_trial_is_its_images_its_measurements_and_waiting_for_those_of_others(
    make_config: Callable[..., StudyConfig],
) -> None:
    proxy = {"epochs": 2, "batch_size": 100}
    config = make_config(proxy=proxy, latency={"visits": 5, "spread_seconds": 4.0, "repeat_every": 0})

    def seconds(measuring: MeasuringTime, *, workers: int, crowded: float = 1.0, config: StudyConfig = config) -> float:
        return trial_seconds(
            config, NETWORK, measuring, workers=workers, trials=30, crowded=crowded, train_images=1000,
            validation_images=400,
        ) - crowded * timing._BESIDE_SECONDS  # fmt: skip

    # 2 epochs of 1000 x 2 ms + 400 x 0.5 ms
    assert seconds(NO_MEASURING, workers=1) == pytest.approx(2 * (2.0 + 0.2))
    measuring = MeasuringTime(ready_seconds=1.0, held_seconds=0.5)
    assert seconds(measuring, workers=1) == pytest.approx(4.4 + 1.0 + 0.5)
    # two others hold the device for 0.5 s each, and 5 visits wait for half of a step of 100 x 2 ms
    assert seconds(measuring, workers=3) == pytest.approx(4.4 + 1.5 + 2 * 0.5 + 5 * 0.1)
    # beside other programs all that is computed takes twice as long; how long the device is held is so already
    assert seconds(measuring, workers=1, crowded=2.0) == pytest.approx(2 * 5.4 + 0.5)
    # a training of 4.4 s is shorter than a spread of 10 s: the rest is slept through
    slow = make_config(proxy=proxy, latency={"visits": 5, "spread_seconds": 10.0, "repeat_every": 0})
    assert seconds(NO_MEASURING, workers=1, config=slow) == pytest.approx(10.0)
    # one network in 10 is measured again, and 3 of the 30 at first: 1.2 times the 0.5 s
    again = make_config(proxy=proxy, latency={"visits": 5, "spread_seconds": 4.0, "repeat_every": 10})
    assert seconds(measuring, workers=1, config=again) == pytest.approx(4.4 + 1.0 + 0.5 * 1.2)


def test_before_a_study_has_trials_some_of_its_networks_are_timed(
    make_config: Callable[..., StudyConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "_TIMED_NETWORKS", 2)
    plan = plan_run(make_config(variants=["shufflenet_v2_x0_5"]), Runtime(device="cpu", workers=2))
    found = timed_estimate(
        plan.config, plan.space, plan.variants, trials=4, devices=plan.devices, precision="fp32",
        num_classes=plan.num_classes, input_size=plan.input_size, train_images=64, validation_images=32,
    )  # fmt: skip
    assert len(found.first_seconds) == 1 and found.first_seconds[0] > 0
    assert found.others == 3 and found.other_seconds > 0  # what will be suggested is not known
    assert found.basis.startswith("2 networks timed for 3 steps") and found.workers == 2 and not found.at_most


def test_an_estimate_of_a_study_on_a_board_says_that_its_latencies_are_this_machine_s(
    make_config: Callable[..., StudyConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "_TIMED_NETWORKS", 1)
    monkeypatch.setattr(timing, "_spread", lambda _length, _most: [0])
    monkeypatch.setattr(timing, "_measuring_time", lambda *_: NO_MEASURING)
    said = []
    for latency in ({}, {"target": "ssh:pi5", "also_targets": ["local", "ssh:pi4"]}):
        config = make_config(latency=latency)
        found = timed_estimate(
            config, config.search_space(), (), trials=4, devices=("cpu",), precision="fp32", num_classes=4,
            input_size=32, train_images=64, validation_images=32,
        )  # fmt: skip
        said.append("latencies as if measured here and not on ssh:pi5 and ssh:pi4" in found.basis)
    assert said == [False, True]


def test_on_a_gpu_one_network_is_timed_in_the_precision_that_the_study_will_have(
    make_config: Callable[..., StudyConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[Mapping[str, Any]] = []

    def load(job: Mapping[str, Any], trials: int) -> Load:
        jobs.append(job)
        return Load(images_per_second=320.0, trial_bytes=0, free_bytes=0)

    monkeypatch.setattr(timing, "measured_load", load)
    config = make_config()
    assert config.proxy.precision == "auto"
    found = timed_estimate(
        config, config.search_space(), (), trials=4, devices=("cuda:0",), precision="bf16", num_classes=4,
        input_size=32, train_images=64, validation_images=32,
    )  # fmt: skip
    assert [job["precision"] for job in jobs] == ["bf16"]
    assert found.other_seconds == pytest.approx(64 / 320 + timing._BESIDE_SECONDS)


def test_an_estimate_of_workers_that_share_a_gpu_is_what_they_take_in_turn(
    make_config: Callable[..., StudyConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = Load(images_per_second=320.0, trial_bytes=0, free_bytes=0)
    monkeypatch.setattr(timing, "measured_load", lambda _job, _trials: alone)
    config = make_config()
    seconds = {
        devices: timed_estimate(
            config, config.search_space(), (), trials=12, devices=devices, precision="bf16", num_classes=4,
            input_size=32, train_images=3200, validation_images=32,
        ).other_seconds - timing._BESIDE_SECONDS
        for devices in (("cuda:0",), ("cuda:0", "cuda:1"), ("cuda:0",) * 4, ("cuda:0", "cuda:1", "cuda:0"))
    }  # fmt: skip
    # one epoch of 3200 images at 320 a second; 4 on one GPU take 4 times as long each, 3 on two GPUs 1.5 times
    assert list(seconds.values()) == pytest.approx([10.0, 10.0, 40.0, 15.0])


def test_a_sampler_that_learns_is_expected_to_suggest_the_faster_half() -> None:
    seconds = [8.0, 2.0, 4.0, 6.0, 20.0]
    assert timing._suggested(seconds, "random") == timing._suggested(seconds, "exhaustive") == 8.0  # 40 / 5
    assert timing._suggested(seconds, "ehvi") == 3.0  # (2 + 4) / 2
    assert timing._suggested([7.0], "tpe") == 7.0 and timing._suggested([], "tpe") == 0.0


def test_a_latency_that_cannot_be_had_is_left_out_with_a_warning(
    make_config: Callable[..., StudyConfig], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise MeasurementError("no such operator")

    monkeypatch.setattr(timing, "place_here", refused)
    config = make_config()
    spec = config.search_space().spec(config.search_space().sample(0)).normalised(32)
    found = timing._measuring_time(spec, config, 4, 32, timing.DeviceLease.of_device("cpu"))
    assert found == NO_MEASURING and "no such operator" in caplog.text


def progress(**changes: object) -> RunProgress:
    facts: dict[str, object] = {
        "counts": {"complete": 6, "failed": 1, "stopped": 1, "running": 2, "replay": 9},
        "total": 20, "records": (), "done_before": 4, "elapsed_seconds": 60.0, "workers": 2,
    }  # fmt: skip
    return RunProgress(**(facts | changes))  # type: ignore[arg-type]


def test_the_time_left_is_what_this_runs_trials_took_and_running_ones_are_half_done() -> None:
    now = progress()
    assert now.done == 8  # running ones and repeats hold no ended place
    # 4 and two halves in 60 s: 12 s each; of the 12 that are not done two are half done
    assert now.seconds_left == pytest.approx(12.0 * 11)


def test_trials_that_were_expected_to_take_longer_count_for_more() -> None:
    # 16 trials: the first 4, which are done, were expected to take 3 s, the others 1 s; they took 60 s with two halves
    expected = Estimate(first_seconds=(3.0,) * 4, others=12, other_seconds=1.0, workers=2, basis="made up")
    # and as much as 2 of 16 trials are taken as expected: 3 of the 24 s of work, in 2 / 16 of the time
    done, elapsed = 12.0 + 1.0 + 3.0, 60.0 + expected.seconds / 8
    assert progress(expected=expected).seconds_left == pytest.approx(elapsed / done * (12.0 - 1.0))


def test_a_trial_that_was_nearly_done_before_hardly_moves_the_time_left() -> None:
    # 20 trials of 300 s for two workers; the first needs 10 s more, and another has begun
    expected = Estimate(others=16, other_seconds=300.0, workers=2, basis="made up")
    now = progress(counts={"complete": 5, "running": 2}, expected=expected, elapsed_seconds=10.0)
    assert now.seconds_left is not None and 900.0 < now.seconds_left < 2400.0  # not 70 s


def test_before_the_first_trial_has_ended_the_estimate_is_what_is_left() -> None:
    expected = Estimate(others=16, other_seconds=20.0, workers=2, basis="made up", before_seconds=8.0)
    begun = progress(counts={"complete": 4, "running": 2}, expected=expected, elapsed_seconds=10.0)
    assert begun.seconds_left == 8.0 + 160.0 - 10.0
    assert progress(counts={"complete": 4}).seconds_left is None
    late = progress(counts={"complete": 4, "running": 2}, expected=expected, elapsed_seconds=900.0)
    assert late.seconds_left == 0.0
