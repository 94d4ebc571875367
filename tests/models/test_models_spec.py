import dataclasses
import json
from typing import Any

import pytest

from archsearch.errors import ConfigError, UnknownNameError
from archsearch.models.families import FAMILIES, spec_from_json
from archsearch.models.spec import Spec, Word
from archsearch.models.specs.shufflenet_v2 import ShuffleNetV2Spec, ShuffleNetV2Stage

BASE = ShuffleNetV2Spec()


def stages(spec: Spec, leaf: str) -> list[Any]:
    choices = spec.choices()
    return [choices[f"stage{number}.{leaf}"] for number in (2, 3, 4)]


def test_choices_have_the_documented_names() -> None:
    leaves = ("channels", "units", "kernel", "split_ratio", "attention", "residual", "extra_depthwise")
    expected = {
        "unit_form",
        *(f"stem.{leaf}" for leaf in ("type", "kernel", "stride", "pool", "channels")),
        *(f"stage{number}.{leaf}" for number in (2, 3, 4) for leaf in leaves),
        *(f"head.{leaf}" for leaf in ("type", "channels", "hidden", "activation")),
    }
    assert set(BASE.choices()) == expected
    assert set(BASE.macros()) == {
        *leaves,
        *("width", "removed", "stage2.removed", "stage3.removed", "stage4.removed"),
    }


@pytest.mark.parametrize("family", FAMILIES.names())
def test_a_spec_is_frozen_and_hashable_and_survives_its_json(family: str) -> None:
    spec = FAMILIES[family].base
    copy = spec_from_json(spec.canonical_json())
    assert copy == spec
    assert hash(copy) == hash(spec)
    assert copy.arch_id == spec.arch_id
    assert len(spec.arch_id) == 12
    assert spec.family == family
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.family_of = "x"  # type: ignore[attr-defined]


@pytest.mark.parametrize("family", FAMILIES.names())
def test_every_choice_refuses_nonsense_with_its_name_and_what_is_allowed(family: str) -> None:
    spec = FAMILIES[family].base
    for name in (*spec.rules(), *spec.macros()):
        word = isinstance(spec.rules().get(name), Word)  # any word may be a name: what it names is found when built
        for nonsense in (*(() if word else ("nonsense",)), "", object(), float("nan"), [1], "1,2", -1, 10**6):
            with pytest.raises(ConfigError, match=rf"'{name}' cannot be .*allowed: "):
                spec.with_choices({name: nonsense})


def test_command_line_text_means_the_same_as_values() -> None:
    typed = {
        "stage2.kernel": "5",
        "split_ratio": "0.25",
        "stage3.residual": "true",
        "stem.pool": "False",
        "attention": "none",
        "width": "0.5",
        "stage4.attention": "se",
    }
    values = {
        "stage2.kernel": 5,
        "split_ratio": 0.25,
        "stage3.residual": True,
        "stem.pool": False,
        "attention": None,
        "width": 0.5,
        "stage4.attention": "se",
    }
    assert BASE.with_choices(typed) == BASE.with_choices(values)
    assert BASE.with_choices(typed).canonical_json() == BASE.with_choices(values).canonical_json()


def test_values_are_stored_in_exact_types() -> None:
    spec = BASE.with_choices({"kernel": 5.0, "split_ratio": "0.5", "stem.pool": "true"})
    assert spec == BASE.with_choices({"kernel": 5})
    assert {name: type(value) for name, value in spec.choices().items()} == {
        name: type(value) for name, value in BASE.choices().items()
    }
    assert ShuffleNetV2Stage(kernel="5") == ShuffleNetV2Stage(kernel=5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "leaf", "expected"),
    [
        ({"kernel": 5}, "kernel", [5, 5, 5]),
        ({"kernel": "3,5,7"}, "kernel", [3, 5, 7]),
        ({"channels": "48,96,192"}, "channels", [48, 96, 192]),
        ({"channels": [48, 96, 192]}, "channels", [48, 96, 192]),
        ({"units": [1, 2, 3]}, "units", [1, 2, 3]),
        ({"width": 2}, "channels", [244, 488, 976]),
        ({"width": 1.5}, "channels", [176, 352, 704]),
        ({"removed": "none"}, "units", [4, 8, 4]),
        ({"removed": "shallow"}, "units", [4, 7, 4]),
        ({"removed": "deep"}, "units", [4, 8, 3]),
        ({"removed": "both"}, "units", [4, 7, 3]),
        ({"stage2.removed": "2"}, "units", [2, 8, 4]),
        ({"stage3.removed": 7, "stage4.removed": 3}, "units", [4, 1, 1]),
        ({"attention": "eca", "stage3.attention": "none"}, "attention", ["eca", "none", "eca"]),
        ({"stage3.attention": "none", "attention": "eca"}, "attention", ["eca", "none", "eca"]),
        ({"residual": True}, "residual", [True, True, True]),
        ({"extra_depthwise": True}, "extra_depthwise", [True, True, True]),
    ],
)
def test_macros_set_every_stage_and_narrower_names_win(changes: dict[str, Any], leaf: str, expected: list[Any]) -> None:
    assert stages(BASE.with_choices(changes), leaf) == expected


def test_width_sets_the_head_as_well() -> None:
    assert BASE.with_choices({"width": 2.0}).choices()["head.channels"] == 2048
    assert BASE.with_choices({"width": 2.0}).with_choices({"width": 1.0}) == BASE


@pytest.mark.parametrize("changes", [{"stage2.removed": 4}, {"stage3.removed": 8}, {"width": 0.75}, {"removed": 1}])
def test_macros_refuse_what_they_do_not_mean(changes: dict[str, Any]) -> None:
    (name,) = changes
    with pytest.raises(ConfigError, match=f"'{name}' cannot be"):
        BASE.with_choices(changes)


