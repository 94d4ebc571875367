"""Which networks an ablation compares: expected from the family's own names, by hand."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from archsearch.api.ablate import (
    PointMaker,
    as_stored,
    leave_one_out,
    levels_of,
    nearest_baseline,
    one_at_a_time,
    pairs,
    parse_choices,
    typed_levels,
)
from archsearch.api.designed import DesignBase, design_config
from archsearch.designs import Design
from archsearch.errors import ConfigError, UnknownNameError
from archsearch.models.variants import find_variant
from archsearch.overrides import SectionChanges
from archsearch.search.config import load_study
from archsearch.space.search_space import load_space

SCALE = {"stem.stride": 1, "stem.pool": False}
BASE = find_variant("shufflenet_v2_x0_5").spec.at_scale(SCALE).normalised(32)
SPACE = load_space("shufflenet_v2")


@pytest.fixture
def maker() -> PointMaker:
    return PointMaker(BASE, input_size=32, scale=SCALE, trials={BASE.arch_id: 4})


def names(points: Any) -> list[str]:
    return [point.name for point in points.points]


def test_each_level_stands_against_the_base_and_its_own_level_does_not(maker: PointMaker) -> None:
    found = one_at_a_time(maker, {"kernel": (3, 5, 7), "residual": (False, True)})
    assert names(found) == ["base", "kernel=5", "kernel=7", "residual=true"]
    assert found.points[1].changes == {"kernel": 5}
    assert found.points[1].choices == BASE.with_choices({"kernel": 5}).normalised(32).choices()
    assert (found.points[0].variant, found.points[0].trial) == ("shufflenet_v2_x0_5", 4)
    assert found.points[3].variant == "shufflenet_v2_x0_5_residual"
    assert found.notes == ()


def test_equal_networks_are_one_point_and_that_is_said(maker: PointMaker) -> None:
    # removed=deep takes one unit from stage 4, and so does stage4.removed=1; a head without a hidden layer has no width
    found = one_at_a_time(maker, {"removed": ("deep",), "stage4.removed": (0, 1), "head.hidden": (128,)})
    assert names(found) == ["base", "removed=deep"]
    assert found.notes == (
        "stage4.removed=1 is the same network as removed=deep, which stands for both",
        "head.hidden=128 has no effect on the base: it is the same network",
    )


def test_what_the_family_refuses_is_left_out_and_said(maker: PointMaker) -> None:
    # the authors' unit widens each stage; with 24 channels into stage 2, 24 is no widening
    wide = BASE.with_choices({"unit_form": "authors", "width": 1.0})
    made = PointMaker(wide, input_size=32, scale=SCALE, trials={})
    found = one_at_a_time(made, {"stage2.channels": (24,)})
    assert names(found) == ["base"]
    assert found.notes[0].startswith("stage2.channels=24 is left out: ")


def test_pairs_are_every_two_levels_of_different_choices(maker: PointMaker) -> None:
    found = pairs(maker, {"kernel": (3, 5, 7), "residual": (False, True), "stem.type": ("conv", "dcn", "ldc")})
    # base; 2 + 1 + 2 single changes; 2x1 + 2x2 + 1x2 pairs
    assert len(found.points) == 1 + 5 + 8
    assert found.points[6].name == "kernel=5 + residual=true"
    assert found.points[6].changes == {"kernel": 5, "residual": True}


def test_two_names_of_one_choice_make_no_pair(maker: PointMaker) -> None:
    found = pairs(maker, {"kernel": (5,), "stage3.kernel": (7,)})
    assert names(found) == ["base", "kernel=5", "stage3.kernel=7"]
    assert found.notes == ("kernel with stage3.kernel: no pairs, because both set 'stage3.kernel'",)


def test_leave_one_out_puts_back_what_differs_from_the_plain_network_of_its_width() -> None:
    changed = BASE.with_choices({"stage3.attention": "se", "kernel": 5, "stage4.removed": 2}).normalised(32)
    plain = nearest_baseline(changed, scale=SCALE, input_size=32)
    assert plain == BASE
    made = PointMaker(changed, input_size=32, scale=SCALE, trials={})
    levels = {domain.name: levels_of(SPACE, changed, domain.name) for domain in SPACE.domains}
    found = leave_one_out(made, plain, levels)
    assert names(found) == [
        "base",
        "stage2.kernel=3",
        "stage3.kernel=3",
        "stage4.kernel=3",
        "stage3.attention=none",
        "stage4.removed=0",
    ]
    assert found.points[5].choices["stage4.units"] == 4  # arXiv 1807.11164, table 5
    together = leave_one_out(PointMaker(changed, input_size=32, scale=SCALE, trials={}), plain, {"kernel": (3, 5)})
    assert names(together) == ["base", "kernel=3"]


def test_levels_are_those_of_the_space_or_those_that_the_family_names() -> None:
    assert levels_of(SPACE, BASE, "stem.kernel") == (3, 4, 5, 6, 7)
    assert levels_of(SPACE, BASE, "kernel") == (3, 4, 5, 6, 7)  # what the stages share
    other_stem = SPACE.restricted({"stem.kernel": [3, 6], "stage4.kernel": [3, 5, 7]})
    assert levels_of(other_stem, BASE, "kernel") == (3, 5, 7)  # the stem's is no kernel of a stage
    assert levels_of(SPACE, BASE, "removed") == ("none", "shallow", "deep", "both")
    assert levels_of(SPACE, BASE, "stage3.residual") == (False, True)  # the space has only the macro
    with pytest.raises(ConfigError, match="has no levels of it"):
        levels_of(SPACE, BASE, "stage2.channels")
    with pytest.raises(UnknownNameError, match="kernal"):
        levels_of(SPACE, BASE, "kernal")


def test_choices_are_read_as_they_are_typed() -> None:
    found = parse_choices(["kernel,attention=none|se", "channels=48,96,192|24,48,96,residual"], BASE)
    assert found == {
        "kernel": None,
        "attention": ("none", "se"),
        "channels": ("48,96,192", "24,48,96"),
        "residual": None,
    }
    assert typed_levels(BASE, "kernel", ("3", "5")) == (3, 5)
    assert typed_levels(BASE, "residual", ("true",)) == (True,)
    assert typed_levels(BASE, "channels", ("48,96,192",)) == ("48,96,192",)
    assert typed_levels(BASE, "removed", ("shallow",)) == ("shallow",)
    assert parse_choices([], BASE) == {}


@pytest.mark.parametrize("typed", ["kernel,,residual", "kernel=", "kernel,kernel", ""])
def test_what_is_no_list_of_choices_is_refused(typed: str) -> None:
    with pytest.raises(ConfigError, match="choices"):
        parse_choices([typed], BASE)


def test_an_ablation_goes_on_after_the_search_has_come_to_one_of_its_networks() -> None:
    def design(trials: dict[str, int], seeds: int) -> Design:
        made = one_at_a_time(PointMaker(BASE, input_size=32, scale=SCALE, trials=trials), {"kernel": (5, 7)})
        return Design(
            purpose="ablation", of="quickstart", points=made.points, seeds=tuple(range(seeds)), mode="one-at-a-time"
        )

    config, plain, longer = load_study("quickstart"), SectionChanges(), SectionChanges(proxy={"epochs": 3})
    before = design({}, 3)
    stored: Any = [
        SimpleNamespace(name=design_config(DesignBase(config=config, space=SPACE), made, changed).name, design=made)
        for made, changed in ((design({BASE.arch_id: 9}, 3), longer), (before, plain))
    ]
    study: Any = SimpleNamespace(designs=lambda purpose: stored if purpose == "ablation" else [])
    base = DesignBase(config=config, space=SPACE, study=study)
    asked = design({BASE.arch_id: 0, before.points[1].arch_id: 17}, 5)
    found = as_stored(asked, base, plain)
    assert design_config(base, found, plain).name == stored[1].name
    assert (found.points, found.seeds) == (before.points, (0, 1, 2, 3, 4))
    assert design_config(base, as_stored(asked, base, longer), longer).name == stored[0].name
    fewer = replace(asked, points=asked.points[:2])
    assert as_stored(fewer, base, plain) is fewer
    assert as_stored(asked, DesignBase(config=config, space=SPACE), plain) is asked
