"""The one writer: any result to any file that it can be written as."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.errors import ConfigError
from archsearch.files import write_atomically
from archsearch.registry import Registry
from archsearch.table import Result, Table, csv_text, json_text, markdown_escaped

if TYPE_CHECKING:
    from archsearch.plots.catalog import Figure

PAGE_SIZE = (1400, 760)
PNG_SIZE = (1400, 860)
FORMATS = (".html", ".png", ".json", ".csv", ".md", ".tex")
REPORT_FORMATS = (".html", ".md", ".tex")


@dataclass(frozen=True, kw_only=True)
class Output:
    """The JSON of one command.

    Attributes:
        home: of the result's type, MODULE:NAME: most import torch.
        version: goes up when a key is removed, renamed or changes its meaning; a key that is added leaves it.
        more: keys that the command itself adds, and the homes of their types.
    """

    home: str
    version: int = 1
    more: Mapping[str, str] = field(default_factory=dict)


OUTPUTS = Registry[Output](
    "command with --json",
    {
        "ablate": Output(home="archsearch.analysis.ablation:Ablation"),
        "audit": Output(home="archsearch.api.describe:AuditedNetworks"),
        "compare": Output(home="archsearch.analysis.comparison:Comparison"),
        "confirm": Output(
            home="archsearch.analysis.confirmed:Confirmed",
            more={"recommendation": "archsearch.analysis.recommendation:RecommendationJson"},
        ),
        "confirm --sustained": Output(home="archsearch.analysis.confirmed:Sustained"),
        "data": Output(home="archsearch.analysis.dataset:DatasetSurvey"),
        "describe": Output(home="archsearch.api.describe:Description"),
        "export": Output(home="archsearch.api.export:Exported"),
        "guidelines": Output(home="archsearch.analysis.guidelines:GuidelinesReport"),
        "measure": Output(home="archsearch.api.measure:MeasuredNetworks"),
        "papers": Output(home="archsearch.api.papers:PapersReport"),
        "pareto": Output(home="archsearch.analysis.study_front:StudyFront"),
        "pareto --final": Output(home="archsearch.analysis.final_front:FinalFront"),
        "replay": Output(home="archsearch.api.replay:StudyReplay"),
        "retrain": Output(home="archsearch.api.retrain:RetrainedNetworks"),
        "run": Output(home="archsearch.analysis.study_front:StudyFront"),
        "studies": Output(home="archsearch.api.studies:StudyList"),
        "target check": Output(home="archsearch.api.target:TargetCheck"),
        "target pool": Output(home="archsearch.targets.pool:PoolCheck"),
        "trust": Output(home="archsearch.analysis.trust:Trust"),
        "variants": Output(home="archsearch.api.variants:NamedNetworks"),
    },
)


def head_of(result: object, command: str | None = None) -> dict[str, Any]:
    """The keys that say whose JSON a result is, and in which version; nothing for a result that no command prints.

    `command`: which one prints it; None: the first that prints results of its type.
    """
    home = f"{type(result).__module__}:{type(result).__qualname__}"
    for name in OUTPUTS:
        if OUTPUTS[name].home == home and command in (None, name):
            return {"command": name, "schema_version": OUTPUTS[name].version}
    return {}


def write(
    result: Result,
    path: Path,
    *,
    figure: Callable[..., Figure] | None = None,
    facts: Sequence[tuple[str, str]] = (),
    command: str | None = None,
) -> Path:
    """Write a result; the path's end says as what. Returns the path.

    .html is one self-contained page with everything, .png the figure alone, .json everything as plain data, .csv the
    first table, .md and .tex all tables, with the sentences or without.

    Args:
        path: of the file; its folder is made.
        figure: draws the result, given `width` and `height` (pixels).
        facts: (name, value) of the conditions, at the page's end.
        command: what was typed.

    Raises ConfigError for another end, or a picture without a figure; ArchsearchError if the file cannot be written,
    or without the extra `png` or a browser.
    """
    kind = path.suffix.lower()
    check_format(path, FORMATS if figure is not None else tuple(each for each in FORMATS if each != ".png"))
    if kind == ".html":
        from archsearch.plots.page import write_page

        width, height = PAGE_SIZE
        write_page(
            [] if figure is None else figure(result, width=width, height=height),
            path,
            title=result.title,
            subtitle=result.subtitle,
            sentences=result.sentences,
            warnings=(*((result.empty,) if result.empty else ()), *result.warnings),
            tables=[table.without_empty_columns() for table in result.tables()],
            facts=[*facts, *((("Method", result.method),) if result.method else ())],
            command=command,
        )
    elif kind == ".png":
        from archsearch.plots.page import legend_height, write_png

        assert figure is not None  # check_format
        width, height = PNG_SIZE
        drawn = figure(result, width=width, height=height)
        if (needed := legend_height(drawn, height)) > height:
            drawn, height = figure(result, width=width, height=needed), needed
        write_png(drawn, path, width=width, height=height, scale=1.5)
    else:
        texts: dict[str, Callable[[Result], str]] = {
            ".json": lambda each: json_text(result_json(each), indent=1),
            ".csv": lambda each: each.tables()[0].csv(),
            ".md": markdown_text,
            ".tex": lambda each: latex_text(each, name=path.stem),
        }
        write_atomically(path, texts[kind](result).encode())
    return path


def check_format(path: Path, formats: Sequence[str] = FORMATS, *, option: str = "out") -> None:
    """Raise ConfigError for a path, given by this option, that ends with none of these."""
    if path.suffix.lower() not in formats:
        listed = " or ".join(filter(None, (", ".join(formats[:-1]), formats[-1])))
        raise ConfigError(f"{option} {path}: no file of this kind can be written", hint=f"end it with {listed}")


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Write rows as CSV, whole or not at all; returns the path. Raises ArchsearchError if it cannot be written."""
    write_atomically(path, csv_text(rows).encode())
    return path


