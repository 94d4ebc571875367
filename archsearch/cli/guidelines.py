"""`archsearch guidelines`: the four experiments of ShuffleNet V2 on this device, beside the printed ones."""

from __future__ import annotations

import webbrowser
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from archsearch.cli.console import console, error_console, is_terminal, print_json, typed_command
from archsearch.cli.options import DeviceOption, JsonOption

if TYPE_CHECKING:
    from archsearch.analysis.guideline_report import GuidelinesReport, RowReport, SampleReport, TableReport
    from archsearch.api.guidelines import GuidelinesProgress


_WIDE = 138  # characters that the whole table needs; a file or a pipe has them
_LEFT_OUT = ("channels", "MACs M", "median", "95 %")  # of a narrower terminal: they stand on the page and in the JSON


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
    from archsearch.api import guidelines_output as outputs
    from archsearch.api.guidelines import FOLDER, run_guidelines

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
    written = []
    if plot:
        written.append(outputs.write_page(report, folder / "guidelines.html", command=typed_command()))
    if png:
        written.append(outputs.write_picture(report, folder / "guidelines.png"))
    if json:
        print_json(outputs.to_dict(report))
        return
    _print(report)
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


def _print(report: GuidelinesReport) -> None:
    from archsearch.analysis import guideline_text as text

    shown = console if console.is_terminal else Console(highlight=False, width=_WIDE)
    for table in report.tables:
        shown.print(_table(table, report, wide=shown.width >= _WIDE))
        console.print(f"[bold]{escape(text.verdict_line(table))}[/]")
        for line in (*text.evidence_lines(table), *text.trend_lines(table), *text.printed_lines(table)):
            console.print(f"  {line}", markup=False)
        console.print()
    if report.sample is not None:
        _print_sample(report.sample)
    console.print(text.conditions_line(report), markup=False)
    console.print(f"{text.RULE} ?: not converged.", markup=False)
    for warning in report.warnings:
        console.print(f"[yellow]warning:[/] {escape(warning)}")


def _table(found: TableReport, report: GuidelinesReport, *, wide: bool) -> Table:
    from archsearch.analysis.guideline_text import DEVICE_NAMES, speed_unit

    experiment = found.experiment
    table = Table(
        title=escape(f"{experiment.guideline}. {experiment.claim}"),
        box=box.SIMPLE_HEAD,
        title_justify="left",
        pad_edge=False,
    )
    left = ("", "row", "channels", "reading")
    names = ["", "row", "channels", "MACs M", "p10 ms", "median", speed_unit(report), "time/MAC", "95 %", "reading"]
    names += [f"{name} printed" for name in DEVICE_NAMES.values()]
    shown = [index for index, name in enumerate(names) if wide or name not in _LEFT_OUT]
    for index in shown:
        table.add_column(names[index], justify="left" if names[index] in left else "right")
    for column in found.columns:
        for row in column.rows:
            cells = _cells(row, column.column.scale_text)
            table.add_row(*(cells[index] for index in shown))
        table.add_section()
    return table


def _cells(row: RowReport, column: str) -> tuple[str, ...]:
    from archsearch.analysis.guideline_text import DEVICE_NAMES, printed_cell

    latency, found = row.latency, row.compared
    low, high = (latency.ratio_low, latency.ratio_high) if found is None else (found.cost_low, found.cost_high)
    return (
        column,
        escape(row.row.label),
        row.row.network.channels_text,
        f"{row.row.network.macs / 1e6:.1f}",
        f"{latency.p10_ms:.3f}{'' if latency.converged else '?'}",
        f"{latency.median_ms:.3f}",
        f"{row.runs_per_second:.1f}",
        f"{latency.ratio_to_reference if found is None else found.cost:.3f}",
        f"{low:.3f}-{high:.3f}",
        "best, its copy" if found is None else str(found.speed),
        *(printed_cell(row, device) for device in DEVICE_NAMES),
    )


def _print_sample(sample: SampleReport) -> None:
    from archsearch.analysis.guideline_text import sample_line

    table = Table(title="What explains latency here", box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("cost")
    for name in ("R2", "predicted R2", "rank correlation", "power"):
        table.add_column(name, justify="right")
    for each in (*sample.regression.alone, sample.regression.together):
        table.add_row(
            escape(" + ".join(each.names)),
            f"{each.r2:.3f}",
            f"{each.predicted_r2:.3f}",
            f"{each.spearman:.3f}",
            f"{each.exponents[0]:.2f}" if len(each.exponents) == 1 else "",
        )
    console.print(table)
    console.print(f"[bold]{escape(sample_line(sample))}[/]")
    console.print(
        "  least squares on logarithms; predicted: each network from the others; power: latency grows as its power\n",
        markup=False,
    )
