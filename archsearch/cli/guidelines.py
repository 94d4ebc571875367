"""`archsearch guidelines`: the four experiments of ShuffleNet V2 on this device, beside the printed ones."""

from __future__ import annotations

import webbrowser
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from archsearch.cli.console import console, error_console, is_terminal, print_json, show, typed_command
from archsearch.cli.options import DeviceOption, JsonOption

if TYPE_CHECKING:
    from archsearch.api.guidelines import GuidelinesProgress


class TableName(StrEnum):
    """The printed tables that hold an experiment."""

    G1 = "1"
    G2 = "2"
    G3 = "3"
    G4 = "4"


def guidelines(
    table: Annotated[
        list[TableName] | None,
        typer.Option("--table", "-t", help="One experiment; repeatable. Default: all, and a sample of the space."),
    ] = None,
    device: DeviceOption = "auto",
    backend: Annotated[
        str, typer.Option(metavar="B", help="How networks are run; auto: ONNX Runtime on a CPU, CUDA graphs on a GPU.")
    ] = "auto",
    batch: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Images a run. Default: 8 on a GPU, else 1, as in the paper.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A few runs of each network, to see it work: nothing to rely on.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Measure anew what was measured before.")] = False,
    plot: Annotated[
        bool, typer.Option("--plot", help="Write guidelines.html, one self-contained page; a terminal opens it.")
    ] = False,
    png: Annotated[bool, typer.Option("--png", help="Write guidelines.png (extra `png`).")] = False,
    json: JsonOption = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where page and picture go. Default: runs/guidelines.")
    ] = None,
) -> None:
    """Re-run the paper's four guideline experiments on this device: which guideline holds here?

    Each group of networks is kept in runs/guidelines when it is measured: a run that was stopped continues.

    Examples:
    archsearch guidelines --plot
    archsearch guidelines --table 3 --quick
    archsearch guidelines --device cuda --batch 1
    """
    from archsearch.api.guidelines import FOLDER, run_guidelines
    from archsearch.api.output import result_json, write
    from archsearch.plots.guidelines import guidelines_figure

    with _Display() as display:
        report = run_guidelines(
            [each.value for each in table or ()],
            device=device,
            backend=backend,
            batch=batch,
            quick=quick,
            again=again,
            on_progress=display.show,
        )
    folder = out or FOLDER
    wanted = [name for name, asked in (("guidelines.html", plot), ("guidelines.png", png)) if asked]
    facts = sorted(report.facts.items())
    written = [
        write(report, folder / name, figure=guidelines_figure, facts=facts, command=typed_command()) for name in wanted
    ]
    if json:
        print_json(result_json(report))
        return
    show(report)
    for path in written:
        console.print(f"wrote {path}", markup=False)
    if plot and is_terminal():
        webbrowser.open((folder / "guidelines.html").resolve().as_uri())


class _Display:
    """One line of progress where a terminal watches, a line for each measured group elsewhere."""

    def __init__(self) -> None:
        self._status = error_console.status("reading the printed tables") if error_console.is_terminal else None

    def __enter__(self) -> _Display:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def show(self, progress: GuidelinesProgress) -> None:
        """One group begins."""
        text = f"{progress.group} of {progress.groups}: {progress.name}"
        if self._status is not None:
            self._status.update(escape(text))
        elif not progress.cached:
            error_console.print(text, markup=False)
