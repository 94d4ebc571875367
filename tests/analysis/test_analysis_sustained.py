from __future__ import annotations

import jsonschema
import pytest

from archsearch.analysis.confirmed import Sustained, Turn, ends_of
from archsearch.api.output import result_json
from archsearch.api.schema import schema


def test_the_beginning_and_the_end_are_medians_of_the_first_and_the_last_tenth() -> None:
    # 100 s, a turn each second: the first tenth are turns 1 to 10, the last one turns 91 to 100.
    turns = [Turn(ended_seconds=float(turn), p10_ms=(1.0 + turn, 2.0)) for turn in range(1, 101)]
    one, reference = ends_of(turns, ["one", "reference"])
    assert (one.first_ms, one.last_ms) == (6.5, 96.5)
    assert reference.slower == 0.0
    with pytest.raises(ValueError, match="two turns, got 1"):
        ends_of(turns[:1], ["one", "reference"])


def test_heat_that_slows_one_network_more_than_others_changes_the_order_and_that_is_said() -> None:
    # "Wide" takes 2 ms and then 4 (+100 %), "deep" 3 and 3.3 (+10 %), the reference 1 and 1.1 (+10 %).
    turns = [Turn(ended_seconds=1.0, p10_ms=(2.0, 3.0, 1.0)), Turn(ended_seconds=600.0, p10_ms=(4.0, 3.3, 1.1))]
    *networks, reference = ends_of(turns, ["wide", "deep", "x1_0"])
    found = Sustained(
        study="mine", device="ssh:pi5", seconds=600.0, turns=2, networks=tuple(networks), reference=reference,
        contended=False, state=(("throttled", "yes"),),
    )  # fmt: skip
    assert [each.label for each in found.moved] == ["wide", "deep"]
    assert found.sentences[0].startswith("3 of 3 networks become slower by more than 5 %, wide the most: 2.000 ms")
    assert "have another place" in found.sentences[1]
    rows = found.tables()[0].dicts()
    assert [round(row["slower_percent"], 6) for row in rows] == [100.0, 10.0, 10.0]
    assert [round(row["ratio_percent"], 1) for row in rows] == [81.8, 0.0, 0.0]  # 2 / 1.1 = 1.818
    assert found.subtitle == ("ssh:pi5 · 2 turns · throttled yes",)


def test_its_json_begins_with_its_command_and_is_as_the_schema_of_that_says() -> None:
    turns = [Turn(ended_seconds=1.0, p10_ms=(2.0, 1.0)), Turn(ended_seconds=60.0, p10_ms=(3.0, 1.0))]
    one, reference = ends_of(turns, ["one", "x1_0"])
    found = Sustained(
        study="mine", device="cpu", seconds=60.0, turns=2, networks=(one,), reference=reference, contended=False
    )
    written = result_json(found)
    assert list(written.items())[:2] == [("command", "confirm --sustained"), ("schema_version", 1)]
    jsonschema.validate(written, schema("confirm --sustained"))
    assert written["networks"] == [{"label": "one", "first_ms": 2.0, "last_ms": 3.0}]
