"""One batch for all latencies of a study: between which networks it is chosen, how it is stored, and who uses it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from archsearch.errors import MeasurementError
from archsearch.models.variants import VARIANTS
from archsearch.records import StudyBatch
from archsearch.search.batch import decided_batch, width_pair
from archsearch.search.config import StudyConfig
from archsearch.search.precision import protocol_as_settled, settled
from archsearch.store.studies import StudyInfo

ADVICE = "\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1"  # the last line of every error of CUDA
CHOSEN = StudyBatch(batch=64, chosen=True, wide="x1", narrow="x0.5", ratios=((8, 1.0), (64, 1.6)))


def config(**changes: Any) -> StudyConfig:
    return StudyConfig.model_validate({"name": "s", "space": "shufflenet_v2", "dataset": "digits", **changes})


def stored(device: str, found: StudyBatch | None) -> StudyInfo:
    facts: dict[str, Any] = {"device": {"device": device}}
    if found is not None:
        facts["latency_batch"] = json.loads(json.dumps(asdict(found)))  # as it comes back
    return StudyInfo(
        id=1, name="s", config=config().protocol(), space={}, space_fingerprint="", reference_point=None, facts=facts,
        created_at=datetime.now(UTC),
    )  # fmt: skip


def pair(**changes: Any) -> tuple[str, str] | None:
    study = config(**changes)
    found = width_pair(study, study.search_space(), input_size=32)
    return None if found is None else (found[0][0], found[1][0])


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, ("shufflenet_v2_x1_0", "shufflenet_v2_x1_0 at width 0.5")),
        ({"reference": "shufflenet_v2_x2_0"}, ("shufflenet_v2_x2_0", "shufflenet_v2_x2_0 at width 1")),
        ({"reference": "shufflenet_v2_x0_5"}, ("shufflenet_v2_x0_5 at width 1", "shufflenet_v2_x0_5")),
        ({"reference": "resnet20"}, ("the base of shufflenet_v2", "the base of shufflenet_v2 at width 0.5")),
        (
            {"reference": "mobilenet_v3_small_mb0", "scale": {"stem.stride": 1, "layer2.stride": 1}},
            ("the base of shufflenet_v2", "the base of shufflenet_v2 at width 0.5"),
        ),
        (
            {"space": "mobilenet_v3_ldc", "reference": "mobilenet_v3_small_ldc0"},
            ("mobilenet_v3_small_ldc0", "mobilenet_v3_small_ldc0 at width 0.5"),
        ),
    ],
)
def test_the_reference_is_measured_beside_itself_at_half_its_width(
    changes: dict[str, Any], names: tuple[str, str]
) -> None:
    assert pair(**changes) == names


def test_a_network_at_half_its_width_is_the_published_one() -> None:
    study = config()
    found = width_pair(study, study.search_space(), input_size=32)
    assert found is not None
    assert found[1][1] == VARIANTS["shufflenet_v2_x0_5"].spec.normalised(32)


def test_a_family_without_a_choice_of_width_is_measured_beside_its_smallest_named_network() -> None:
    study, space = config(reference="shufflenet_v1_x1_0_g3"), SimpleNamespace(family="shufflenet_v1", domains=())
    found = width_pair(study, space, input_size=32)  # type: ignore[arg-type]
    assert found is not None
    # ShuffleNet V1 (arXiv 1707.01083), table 2: 0.25x is its narrowest width
    assert found[0][0] == "shufflenet_v1_x1_0_g3"
    assert found[1][0].startswith("shufflenet_v1_x0_25")


def test_a_cpu_is_not_asked_unless_somebody_wants_it() -> None:
    study = config()
    nobody = decided_batch(study, study.search_space(), device="cpu", num_classes=10, input_size=32)
    assert nobody is None


def test_a_study_on_this_cpu_finds_its_batch_in_a_process_of_its_own() -> None:
    """For real: the process, its job and its answer; what the ratio is depends on the machine."""
    study = config(latency={"backend": "torch", "batch": 64})
    auto = study.model_copy(update={"latency": study.latency.model_copy(update={"batch": "auto"})})
    found = decided_batch(auto, study.search_space(), device="cpu", num_classes=10, input_size=32)
    assert found is not None
    assert found.chosen
    assert found.batch in [2**power for power in range(11)]
    assert [batch for batch, _ in found.ratios] == [2**power for power in range(len(found.ratios))]
    assert all(ratio > 0 for _, ratio in found.ratios)
    assert found.ratios[-1][0] == found.batch


def test_what_the_process_could_not_measure_is_told_in_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    study = config(latency={"batch": "auto"})
    failed = subprocess.CompletedProcess([], 1, stdout="", stderr=f"a warning\nno kernel image{ADVICE}\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(MeasurementError, match=r"latencies could not be measured: no kernel image$"):
        decided_batch(study, study.search_space(), device="cpu", num_classes=10, input_size=32)


def test_a_job_for_a_device_that_is_not_there_ends_with_an_error_in_words() -> None:
    spec = VARIANTS["shufflenet_v2_x0_5"].spec.normalised(32).canonical_json()
    job = {
        "names": ["a", "b"], "specs": [spec, spec], "settings": {"backend": "cuda-graph"}, "device": "cpu",
        "num_classes": 10, "input_size": 32,
    }  # fmt: skip
    command = [sys.executable, "-P", "-m", "archsearch.search.batch"]
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "'cuda-graph' does not run on 'cpu'" in done.stderr.splitlines()[-1]


def test_workers_and_later_runs_measure_in_the_batch_that_the_study_chose() -> None:
    begun = stored("cuda", CHOSEN)
    assert begun.latency_batch == CHOSEN
    assert settled(config(), begun).latency.batch == 64
    assert settled(config(latency={"batch": "auto"}), begun).latency.batch == 64
    assert settled(config(latency={"batch": 8}), begun).latency.batch == 8


def test_a_study_that_was_begun_before_batches_were_chosen_keeps_the_one_it_had() -> None:
    assert settled(config(), stored("cuda", None)).latency.batch == 8
    assert settled(config(), stored("cpu", None)).latency.batch is None


@pytest.mark.parametrize(("said", "same"), [(None, True), ("auto", True), (64, True), (8, False)])
def test_another_batch_is_another_protocol(said: Any, same: bool) -> None:
    begun = stored("cuda", CHOSEN)
    before = protocol_as_settled(begun.config, begun)["latency"]["batch"]
    now = protocol_as_settled(config(latency={"batch": said}).protocol(), begun)["latency"]["batch"]
    assert (before == now) is same


def test_a_batch_that_a_later_version_stored_more_of_is_read() -> None:
    facts = {**asdict(CHOSEN), "seconds": 3.0}
    assert StudyBatch.from_dict(facts) == CHOSEN
    assert not CHOSEN.on_launch_floor
    assert replace(CHOSEN, ratios=((64, 1.49),)).on_launch_floor
