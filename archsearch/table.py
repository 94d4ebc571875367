"""One table of a result, and every way of showing it: terminal, page, notebook, Markdown, LaTeX, CSV and JSON.

A result gives its tables once (`Result.tables`); nothing that shows one says again which columns it has, how many
decimals, or in which unit. Texts are plain: each way of showing them escapes them its own way.
"""

from __future__ import annotations

import csv
import html
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import StrEnum
from operator import attrgetter
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

import pydantic_core
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from archsearch.text import interval_text, number_text, plural, probability_text, shorten

NOTEBOOK_ROWS = 30
PAGE_ROWS = 3000
_TEXT_COLUMNS = 100  # of a result as text
_SHORT, _SHORTEST = 16, 9  # characters that a shortened name keeps in a narrow terminal, if all names do
_NOTEBOOK_CELL = "padding: 0.15em 0.6em; text-align: {align}; border-bottom: 1px solid rgba(128, 128, 128, 0.3)"


@dataclass(frozen=True)
class Interval:
    """A number with its interval in one cell; CSV and JSON have its ends as columns `KEY_low` and `KEY_high`."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Spread:
    """A mean with its sample standard deviation in one cell; CSV and JSON have that as the column `KEY_std`."""

    value: float | None
    std: float | None


@dataclass(frozen=True)
class Marked:
    """A number or name with a sign behind it that the table's note explains; CSV and JSON have the value alone."""

    value: float | str
    sign: str


Cell = str | int | float | bool | None | Interval | Spread | Marked


