"""Search spaces: their size, sampling, neighbours, identity and narrowing."""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from archsearch.errors import ConfigError, StoreError, UnknownNameError
from archsearch.models.families import FAMILIES
from archsearch.models.specs.shufflenet_v2 import ShuffleNetV2Spec
from archsearch.models.variants import VARIANTS
from archsearch.space import Domain, SearchSpace, load_space


def small(**changes: object) -> SearchSpace:
    """Three kernels of stage 2, three ratios, residual: 3 * 3 * 2 = 18 points."""
    settings: dict[str, object] = {
        "name": "small",
        "family": "shufflenet_v2",
        "domains": (
            Domain(name="stage2.kernel", values=(5, 3, 4), source="a"),
            Domain(name="split_ratio", values=(0.25, 0.5, 0.75), source="b"),
            Domain(name="residual", values=(False, True), source="c"),
        ),
        "fixed": {"stem.pool": False},
    }
    return SearchSpace(**{**settings, **changes})  # type: ignore[arg-type]


def test_size_is_the_product_of_the_domains() -> None:
    assert small().size == 18  # 3 * 3 * 2


def test_the_shipped_space_has_every_choice_with_its_whole_domain() -> None:
    space = load_space("shufflenet_v2")
    # width 4, unit form 2, stem type 3 * kernel 5 * stride 2 * pool 2, kernel 5 per stage, ratio 5, attention 8 per
    # stage, residual 2, extra depthwise 2, head 3 * hidden * activation 2, units removed 4 * 8 * 4
    hidden = next(len(domain.values) for domain in space.domains if domain.name == "head.hidden")
    assert space.size == 4 * 2 * (3 * 5 * 2 * 2) * 5**3 * 5 * 8**3 * 2 * 2 * (3 * hidden * 2) * (4 * 8 * 4)
    assert all(domain.source for domain in space.domains)


def test_the_shipped_space_reaches_every_primitive_choice_of_the_family() -> None:
    space = load_space("shufflenet_v2")
    reached = {
        name for domain in space.domains for value in domain.values for name in space.base.expand(domain.name, value)
    }
    assert reached == set(FAMILIES["shufflenet_v2"].base.choices())


def test_a_spec_is_the_base_with_fixed_and_then_suggested_choices() -> None:
    spec = small().spec({"stage2.kernel": 5, "split_ratio": 0.25, "residual": True})
    base = FAMILIES["shufflenet_v2"].base.choices()
    changed = {name: value for name, value in spec.choices().items() if value != base[name]}
    assert changed == {
        "stem.pool": False,
        "stage2.kernel": 5,
        **{f"stage{n}.split_ratio": 0.25 for n in (2, 3, 4)},
        **{f"stage{n}.residual": True for n in (2, 3, 4)},
    }


@pytest.mark.parametrize("how", [{"domains": {"head.hidden": [256]}}, {"fixed": {"head.hidden": 256}}])
def test_a_fixed_choice_that_has_no_effect_on_the_base_has_one_beside_a_suggested_choice(how: dict[str, Any]) -> None:
    space = load_space("shufflenet_v2").restricted(**how)  # the base has no hidden layer
    spec = space.spec({**space.sample(0), "head.type": "gap_hidden"})
    assert spec.choices()["head.hidden"] == 256


def test_a_fixed_ratio_is_of_the_suggested_width() -> None:
    space = load_space("shufflenet_v2").restricted(fixed={"split_ratio": 0.3333})
    spec = space.spec({**space.sample(0), "width": 1.5})
    assert isinstance(spec, ShuffleNetV2Spec)
    # 176 channels * 0.3333 + 0.5 = 59.2; the plainest ratio of as many of the base's 116 is 0.34, which gives 60
    assert spec.stages[0].main_channels == 59


def test_a_seed_always_draws_the_same_suggestion_of_the_space() -> None:
    space = small()
    for seed in range(20):
        suggested = space.sample(seed)
        assert suggested == space.sample(seed)
        assert list(suggested) == ["stage2.kernel", "split_ratio", "residual"]
        assert space.contains(suggested)


def test_sampling_is_uniform_and_independent() -> None:
    space = small()
    drawn = Counter(tuple(space.sample(seed).values()) for seed in range(3600))
    assert len(drawn) == 18
    # 200 expected for each point, standard deviation sqrt(3600 * 1/18 * 17/18) = 13.7: five of them each way
    assert all(131 < n < 269 for n in drawn.values())


def test_sampling_the_shipped_space_covers_every_value_of_every_domain() -> None:
    space = load_space("shufflenet_v2")
    samples = [space.sample(seed) for seed in range(200)]
    for domain in space.domains:
        assert {repr(sample[domain.name]) for sample in samples} == {repr(value) for value in domain.values}


def test_every_sampled_suggestion_of_the_shipped_space_makes_a_spec() -> None:
    space = load_space("shufflenet_v2")
    assert len({space.spec(space.sample(seed)).arch_id for seed in range(100)}) == 100


