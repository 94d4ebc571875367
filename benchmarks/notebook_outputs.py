"""Executes examples/study.ipynb and stores it with what its cells show, so that it can be read where nothing runs.

    python benchmarks/notebook_outputs.py [--folder FOLDER]

Figures are stored as PNG (extra `png`, and a Chrome or Chromium): plotly's own form takes megabytes. The first cell
runs `quickstart`, some minutes on two cores, or opens the one that the folder holds. Left out are progress bars,
warnings, and the plain text beside a table.
"""

from __future__ import annotations

import argparse
import base64
import tempfile
from pathlib import Path

import nbformat
import plotly.graph_objects as go
from nbclient import NotebookClient

from archsearch.files import write_atomically
from archsearch.plots.page import png_bytes

NOTEBOOK = Path(__file__).resolve().parent.parent / "examples" / "study.ipynb"
PLOTLY = "application/vnd.plotly.v1+json"
WIDTH, HEIGHT = 1100, 780


def main() -> None:
    """Execute, tidy, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where runs/ is written; default: a temporary folder")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="notebook_outputs."))
    folder.mkdir(parents=True, exist_ok=True)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=3600, resources={"metadata": {"path": str(folder)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it ran
        if cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr" and not is_progress(each)]
            for data in (each.data for each in cell.outputs if "data" in each):
                if PLOTLY in data:
                    drawn = {key: data[PLOTLY][key] for key in ("data", "layout")}
                    content = png_bytes(go.Figure(drawn), width=WIDTH, height=HEIGHT, scale=1.0)
                    data.clear()
                    data["image/png"] = base64.b64encode(content).decode()
                elif "text/html" in data:
                    data.pop("text/plain", None)
    notebook.metadata.language_info = {"name": "python"}
    write_atomically(NOTEBOOK, (nbformat.writes(notebook) + "\n").encode())
    print(f"{NOTEBOOK.name}: {NOTEBOOK.stat().st_size / 1000:.0f} kB")


def is_progress(output: nbformat.NotebookNode) -> bool:
    """Whether an output is a bar that a notebook without its kernel cannot draw."""
    return "application/vnd.jupyter.widget-view+json" in output.get("data", {})


if __name__ == "__main__":
    main()
