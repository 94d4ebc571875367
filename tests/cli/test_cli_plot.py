"""`archsearch plot` over a study that is written into a database by hand."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import rich.console
from makers import make_record
from markupsafe import escape

from archsearch.plots.catalog import PLOTS
from archsearch.records import Epoch
from archsearch.store.database import Database
from archsearch.store.rows import latency_to_row, score_to_row
from archsearch.store.schema import StudyRow, TrialRow

# (top-1, ms): trial 1 is more accurate and faster than trial 2
POINTS = [(50.0, 1.0), (70.0, 2.0), (60.0, 3.0)]


def write_study(name: str = "small", **config: Any) -> None:
    """Three complete trials with curves of two epochs, the first a variant."""
    content = {"name": name, "objectives": ["error_percent", "latency_ms"], "dataset": "npz:data/cifar10", **config}
    database = Database("sqlite:///runs/archsearch.db")
    with database.writing() as session:
        study = StudyRow(
            name=name,
            config=content,
            space={},
            space_fingerprint="0" * 12,
            facts={"num_classes": 10, "input_size": 32, "device": {"cpu": "<b>CPU</b>"}},
            reference_point={"error_percent": 90.0, "latency_ms": 4.0},
        )
        session.add(study)
        session.flush()
        for number, (top1, p10) in enumerate(POINTS):
            curve = tuple(
                Epoch(epoch=epoch, train_loss=1.0, top1_percent=value, learning_rate=0.1, train_seconds=1.0)
                for epoch, value in ((1, 20.0), (2, top1))
            )
            record = make_record(number, top1=top1, p10=p10, curve=curve)
            session.add(
                TrialRow(
                    study_id=study.id,
                    number=number,
                    status=record.status,
                    variant="shufflenet_v2_x0_5" if number == 0 else None,
                    arch_id=record.arch_id,
                    suggested={"stage2.kernel": 3 + number},
                    family="shufflenet_v2",
                    choices={"stage2.kernel": 3 + number},
                    cost=asdict(record.cost),
                    latency=latency_to_row(record.latency, record.arch_id),
                    training=score_to_row(record.score, study.id, record.arch_id),
                )
            )
    database.close()


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_a_name_every_plot_is_listed(cli: Callable[..., Any]) -> None:
    ended = cli("plot")
    assert ended.code == 0
    assert all(f" {name} " in ended.out for name in PLOTS.names())
    assert not list(Path().iterdir())  # no database is made or needed


def test_a_page_holds_the_figure_and_the_data_that_it_shows(cli: Callable[..., Any]) -> None:
    write_study()
    ended = cli("plot", "curves")
    assert (ended.code, ended.out) == (0, "wrote runs/small/curves.html\n")
    text = Path("runs/small/curves.html").read_text(encoding="utf-8")
    assert "<h1>Learning curves: study small</h1>" in text
    assert text.count('class="figure"') == 1
    assert "20, 70" in text.split("<table")[1]  # trial 1's curve
    assert "<code>archsearch plot curves</code>" in text


@pytest.mark.parametrize("watched", [True, False])
def test_a_page_is_opened_where_a_person_watches_and_data_are_not(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, watched: bool
) -> None:
    write_study()
    opened = list[str]()
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(rich.console.Console, "is_terminal", watched)
    for out in ("front.html", "front.csv"):
        assert cli("plot", "front", "--out", out).code == 0
    assert opened == ([Path("front.html").resolve().as_uri()] if watched else [])


def test_pareto_and_plot_front_draw_one_front(cli: Callable[..., Any]) -> None:
    write_study()
    assert cli("plot", "front", "--out", "front.html").code == 0
    assert cli("pareto", "--plot", "--out", ".").code == 0
    pages = [Path(name).read_text(encoding="utf-8") for name in ("front.html", "pareto.html")]
    plain = [re.sub(r"<code>archsearch [^<]*</code>", "", page) for page in pages]  # what was typed
    assert plain[0] == plain[1]
    assert "<h2>How this was made</h2>" in plain[0]


def test_a_comparison_is_no_plot_of_one_study(cli: Callable[..., Any]) -> None:
    write_study()
    ended = cli("plot", "comparison")
    assert ended.code == 2
    assert "no plot 'comparison'" in ended.err or "plot 'comparison'" in ended.err


def test_data_alone_are_json_of_what_the_figure_shows(cli: Callable[..., Any]) -> None:
    write_study(constraints={"latency_ms": 2.5, "params": 500_000, "soft": ["params"]})
    assert cli("plot", "front", "--study", "small", "--out", "front.json").code == 0
    found = json.loads(Path("front.json").read_text(encoding="utf-8"))
    assert (found["study"], found["recommendation"]["trial"]) == ("small", 1)
    assert [row["trial"] for row in found["front"]] == [0, 1]
    # trial 2 takes 3 ms; every network has a million parameters
    assert [row["over"] for row in found["networks"]] == [["params"], ["params"], ["params", "latency_ms"]]
    assert found["bounds"] == [
        {"name": "params", "value": 500000.0, "soft": True},
        {"name": "latency_ms", "value": 2.5, "soft": False},
    ]
    # pytorch-cifar-models prints 90.13 % of the variant on CIFAR-10
    assert [each["top1_percent"] for each in found["printed"]] == [90.13]


@pytest.mark.parametrize("dataset", ["digits", "npz:data/mine", "folder:cifar100"])
def test_nothing_printed_is_shown_for_another_dataset(dataset: str, cli: Callable[..., Any]) -> None:
    write_study(dataset=dataset)
    assert cli("plot", "front", "--out", "front.json").code == 0
    assert json.loads(Path("front.json").read_text(encoding="utf-8"))["printed"] == []


def test_a_picture_is_a_png(cli: Callable[..., Any]) -> None:
    pytest.importorskip("kaleido")
    write_study()
    ended = cli("plot", "hypervolume", "--png")
    if ended.code == 1 and "Chrom" in ended.err:
        pytest.skip("no Chromium or Chrome")
    assert ended.code == 0
    content = Path("runs/small/hypervolume.png").read_bytes()
    assert struct.unpack(">II", content[16:24]) == (2100, 1290)  # 1400 x 860, times 1.5


# Plots of what a study of three trials does not have, and what makes it.
MISSING = {
    "guidelines": "archsearch guidelines",
    "ablation": "archsearch ablate --study small",
    "confirmed": "archsearch confirm --study small",
    "trust": "archsearch trust --study small",
    "final": "archsearch retrain --trial front --study small",
    "confusion": "archsearch retrain --study small",
    "importances": "archsearch run --study small --trials N",
    "grid": "archsearch run --study small --trials N",
    "marginal": "archsearch run --study small --trials N",
}


@pytest.mark.parametrize("name", [name for name in PLOTS.names() if name not in MISSING])
def test_every_plot_can_be_written_of_a_small_study(name: str, cli: Callable[..., Any]) -> None:
    write_study()
    assert cli("plot", name, "--out", "plot.html").code == 0
    assert cli("plot", name, "--out", "plot.json").code == 0
    assert json.loads(Path("plot.json").read_text(encoding="utf-8"))["title"]


@pytest.mark.parametrize("end", ["html", "json", "png"])
@pytest.mark.parametrize("name", MISSING)
def test_a_plot_of_what_is_missing_is_no_empty_file_but_says_what_to_type(
    name: str, end: str, cli: Callable[..., Any]
) -> None:
    write_study()
    ended = cli("plot", name, "--out", f"plot.{end}")
    assert (ended.code, ended.out, list(Path().glob("plot.*"))) == (1, "", [])
    assert ended.err.startswith("error: ") and "study 'small'" in ended.err.splitlines()[0]
    assert f"make it with: {MISSING[name]}" in ended.err
    assert " ".join(ended.err.split()).count("archsearch") == 1


def test_the_guidelines_of_a_study_on_a_board_are_measured_on_that_board(cli: Callable[..., Any]) -> None:
    write_study(latency={"target": "ssh:me@pi5 bench/bin/python3"})
    typed = "archsearch guidelines --target 'ssh:me@pi5 bench/bin/python3'"
    assert f"make it with: {typed}\n" in cli("plot", "guidelines").err
    assert cli("report", "--out", "report.html").code == 0
    assert f"<code>{escape(typed)}</code>" in Path("report.html").read_text(encoding="utf-8")


def test_the_guidelines_of_a_study_of_other_conditions_are_measured_under_those(cli: Callable[..., Any]) -> None:
    write_study(latency={"target": "local", "backend": "torch", "threads": 4, "precision": "tf32", "cores": "all"})
    typed = "archsearch guidelines --backend torch --threads 4 --precision tf32"
    assert f"make it with: {typed}\n" in cli("plot", "guidelines").err
    assert cli("report", "--out", "report.html").code == 0
    assert f"<code>{typed}</code>" in Path("report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", [("plot", "front"), ("pareto", "--plot")])
def test_an_empty_front_is_not_drawn(command: tuple[str, ...], cli: Callable[..., Any]) -> None:
    database = Database("sqlite:///runs/archsearch.db")
    with database.writing() as session:
        session.add(StudyRow(name="empty", config={"name": "empty", "objectives": ["error_percent", "latency_ms"],
                             "dataset": "digits"}, space={}, space_fingerprint="0" * 12, facts={}))  # fmt: skip
    database.close()
    ended = cli(*command)
    assert ended.code == 1
    assert "No complete trial to show (no trials yet)" in ended.err
    assert "make it with: archsearch run --study empty --trials N" in ended.err
    assert not list(Path().rglob("*.html"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fron"], "did you mean 'front'?"),
        (["front", "--out", "front.svg"], "end it with .html, .png, .json, .csv, .md or .tex"),
        (["front", "--png", "--out", "a.png"], "--png and --out were both given"),
        (["--study", "small"], "which plot is not said"),
        (["grid", "--with", "width=1"], "it has choices"),
        (["front", "--with", "choices=a,b"], "front: there is no option 'choices'"),
        (["grid", "--with", "choices"], "expected KEY=VALUE"),
        (["grid", "--with", "choices=a,b", "--with", "choices=c,d"], "--with choices is given twice"),
        (["front", "--study", "smal"], "did you mean 'small'?"),
    ],
)
def test_what_was_typed_wrong_is_said_with_what_to_do(arguments: list[str], said: str, cli: Callable[..., Any]) -> None:
    write_study()
    ended = cli("plot", *arguments)
    assert ended.code != 0
    assert said in ended.err
    assert not list(Path().glob("front*"))


def test_a_front_is_drawn_without_torch_optuna_and_scipys_statistics() -> None:
    write_study()
    code = (
        "import sys; sys.argv = ['archsearch', 'plot', 'front', '--out', 'front.html']\n"
        "from archsearch.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('HEAVY', *{'torch', 'optuna', 'scipy.stats'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert ended.stdout.splitlines()[-1] == "HEAVY"
    assert Path("front.html").is_file()