def result_json(result: Result, *, command: str | None = None) -> dict[str, Any]:
    """Everything that a result says and holds as plain data, sentences first; what is not known is null.

    `archsearch schema COMMAND` says its keys; `command` as of `head_of`.
    """
    return {
        **head_of(result, command),
        "title": result.title,
        "subtitle": list(result.subtitle),
        "sentences": list(result.sentences),
        "method": result.method,
        "empty": result.empty,
        **result.plain(),
        "warnings": list(result.warnings),
    }


def markdown_text(result: Result) -> str:
    """A result as Markdown: title, sentences, warnings, tables, method."""
    lines = [f"# {markdown_escaped(result.title)}", *(markdown_escaped(line) for line in result.subtitle)]
    lines += [markdown_escaped(result.empty)] if result.empty else []
    lines += ["\n".join(f"* {markdown_escaped(line)}" for line in result.sentences)] if result.sentences else []
    lines += [f"Caution: {markdown_escaped(line)}" for line in result.warnings]
    for table in _filled(result):
        lines += [f"**{markdown_escaped(table.title)}**", markdown_escaped(table.note), table.markdown()]
    return "\n\n".join(line for line in [*lines, markdown_escaped(result.method)] if line) + "\n"


def latex_text(result: Result, *, name: str) -> str:
    """The tables of a result in LaTeX; they need the package booktabs. Their labels begin with the file's name."""
    label = "tab:" + re.sub(r"[^A-Za-z0-9.]+", "-", name)
    blocks = ["% \\usepackage{booktabs}"]
    blocks += [
        table.latex(label=f"{label}-{number}", caption=f"{result.title}: {table.title}. {table.note}".strip())
        for number, table in enumerate(_filled(result), start=1)
    ]
    return "\n\n".join(blocks) + "\n"


def _filled(result: Result) -> list[Table]:
    return [table.without_empty_columns() for table in result.tables() if table.rows and not table.wide]
