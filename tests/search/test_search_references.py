"""Reference networks in a study: as variants, and as the network that latencies are interleaved with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archsearch.errors import BuildError, UnknownNameError
from archsearch.search.config import StudyConfig
from archsearch.search.plan import plan_run
from archsearch.search.runtime import Runtime
from archsearch.search.variants import study_variants

CPU = Runtime(workers=1, device="cpu")


@pytest.fixture
def config(make_config: Any, tmp_path: Path) -> StudyConfig:
    folder = tmp_path / "images"
    folder.mkdir()
    for name, count in (("train", 96), ("test", 8)):
        np.savez(folder / f"{name}.npz", images=np.zeros((count, 32, 32, 3), np.uint8), labels=np.arange(count) % 4)
    made: StudyConfig = make_config(dataset=f"npz:{folder}")
    return made


def test_references_are_variants_outside_the_space_at_the_studys_stem_where_they_have_one(make_config: Any) -> None:
    names = ("torchvision/resnet18", "resnet20", "mobilenet_v2_x0_5", "plain_cnn")
    config = make_config(variants=list(names), scale={"stem.stride": 1, "stem.pool": False})
    found = study_variants(config, config.search_space(), input_size=32)
    assert tuple(each.name for each in found) == names
    assert all(each.suggested is None for each in found)
    strides = {each.name: each.spec.choices().get("stem.stride") for each in found}
    assert strides == {"torchvision/resnet18": None, "resnet20": 1, "mobilenet_v2_x0_5": None, "plain_cnn": 1}


def test_a_study_may_be_measured_against_a_reference_of_torchvision(config: StudyConfig) -> None:
    changed = config.model_copy(update={"reference": "torchvision/mobilenet_v2"})
    assert plan_run(changed, CPU).config.reference == "torchvision/mobilenet_v2"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference": "torchvision/resnet_18"}, r"'tiny': reference: .*did you mean 'torchvision/resnet18'"),
        ({"reference": "resnet18"}, r"'tiny': reference: .*such as torchvision/resnet18"),
        ({"variants": ("resnet_20",)}, r"'tiny': variants: .*did you mean 'resnet20'"),
    ],
)
def test_an_unknown_name_is_reported_with_the_key_that_holds_it(
    config: StudyConfig, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UnknownNameError, match=message):
        plan_run(config.model_copy(update=changes), CPU)


def test_a_reference_that_does_not_take_the_images_is_found_out_before_anything_is_stored(config: StudyConfig) -> None:
    with pytest.raises(BuildError, match=r"reference network torchvision/inception_v3: .*32x32"):
        plan_run(config.model_copy(update={"reference": "torchvision/inception_v3"}), CPU)
