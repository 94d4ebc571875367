"""`archsearch audit` and the audit in `archsearch describe`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archsearch.limits import GUIDELINES

V1, V2 = "shufflenet_v1_x1_0_g8", "shufflenet_v2_x0_5"


def row(text: str, start: str) -> str:
    (found,) = (line for line in text.splitlines() if line.strip().startswith(start))
    return found


def test_networks_are_compared_a_line_each(cli: Callable[..., Any]) -> None:
    ended = cli("audit", V1, V2)
    assert ended.code == 0
    assert "G1, G2, G3, G4" in row(ended.out, V1)
    assert "none" in row(ended.out, V2)
    assert "stage2.1" not in ended.out


def test_units_are_shown_when_asked_for(cli: Callable[..., Any]) -> None:
    ended = cli("audit", V1, "--units")
    # two 1x1 convolutions of eight groups and a depthwise one; 7 kernels: three convolutions, ReLU, shuffle, sum, ReLU
    unit = row(ended.out, "stage2.1").split()
    assert (unit[1], unit[4]) == ("yes", "17.0")
    assert "G3" in row(ended.out, "stage2.1") and " 7 " in row(ended.out, "stage2.1")
    assert "G" not in row(ended.out, "conv1.0")


def test_json_has_scores_thresholds_verdicts_and_units(cli: Callable[..., Any]) -> None:
    found = json.loads(cli("audit", V1, V2, "--json").out)["networks"]
    assert [each["name"] for each in found] == [V1, V2]
    for each, passed in zip((network["audit"] for network in found), (False, True), strict=True):
        assert {name: finding["passed"] for name, finding in each["findings"].items()} == dict.fromkeys(
            GUIDELINES, passed
        )
        for name, finding in each["findings"].items():
            assert finding["threshold"] == GUIDELINES[name].threshold
            assert (finding["score"] <= finding["threshold"]) is finding["passed"]
        assert [unit["name"] for unit in each["units"] if unit["block"]][:2] == ["stage2.0", "stage2.1"]


def test_a_file_and_another_input_size_are_taken(cli: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("family: shufflenet_v2\nchoices: {width: 0.5, residual: true}\n")
    (found,) = json.loads(cli("audit", str(path), "--input-size", "64", "--classes", "10", "--json").out)["networks"]
    assert (found["name"], found["audit"]["input_size"], found["num_classes"]) == (str(path), 64, 10)


@pytest.mark.parametrize("name", ["shufflenet_v2_x9", "torchvision/resnet19"])
def test_an_unknown_network_is_named(cli: Callable[..., Any], name: str) -> None:
    ended = cli("audit", V2, name)
    assert ended.code == 2 and name.rpartition("/")[2] in ended.err


def test_describe_shows_the_four_verdicts(cli: Callable[..., Any]) -> None:
    ended = cli("describe", V1)
    for name in GUIDELINES:
        assert "broken" in row(ended.out, f"{name} ")
    plain = json.loads(cli("describe", V1, "--json").out)
    (audited,) = json.loads(cli("audit", V1, "--json").out)["networks"]
    assert plain["guidelines"] == audited["audit"]
    assert set(plain["guidelines"]["findings"]) == set(GUIDELINES)
