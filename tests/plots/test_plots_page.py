from __future__ import annotations

import builtins
import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest
from makers import make_front

from archsearch.api.output import write
from archsearch.errors import ArchsearchError, ConfigError
from archsearch.plots.front import front_figure
from archsearch.plots.history import retraining_figure
from archsearch.plots.page import page_text, write_page, write_png
from archsearch.records import Epoch, Record
from archsearch.table import Column, Table

Make = Callable[..., Record]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on PATH")


def _write_study_page(records: list[Record], path: Path) -> str:
    found = make_front(records, study="cifar10", dataset="CIFAR-10")
    return write(found, path, figure=front_figure, command="archsearch pareto --plot").read_text(encoding="utf-8")


def test_the_page_holds_figure_tables_conditions_and_command(study_records: list[Record], tmp_path: Path) -> None:
    text = _write_study_page(study_records, tmp_path / "deep" / "front.html")
    for part in (
        "<h2>The front: ",
        "<h2>Published networks</h2>",
        "f00dfeedbeef",
        "<code>archsearch pareto --plot</code>",
    ):
        assert part in text
    assert "shufflenet_v2_x1_0_dc0 (55.90 % top-1, 6.90 ms) is dominated by" in text
    assert len(re.findall(r"<tr>", text.split("<h2>Published networks</h2>")[1].split("</table>")[0])) == 1 + 15
    assert [item.name for item in (tmp_path / "deep").iterdir()] == ["front.html"]


def test_the_page_loads_nothing(study_records: list[Record], tmp_path: Path) -> None:
    text = _write_study_page(study_records, tmp_path / "front.html")
    outside = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"(?:src|href)\s*=", outside)
    assert "<script src" not in text
    assert "default-src 'none'" in text


def test_latex_tables_of_two_files_have_labels_of_their_own_in_one_document(
    study_records: list[Record], tmp_path: Path
) -> None:
    found = make_front(study_records, study="cifar10", dataset="CIFAR-10")
    texts = [write(found, tmp_path / name).read_text(encoding="utf-8") for name in ("a_1%.tex", "b.tex")]
    labels = [label for text in texts for label in re.findall(r"\\label\{(.*)\}", text)]
    assert {"tab:a-1--1", "tab:b-1", "tab:b-2"} <= set(labels)
    assert len(set(labels)) == len(labels)


def test_a_page_of_a_thousand_trials_stays_small(make_record: Make, tmp_path: Path) -> None:
    records = [make_record(trial, top1=trial % 97, p10=1 + trial % 89) for trial in range(1000)]
    _write_study_page(records, tmp_path / "front.html")
    assert (tmp_path / "front.html").stat().st_size < 8_000_000


def test_table_cells_are_escaped_and_numbers_keep_their_value() -> None:
    table = Table(
        title="<b>T</b>",
        columns=(Column(title="a<b"), Column(title="n", decimals=1)),
        rows=(("<img src=x onerror=alert(1)>", 1234.56), (None, None), (True, 2)),
    )
    text = page_text([], title="<t>", tables=[table], facts=[("<f>", "<v>")], warnings=["<w>"])
    assert "<img" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text
    assert '<td class="number" data-value="1234.56">1,234.6</td>' in text
    assert "&lt;f&gt;</dt><dd>&lt;v&gt;" in text
    assert "<li>&lt;w&gt;</li>" in text
    assert "<title>&lt;t&gt;</title>" in text


def test_a_table_without_rows_says_so() -> None:
    assert "<p>None.</p>" in page_text([], title="t", tables=[Table(title="T", columns=(Column(title="a"),), rows=())])


@needs_browser
def test_the_page_draws_in_a_browser_without_network(make_record: Make, tmp_path: Path) -> None:
    markup = "<script>document.title='broken'</script>"
    records = [make_record(0, variant=markup), make_record(1, variant="other", top1=60, p10=50)]
    _write_study_page(records, tmp_path / "front.html")
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=8000", "--enable-logging=stderr"]
    command += ["--dump-dom", (tmp_path / "front.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert 'class="main-svg"' in done.stdout
    assert "<title>Accuracy against latency: study cifar10</title>" in done.stdout
    assert done.stdout.count('class="annotation-text"') == 2
    assert "CONSOLE" not in done.stderr


@needs_browser
def test_a_figure_becomes_a_png_of_the_asked_size(tmp_path: Path) -> None:
    pytest.importorskip("kaleido")
    path = tmp_path / "deep" / "figure.png"
    write_png(go.Figure(go.Scatter(x=[1, 2], y=[1, 2])), path, width=300, height=200, scale=2)
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == (600, 400)  # IHDR: width and height, times the scale


def test_a_missing_kaleido_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == "kaleido":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ArchsearchError, match=r"pip install 'archsearch\[png\]'"):
        write_png(go.Figure(), tmp_path / "figure.png")


def test_a_missing_browser_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("kaleido")
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(ArchsearchError, match="BROWSER_PATH names no file") as caught:
        write_png(go.Figure(), tmp_path / "figure.png")
    assert "apt install chromium" in (caught.value.hint or "")
    monkeypatch.delenv("BROWSER_PATH")
    monkeypatch.setattr("choreographer.browsers.chromium.Chromium.find_browser", lambda **_: None)
    with pytest.raises(ArchsearchError, match="no Chrome or Chromium was found"):
        write_png(go.Figure(), tmp_path / "figure.png")
    assert not (tmp_path / "figure.png").exists()


def test_a_size_that_is_not_positive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="positive size"):
        write_png(go.Figure(), tmp_path / "figure.png", width=0)


def test_curves_hold_loss_and_accuracy_of_each_seed(make_record: Make) -> None:
    curve = (Epoch(epoch=1, train_loss=2.0, top1_percent=40.0, learning_rate=0.1, train_seconds=1.0),)
    scores = [
        make_record(0, top1=top1, seed=seed, split="test", curve=c).score
        for seed, top1, c in ((0, 40, curve), (1, 44, ()))
    ]
    figure = retraining_figure([score for score in scores if score is not None], title="t")
    assert [(trace.name, list(trace.x), list(trace.y)) for trace in figure.data] == [
        ("seed 0", [1], [2.0]),
        ("seed 0", [1], [40.0]),
    ]
    assert figure.layout.yaxis2.title.text == "Test top-1 (%)"
    assert (
        "one-cycle · 8 epochs · 2 trainings · top-1 at the end 40.00 to 44.00 % · 1 without a stored curve"
    ) in figure.layout.title.text


def test_one_figure_or_several_make_a_page(tmp_path: Path) -> None:
    write_page(go.Figure(), tmp_path / "one.html", title="t")
    write_page([go.Figure(), go.Figure()], tmp_path / "two.html", title="t")
    assert (tmp_path / "one.html").read_text().count('<div class="figure">') == 1
    assert (tmp_path / "two.html").read_text().count('<div class="figure">') == 2


def test_a_short_training_has_a_tick_for_each_whole_epoch(make_record: Make) -> None:
    score = make_record(0, top1=50.0).score
    assert score is not None
    curve = tuple(
        Epoch(epoch=epoch, train_loss=1.0, top1_percent=50.0, learning_rate=0.1, train_seconds=1.0)
        for epoch in (1, 2, 3)
    )
    figure = retraining_figure([replace(score, curve=curve)], title="short")
    assert figure.layout.xaxis.dtick == 1
    assert "1 training ·" in figure.layout.title.text