@dataclass(frozen=True, kw_only=True)
class Column:
    """A table's column.

    Attributes:
        title: for people.
        key: for programs, its unit at the end (`top1_percent`); made of the title where none is given.
        unit: stands in brackets behind the title.
        decimals: as many are shown; it makes the column numeric.
        signed: whether a positive number has its sign.
        probability: its numbers are shares that `text.probability_text` words; it is numeric, too.
        whole: its lines are never broken.
        trial: its numbers are trials: a page that can show a network makes them buttons.
        wide: a terminal of less than 100 characters, or too narrow for all numbers, Markdown and LaTeX do without it.
    """

    title: str
    key: str = ""
    unit: str = ""
    decimals: int | None = None
    signed: bool = False
    probability: bool = False
    whole: bool = False
    trial: bool = False
    wide: bool = False

    @property
    def name(self) -> str:
        """The key, or what the title makes of one: `Top-1 (%)` is `top_1`."""
        return self.key or re.sub(r"[^a-z0-9]+", "_", self.title.lower()).strip("_")

    @property
    def heading(self) -> str:
        """The title with its unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @property
    def numeric(self) -> bool:
        """Whether it stands to the right."""
        return self.decimals is not None or self.probability

    def show(self, value: Cell) -> str:
        """A cell as it is printed; empty without a value."""
        if isinstance(value, Interval):
            if value.value is None:
                return ""
            return interval_text(value.value, value.low, value.high, decimals=self.decimals or 0, signed=self.signed)
        if isinstance(value, Marked):
            return f"{self.show(value.value)}{value.sign}"
        if isinstance(value, Spread):
            spread = "" if value.std is None else f" ± {number_text(value.std, decimals=self.decimals or 0)}"
            return f"{self.show(value.value)}{spread}"
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return ""
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, float | int) and self.probability:
            return probability_text(value)
        if isinstance(value, int | float) and self.decimals is not None:
            return number_text(value, decimals=self.decimals, signed=self.signed)
        return str(value)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of plain values; `note` stands above it.

    Attributes:
        marked: places of rows that stand out, such as the knee of a front.
        wide: the data behind the other tables: a terminal, Markdown and LaTeX do without it.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    marked: frozenset[int] = frozenset()
    wide: bool = False

    def __str__(self) -> str:
        return _printed(lambda console: console.print(self.without_empty_columns().to_rich(width=console.width)))

    def select(self, *names: str) -> Table:
        """The table with these columns alone, in this order. Raises KeyError for a name that it has not."""
        places = {column.name: place for place, column in enumerate(self.columns)}
        return self._of([places[name] for name in names])

    def without_empty_columns(self) -> Table:
        """The table without the columns that no row has a value in; a table without rows as it is."""
        kept = [place for place in range(len(self.columns)) if any(row[place] is not None for row in self.rows)]
        return self._of(kept) if self.rows else self

    def narrow(self) -> Table:
        """The table without its `wide` columns."""
        return self._of([place for place, column in enumerate(self.columns) if not column.wide])

    def _of(self, places: Sequence[int]) -> Table:
        if list(places) == list(range(len(self.columns))):
            return self
        columns = tuple(self.columns[place] for place in places)
        return replace(self, columns=columns, rows=tuple(tuple(row[place] for place in places) for row in self.rows))

    def dicts(self) -> list[dict[str, Any]]:
        """A mapping for each row, by the columns' keys, an interval's ends beside it; None for what is not known."""
        found = []
        for row in self.rows:
            plain: dict[str, Any] = {}
            for value, column in zip(row, self.columns, strict=True):
                plain[column.name] = _finite(_value(value))
                if isinstance(value, Interval | Spread):
                    ends = {name: end for name, end in vars(value).items() if name != "value"}
                    plain |= {f"{column.name}_{name}": _finite(end) for name, end in ends.items()}
            found.append(plain)
        return found

    def csv(self) -> str:
        """The rows as CSV, with a header."""
        return csv_text(self.dicts())

    def to_rich(self, *, width: int = 100) -> RichTable:
        """The table for a terminal of this many characters, in which no number is cut.

        Its `wide` columns are left out below 100 characters, or where not all of it fits. Where that is not enough,
        intervals are broken into lines, then names and headings shortened in the middle (broken, too, where two
        would look alike), and at last columns left out from the end: a line below the table says which.
        """
        shown = self if width >= 100 and sum(self._widths(broken=True)) <= width else self.narrow()
        left_out: list[str] = []
        while (widths := shown._fitting(width)) is None:
            left_out.insert(0, shown.columns[-1].heading)
            shown = shown._of(range(len(shown.columns) - 1))
        found = RichTable(
            title=None if not self.title else Text(self.title), box=box.SIMPLE_HEAD, title_justify="left",
            caption=None if not left_out else Text(f"No room here for: {', '.join(left_out)}"), caption_justify="left",
            pad_edge=False, padding=(0, 1, 0, 0),
        )  # fmt: skip
        cells: list[list[str]] = []
        for place, (column, characters) in enumerate(zip(shown.columns, widths, strict=True)):
            heading = " ".join(_shortened(word, characters or cell_len(word)) for word in column.heading.split())
            texts = [column.show(row[place]) for row in shown.rows]
            short = [_shortened(text, characters) if column.whole and characters else text for text in texts]
            alike = len(set(short)) < len(set(texts))  # then they are broken into lines: each is told from others
            cells.append(texts if alike else short)
            found.add_column(
                Text(heading, no_wrap=False),  # where the cells are whole, too: a heading is broken between its words
                justify="right" if column.numeric else "left", no_wrap=column.whole and not alike, overflow="fold",
                width=characters,
            )  # fmt: skip
        for place, row in enumerate(zip(*cells, strict=True)):
            found.add_row(*map(Text, row), style="bold" if place in self.marked else None)
        return found

    def _fitting(self, width: int) -> list[int | None] | None:
        """How wide each column is in a terminal (None: as it comes); None if all broken it is still wider."""
        least = self._widths(broken=True)
        if sum(self._widths(broken=False)) <= width:
            return [None] * len(self.columns)
        if sum(least) <= width:
            return [
                characters - 2 if column.numeric else None
                for column, characters in zip(self.columns, least, strict=True)
            ]
        for names, lines in ((None, "("), (_SHORT, "("), (_SHORT, " "), (_SHORTEST, " ")):
            floors = [self._floor(place, names=names, lines=lines) + 2 for place in range(len(self.columns))]
            spare = width - sum(floors)
            if spare >= 0 or (len(self.columns) == 1 and names == _SHORTEST):
                found: list[int | None] = []
                for column, floor, full in zip(self.columns, floors, least, strict=True):
                    more = max(0, min(full - floor, spare))  # the first columns get back what there is room for
                    spare -= more
                    found.append(floor + more - 2 if column.numeric or column.whole else None)
                return found
        return None

    def _floor(self, place: int, *, names: int | None, lines: str) -> int:
        """The least width of a column: names and headings of at most so many characters, intervals broken at a sign."""
        column, most = self.columns[place], names or math.inf
        head = max((min(cell_len(word), most) for word in column.heading.split()), default=0)
        texts = [column.show(row[place]) for row in self.rows]
        if column.whole:
            return int(max([head, *(min(cell_len(text), most) for text in texts)]))
        if not column.numeric:
            return int(max([head, *(min(cell_len(word), most) for text in texts for word in text.split())]))
        parts = (part for text in texts for part in (text.replace(" (", "\n(").split("\n" if lines == "(" else None)))
        return int(max([head, *map(cell_len, parts)]))

    def _widths(self, *, broken: bool) -> list[int]:
        """Of each column in a terminal, with the two characters between columns: each number on one line, texts and
        headings too, or broken between words.
        """
        found = []
        for place, column in enumerate(self.columns):
            cells = [column.show(row[place]) for row in self.rows]
            if broken and not (column.numeric or column.whole):
                cells = " ".join(cells).split()
            words = column.heading.split() if broken else [column.heading]
            found.append(max(map(cell_len, (*words, *cells)), default=0) + 2)
        return found

    def html(self, *, level: int = 2) -> str:
        """The table of a page, under a heading of this level, sortable, with a button that saves it as CSV."""
        title = f"<h{level}>{html.escape(self.title)}</h{level}>" if self.title else ""
        caption = f"<caption>{html.escape(self.title)}</caption>" if self.title else ""
        more = f"The first {PAGE_ROWS:,} of {len(self.rows):,} rows." if len(self.rows) > PAGE_ROWS else ""
        said = f"{self.note} {more}".strip()
        note = f'<p class="quiet">{html.escape(said)}</p>\n' if said else ""
        if not self.rows:
            return f"<section>{title}\n{note}<p>None.</p></section>"
        head = "".join(
            f'<th scope="col" class="{_kind(column)}"><button type="button">{html.escape(column.heading)}</button></th>'
            for column in self.columns
        )
        body = "\n".join(
            "<tr>"
            + "".join(_html_cell(value, column) for value, column in zip(row, self.columns, strict=True))
            + "</tr>"
            for row in self.rows[:PAGE_ROWS]
        )
        return (
            f"<section>{title}\n{note}"
            f'<div class="scroll"><table>{caption}<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>'
            "</div>\n"
            f'<button type="button" class="csv" data-name="{self._file_name}">Save as CSV</button></section>'
        )

    def folded_html(self, *, summary: str) -> str:
        """A table that is folded away and only laid out when it is opened: it may have thousands of rows.

        Sortable and downloadable as the others; `summary` is what stands there while it is closed.
        """
        columns = [
            {"title": column.heading, "kind": _kind(column), "decimals": column.decimals} for column in self.columns
        ]
        rows = [[_folded(value, column) for value, column in zip(row, self.columns, strict=True)] for row in self.rows]
        note = f'<p class="quiet">{html.escape(self.note)}</p>' if self.note else ""
        return (
            f'<details class="data"><summary>{html.escape(summary)}</summary><section>{note}'
            f'<div class="scroll"></div>{json_script({"columns": columns, "rows": rows})}'
            f'<button type="button" class="csv" data-name="{self._file_name}">Save as CSV</button></section></details>'
        )

    @property
    def _file_name(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-") or "table"

    def notebook(self) -> str:
        """The table in a notebook's cell; rows beyond NOTEBOOK_ROWS are left out, and it says how many."""
        aligned = ["right" if column.numeric else "left" for column in self.columns]
        head = "".join(
            f'<th style="{_NOTEBOOK_CELL.format(align=align)}">{html.escape(column.heading)}</th>'
            for column, align in zip(self.columns, aligned, strict=True)
        )
        body = []
        for place, row in enumerate(self.rows[:NOTEBOOK_ROWS]):
            weight = "; font-weight: bold" if place in self.marked else ""
            cells = "".join(
                f'<td style="{_NOTEBOOK_CELL.format(align=align)}{weight}">{html.escape(column.show(value))}</td>'
                for value, column, align in zip(row, self.columns, aligned, strict=True)
            )
            body.append(f"<tr>{cells}</tr>")
        more = len(self.rows) - NOTEBOOK_ROWS
        left_out = paragraphs(f"{plural(more, 'more row')} not shown") if more > 0 else ""
        title = html.escape(self.title)
        title = title and f'<div style="margin: 0.4em 0 0; font-style: italic">{title}</div>'
        return f'{title}<table style="border-collapse: collapse"><tr>{head}</tr>{"".join(body)}</table>{left_out}'

    def markdown(self) -> str:
        """The table with a heading row, numbers to the right; without its `wide` columns."""
        shown = self.narrow()
        lines = [
            "| " + " | ".join(markdown_escaped(column.heading) for column in shown.columns) + " |",
            "|" + "|".join("---:" if column.numeric else "---" for column in shown.columns) + "|",
        ]
        for row in shown.rows:
            cells = (markdown_escaped(column.show(value)) for value, column in zip(row, shown.columns, strict=True))
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def latex(self, *, label: str, caption: str) -> str:
        """The table as a float of booktabs, without its `wide` columns."""
        shown = self.narrow()
        head = " & ".join(latex_escaped(column.heading) for column in shown.columns)
        body = [
            " & ".join(_latex_cell(column.show(value)) for value, column in zip(row, shown.columns, strict=True))
            for row in shown.rows
        ]
        form = "".join("r" if column.numeric else "l" for column in shown.columns)
        return "\n".join(
            [
                r"\begin{table}",
                r"  \centering",
                f"  \\caption{{{latex_escaped(caption)}}}",
                f"  \\label{{{label}}}",
                f"  \\begin{{tabular}}{{{form}}}",
                r"    \toprule",
                rf"    {head} \\",
                r"    \midrule",
                *(rf"    {line} \\" for line in body),
                r"    \bottomrule",
                r"  \end{tabular}",
                r"\end{table}",
            ]
        )