def test_true_is_not_one_and_one_is_one_point_zero() -> None:
    space = load_space("shufflenet_v2").restricted({"width": [1, 2], "residual": [True, False]})
    width = next(domain for domain in space.domains if domain.name == "width")
    suggested = space.sample(0)
    assert space.contains({**suggested, "width": 1, "residual": True})
    assert space.contains({**suggested, "width": 1.0, "residual": True})
    assert not space.contains({**suggested, "width": 1, "residual": 1})
    assert not space.contains({**suggested, "width": True, "residual": True})
    assert width.value(1.0) == 1


def test_values_take_the_types_of_the_family() -> None:
    space = small(
        domains=(
            Domain(name="kernel", values=("3", "5")),
            Domain(name="residual", values=("false", "true")),
            Domain(name="width", values=(1, 0.5)),
        )
    )
    assert [[repr(value) for value in domain.values] for domain in space.domains] == [
        ["3", "5"],
        ["False", "True"],
        ["1.0", "0.5"],
    ]


def test_a_list_of_stage_channels_is_kept_as_its_text() -> None:
    space = small(domains=(Domain(name="channels", values=([48, 96, 192], "24,48,96")),))  # type: ignore[arg-type]
    assert space.domains[0].values == ("48,96,192", "24,48,96")
    assert space.spec({"channels": "48,96,192"}).choices()["stage3.channels"] == 96


def test_null_in_a_list_of_stages_is_none_as_it_is_alone() -> None:
    space = small(domains=(Domain(name="attention", values=(None, [None, "se", "se"])),))  # type: ignore[arg-type]
    assert space.domains[0].values == ("none", "none,se,se")


def test_a_domain_of_one_value_is_a_fixed_choice() -> None:
    space = small(domains=(Domain(name="kernel", values=(5,)), Domain(name="residual", values=(False, True))))
    assert [domain.name for domain in space.domains] == ["residual"]
    assert space.fixed == {"stem.pool": False, "kernel": 5}
    assert (
        space.fingerprint
        == small(
            domains=(Domain(name="residual", values=(False, True)),), fixed={"stem.pool": False, "kernel": 5}
        ).fingerprint
    )


@pytest.mark.parametrize(
    ("suggested", "said"),
    [
        ({"stage2.kernel": 3, "split_ratio": 0.5}, "no value for 'residual'"),
        ({"stage2.kernel": 3, "split_ratio": 0.5, "residul": True}, "did you mean 'residual'"),
        ({"stage2.kernel": 6, "split_ratio": 0.5, "residual": True}, "'stage2.kernel': 6 is not in its domain"),
    ],
)
def test_a_wrong_suggestion_is_refused(suggested: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        small().spec(suggested)
    assert not small().contains(suggested)


def test_the_fingerprint_ignores_order_sources_and_names() -> None:
    shuffled = small(
        name="another",
        description="words",
        domains=(
            Domain(name="residual", values=(True, False), source="x"),
            Domain(name="split_ratio", values=(0.75, 0.5, 0.25), source="y"),
            Domain(name="stage2.kernel", values=(3, 4, 5), source="z"),
        ),
    )
    assert shuffled.fingerprint == small().fingerprint
    # the text that is hashed, written by hand: sorted keys, values as sorted JSON texts
    text = (
        '{"domains": {"residual": ["false", "true"], "split_ratio": ["0.25", "0.5", "0.75"], '
        '"stage2.kernel": ["3", "4", "5"]}, "family": "shufflenet_v2", "fixed": {"stem.pool": "false"}}'
    )
    assert small().fingerprint == hashlib.sha256(text.encode()).hexdigest()[:12]
    assert shuffled.differences(small().to_dict()) == []


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"domains": {"stage2.kernel": [3, 5]}}, "stage2.kernel: values were [5, 3, 4], now [3, 5]"),
        ({"fixed": {"stem.pool": True}}, "stem.pool: was fixed to false, now fixed to true"),
        ({"domains": {"stem.pool": [False, True]}}, "stem.pool: was fixed to false, now chosen from [false, true]"),
        ({"fixed": {"residual": False}}, "residual: was chosen from [false, true], now fixed to false"),
        ({"domains": {"width": [0.5, 1]}}, "width: was not set, now chosen from [0.5, 1.0]"),
    ],
)
def test_what_changed_is_said_in_a_line(changes: dict[str, dict[str, object]], line: str) -> None:
    changed = small().restricted(changes.get("domains"), changes.get("fixed"))  # type: ignore[arg-type]
    assert changed.fingerprint != small().fingerprint
    assert changed.differences(json.loads(json.dumps(small().to_dict()))) == [line]


def test_a_space_survives_json_and_pickle() -> None:
    space = load_space("shufflenet_v2")
    back = SearchSpace.from_dict(json.loads(json.dumps(space.to_dict())))
    assert back == space
    assert back.fingerprint == space.fingerprint
    assert [back.sample(seed) for seed in range(5)] == [space.sample(seed) for seed in range(5)]
    assert pickle.loads(pickle.dumps(space)) == space


