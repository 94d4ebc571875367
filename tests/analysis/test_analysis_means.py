"""Networks that were retrained in full: one entry for each way of training, the mean over its seeds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from makers import make_latency, make_record, make_score

from archsearch.analysis.means import labels_of, means_of, retrained_table, retrainings_of
from archsearch.records import Latency, Score, TrialStatus


def test_trainings_on_other_images_are_entries_of_their_own_and_replace_none() -> None:
    records = [make_record(0)]

    def trained(top1: float, *, seed: int, train: int = 50_000, test: int = 10_000) -> tuple[str, Score]:
        score = make_score(
            top1, seed=seed, protocol="modern", epochs=30, split="test", train_images=train, eval_images=test
        )
        return records[0].arch_id, score

    found = retrainings_of(
        labels_of(records),
        [
            trained(90.0, seed=0),
            trained(92.0, seed=1),
            trained(70.0, seed=0, train=5_000),
            trained(88.0, seed=0, test=2_000),
        ],
    )
    # the mean of 90 and 92, whose standard deviation is sqrt(1 + 1); one seed has none
    assert [
        (each.train_images, each.test_images, each.seeds, each.mean_top1_percent, each.std_top1_percent)
        for each in found
    ] == [(50_000, 10_000, 2, 91.0, 2.0**0.5), (50_000, 2_000, 1, 88.0, None), (5_000, 10_000, 1, 70.0, None)]
    assert [row["train_images"] for row in retrained_table(found).dicts()] == [50_000, 50_000, 5_000]


def test_a_network_whose_trial_was_cut_off_is_called_by_the_trial_that_went_on_with_it() -> None:
    cut_off = make_record(3, status=TrialStatus.INTERRUPTED, reason="promoted: goes on as another trial")
    records = [cut_off, make_record(4), make_record(9, arch_id=cut_off.arch_id)]
    (found,) = retrainings_of(labels_of(records), [(cut_off.arch_id, make_score(90.0))])
    assert found.label == "trial 9"


def test_a_further_board_that_failed_with_the_first_seed_has_the_mean_of_the_others() -> None:
    def on_pi(p10_ms: float) -> Latency:
        return make_latency(p10_ms, device="ssh:pi5", backend="onnxruntime", fingerprint="b0a2db0a2db0")

    latencies = [make_latency(5.0), make_latency(5.0, also=(on_pi(20.0),)), make_latency(5.0, also=(on_pi(30.0),))]
    records = [
        replace(make_record(trial, arch_id="a" * 12, seed=trial), point="one", latency=latency)
        for trial, latency in enumerate(latencies)
    ]
    (mean,) = means_of(records)
    assert mean.latency is not None
    (further,) = mean.latency.also
    assert (further.by, further.p10_ms) == ("ssh:pi5", pytest.approx(25.0))


def test_a_mean_of_which_one_seed_was_measured_while_the_board_slowed_itself_down_says_so() -> None:
    latencies = [make_latency(5.0, state={"throttled": "no"})]
    latencies.append(make_latency(6.0, contended=True, state={"throttled": "yes"}))
    records = [
        replace(make_record(trial, arch_id="a" * 12, seed=trial), point="one", latency=latency)
        for trial, latency in enumerate(latencies)
    ]
    (mean,) = means_of(records)
    assert mean.latency is not None
    assert (mean.latency.contended, mean.latency.throttled) == (True, True)
