"""What a run says of a user's pictures before it begins, and how studies of before go on."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from archsearch.errors import ConfigError, DataError, StudyChangedError
from archsearch.image_rules import RULES_FACT, ImageRules
from archsearch.search.config import StudyConfig
from archsearch.search.plan import RunPlan, check_unchanged, plan_run
from archsearch.search.run import run_study
from archsearch.search.runtime import RunCallbacks, Runtime
from archsearch.store.database import Database
from archsearch.store.studies import StudyInfo, list_studies

CPU = Runtime(workers=1, device="cpu")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("archsearch.search.plan._preflight", lambda *_, **__: None)
    root = tmp_path / "photos"
    generator = np.random.default_rng(0)
    for split, count in (("train", 10), ("test", 2)):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")
    return root


def config(photos: Path, **changes: Any) -> StudyConfig:
    content: dict[str, Any] = {
        "name": "x", "space": "shufflenet_v2", "dataset": f"folder:{photos}", "variants": "none",
        "proxy": {"validation_images": 6, "train_images": 8},
    }  # fmt: skip
    return StudyConfig.model_validate(content | changes)


def planned(photos: Path, *, former: bool = False, **changes: Any) -> RunPlan:
    return plan_run(config(photos, **changes), Runtime(device="cpu"), former=former)


def stored(plan: RunPlan) -> StudyInfo:
    return StudyInfo(
        id=1, name="x", config=plan.config.protocol(), space=plan.space.to_dict(), facts=plan.facts,
        space_fingerprint=plan.space.fingerprint, reference_point=None, created_at=datetime.now(UTC),
    )  # fmt: skip


def test_a_folder_without_a_test_split_is_told_before_the_search(photos: Path) -> None:
    shutil.rmtree(photos / "test")
    with pytest.raises(DataError, match="has no test split") as caught:
        planned(photos)
    assert "test_share: 0.15" in str(caught.value.hint)


def test_other_test_classes_are_told_before_the_search(photos: Path) -> None:
    (photos / "test" / "dog").rename(photos / "test" / "Dog")
    with pytest.raises(DataError, match="missing: dog; unknown: Dog"):
        planned(photos)


def test_the_plan_says_what_is_read_and_what_it_needs(photos: Path) -> None:
    plan = planned(photos)
    assert (plan.train_images, plan.validation_images, plan.majority_percent) == (8, 6, 50.0)
    assert (plan.needs.decoded_images, plan.needs.of_images) == (14, 20)
    assert plan.needs.disk_bytes == 2 * 128 + 14 * 32 * 32 * 3
    assert plan.needs.decode_seconds > 0 and plan.needs.process_bytes > 2**27
    assert plan.facts[RULES_FACT] == 2 and plan.facts["classes"] == ["cat", "dog"]


def test_a_study_that_met_a_broken_picture_is_begun_without_it_under_the_same_name(
    photos: Path, database: Database, tmp_path: Path
) -> None:
    class Begun(RunCallbacks):
        def begun(self, study: StudyInfo) -> None:
            raise KeyboardInterrupt  # far enough

    broken = photos / "train" / "cat" / "0.png"
    content = broken.read_bytes()
    broken.write_bytes(content[:200] + b"????????" + content[208:])  # found by decoding only
    all_used = {"proxy": {"validation_images": 6}}
    with pytest.raises(DataError, match="cannot be read as an image") as caught:
        run_study(planned(photos, **all_used), database, CPU, folder=tmp_path)
    assert "on_bad_image: skip" in str(caught.value.hint)
    assert list_studies(database) == ()
    without_it = planned(photos, **all_used, on_bad_image="skip")
    with pytest.raises(KeyboardInterrupt):
        run_study(without_it, database, replace(CPU, callbacks=Begun()), folder=tmp_path)
    assert [study.name for study in list_studies(database)] == ["x"]


def test_a_held_out_share_is_part_of_the_protocol(photos: Path) -> None:
    shutil.rmtree(photos / "test")
    plan = planned(photos, test_share=0.2)
    check_unchanged(plan, stored(plan))
    assert ImageRules.of_study(stored(plan).config, plan.facts) == ImageRules(test_share=0.2)
    with pytest.raises(StudyChangedError, match=r"test_share: was 0\.2, now 0\.3"):
        check_unchanged(planned(photos, test_share=0.3), stored(plan))


def test_a_study_of_an_older_version_goes_on_with_its_own_fingerprint(photos: Path) -> None:
    before = planned(photos, former=True)
    assert RULES_FACT not in before.facts
    old = stored(before)
    # its protocol has none of today's keys
    content = {
        key: value for key, value in old.config.items() if key not in ("test_share", "on_bad_image", "background")
    }
    check_unchanged(planned(photos, former=True), replace(old, config=content))
    with pytest.raises(StudyChangedError, match="the images of"):
        check_unchanged(planned(photos), old)


def test_the_balanced_error_is_an_objective_without_a_stopping_rule(photos: Path) -> None:
    objectives = ["error_percent", "latency_ms", "balanced_error_percent"]
    assert config(photos, objectives=objectives).known_objectives == ("latency_ms",)
    with pytest.raises(ValueError, match="known only when a training ends"):
        config(photos, objectives=objectives, stopping={"policy": "predicted"})


def test_a_share_for_a_set_with_a_test_split_is_refused() -> None:
    with pytest.raises(ConfigError, match="'digits' has a test split of its own"):
        plan_run(StudyConfig(name="x", space="shufflenet_v2", dataset="digits", test_share=0.1), Runtime())
