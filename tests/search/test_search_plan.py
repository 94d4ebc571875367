"""A plan is made of real parts; a changed study is refused, saying what differs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sqlalchemy import update

from archsearch.errors import ConfigError, DataError, StudyChangedError, UnknownNameError
from archsearch.latency.fingerprint import device_fingerprint
from archsearch.latency.settings import LatencySettings
from archsearch.models.variants import VARIANTS
from archsearch.records import StudyBatch
from archsearch.search import devices
from archsearch.search.config import StudyConfig
from archsearch.search.devices import worker_devices
from archsearch.search.plan import RunPlan, check_unchanged, plan_run
from archsearch.search.run import planned_precision, run_study
from archsearch.search.runtime import RunCallbacks, Runtime
from archsearch.search.stopping.base import StoppingSettings
from archsearch.search.variants import AUTO, study_variants
from archsearch.store.database import Database
from archsearch.store.schema import StudyRow
from archsearch.store.studies import LATENCY_BATCH, StudyInfo, enter_study, find_study

CPU = Runtime(workers=1, device="cpu")


def write_images(folder: Path, seed: int) -> str:
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(seed)
    for name, count in (("train", 96), ("test", 8)):
        pixels = generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        np.savez(folder / f"{name}.npz", images=pixels, labels=np.arange(count) % 4)
    return f"npz:{folder}"


@pytest.fixture
def config(make_config: Any, tmp_path: Path) -> StudyConfig:
    made: StudyConfig = make_config(dataset=write_images(tmp_path / "images", 0))
    return made


def enter(database: Database, plan: RunPlan) -> StudyInfo:
    return enter_study(
        database,
        name=plan.config.name,
        config=plan.config.protocol(),
        space=plan.space.to_dict(),
        space_fingerprint=plan.space.fingerprint,
        facts=plan.facts,
    )


def test_a_plan_says_what_the_proxies_see(config: StudyConfig) -> None:
    plan = plan_run(config, CPU, trials=7)
    assert (plan.total, plan.devices, plan.input_size, plan.num_classes) == (7, ("cpu",), 32, 4)
    assert (plan.train_images, plan.validation_images) == (64, 32)
    assert plan.space.size == 6  # 3 attentions x 2
    assert plan.facts["data_fingerprint"] and plan.facts["versions"]["optuna"].startswith("5.")


def test_a_study_measures_with_no_more_threads_than_cores_and_one_that_is_begun_goes_on(
    database: Database, config: StudyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = config.model_copy(update={"latency": config.latency.model_copy(update={"threads": 2})})
    monkeypatch.setattr(devices, "usable_cores", lambda: 2)
    stored = enter(database, plan_run(two, CPU))
    monkeypatch.setattr(devices, "usable_cores", lambda: 1)
    with pytest.raises(ConfigError, match="threads 2: 1 to 1 CPU cores may be used here"):
        plan_run(two, CPU)
    assert plan_run(two, CPU, stored=stored).config.latency.threads == 2


def test_without_a_number_the_proxies_train_on_all_images_that_are_left(config: StudyConfig) -> None:
    proxy = config.proxy.model_copy(update={"train_images": None})
    plan = plan_run(config.model_copy(update={"proxy": proxy}), CPU)
    assert plan.train_images == 64  # 96 - 32


def test_an_absent_dataset_is_found_out_before_anything_is_stored(config: StudyConfig, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        plan_run(config.model_copy(update={"dataset": f"npz:{tmp_path / 'none'}"}), CPU)


def test_the_same_study_again_is_accepted(database: Database, config: StudyConfig) -> None:
    stored = enter(database, plan_run(config, CPU))
    check_unchanged(plan_run(config, CPU, trials=50), stored)
    other_search = config.model_copy(update={"sampler": "tpe", "trials": 3, "description": "again"})
    check_unchanged(plan_run(other_search, CPU), stored)


def test_a_study_is_begun_beside_one_that_is_damaged(database: Database, config: StudyConfig, tmp_path: Path) -> None:
    enter_study(database, name="other", config={"seed": 0}, space={}, space_fingerprint="f" * 12, facts={})
    with database.writing() as session:
        session.execute(update(StudyRow).values(config={"seed": 1}))  # its checksum stays

    class Begun(RunCallbacks):
        def begun(self, study: StudyInfo) -> None:
            raise KeyboardInterrupt  # far enough

    with pytest.raises(KeyboardInterrupt):
        run_study(plan_run(config, CPU), database, replace(CPU, callbacks=Begun()), folder=tmp_path)
    assert find_study(database, config.name).facts["proxy_precision"] == "fp32"


def test_the_order_of_a_spaces_values_is_no_change(database: Database, config: StudyConfig) -> None:
    stored = enter(database, plan_run(config, CPU))
    turned = config.model_copy(
        update={"restrict": {"residual": [True, False], "stage2.attention": ["simam", "none", "se"]}}
    )
    check_unchanged(plan_run(turned, CPU), stored)


def with_stopping(config: StudyConfig, **changes: Any) -> StudyConfig:
    return config.model_copy(update={"stopping": StoppingSettings(**changes)})


def test_a_stopping_rule_is_no_change_while_it_is_the_same(database: Database, config: StudyConfig) -> None:
    ruled = with_stopping(config, policy="predicted", first_full=5)
    stored = enter(database, plan_run(ruled, CPU))
    check_unchanged(plan_run(with_stopping(ruled, policy="predicted", first_full=5, reduction=9), CPU), stored)
    with pytest.raises(StudyChangedError, match=r"stopping\.first_full: was 5, now 6"):
        check_unchanged(plan_run(with_stopping(ruled, policy="predicted", first_full=6), CPU), stored)
    with pytest.raises(StudyChangedError, match=r"protocol: stopping\.policy: was 'predicted', now 'none' \("):
        check_unchanged(plan_run(config, CPU), stored)


Change = Callable[[StudyConfig], StudyConfig]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda config: config.model_copy(update={"restrict": {"stage2.attention": ["none", "se"]}}),
            r"stage2\.attention: .*simam",
        ),
        (lambda config: config.model_copy(update={"fixed": {"stem.kernel": 5}}), r"stem\.kernel"),
        (
            lambda config: config.model_copy(update={"proxy": config.proxy.model_copy(update={"epochs": 9})}),
            r"proxy\.epochs: was 1, now 9",
        ),
        (
            lambda config: config.model_copy(update={"latency": config.latency.model_copy(update={"batch": 4})}),
            r"latency\.batch: was 1, now 4",
        ),
        (lambda config: config.model_copy(update={"seed": 5}), "seed: was 0, now 5"),
        (
            lambda config: with_stopping(config, policy="mo_asha"),
            r"protocol: stopping\.policy: was 'none', now 'mo_asha'",
        ),
    ],
)
def test_a_changed_study_is_refused_saying_what_differs(
    database: Database, config: StudyConfig, change: Change, message: str
) -> None:
    stored = enter(database, plan_run(config, CPU))
    with pytest.raises(StudyChangedError, match=message) as caught:
        check_unchanged(plan_run(change(config), CPU), stored)
    assert "--set name=" in str(caught.value)


def test_a_stored_study_is_compared_before_networks_are_tried_and_needs_none_once_it_has_trained_some(
    database: Database, config: StudyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = enter(database, plan_run(config, CPU))

    def never(*_: object, **__: object) -> None:
        raise AssertionError("networks were tried")

    monkeypatch.setattr("archsearch.search.plan._preflight", never)
    with pytest.raises(StudyChangedError, match="seed: was 0, now 5"):
        plan_run(config.model_copy(update={"seed": 5}), CPU, stored=stored)
    assert plan_run(config, CPU, stored=stored, trained=True).facts["classes"]
    with pytest.raises(AssertionError, match="networks were tried"):
        plan_run(config, CPU, stored=stored)


def stored_by_an_older_version(stored: StudyInfo, config: StudyConfig) -> StudyInfo:
    """The study as version 0.1.0 stored it: its backend was torch, and some keys did not exist."""
    newer = (
        "also", "drift_tolerance", "remeasure", "memory_tolerance", "repeat_every", "precision", "warmup_seconds",
    )  # fmt: skip
    latency = {key: value for key, value in config.protocol()["latency"].items() if key not in newer}
    latency["noise_rounds"] = 6  # a key that is gone
    device = device_fingerprint("cpu", "torch", 1).facts
    return replace(
        stored,
        config={**stored.config, "latency": {**latency, "backend": "torch"}},
        facts={**stored.facts, "device": dict(device)},
    )


def with_latency(config: StudyConfig, **changes: Any) -> StudyConfig:
    return config.model_copy(update={"latency": config.latency.model_copy(update=changes)})


def test_a_study_of_an_older_version_goes_on_under_the_backend_that_it_had(
    database: Database, config: StudyConfig
) -> None:
    defaults = {"remeasure": LatencySettings.model_fields["remeasure"].default}
    config = with_latency(config, backend="torch", **defaults)
    plan = plan_run(config, CPU)
    old = stored_by_an_older_version(enter(database, plan), config)
    check_unchanged(plan, old)  # keys of today that change nothing
    changed = replace(plan, config=with_latency(config, drift_tolerance=0.5))
    with pytest.raises(StudyChangedError, match=r"latency\.drift_tolerance: was .*, now 0\.5"):
        check_unchanged(changed, old)


def test_a_study_of_an_older_version_is_refused_under_todays_default_backend_saying_how_to_go_on(
    database: Database, config: StudyConfig
) -> None:
    defaults = {"remeasure": LatencySettings.model_fields["remeasure"].default}
    plan = plan_run(with_latency(config, backend="auto", **defaults), CPU)
    assert plan.facts["device"]["backend"] == "onnxruntime"
    old = stored_by_an_older_version(enter(database, plan), plan.config)
    with pytest.raises(StudyChangedError) as caught:
        check_unchanged(plan, old)
    assert caught.value.message.endswith(
        "exists with another protocol: the backend 'auto' is 'onnxruntime' on this device; "
        "latency.backend: was 'torch', now 'onnxruntime'"
    )
    assert "--set latency.backend=torch" in (caught.value.hint or "")
    assert "--set name=NEW" in (caught.value.hint or "")


def test_what_the_automatic_precision_and_batch_stand_for_is_no_change(database: Database, config: StudyConfig) -> None:
    stored = enter(database, plan_run(config, CPU))
    check_unchanged(plan_run(with_latency(config, precision="fp32", batch=1), CPU), stored)
    other = plan_run(with_latency(config, backend="torch", precision="bf16"), CPU)
    with pytest.raises(StudyChangedError, match=r"latency\.precision: was 'fp32', now 'bf16'"):
        check_unchanged(other, stored)


def test_a_study_that_is_gone_on_with_is_planned_with_the_precision_and_batch_that_it_has(
    database: Database, config: StudyConfig
) -> None:
    open_ = with_latency(config, batch="auto")
    chosen = StudyBatch(batch=4, chosen=True, wide="a", narrow="b", ratios=((1, 1.0), (4, 1.3)))
    begun = plan_run(open_, CPU)
    stored = enter(
        database, replace(begun, facts={**begun.facts, "proxy_precision": "bf16", LATENCY_BATCH: asdict(chosen)})
    )
    again = plan_run(open_, CPU, stored=stored, trials=10**6, trained=True)
    assert (begun.config.latency.batch, again.config.latency.batch) == ("auto", 4)
    assert planned_precision(again) == "bf16"  # nothing is calibrated, however much is to be trained
    check_unchanged(again, stored)


def test_a_precision_that_the_backend_does_not_take_is_refused_before_anything_is_stored(config: StudyConfig) -> None:
    with pytest.raises(ConfigError, match=r"'onnxruntime' does not run in fp16 on 'cpu'"):
        plan_run(with_latency(config, backend="onnxruntime", precision="fp16"), CPU)


def test_the_automatic_backend_is_the_one_that_it_stands_for(database: Database, config: StudyConfig) -> None:
    automatic = plan_run(with_latency(config, backend="auto"), CPU)
    stored = enter(database, automatic)
    named = plan_run(with_latency(config, backend="onnxruntime"), CPU)
    assert named.facts["device_fingerprint"] == automatic.facts["device_fingerprint"]
    check_unchanged(named, stored)
    other = plan_run(with_latency(config, backend="torch"), CPU)
    with pytest.raises(StudyChangedError, match=r"latency\.backend: was 'onnxruntime', now 'torch'"):
        check_unchanged(other, stored)


def test_further_backends_are_part_of_the_protocol_in_any_order(database: Database, config: StudyConfig) -> None:
    plan = plan_run(with_latency(config, also=("torch", "onnxruntime")), CPU)
    stored = enter(database, plan)
    check_unchanged(replace(plan, config=with_latency(config, also=("onnxruntime", "torch"))), stored)
    with pytest.raises(StudyChangedError, match=r"latency\.also: was \['onnxruntime', 'torch'\], now \[\]"):
        check_unchanged(replace(plan, config=with_latency(config, also=())), stored)


@pytest.mark.parametrize("changes", [{"backend": "cuda-graph"}, {"also": ("cuda-graph",)}])
def test_a_backend_that_does_not_run_on_the_device_is_refused_before_anything_is_stored(
    config: StudyConfig, changes: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="'cuda-graph' does not run on 'cpu'") as caught:
        plan_run(with_latency(config, **changes), CPU)
    assert "onnxruntime" in (caught.value.hint or "")


def test_other_images_under_the_same_name_are_refused(database: Database, config: StudyConfig, tmp_path: Path) -> None:
    stored = enter(database, plan_run(config, CPU))
    write_images(tmp_path / "images", 1)
    with pytest.raises(StudyChangedError, match=r"the images of 'npz:.*': were [0-9a-f]{12}, now [0-9a-f]{12}"):
        check_unchanged(plan_run(config, CPU), stored)


def test_every_difference_is_named_at_once(database: Database, config: StudyConfig) -> None:
    plan = plan_run(config, CPU)
    stored = enter(database, plan)
    changed = plan.config.model_copy(update={"seed": 1, "reference": "shufflenet_v2_x1_0"})
    with pytest.raises(StudyChangedError, match=r"reference: .*; seed: "):
        check_unchanged(replace(plan, config=changed), stored)


def test_the_automatic_variants_are_fifteen_known_networks(make_config: Any) -> None:
    config = make_config()
    names = [
        *(f"shufflenet_v2_x{width}" for width in ("0_5", "1_0", "1_5", "2_0")),
        *(f"shufflenet_v2_x1_0_{extra}" for extra in ("se", "residual", "se_residual")),
        "shufflenet_v2_star_x1_0",
        "shufflenet_v2_s_counted",
        "shufflenet_v2_s_described",
        *(f"shufflenet_v2_x1_0_{carried}" for carried in ("dc0", "ldc0", "ldc1", "ldc2", "ldc3")),
    ]
    found = study_variants(config.model_copy(update={"variants": "auto"}), config.search_space(), input_size=32)
    assert [variant.name for variant in found] == names
    assert set(AUTO["shufflenet_v2"]) <= set(VARIANTS)
    ids = {variant.spec.normalised(32).arch_id for variant in found}
    assert len(ids) == 15  # at 32 pixels they are still different networks


def test_a_variant_takes_the_studys_scale_and_nothing_else(make_config: Any) -> None:
    config = make_config(scale={"stem.stride": 1, "stem.pool": False}, variants=["shufflenet_v2_x1_0_se"])
    (variant,) = study_variants(config, config.search_space(), input_size=32)
    own = VARIANTS["shufflenet_v2_x1_0_se"].spec.choices()
    assert variant.spec.choices() == own | {"stem.stride": 1, "stem.pool": False}


def test_a_variant_is_a_point_of_the_space_or_outside(make_config: Any) -> None:
    names = ["shufflenet_v2_x0_5", "shufflenet_v2_x0_5_residual", "shufflenet_v2_x1_0", "shufflenet_v2_x0_5_se"]
    config = make_config(variants=names)
    inside, residual, wide, every_stage = study_variants(config, config.search_space(), input_size=32)
    assert inside.suggested == {"stage2.attention": "none", "residual": False}
    assert residual.suggested == {"stage2.attention": "none", "residual": True}
    assert wide.suggested is None  # the space is of width 0.5
    assert every_stage.suggested is None  # the space has SE in stage 2 alone


def test_a_list_of_variants_may_add_to_the_automatic_ones(make_config: Any) -> None:
    config = make_config(variants=["shufflenet_v2_x1_0_authors", "auto", "shufflenet_v2_x0_5"])
    names = [variant.name for variant in study_variants(config, config.search_space(), input_size=32)]
    assert names == ["shufflenet_v2_x1_0_authors", *AUTO["shufflenet_v2"]]  # each once, in the order of the list


def test_variants_may_be_none_or_unknown(make_config: Any) -> None:
    assert study_variants(make_config(), make_config().search_space(), input_size=32) == ()
    with pytest.raises(UnknownNameError, match="did you mean 'shufflenet_v2_x1_0'"):
        config = make_config(variants=["shufflenetv2_x1_0"])
        study_variants(config, config.search_space(), input_size=32)


def test_a_plan_has_the_device_as_the_workers_find_it_whatever_torch_was_told_in_this_process(
    make_config: Any,
) -> None:
    before, told = plan_run(make_config(), CPU), torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        after = plan_run(make_config(), CPU)
    finally:
        torch.set_float32_matmul_precision(told)
    assert after.facts["device_fingerprint"] == before.facts["device_fingerprint"]
    assert after.facts["device"] == before.facts["device"]


def test_the_cpu_has_a_worker_for_each_core_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "usable_cores", lambda: 3)
    assert worker_devices("cpu", None) == ("cpu",) * 3
    assert worker_devices("cpu", 2) == ("cpu",) * 2
    with pytest.raises(ConfigError, match="workers 4: only 3 CPU cores"):
        worker_devices("cpu", 4)
    monkeypatch.setattr(devices, "usable_cores", lambda: 64)
    assert len(worker_devices("cpu", None)) == 8
    assert len(worker_devices("cpu", 40)) == 40


def test_gpus_are_shared_out_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert worker_devices("auto", None) == ("cuda:0", "cuda:1")
    assert worker_devices("cuda", 3) == ("cuda:0", "cuda:1", "cuda:0")
    assert worker_devices("cuda:1", None) == ("cuda:1",)
    assert worker_devices("cpu", 1) == ("cpu",)
    assert worker_devices("cuda", None, 2) == ("cuda:0", "cuda:1", "cuda:0", "cuda:1")
    assert worker_devices("cuda:1", None, 2) == ("cuda:1", "cuda:1")
    assert worker_devices("cuda", 1, 2) == ("cuda:0",)  # a number of workers in all is taken at its word
    assert worker_devices("cuda", None, "auto") == ("cuda:0", "cuda:1")
    given: Any = torch.device("cuda", 1)
    assert worker_devices(given, 2) == ("cuda:1", "cuda:1")
    for wrong in ("cuda:2", "cuda:x", "cuda:-1"):
        with pytest.raises(ConfigError, match=f"device {wrong}: torch sees 2 GPUs"):
            worker_devices(wrong, None)


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert set(worker_devices("auto", None)) == {"cpu"}
    with pytest.raises(ConfigError, match="torch sees no GPU"):
        worker_devices("cuda", None)
    none: Any = None
    for wrong in ("tpu", none, torch.device("meta"), "cpu:3", "auto:1", "cuda:"):
        with pytest.raises(ConfigError, match=f"^device {wrong}: unknown device"):
            worker_devices(wrong, None)


@pytest.mark.parametrize(
    ("asked", "variable", "processes", "expected"),
    [
        (None, None, 1, 8), (None, None, 3, 2), (None, None, 16, 1), (None, "3", 1, 3), (None, "3,2", 2, 3),
        (None, "99", 1, 8), (None, "0", 1, 8), (None, "many", 2, 4), (5, "3", 1, 5),
    ],
)  # fmt: skip
def test_a_training_takes_the_threads_it_is_told_then_omps_then_its_share_of_the_cores(
    asked: int | None, variable: str | None, processes: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "usable_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert devices.training_threads(asked, processes=processes) == expected
    with pytest.raises(ConfigError, match="1 to 8 CPU cores"):
        devices.training_threads(9, processes=1)
