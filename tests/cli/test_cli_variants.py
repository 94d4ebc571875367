from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from archsearch.api.variants import _footnotes, _within
from archsearch.models.variants import VARIANTS

KEYS = {
    "name", "family", "source", "reading", "note", "published", "params", "macs", "input_size", "num_classes",
    "arch_id",
}  # fmt: skip


@pytest.mark.parametrize(
    ("family", "name", "facts"),
    [  # table 4 of the LDC paper prints 2.51M: 2,509,748 in full digits
        ("mobilenet_v3_ldc", "mobilenet_v3_small_mb0", {"params": 2509748, "num_classes": 1000, "published": True}),
        ("resnet_cifar", "resnet20", {"input_size": 32, "num_classes": 10, "published": True}),
        ("plain_cnn", "plain_cnn", {"input_size": 224, "num_classes": 1000, "published": False}),
    ],
)
def test_json_has_every_network_of_a_family_with_its_numbers(
    family: str, name: str, facts: dict[str, object], cli: Callable[..., object]
) -> None:
    ended = cli("variants", "--family", family, "--json")
    assert ended.code == 0, ended.err
    found = {row["name"]: row for row in json.loads(ended.out)["networks"]}
    assert set(found) == {each for each in VARIANTS if VARIANTS[each].spec.family == family}
    assert all(set(row) == KEYS and row["family"] == family for row in found.values())
    assert {key: found[name][key] for key in facts} == facts


@pytest.fixture(scope="module")
def printed() -> str:
    """What a person with a terminal of 100 columns sees."""
    ended = subprocess.run(
        [sys.executable, "-m", "archsearch.cli.main", "variants"],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        env={**os.environ, "COLUMNS": "100"},
    )
    return ended.stdout


def test_the_list_fits_100_columns_and_shows_every_whole_name(printed: str) -> None:
    tables = [line for line in printed.splitlines() if line.startswith(" ")]  # a pipe gets a sentence in one piece
    words = printed.replace("+", "").split()
    assert [name for name in VARIANTS if name not in words] == []
    assert [line for line in tables if len(line.rstrip()) > 100] == []
    assert "…" not in printed


def test_the_list_marks_what_is_not_published_and_says_how_readings_differ(printed: str) -> None:
    words = printed.split()
    assert "plain_cnn+" in words
    assert "shufflenet_v2_x1_0_ldc0+" in words
    assert "shufflenet_v2_x1_0+" not in words
    text = " ".join(words)
    for name in ("shufflenet_v2_s_counted", "shufflenet_v2_s_described", "plain_cnn"):
        for sentence in VARIANTS[name].note.split(". "):
            assert " ".join(sentence.split()).rstrip(".") in text
    assert "torchvision/NAME names any classification model of torchvision" in text


def test_an_unknown_family_is_exit_code_2_with_the_nearest(cli: Callable[..., object]) -> None:
    ended = cli("variants", "--family", "shuflenet_v1")
    assert (ended.code, ended.out) == (2, "")
    assert "unknown family 'shuflenet_v1'" in ended.err
    assert "did you mean 'shufflenet_v1'" in ended.err


def network(name: str, note: str, num_classes: int = 1000) -> object:
    from archsearch.api.variants import NamedNetwork

    return NamedNetwork(
        name=name, family="f", source="s", reading="", note=note, published=True, params=1, macs=1, input_size=224,
        num_classes=num_classes, arch_id="0",
    )  # fmt: skip


def test_a_footnote_is_printed_once_and_what_always_stands_together_stays_together() -> None:
    networks = [
        network("a", "Said of all. Only of a (Ma et al. 2018). And this too."),
        network("b", "Said of all.", num_classes=10),
        network("c", ""),
    ]
    assert _footnotes(networks) == [
        ("Said of all.", frozenset("ab")),
        ("Only of a (Ma et al. 2018). And this too.", frozenset("a")),
        ("At 224x224 and 10 classes.", frozenset("b")),
    ]


def test_a_source_is_shortened_only_where_it_repeats_the_familys() -> None:
    assert _within("Ma et al. 2018", "Ma et al. 2018, table 5") == "table 5"
    assert _within("The LDC paper, table 4", "the LDC paper, table 4, row mb0") == "row mb0"
    assert _within("Ma et al. 2018, table 2", "Ma et al. 2018, table 2 and table 6") == "table 6"
    assert _within("Ma et al. 2018", "Ma et al. 2018") == ""
    assert _within("Ma et al. 2018", "after Ma et al. 2018") == "after Ma et al. 2018"
