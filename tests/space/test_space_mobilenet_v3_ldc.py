"""The shipped space around the LDC paper's MobileNetV3-small."""

from __future__ import annotations

import pytest

from archsearch.errors import ConfigError
from archsearch.models.families import FAMILIES
from archsearch.models.variants import find_variant
from archsearch.search.config import load_study
from archsearch.search.variants import AUTO, study_variants
from archsearch.space import load_space

ROWS = tuple(f"mobilenet_v3_small_{row}" for row in ("mb0", "dc0", "ldc0", "ldc1", "ldc2", "ldc3"))
REMOVABLE = (4, 6, 7, 9, 11, 12)


@pytest.mark.parametrize("input_size", [32, 224])
@pytest.mark.parametrize("name", ROWS)
def test_every_row_of_table_4_is_a_point_of_the_space(name: str, input_size: int) -> None:
    space, spec = load_space("mobilenet_v3_ldc"), find_variant(name).spec
    suggested = space.suggestion_of(spec, input_size=input_size)
    assert suggested is not None
    assert space.contains(suggested)
    assert space.spec(suggested).arch_id == spec.arch_id


def test_random_points_are_found_again_as_equal_networks() -> None:
    space = load_space("mobilenet_v3_ldc")
    for seed in range(10):
        spec = space.spec(space.sample(seed))
        found = space.suggestion_of(spec, input_size=32)
        assert found is not None
        assert space.spec(found).arch_id == spec.arch_id


def test_every_combination_of_removed_layers_is_a_network() -> None:
    space = load_space("mobilenet_v3_ldc")
    width = next(domain for domain in space.domains if domain.name == "width")
    for mask in range(2 ** len(REMOVABLE)):
        gone = {f"layer{n}.removed": bool(mask >> i & 1) for i, n in enumerate(REMOVABLE)}
        spec = space.spec({**space.sample(mask), **gone, "width": width.values[mask % len(width.values)]})
        assert {name: spec.choices()[name] for name in gone} == gone


def test_a_layer_may_be_removed_where_the_study_lets_it_keep_the_map() -> None:
    overrides = "restrict.layer2.removed=[false, true]", "fixed.layer2.removed=true"
    searched, fixed = (load_study("mobilenet_v3_ldc_cpu", [each]).search_space() for each in overrides)
    assert "layer2.removed" in [domain.name for domain in searched.domains]  # scale: {layer2.stride: 1}
    assert fixed.spec(fixed.sample(0)).choices()["layer2.removed"] is True


def test_a_layer_that_shrinks_the_map_in_every_combination_is_not_removed() -> None:
    refused = r"^study 'mobilenet_v3_ldc_cpu': choice 'layer3.removed' cannot be true: the layer has stride 2"
    for override in ("restrict.layer3.removed=[false, true]", "fixed.layer3.removed=true"):
        with pytest.raises(ConfigError, match=refused):
            load_study("mobilenet_v3_ldc_cpu", [override]).search_space()


def test_a_sample_is_a_combination_that_the_family_accepts() -> None:
    space = load_space("mobilenet_v3_ldc").restricted({"layer4.stride": [1, 2]})
    samples = [space.sample(seed) for seed in range(40)]
    assert all(space.contains(sample) for sample in samples)
    # a layer of stride 2 stays; each of the other three combinations is missed by all with (2/3) ** 40 = 1e-7
    found = {(sample["layer4.stride"], sample["layer4.removed"]) for sample in samples}
    assert found == {(1, False), (1, True), (2, False)}


def test_the_kernel_of_a_removed_layer_does_not_make_another_network() -> None:
    space = load_space("mobilenet_v3_ldc")
    point = {**space.sample(0), "layer6.removed": True}
    ids = {space.spec({**point, "layer6.kernel": kernel, "layer6.attention": "se"}).arch_id for kernel in (3, 5, 7)}
    assert len(ids) == 1
    assert space.spec({**point, "layer7.removed": False, "layer7.kernel": 4}).arch_id not in ids


def test_the_space_reaches_every_choice_but_strides_that_forbid_removal() -> None:
    space = load_space("mobilenet_v3_ldc")
    reached = {
        name for domain in space.domains for value in domain.values for name in space.base.expand(domain.name, value)
    }
    kept = {f"layer{n}.stride" for n in (4, 6, 7, 8, 9, 11, 12)} | {f"layer{n}.removed" for n in (2, 3, 5, 8, 10)}
    assert set(FAMILIES["mobilenet_v3_ldc"].base.choices()) - reached == kept
    assert all(domain.source for domain in space.domains)


def test_the_study_starts_with_the_rows_of_table_4_inside_its_space_and_anchors_outside() -> None:
    study = load_study("mobilenet_v3_ldc_cpu")
    variants = study_variants(study, study.search_space(), input_size=32)
    rows, anchors = variants[: len(ROWS)], variants[len(ROWS) :]
    assert tuple(variant.name for variant in rows) == ROWS == AUTO["mobilenet_v3_ldc"]
    assert all(variant.suggested is not None for variant in rows)
    assert [variant.name for variant in anchors] == ["shufflenet_v2_x1_0", "resnet20"]
    assert all(variant.suggested is None for variant in anchors)
    assert study.reference in ROWS


def test_a_scale_of_all_layers_at_once_is_that_of_published_networks_too() -> None:
    shipped = load_study("mobilenet_v3_ldc_cpu")  # strides of layers 2, 3, 5 and 10 one by one
    scale = {"stem.stride": 2, "stride": [1, 2, 1, 2, 1, 1, 1, 1, 2, 1, 1]}  # layers 2 to 12
    at_once = load_study("mobilenet_v3_ldc_cpu", {"scale": scale})
    found, expected = (
        {each.name: (each.spec.arch_id, each.suggested is None) for each in study_variants(study, space, input_size=32)}
        for study, space in ((at_once, at_once.search_space()), (shipped, shipped.search_space()))
    )
    assert found == expected