Item = TypeVar("Item")


def table_of(
    title: str,
    items: Iterable[Item],
    *columns: Column | tuple[Column, Callable[[Item], Cell]],
    note: str = "",
    marked: Callable[[Item], bool] = lambda _: False,
    wide: bool = False,
) -> Table:
    """A row for each item, in their order.

    Args:
        columns: a column alone shows the item's attribute of its name; else what the function makes of the item.
        marked: whether an item's row stands out.
        note, wide: as a Table has them.
    """
    shown = [each if isinstance(each, tuple) else (each, attrgetter(each.name)) for each in columns]
    rows = list(items)
    return Table(
        title=title,
        columns=tuple(column for column, _ in shown),
        rows=tuple(tuple(cell(item) for _, cell in shown) for item in rows),
        note=note,
        marked=frozenset(place for place, item in enumerate(rows) if marked(item)),
        wide=wide,
    )


@runtime_checkable
class Result(Protocol):
    """What an analysis gives: whatever shows results takes one of these, and knows nothing of which.

    Attributes:
        title: a few words.
        subtitle: lines of conditions under it.
        sentences: what was found, plain answers first.
        method: how; "" where the sentences say it.
        warnings: what to know before it is believed.
        empty: why there is nothing to show; None if there is.
    """

    @property
    def title(self) -> str: ...  # noqa: D102 (above)
    @property
    def subtitle(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def sentences(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def method(self) -> str: ...  # noqa: D102
    @property
    def warnings(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def empty(self) -> str | None: ...  # noqa: D102

    def tables(self) -> tuple[Table, ...]:
        """What was found as tables, in the order in which they are read."""
        ...

    def plain(self) -> Mapping[str, Any]:
        """What it holds as plain data."""
        ...


def write_text(result: Result, console: Console, *, limit: int | None = None, of_each: bool = False) -> None:
    """A result as text: title, tables, sentences, method, and what to know before it is believed.

    `limit`: rows of its first table, or `of_each`, that are shown; None: all of them.
    """
    console.print(f"[bold]{escape(result.title)}[/]")
    for line in result.subtitle:
        console.print(line, markup=False)
    if result.empty is not None:
        console.print(result.empty, markup=False)
    for place, table in enumerate(result.tables()):
        shown = table if limit is None or (place and not of_each) else replace(table, rows=table.rows[:limit])
        if shown.rows and not shown.wide:
            console.print(shown.without_empty_columns().to_rich(width=console.width))
            if len(shown.rows) < len(table.rows):
                console.print(f"{plural(len(table.rows) - len(shown.rows), 'more row')} not shown")
            if table.note:
                console.print(table.note, markup=False)
    for sentence in result.sentences:
        console.print(f"- {sentence}", markup=False)
    if result.method:
        console.print(result.method, markup=False)
    for warning in result.warnings:
        console.print(f"[yellow]note:[/] {escape(warning)}")


def _shortened(words: str, width: int) -> str:
    """Shortened to so many characters of a terminal, in which one of Chinese takes the place of two."""
    shorter = (shorten(words, most) for most in range(width, 0, -1))
    return next((found for found in shorter if cell_len(found) <= width), words)


def _printed(write: Callable[[Console], None]) -> str:
    """What is written to a console of plain text."""
    written = io.StringIO()
    write(Console(file=written, width=_TEXT_COLUMNS, color_system=None, highlight=False, emoji=False))
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


class InNotebooks:
    """A result that `print` shows as a terminal does, and a notebook as its title, its tables and its sentences."""

    def __str__(self) -> str:
        assert isinstance(self, Result)
        result = self
        return _printed(lambda console: write_text(result, console))

    def _repr_html_(self) -> str:
        assert isinstance(self, Result)
        shown = () if self.empty else self.tables()
        return notebook_block(
            self.title,
            *(table.without_empty_columns().notebook() for table in shown if table.rows and not table.wide),
            paragraphs(self.empty or "", *self.subtitle, *self.sentences, self.method, *self.warnings),
        )

    def plain(self) -> Mapping[str, Any]:
        """What it holds as plain data: its fields, or what says them in fewer words.

        Another one says its keys by its return type, a TypedDict: `archsearch schema` shows that.
        """
        assert is_dataclass(self)
        return {each.name: plain(getattr(self, each.name)) for each in fields(self)}


def notebook_block(title: str, *parts: str) -> str:
    """A titled block of HTML parts; the title is escaped, the parts are HTML already."""
    return f'<div class="archsearch"><h4 style="margin: 0.4em 0">{html.escape(title)}</h4>{"".join(parts)}</div>'


def paragraphs(*texts: str) -> str:
    """Sentences, one a line; empty ones are left out."""
    return "".join(f'<div style="margin: 0.2em 0">{html.escape(each)}</div>' for each in texts if each)


def plain(value: object) -> Any:
    """Any result or part of one as JSON has it: dataclasses are mappings, what is not finite or not known is null."""
    return json.loads(pydantic_core.to_json(value, inf_nan_mode="null"))


Shape = TypeVar("Shape")


def json_as(shape: type[Shape], found: object, **more: Any) -> Shape:
    """The JSON of a TypedDict: its keys in its order, each from `more`, else as the plain attribute of this name."""
    keys = shape.__annotations__
    return cast(Shape, {key: more[key] if key in more else plain(getattr(found, key)) for key in keys})


def json_text(content: object, *, indent: int) -> str:
    """Plain data as JSON, with a line's end. A number that is too large to be one (of a damaged record) is null."""
    try:
        return json.dumps(content, indent=indent, allow_nan=False) + "\n"
    except ValueError:
        return json.dumps(plain(content), indent=indent, allow_nan=False) + "\n"


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as CSV with a header of every column in the order of first use; None is an empty cell."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, fieldnames=columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def html_sentence(words: str) -> str:
    """Text as a page shows it: escaped, a command of ours in backticks as code."""
    return _COMMAND.sub(r"<code>\1</code>", html.escape(words))


def json_script(content: Any, *, name: str | None = None) -> str:
    """Plain data for a page's scripts. No text in it can end the element; what is not finite becomes null."""
    written = json.dumps(plain(content), separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    for sign in "<>&\u2028\u2029":
        written = written.replace(sign, f"\\u{ord(sign):04x}")
    label = "" if name is None else f' id="{html.escape(name)}"'
    return f'<script type="application/json"{label}>{written}</script>'


_COMMAND = re.compile(r"`(archsearch [^`]*)`")  # in a sentence
_MARKDOWN_SIGNS = re.compile(r"([\\`*_{}\[\]<>#|~$&])")
_MARKDOWN_LINE_START = re.compile(r"^(\s*)([-+>]|\d+[.)])(\s)")


def markdown_escaped(words: str) -> str:
    """Text that Markdown shows letter for letter, on one line; a command of ours in backticks is code there, too."""
    parts = _COMMAND.split(" ".join(words.split()))
    parts[::2] = [_MARKDOWN_SIGNS.sub(r"\\\1", part) for part in parts[::2]]
    one_line = "".join(f"`{part}`" if place % 2 else part for place, part in enumerate(parts))
    return _MARKDOWN_LINE_START.sub(r"\1\\\2\3", one_line)


_LATEX_SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "±": r"$\pm$", "×": r"$\times$", "−": r"$-$", "≤": r"$\leq$", "≥": r"$\geq$", "≠": r"$\neq$",
    "→": r"$\rightarrow$", "·": r"$\cdot$", "…": r"\ldots{}",
}  # fmt: skip


def latex_escaped(words: str) -> str:
    """Text that LaTeX prints letter for letter, on one line."""
    return "".join(_LATEX_SIGNS.get(sign, sign) for sign in " ".join(words.split()))


_NEGATIVE = re.compile(r"(?<![^\s(])-\d+(,\d{3})*(\.\d+)?")


def _latex_cell(shown: str) -> str:
    """A cell; a number's minus is a minus, and a bracket that opens a row is none of LaTeX's own."""
    printed = _NEGATIVE.sub(lambda number: f"${number[0]}$".replace(",", "{,}"), latex_escaped(shown))
    return "{}" + printed if printed.startswith("[") else printed


def _folded(value: Cell, column: Column) -> Any:
    """A cell as a page's script lays it out: a plain value, or a number with what is shown, if that is another text."""
    if isinstance(value, Marked) and not value.sign:
        return value.value
    if not (isinstance(value, Interval | Spread | Marked) or column.probability):
        return value
    number, shown = _number(value, column), column.show(value)
    return shown if number is None else [number, shown]


def _html_cell(value: Cell, column: Column) -> str:
    number, shown = _number(value, column), html.escape(column.show(value))
    data = "" if number is None else f' data-value="{number!r}"'
    return f'<td class="{_kind(column)}"{data}>{shown}</td>'


def _number(value: Cell, column: Column) -> float | None:
    """What a page sorts a cell by, and saves of it; None where that is no number."""
    ranked = _value(value)
    if isinstance(ranked, int | float) and not isinstance(ranked, bool) and column.numeric and math.isfinite(ranked):
        return ranked
    return None


def _kind(column: Column) -> str:
    kind = "number" if column.numeric else "whole" if column.whole else "text"
    return f"{kind}{' trial' * column.trial}{' wide' * column.wide}"


def _value(cell: Cell) -> str | int | float | bool | None:
    return cell.value if isinstance(cell, Interval | Spread | Marked) else cell


def _finite(value: Cell) -> Any:
    if isinstance(value, StrEnum):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


# Columns that tables of many analyses have.

TRIAL = Column(title="Trial", decimals=0, trial=True)
WIDE_TRIAL = replace(TRIAL, wide=True)
NETWORK = Column(title="Network", key="label", whole=True)
TOP1 = Column(title="Top-1", key="top1_percent", unit="%", decimals=2)
LATENCY = Column(title="Latency", key="latency_ms", unit="ms", decimals=3)
ARCH_ID = Column(title="arch_id", whole=True, wide=True)
