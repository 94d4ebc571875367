"""What a notebook shows of a study and of what analysis finds, and its tables as DataFrames."""

from __future__ import annotations

import builtins
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from makers import make_record
from stored import store_study

import archsearch
from archsearch.analysis.ablation import ablation_of
from archsearch.analysis.comparison import Side, compare_studies
from archsearch.analysis.confirmed import confirmed_of
from archsearch.analysis.front import front_of
from archsearch.analysis.history import hypervolume_history
from archsearch.analysis.marginal import marginal_effects
from archsearch.analysis.trust import trust_of
from archsearch.api.stored import Records, trial_rows
from archsearch.api.study import FRAMES
from archsearch.designs import Design, DesignPoint
from archsearch.errors import ArchsearchError, UnknownNameError
from archsearch.records import Record, TrialStatus
from archsearch.search.importance import importances
from archsearch.table import NOTEBOOK_ROWS

MARKUP = "<script>alert(1)</script>"
NAME = "named"  # a study can be called by plain letters alone
ENDS = [TrialStatus.FAILED, TrialStatus.REJECTED, TrialStatus.RUNNING]


class Tags(HTMLParser):
    """Every tag of a piece of HTML, and whether all are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.open.append(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(text: str) -> str:
    """The text, of well-formed plain tables that hold nothing that acts."""
    tags = Tags(text)
    assert tags.open == []
    assert tags.seen <= {"div", "h4", "table", "tr", "td", "th"}
    assert "nan" not in text.lower().replace("nanosecond", "")
    return text


def networks(count: int) -> list[Record]:
    """Complete records whose variants, choices and levels hold markup."""
    generator = np.random.default_rng(0)
    return [
        replace(
            make_record(
                trial,
                top1=90.0 if trial == 0 else 50.0 + float(generator.integers(20)),
                p10=1.0 + float(generator.integers(30)) / 10,
                variant=MARKUP if trial == 0 else None,
            ),
            suggested={MARKUP: ("a", MARKUP)[int(generator.integers(2))], "kernel": int(generator.integers(3))},
        )
        for trial in range(count)
    ]


def records_of(kind: str) -> list[Record]:
    if kind == "equal":
        return [replace(record, variant=None) for record in (networks(1) * 30)]
    if kind in ("failed", "rejected"):
        return [make_record(trial, top1=None, p10=None, status=TrialStatus(kind), reason=MARKUP) for trial in range(5)]
    return networks(int(kind))


def results(records: list[Record]) -> dict[str, Any]:
    """One of everything that analysis finds in records, or from a design of their networks."""
    points = tuple(
        DesignPoint(
            name=f"{MARKUP} {arch_id}",
            family=record.family,
            choices=record.choices,
            arch_id=arch_id,
            changes={} if place == 0 else {MARKUP: "x"},
            trial=record.trial,
        )
        for place, (arch_id, record) in enumerate({record.arch_id: record for record in records[:4]}.items())
    )
    base = points or (DesignPoint(name="base", family="shufflenet_v2", choices={}, arch_id="0" * 12),)
    design = Design(purpose="ablation", of=MARKUP, points=base, seeds=(0, 1), mode="one-at-a-time")
    made = [
        replace(record, point=point.name, arch_id=point.arch_id, score=replace(record.score, seed=seed))
        for point in points
        for record in records[:1]
        for seed in design.seeds
        if record.score is not None
    ]
    objectives = ("error_percent", "latency_ms")
    return {
        "front": front_of(records, objectives, (90.0, 10.0), noise_floor=0.02),
        "history": hypervolume_history(records, objectives, (90.0, 10.0)),
        "importances": importances(records, methods=("PED-ANOVA",), chance=False),
        "marginal": marginal_effects(records, bootstraps=20),
        "comparison": compare_studies(
            [Side(name=MARKUP, records=tuple(records)), Side(name="b", records=tuple(records))]
        ),
        "ablation": ablation_of(made, design),
        "confirmed": confirmed_of(made, replace(design, purpose="confirm"), objectives, noise_floor=0.02),
        "trust": trust_of(records, made, {MARKUP: {record.arch_id: 1.0 for record in records}}),
    }


@pytest.mark.parametrize("kind", ["0", "1", "60", "failed", "rejected", "equal"])
def test_every_result_shows_itself_as_plain_escaped_tables(kind: str) -> None:
    texts = {name: checked(found._repr_html_()) for name, found in results(records_of(kind)).items()}
    if kind == "60":
        assert [name for name, text in texts.items() if "&lt;script&gt;" not in text] == []


def test_ten_thousand_records_are_shown_in_part() -> None:
    text = checked(Records([make_record(trial) for trial in range(10_000)])._repr_html_())
    assert f"{10_000 - NOTEBOOK_ROWS:,} more rows not shown" in text
    assert text.count("<tr>") == 1 + NOTEBOOK_ROWS
    assert len(text) < 100_000


@pytest.fixture
def study(tmp_path: Path) -> archsearch.Study:
    records = [*networks(40), *(make_record(90 + place, top1=None, status=end) for place, end in enumerate(ENDS))]
    url = f"sqlite:///{tmp_path}/studies.db"
    store_study(url, records, name=NAME, dataset=MARKUP)
    return archsearch.open_study(NAME, storage=url)


def test_a_study_shows_what_it_is_of_its_front_and_its_verdicts(study: archsearch.Study) -> None:
    text = checked(study._repr_html_())
    assert "&lt;script&gt;" in text
    assert "40 complete" in text
    assert "a &lt;b&gt;CPU&lt;/b&gt;" in text
    assert f"The front: {len(study.front.members)} of 40 networks" in text
    assert repr(study).startswith(f"<archsearch study '{NAME}': ")
    assert len(repr(study)) < 200
    assert repr(study.records) == "<43 records>"


def test_a_study_without_a_trial_shows_that(tmp_path: Path) -> None:
    store_study(f"sqlite:///{tmp_path}/studies.db", [])
    empty = archsearch.open_study("small", storage=f"sqlite:///{tmp_path}/studies.db")
    assert "no trials yet" in checked(empty._repr_html_())
    assert "no trials yet" in repr(empty)
    assert empty.to_dataframe().empty
    assert (empty.ablation, empty.confirmed, empty.trust) == (None, None, None)
    assert empty.history.reason == "no trial has ended yet"


def test_records_are_still_a_tuple(study: archsearch.Study) -> None:
    assert isinstance(study.records, tuple)
    assert study.records[0].trial == 0
    assert study.records == tuple(study.records)


def test_dataframes_hold_every_trial_or_the_front(study: archsearch.Study) -> None:
    trials = study.to_dataframe()
    assert list(trials["trial"]) == [record.trial for record in study.records]
    assert list(trials["status"][-3:]) == ["failed", "rejected", "running"]
    assert trials["top1_percent"][40:].isna().all()
    assert trials.loc[3, "latency_ms"] == study.records[3].latency.corrected_ms
    assert f"suggested.{MARKUP}" in trials.columns
    assert len(study.to_dataframe("front")) == len(study.front.members)
    assert len(study.to_dataframe("networks")) == 40
    assert list(study.to_dataframe("variants")["variant"]) == [MARKUP]
    assert study.to_dataframe("retrained").empty


def test_an_unknown_table_or_figure_is_told_with_the_nearest(study: archsearch.Study) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'trials'"):
        study.to_dataframe("trial")
    with pytest.raises(UnknownNameError, match="did you mean 'front'"):
        study.figure("frnt")


def test_without_pandas_it_says_what_to_install(study: archsearch.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name == "pandas":
            raise ImportError("No module named 'pandas'")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    for what in FRAMES:
        with pytest.raises(ArchsearchError, match=r"archsearch\[notebook\]"):
            study.to_dataframe(what)


def test_rows_of_every_record_have_the_same_columns() -> None:
    rows = trial_rows([make_record(0), make_record(1, top1=None, p10=None, choices={"x": 1})])
    assert rows[0].keys() == rows[1].keys()


def test_studies_are_compared_by_name(study: archsearch.Study) -> None:
    store_study(str(study.storage), networks(20), name="b")
    found = archsearch.compare([study, "b"], storage=study.storage)
    assert len(found.shared) == 20
    assert "&lt;script&gt;" in checked(found._repr_html_())


def test_figures_are_drawn_by_name(study: archsearch.Study) -> None:
    figure = study.figure("front", width=640, height=400)
    assert (type(figure).__module__.split(".")[0], figure.layout.width, figure.layout.height) == ("plotly", 640, 400)
    assert study.figure("hypervolume").data


def test_showing_a_study_imports_nothing_heavy(study: archsearch.Study) -> None:
    code = (
        "import sys, archsearch\n"
        f"study = archsearch.open_study({NAME!r}, storage={study.storage!r})\n"
        "repr(study), study._repr_html_(), study.front._repr_html_(), study.records._repr_html_()\n"
        "print(*sorted({'plotly', 'pandas', 'torch', 'optuna', 'sklearn', 'IPython'} & set(sys.modules)))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert ended.stdout.strip() == ""