def test_a_stored_space_that_is_none_is_refused() -> None:
    with pytest.raises(StoreError, match="not a stored search space"):
        SearchSpace.from_dict({"name": "x"})


def test_fixing_a_macro_removes_the_domains_of_its_stages() -> None:
    names = [domain.name for domain in load_space("shufflenet_v2").restricted(fixed={"kernel": 5}).domains]
    assert not {"kernel", "stage2.kernel", "stage3.kernel", "stage4.kernel"} & set(names)
    assert len(names) == len(load_space("shufflenet_v2").domains) - 3


def test_a_tied_domain_takes_the_place_of_its_stages_and_their_source() -> None:
    space = load_space("shufflenet_v2")
    tied = space.restricted({"kernel": [3, 5, 7]})
    names = [domain.name for domain in tied.domains]
    before = [domain.name for domain in space.domains]
    assert names.index("kernel") == before.index("stage2.kernel")
    assert len(names) == len(before) - 2
    assert "ShuffleNetV2-s" in tied.domains[names.index("kernel")].source


def test_all_stages_together_take_the_place_of_a_macro() -> None:
    names = [f"stage{n}.split_ratio" for n in (2, 3, 4)]
    untied = small().restricted({name: [0.25, 0.5] for name in names})
    assert untied.size == 3 * 2 * 2**3
    assert "split_ratio" not in [domain.name for domain in untied.domains]


def test_a_study_may_widen_a_domain_as_far_as_the_family_allows() -> None:
    wider = small().restricted({"stage2.kernel": [3, 4, 5, 6, 7]})
    assert wider.size == 5 * 3 * 2
    with pytest.raises(ConfigError, match=r"restrict\.stage2\.kernel\[1\].*9"):
        small().restricted({"stage2.kernel": [3, 9]})


def test_fixing_one_stage_of_a_tied_domain_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml: fixed\.stage2\.split_ratio: .*'choices\.split_ratio'"):
        small().restricted(fixed={"stage2.split_ratio": 0.5}, where="mine.yaml")


def test_restricting_by_nothing_changes_nothing() -> None:
    assert small().restricted() == small()


def test_every_suggestion_is_found_again_from_its_spec() -> None:
    space = small()
    for seed in range(30):
        suggested = space.sample(seed)
        assert space.suggestion_of(space.spec(suggested)) == suggested


def test_a_suggestion_with_choices_without_effect_is_found_as_an_equal_network() -> None:
    # residuals without a basic unit, a hidden width without a hidden layer, two forms that agree at x0.5
    space = load_space("shufflenet_v2")
    for seed in range(60):
        spec = space.spec(space.sample(seed))
        found = space.suggestion_of(spec)
        assert found is not None
        assert space.contains(found)
        assert space.spec(found).arch_id == spec.arch_id


def test_a_spec_outside_the_space_has_no_suggestion() -> None:
    space = small()
    outside = space.spec(space.sample(0)).with_choices({"stage2.kernel": 7})
    assert space.suggestion_of(outside) is None
    assert space.suggestion_of(FAMILIES["shufflenet_v2"].base) is None  # it has a max pool


def test_a_choice_without_effect_may_differ_once_the_input_size_is_given() -> None:
    # At 32 pixels the stock stem leaves a map of 1x1, which flattening and averaging treat alike
    stock = {"stem.stride": 2, "stem.pool": True}
    space = load_space("shufflenet_v2").restricted({"head.type": ["gap_hidden", "flatten"]}, stock)
    spec = FAMILIES["shufflenet_v2"].base  # a global average pool
    assert space.suggestion_of(spec) is None
    assert space.suggestion_of(spec, input_size=64) is None
    suggested = space.suggestion_of(spec, input_size=32)
    assert suggested is not None
    assert space.spec(suggested).normalised(32).arch_id == spec.normalised(32).arch_id


@pytest.mark.parametrize("name", VARIANTS.names())
def test_every_published_variant_of_the_family_lies_in_the_shipped_space(name: str) -> None:
    space, variant = load_space("shufflenet_v2"), VARIANTS[name]
    if variant.spec.family != space.family:
        assert space.suggestion_of(variant.spec) is None
        return
    suggested = space.suggestion_of(variant.spec, input_size=variant.input_size)
    assert suggested is not None
    built = space.spec(suggested)
    assert built.normalised(variant.input_size).arch_id == variant.spec.normalised(variant.input_size).arch_id


def test_spaces_are_read_without_torch() -> None:
    code = "import sys, archsearch.space as s; s.load_space('shufflenet_v2'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_family_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"family: unknown .*did you mean 'shufflenet_v2'"):
        small(family="shufflenet_v22")


def test_a_shipped_name_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'shufflenet_v2'"):
        load_space("shuflenet_v2")
