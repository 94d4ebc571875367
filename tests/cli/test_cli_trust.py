from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from makers import make_record
from stored import store_study

from archsearch.analysis.trust import Trust, trust_of
from archsearch.api.analyses import stored_predictors
from archsearch.api.output import result_json, write
from archsearch.api.trust import chosen_networks, plan_trust, ranked_networks, trust_design
from archsearch.cli.console import console, show
from archsearch.errors import ConfigError
from archsearch.plots.trust import trust_figure
from archsearch.records import Record, TrialStatus
from archsearch.search.runtime import Runtime


def record(trial: int, top1: float, *, variant: str | None = None, epochs: int = 8, params: int = 1000) -> Record:
    return make_record(trial, study="s", top1=top1, p10=1.0, variant=variant, epochs=epochs, params=params, choices={})


def test_half_of_the_networks_are_from_the_best_quarter() -> None:
    records = [record(trial, 90.0 - trial) for trial in range(40)]  # rank is the trial's number; the quarter: 0 to 9
    chosen = [each.trial for each in chosen_networks(records, 8)]
    # places 0, 3, 6, 9 of the quarter, and 10, 19 2/3, 29 1/3, 39 of the rest
    assert chosen == [0, 3, 6, 9, 10, 20, 29, 39]
    assert [each.trial for each in chosen_networks(list(reversed(records)), 8)] == chosen


def test_published_networks_take_the_nearest_places() -> None:
    records = [record(trial, 90.0 - trial, variant="v" if trial in (4, 25) else None) for trial in range(40)]
    chosen = [each.trial for each in chosen_networks(records, 8)]
    assert chosen == [0, 4, 6, 9, 10, 20, 25, 39]


@pytest.mark.parametrize(("networks", "expected"), [(1, 1), (3, 3), (5, 5), (9, 5)])
def test_a_small_study_gives_what_it_has(networks: int, expected: int) -> None:
    records = [record(trial, 50.0 + trial) for trial in range(5)]
    chosen = chosen_networks(records, networks)
    assert len({each.arch_id for each in chosen}) == expected
    assert chosen[0].trial == 4


def test_only_complete_networks_are_ranked_and_each_once() -> None:
    again = replace(record(9, 99.0), arch_id=record(0, 0.0).arch_id)
    failed = replace(record(3, 70.0), status=TrialStatus.FAILED)
    ranked = ranked_networks([again, record(0, 50.0), failed, record(1, 60.0), record(2, 60.0)])
    assert [each.trial for each in ranked] == [1, 2, 0]


def test_a_latency_that_was_measured_anew_after_a_stop_is_the_one_that_predicts() -> None:
    records = [
        make_record(0, p10=9.0, top1=None, status=TrialStatus.INTERRUPTED, arch_id="a" * 12),
        make_record(1, p10=5.0, arch_id="a" * 12),
        make_record(2, p10=7.0, top1=None, status=TrialStatus.INTERRUPTED, arch_id="b" * 12),
    ]
    assert stored_predictors(records)["latency_ms"] == pytest.approx({"a" * 12: 5.0, "b" * 12: 7.0})


def test_more_published_networks_than_places_leave_some_out() -> None:
    records = [record(trial, 90.0 - trial, variant=f"v{trial}") for trial in range(12)]
    assert len(chosen_networks(records, 4)) == 4


def test_the_design_names_its_networks_as_the_study_does() -> None:
    design = trust_design("s", [record(0, 50.0, variant="x1"), record(4, 60.0)], networks=5, seeds=range(1, 3))
    assert [point.name for point in design.points] == ["trial 4", "x1"]
    assert [point.trial for point in design.points] == [4, 0]
    assert (design.purpose, design.of, design.seeds) == ("trust", "s", (1, 2))
    assert (
        design.digest
        == trust_design("s", [record(0, 50.0, variant="x1"), record(4, 60.0)], networks=5, seeds=[7]).digest
    )