def test_names_of_equal_reach_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"'stage3\.removed' and 'stage3\.units' set 'stage3\.units' to 7 and 3"):
        BASE.with_choices({"stage3.removed": 1, "stage3.units": 3})
    assert stages(BASE.with_choices({"stage3.removed": 5, "stage3.units": 3}), "units") == [4, 3, 4]


def test_unknown_choices_suggest_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown choice 'stage2\.kernal' \(did you mean 'stage2\.kernel'"):
        BASE.with_choices({"stage2.kernal": 5})
    with pytest.raises(UnknownNameError, match="did you mean 'width'"):
        BASE.expand("widht", 1.0)


@pytest.mark.parametrize("name", [5, 0.5, True, None])
def test_a_name_that_is_no_text_is_an_unknown_choice(name: Any) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown choice '{name}'"):
        BASE.with_choices({name: 1})


def test_expand_names_the_primitive_choices_that_a_choice_sets() -> None:
    assert BASE.expand("stage2.kernel", "5") == {"stage2.kernel": 5}
    assert BASE.expand("kernel", 5) == {"stage2.kernel": 5, "stage3.kernel": 5, "stage4.kernel": 5}
    assert BASE.expand("width", "0.5") == {
        "stem.channels": 24,
        "stage2.channels": 48,
        "stage3.channels": 96,
        "stage4.channels": 192,
        "head.channels": 1024,
    }


@pytest.mark.parametrize(
    ("changes", "same_as"),
    [
        ({"head.hidden": 77, "head.activation": "none"}, {}),  # belong to gap_hidden
        # torchvision's left branch emits o - m = 24 channels, the authors' the input's 24
        ({"width": 0.5, "unit_form": "authors"}, {"width": 0.5}),
        ({"units": "1,8,4", "stage2.residual": True}, {"units": "1,8,4"}),  # the down-sampling unit has no residual
        # int(116 * 0.503 + 0.5) = int(58.848) = 58 = int(116 * 0.5 + 0.5)
        ({"stage2.split_ratio": 0.503}, {}),
        ({"stage2.split_ratio": 1 / 3}, {"stage2.split_ratio": 0.34}),  # int(39.17) = int(39.94) = 39
    ],
)
def test_choices_without_effect_do_not_make_another_network(changes: dict[str, Any], same_as: dict[str, Any]) -> None:
    made, expected = BASE.with_choices(changes), BASE.with_choices(same_as)
    assert made == expected
    assert made.arch_id == expected.arch_id


@pytest.mark.parametrize("ratio", [0.25, 0.3, 0.375, 0.4, 0.5, 0.6, 0.625, 0.7, 0.75])
@pytest.mark.parametrize("width", [0.5, 1.0, 1.5, 2.0])
def test_usual_split_ratios_stay_as_they_were_written(width: float, ratio: float) -> None:
    assert stages(BASE.with_choices({"width": width, "split_ratio": ratio}), "split_ratio") == [ratio] * 3


@pytest.mark.parametrize(
    "changes",
    [
        {"unit_form": "authors"},
        {"head.type": "gap_hidden", "head.hidden": 77},
        {"split_ratio": 0.25},
        {"width": 0.5, "split_ratio": 0.25, "unit_form": "authors"},
    ],
)
def test_choices_with_an_effect_are_kept(changes: dict[str, Any]) -> None:
    choices = BASE.with_choices(changes).choices()
    for name, value in changes.items():
        for primitive, expected in BASE.expand(name, value).items():
            assert choices[primitive] == expected


def test_flattening_is_pooling_where_the_last_map_is_one_pixel() -> None:
    flat = BASE.with_choices({"head.type": "flatten"})
    assert flat.normalised(32) == BASE  # 32-16-8 | 4-2-1
    assert flat.normalised(33) == flat  # 33-17-9 | 5-3-2
    assert flat.normalised(224) == flat
    unpooled = flat.with_choices({"stem.pool": False})
    assert unpooled.normalised(32) == unpooled  # 32-16 | 8-4-2


def test_map_sizes_at_32_pixels_are_those_of_the_published_table() -> None:
    assert BASE.map_sizes(32) == (16, 8, 4, 2, 1)
    assert BASE.with_choices({"stem.pool": False}).map_sizes(32) == (16, 16, 8, 4, 2)
    assert BASE.with_choices({"stem.pool": False, "stem.stride": 1}).map_sizes(32) == (32, 32, 16, 8, 4)


def test_the_authors_form_needs_stages_that_widen() -> None:
    with pytest.raises(ConfigError, match=r"'stage3\.channels' cannot be 96 with unit_form authors"):
        BASE.with_choices({"unit_form": "authors", "channels": "96,96,192"})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not valid"),
        ("[]", "an object was expected"),
        ("{}", "'family' is missing"),
        ('{"family": "shufflenet_v3"}', "did you mean 'shufflenet_v2'"),
        ('{"family": "shufflenet_v2"}', "choices are missing: head.activation"),
    ],
)
def test_json_that_is_no_architecture_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        spec_from_json(text)


def test_json_with_a_choice_that_does_not_exist_is_refused() -> None:
    content = {**json.loads(BASE.canonical_json()), "stage5.kernel": 3}
    with pytest.raises(UnknownNameError, match=r"stage5\.kernel"):
        spec_from_json(json.dumps(content))


def test_canonical_json_is_sorted_and_without_spaces() -> None:
    text = BASE.canonical_json()
    content = json.loads(text)
    assert list(content) == sorted(content)
    assert " " not in text
    assert content == {"family": "shufflenet_v2", **BASE.choices()}
