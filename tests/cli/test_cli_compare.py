from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from makers import make_record
from stored import store_study

from archsearch.records import TrialStatus

URL = "sqlite:///runs/archsearch.db"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()


def two_studies(**second: Any) -> None:
    """Eight networks in both: the second study has the first and the last by latency the other way round."""
    order = [7, 1, 2, 3, 4, 5, 6, 0]
    one = [make_record(trial, p10=1.0 + trial, top1=50.0 + trial) for trial in range(8)]
    other = [make_record(trial, p10=1.0 + order[trial], top1=50.0 + trial) for trial in range(8)]
    store_study(URL, [*one, make_record(30)], name="laptop")
    store_study(URL, [*other, make_record(31, status=TrialStatus.FAILED)], name="server", **second)


def test_two_studies_say_how_alike_they_rank_and_who_moves(cli: Callable[..., Any]) -> None:
    two_studies()
    ended = cli("compare", "laptop", "server")
    assert ended.code == 0, ended.err
    assert "laptop: 9 complete networks" in ended.out
    # swapping the ends of 8 reverses 13 of 28 pairs: tau = 1 - 2 x 13 / 28 = 0.07
    assert "0.07" in ended.out
    assert "By latency no common order of laptop and server can be told (Kendall's tau 0.07" in ended.out
    assert (
        "By accuracy laptop and server rank the networks in almost the same order (Kendall's tau 1.00, n = 8)"
        in ended.out
    )
    assert "Who moves most" in ended.out
    assert "more row" not in ended.out
    assert "6 more rows not shown" in cli("compare", "laptop", "server", "--limit", "2").out
    assert "note:" not in ended.out


def test_json_holds_the_same(cli: Callable[..., Any]) -> None:
    two_studies()
    found = json.loads(cli("compare", "laptop", "server", "--json").out)
    assert found["sides"] == ["laptop", "server"]
    assert [each["n"] for each in found["correlations"]] == [8, 8]
    assert found["correlations"][0]["kendall"] == pytest.approx(1.0 - 2.0 * 13 / 28)
    assert {each["label"] for each in found["movers"][:2]} == {"trial 0", "trial 7"}
    assert found["movers"][0]["reversed_pairs"] == 7
    assert len(found["shared"]) == 8


def test_what_differs_between_the_studies_is_said(cli: Callable[..., Any]) -> None:
    proxy = {"epochs": 30, "batch_size": 64, "class_weights": "balanced", "flip": False, "chunk_steps": 3}
    two_studies(dataset="npz:[bold]mine", proxy=proxy)
    ended = cli("compare", "laptop", "server")
    assert "note: dataset differs (digits against npz:[bold]mine)" in ended.out
    assert "note: proxy.batch_size differs (128 against 64)" in ended.out
    assert "note: proxy.class_weights differs (none against balanced)" in ended.out
    assert "note: proxy.flip differs (none against false)" in ended.out
    assert ended.out.count("note: proxy.") == 3  # what is not said has its default


def test_strangers_are_told_apart_in_clear_words(cli: Callable[..., Any]) -> None:
    store_study(URL, [make_record(0)], name="one")
    store_study(URL, [make_record(1)], name="other")
    store_study(URL, [], name="empty")
    ended = cli("compare", "one", "other")
    assert ended.code == 0
    assert "Nothing to compare: no network is in all of them" in ended.out
    assert "Rank correlation" not in ended.out
    assert "Nothing to compare: without a complete network: empty" in cli("compare", "one", "empty").out


def test_a_study_on_two_devices_is_compared_with_itself(cli: Callable[..., Any]) -> None:
    records = [
        make_record(
            trial, arch_id=f"{trial % 6:012x}", p10=1.0 + trial % 6, fingerprint="aaaa" if trial < 6 else "bbbb"
        )
        for trial in range(12)
    ]
    store_study(URL, records, name="both")
    ended = cli("compare", "both")
    assert ended.code == 0, ended.err
    assert "both on aaaa and both on bbbb rank the networks in almost the same order" in ended.out
    assert "note: fingerprint differs (aaaa against bbbb)" in ended.out


def test_files_hold_the_shared_networks(cli: Callable[..., Any], tmp_path: Path) -> None:
    two_studies()
    ended = cli("compare", "laptop", "server", "--csv", "--plot", "--out", "here")
    assert ended.code == 0, ended.err
    with (tmp_path / "here" / "compare.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == [f"trial {trial}" for trial in range(8)]
    assert (rows[0]["latency_ms (server)"], rows[0]["top1_percent (server)"]) == ("8.0", "50.0")
    page = (tmp_path / "here" / "compare.html").read_text(encoding="utf-8")
    assert "laptop against server" in page
    assert "https://" not in page.split("<body")[1].split("<script")[0]


def test_markup_in_a_name_stays_text(cli: Callable[..., Any], tmp_path: Path) -> None:
    records = [make_record(trial, p10=1.0 + trial) for trial in range(3)]
    store_study(URL, records, name="one", dataset="<b>bold</b>")
    store_study(URL, records, name="two", dataset="[red]two")
    ended = cli("compare", "one", "two", "--plot", "--out", "here")
    assert ended.code == 0, ended.err
    assert "[red]two" in ended.out + ended.err
    assert "<b>bold</b>" not in (tmp_path / "here" / "compare.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("laptop",), "was measured on one device alone"),
        (("laptop", "laptop"), "study 'laptop' is given twice"),
        (("laptop", "sever"), "unknown study 'sever'"),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line(
    arguments: tuple[str, ...], said: str, cli: Callable[..., Any]
) -> None:
    two_studies()
    ended = cli("compare", *arguments)
    assert ended.code == 2
    assert said in ended.err
    assert "Traceback" not in ended.err
