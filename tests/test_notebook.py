"""The example notebook: executed as a notebook would, on a study that is stored, and on one that it runs itself."""

from __future__ import annotations

import re
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from makers import make_record
from nbclient import NotebookClient
from stored import store_study

from archsearch.records import Record

TESTS = Path(__file__).resolve().parent
NOTEBOOK = TESTS.parent / "examples" / "study.ipynb"
SMALL = runpy.run_path(str(TESTS / "test_examples.py"))["SMALL"]
# What each cell shows, by its id; a figure is plotly's own kind.
SHOWS = {
    "study": "text/html",
    "front": "text/html",
    "front-figure": "application/vnd.plotly.v1+json",
    "history": "application/vnd.plotly.v1+json",
    "importances": "text/html",
    "marginal": "text/html",
    "frame": "text/html",
}


def executed(folder: Path, first_cell: str) -> dict[str, Any]:
    """The notebook's code cells by id, after it ran in this folder with another first cell."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (cell,) = [each for each in notebook.cells if "parameters" in each.metadata.get("tags", ())]
    cell.source = f"import archsearch\n\nstudy = {first_cell}\nstudy"
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    return {each.id: each for each in notebook.cells if each.cell_type == "code"}


def shown(cell: Any) -> dict[str, Any]:
    """All that a cell shows, by its kind; what it printed as `printed`."""
    found: dict[str, Any] = {}
    for output in cell.outputs:
        assert output.output_type != "error"
        if output.output_type == "stream":
            assert "IProgress" not in output.text  # tqdm's, of a bar that nobody asked for
            if output.name == "stdout":
                found["printed"] = output.text
        else:
            found |= output.data
    return found


def stored_networks(count: int) -> list[Record]:
    generator = np.random.default_rng(0)
    records = []
    for trial in range(count):
        point = {"kernel": int(generator.choice([3, 5, 7])), "attention": str(generator.choice(["none", "se"]))}
        top1 = 50.0 + point["kernel"] + 3.0 * (point["attention"] == "se") + float(generator.normal())
        made = make_record(
            trial,
            top1=top1,
            p10=1.0 + point["kernel"] + float(generator.uniform()),
            variant="<i>x</i>" if trial == 0 else None,
        )
        records.append(replace(made, suggested=point, choices=point))
    return records


def test_the_notebook_in_the_repository_shows_a_run_without_errors_or_paths_of_a_machine() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < 600_000
    assert re.search(r"/(?:home|root|tmp|Users|workspace)/", text) is None
    notebook = nbformat.reads(text, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        found = shown(cell)
        kind = SHOWS.get(cell.id)
        if kind is not None:
            assert ("image/png" if "plotly" in kind else kind) in found, cell.id  # plotly's own form takes megabytes
    assert "% top-1" in shown(cells[3])["printed"]


def test_the_notebook_shows_a_stored_study(tmp_path: Path) -> None:
    store_study(f"sqlite:///{tmp_path}/mine.db", stored_networks(60), name="mine", dataset="<b>mine</b>")
    cells = executed(tmp_path, f"archsearch.open_study('mine', storage='sqlite:///{tmp_path}/mine.db')")
    for name, kind in SHOWS.items():
        assert kind in shown(cells[name]), name
    everything = "".join(str(shown(cell).get("text/html", "")) for cell in cells.values())
    assert "&lt;b&gt;mine&lt;/b&gt;" in everything
    for markup in ("<b>", "<i>x</i>"):
        assert markup not in everything
    assert "60 complete" in shown(cells["study"])["text/html"]
    assert "observational" in shown(cells["importances"])["text/html"]
    assert "kernel" in shown(cells["marginal"])["text/html"]
    assert "% error" in shown(cells["choose"])["printed"]
    assert "archsearch ablate --study" in shown(cells["ablation"])["text/plain"]


@pytest.mark.slow
def test_the_notebook_runs_a_study_itself(tmp_path: Path) -> None:
    cells = executed(tmp_path, f"archsearch.run('quickstart', trials=2, overrides={list(SMALL)!r})")
    for name, kind in SHOWS.items():
        assert kind in shown(cells[name]), name
    assert "2 complete" in shown(cells["study"])["text/html"]
    assert "need at least" in shown(cells["marginal"])["text/html"]