def test_a_study_without_a_complete_trial_has_nothing_to_train(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    store_study(url, [replace(record(0, 1.0), status=TrialStatus.FAILED)])
    with pytest.raises(ConfigError, match="no complete trial") as caught:
        plan_trust("small", Runtime(storage=url))
    assert caught.value.hint == f"make it with: archsearch run --study small --storage {url} --trials N"


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def show_at(found: Trust, width: int = 100) -> str:
        monkeypatch.setattr(console, "width", width)
        show(found)
        return capsys.readouterr().out

    return show_at


def example(networks: int = 8) -> Trust:
    proxy = [
        record(trial, 40.0 + trial, params=100 + trial * 7 % 5, variant="<b>x</b>[red]" if trial == 2 else None)
        for trial in range(networks)
    ]
    long = [record(trial, 60.0 + trial, epochs=40) for trial in range(networks)]
    return trust_of(proxy, long, {"params": {each.arch_id: float(each.cost.params) for each in proxy if each.cost}})


def test_a_terminal_shows_accuracies_ranks_correlations_and_sentences(shown: Callable[..., str]) -> None:
    out = shown(example())
    assert "8 networks, 8 epochs against 40; Kendall tau over all (n = 8) 1.00" in " ".join(out.split())
    line = next(line for line in out.splitlines() if line.strip().startswith("trial 7 "))
    assert line.split()[2:] == ["7", "47.00", "67.00", "1", "1.0", "1.0", "yes", f"{7:012x}"]
    proxy = next(line for line in out.splitlines() if line.split()[:3] == ["all", "8", "proxy"])
    assert proxy.split()[3] == "+1.00"
    assert "cannot be told over 8 networks (tau 1.00; params 0.26; an interval needs 10" in " ".join(out.split())
    assert "The network that the proxy ranks first is number 1 of 8" in " ".join(out.split())
    assert "<b>x</b>[red]" in out


def test_the_tables_of_a_check_hold_what_was_found() -> None:
    networks, correlations = example().tables()
    assert networks.dicts()[0] == {
        "label": "trial 7",
        "trial": 7,
        "proxy_top1_percent": 47.0,
        "long_top1_percent": 67.0,
        "long_top1_percent_std": None,
        "seeds": 1,
        "proxy_rank": 1.0,
        "long_rank": 1.0,
        "best_quarter": True,
        "arch_id": f"{7:012x}",
    }
    rows = correlations.dicts()
    assert [(row["group"], row["predictor"], row["networks"]) for row in rows] == [
        ("all", "proxy", 8),
        ("all", "params", 8),
    ]
    assert rows[0]["tau"] == pytest.approx(1.0)


def test_too_few_networks_are_said_in_a_sentence_without_a_table(shown: Callable[..., str]) -> None:
    out = shown(example(3))
    assert "Rank correlation" not in out
    assert "cannot be told over 3 networks" in " ".join(out.split())


def test_no_network_at_all_still_prints(shown: Callable[..., str]) -> None:
    assert "cannot be told over 0 networks" in " ".join(shown(trust_of([], [], {})).split())


@pytest.mark.parametrize("kind", [".html", ".json", ".csv", ".md", ".tex"])
def test_a_check_is_written_as_what_the_paths_end_says(kind: str, tmp_path: Path) -> None:
    found, path = example(), tmp_path / f"trust{kind}"
    text = write(found, path, figure=trust_figure).read_text(encoding="utf-8")
    assert "47.0" in text
    assert ("<b>x</b>" in text) == (kind in (".json", ".csv"))
    if kind != ".csv":
        assert found.title in text.replace("\\", "")
    with pytest.raises(ConfigError, match="no file of this kind"):
        write(found, tmp_path / "trust.svg")


def test_a_study_that_is_not_there_is_one_line(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = cli("trust", "--study", "nowhere")
    assert ended.code == 1
    assert "Traceback" not in ended.err
    assert not (tmp_path / "runs").exists()


def test_the_proxy_itself_cannot_be_changed(cli: Callable[..., Any]) -> None:
    ended = cli("trust", "--set", "proxy.learning_rate=1")
    assert ended.code != 0
    assert "the longer training is the proxy with more epochs" in ended.err


def test_json_of_a_result_has_no_number_that_json_lacks() -> None:
    found = example(3)
    content = result_json(found)
    text = json.dumps(content, allow_nan=False)
    assert json.loads(text)["groups"][0]["proxy"]["tau"] is None
    assert content["sentences"] == list(found.sentences)
    assert (content["study"], content["counts"]) == ("s", {"complete": 3})
