"""The experiments as the paper prints them, and the file that a run continues from."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archsearch.analysis.guidelines import CHAINS, GuidelineOutcome, printed_verdict
from archsearch.api.guideline_measure import sampled_specs
from archsearch.api.guidelines import (
    GuidelineCache,
    GuidelinesProgress,
    experiments,
    guidelines,
    stored_guidelines,
)
from archsearch.errors import ConfigError
from archsearch.latency.fingerprint import Fingerprint
from archsearch.models.guideline_spec import BEST_LABEL
from archsearch.space.search_space import load_space


@pytest.mark.parametrize("device", ["gpu", "arm"])
def test_every_printed_speed_of_tables_1_to_4_is_in_its_place(device: str) -> None:
    found = {each.table: each for each in experiments(device)}
    # rows x columns: 4 ratios, 4 group numbers, 5 structures, 4 bottlenecks; three widths each
    assert {name: [len(column.rows) for column in each.columns] for name, each in found.items()} == {
        "1": [4, 4, 4],
        "2": [4, 4, 4],
        "3": [5, 5, 5],
        "4": [4, 4, 4],
    }
    for each in found.values():
        for column in each.columns:
            assert column.best.label == BEST_LABEL[each.table]
            labels = {row.label for row in column.rows}
            assert {name for names in CHAINS[each.table].values() for name in names} <= labels


def test_each_device_has_its_own_channels_beside_the_others_speeds() -> None:
    (gpu,), (arm,) = experiments("gpu", ("1",)), experiments("arm", ("1",))
    for found, channels in ((gpu, "208, 1248"), (arm, "52, 312")):
        row = found.columns[2].rows[2]  # x4 of 1:6, which is printed for (52, 312) and for (13, 78)
        assert row.network.channels_text == channels
        assert (row.printed["gpu"].speed, row.printed["gpu"].step) == (189.0, 1.0)
        assert (row.printed["arm"].speed, row.printed["arm"].step) == (4.6, 0.1)
        assert (row.printed["gpu"].unit, row.printed["arm"].unit) == ("batches/s", "images/s")


def test_the_rule_finds_in_the_printed_speeds_what_the_paper_says_of_them() -> None:
    # Section 2: all four on the GPU; "on ARM the speed reduction of fragmentation is relatively small".
    verdicts = {
        (each.table, device): printed_verdict(each, device).verdict
        for each in experiments("arm")
        for device in ("gpu", "arm")
    }
    assert verdicts.pop(("3", "arm")) is GuidelineOutcome.UNTOLD
    assert set(verdicts.values()) == {GuidelineOutcome.HOLDS}


def test_a_table_without_an_experiment_is_refused() -> None:
    with pytest.raises(ConfigError, match="table '5'"):
        experiments("arm", ("5",))
    with pytest.raises(ConfigError, match="no column 'tpu'"):
        experiments("tpu")


@pytest.mark.parametrize("tables", ["2", 2, np.int64(2), ["2"], [2], (number for number in (2,)), np.array([2, 2])])
def test_a_table_is_named_by_its_number_as_a_text_or_an_integer(tables: Any, tmp_path: Path) -> None:
    def told(progress: GuidelinesProgress) -> None:
        raise KeyboardInterrupt(progress.name)

    with pytest.raises(KeyboardInterrupt, match=r"^table 2, "):
        guidelines(tables, device="cpu", folder=tmp_path, on_progress=told)


def test_a_text_names_one_table_and_not_one_for_each_of_its_letters(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="table '12' holds no experiment"):
        guidelines("12", device="cpu", folder=tmp_path)


def test_the_cache_gives_back_what_was_measured_under_the_same_conditions(tmp_path: Path) -> None:
    cache = GuidelineCache(tmp_path, "0123456789ab", {"cpu": "one"})
    kept = cache.put("table 1, x1", {"settings": {"batch": 1}}, {"latencies": [1.5]})
    again = GuidelineCache(tmp_path, "0123456789ab", {"cpu": "one"})
    assert again.get("table 1, x1", {"settings": {"batch": 1}}) == kept
    assert kept["latencies"] == [1.5]
    assert again.get("table 1, x1", {"settings": {"batch": 8}}) is None
    assert again.get("table 1, x2", {"settings": {"batch": 1}}) is None
    again.put("table 1, x4", {"settings": {"batch": 1}}, {"latencies": []})
    cache.put(
        "table 1, x2", {"settings": {"batch": 1}}, {"latencies": []}
    )  # does not know of the other's group, and keeps it
    assert GuidelineCache(tmp_path, "0123456789ab", {}).get("table 1, x4", {"settings": {"batch": 1}}) is not None
    assert GuidelineCache(tmp_path, "ba9876543210", {}).get("table 1, x1", {"settings": {"batch": 1}}) is None
    assert json.loads((tmp_path / "0123456789ab.json").read_text())["facts"] == {"cpu": "one"}


STORED = next((Path(__file__).parents[1] / "golden" / "stored").glob("*.json.gz"))


def test_groups_that_an_earlier_version_stored_are_found_and_measured_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = json.loads(gzip.decompress(STORED.read_bytes()))
    settings = next(iter(content["groups"].values()))["conditions"]["settings"]
    assert not {"precision", "warmup_seconds"} & settings.keys()  # settings have gained these since
    file = tmp_path / STORED.stem
    file.write_text(json.dumps(content))

    def never(*_: object, **__: object) -> dict[str, object]:
        raise AssertionError("measured again")

    monkeypatch.setattr("archsearch.api.guideline_measure.measure_column", never)
    monkeypatch.setattr("archsearch.api.guideline_measure.measure_sample", never)
    monkeypatch.setattr(
        "archsearch.latency.fingerprint.device_fingerprint",
        lambda *_: Fingerprint(id=content["fingerprint"], facts=content["facts"]),
    )
    told: list[GuidelinesProgress] = []
    found = guidelines(device="cpu", folder=tmp_path, on_progress=told.append)
    assert [each.cached for each in told] == [True] * 17  # 12 columns and 5 parts of the sample
    assert json.loads(file.read_text()) == content
    before = stored_guidelines(content["fingerprint"], folder=tmp_path)
    assert before is not None
    assert before.experiments == found.experiments


def test_what_is_left_is_told_by_the_budget_and_then_by_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def measure(*_: object, **__: object) -> dict[str, object]:
        nonlocal now
        if now >= 25.0:
            raise KeyboardInterrupt
        now += 10.0 if now == 0.0 else 15.0
        return {"latencies": []}

    monkeypatch.setattr("archsearch.api.guideline_measure.measure_column", measure)
    told: list[GuidelinesProgress] = []
    with pytest.raises(KeyboardInterrupt):
        guidelines(device="cpu", folder=tmp_path, on_progress=told.append, clock=lambda: now)
    # every column's networks and its reference, and five parts of eight and a reference; 12 s are the budget of two
    first, second, *_ = sizes = [len(each.rows) + 1 for table in experiments("arm") for each in table.columns]
    everything = sum(sizes) + 5 * 9
    assert told[0].expected.at_most and told[0].expected.seconds == pytest.approx(6.0 * everything)
    assert told[1].expected.seconds == pytest.approx(10.0 / first * (everything - first))
    left = everything - first - second
    assert told[2].expected.seconds == pytest.approx(25.0 / (first + second) * left)
    assert told[2].expected.basis == "from the groups before"
    # typed again, what was measured is not counted
    told.clear()
    with pytest.raises(KeyboardInterrupt):
        guidelines(device="cpu", folder=tmp_path, on_progress=told.append, clock=lambda: now)
    assert [each.cached for each in told] == [True, True, False]
    assert told[2].expected.seconds == pytest.approx(6.0 * left)


def test_a_group_measured_under_another_setting_is_another_and_one_measured_again_takes_its_place(
    tmp_path: Path,
) -> None:
    cache = GuidelineCache(tmp_path, "0123456789ab", {})
    cache.put("table 1, x1", {"settings": {"threads": 1}}, {"latencies": [1.0]})  # as before there was a precision
    assert cache.get("table 1, x1", {"settings": {"threads": 1, "precision": "auto"}}) is not None
    assert cache.get("table 1, x1", {"settings": {"threads": 1, "precision": "tf32"}}) is None
    again = cache.put("table 1, x1", {"settings": {"threads": 1, "precision": "auto"}}, {"latencies": [2.0]})
    assert cache.groups() == (again,)


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 99, "groups": {}}'])
def test_a_file_that_is_none_of_ours_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text(content)
    with pytest.raises(ConfigError, match=r"f\.json"):
        GuidelineCache(tmp_path, "f", {})


def test_the_sample_is_of_different_networks_and_the_seeds_own() -> None:
    space = load_space("shufflenet_v2")
    first = sampled_specs(space, 10, seed=0, input_size=32)
    assert len({spec.arch_id for spec in first}) == 10
    assert sampled_specs(space, 10, seed=0, input_size=32) == first
    assert sampled_specs(space, 12, seed=0, input_size=32)[:10] == first
    assert sampled_specs(space, 10, seed=100, input_size=32) != first
    with pytest.raises(ConfigError, match="1 different networks in 100 draws"):
        fixed = {domain.name: [domain.values[0]] for domain in space.domains}
        sampled_specs(space.restricted(fixed, {}), 2, seed=0, input_size=32)
