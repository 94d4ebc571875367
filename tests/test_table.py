from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass
from enum import StrEnum

import pytest
from rich.console import Console

from archsearch.table import Cell, Column, InNotebooks, Interval, Marked, Result, Spread, Table, json_text, plain


@pytest.fixture
def table() -> Table:
    rows: tuple[tuple[Cell, ...], ...] = (
        ("<b>[red]x|y</b>", 3, Interval(0.614, 0.08, 0.97), Spread(88.4, 0.3), True, None),
        ("b_1", 1200, Interval(-0.2, None, None), Spread(91.25, None), False, "50 %"),
        ("c", 5, Interval(None, None, None), Spread(None, None), None, None),
    )
    return Table(
        title="Networks & more",
        columns=(
            Column(title="Network", key="label", whole=True),
            Column(title="Trial", key="trial", decimals=0, trial=True),
            Column(title="Tau", key="tau", decimals=2, signed=True),
            Column(title="Top-1", key="top1_percent", unit="%", decimals=2),
            Column(title="On the front", key="on_front"),
            Column(title="Note", wide=True),
        ),
        rows=rows,
        marked=frozenset({1}),
    )


def printed(table: Table, width: int) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(table.to_rich(width=width))
    return stream.getvalue()


def test_a_terminal_shows_values_with_unit_interval_and_deviation(table: Table) -> None:
    lines = printed(table, 120).splitlines()
    assert [line.split() for line in lines if "b_1" in line] == [
        ["b_1", "1,200", "-0.20", "91.25", "no", "50", "%"],
    ]
    first = next(line for line in lines if "[red]" in line)  # markup is text
    assert first.split()[1:] == ["3", "+0.61", "(+0.08", "to", "+0.97)", "88.40", "±", "0.30", "yes"]
    assert "Top-1 (%)" in lines[2]


def test_a_narrow_terminal_does_without_wide_columns(table: Table) -> None:
    assert "Note" in printed(table, 100)
    assert "Note" not in printed(table, 99)


def test_in_a_terminal_too_narrow_names_are_shortened_and_last_columns_left_out_but_no_number_is_cut() -> None:
    name = "shufflenet_v2_x1_0_se_residual_authors"
    numbers = tuple(Column(title=f"N{number}", decimals=0) for number in range(6))
    table = Table(title="", columns=(Column(title="Network", whole=True), *numbers), rows=((name, *[1_234_567] * 6),))
    # 38 characters of name and 6 x 9 of numbers, each with 2 between columns
    assert name in printed(table, 108)
    narrow = printed(table, 90)
    assert (narrow.count("1,234,567"), "No room" in narrow) == (6, False)
    assert "shuf…" in narrow and "_authors" in narrow
    narrower = printed(table, 60)
    assert (narrower.count("1,234,567"), max(map(len, narrower.splitlines())) <= 60) == (4, True)
    assert "No room here for: N4, N5" in narrower


def test_a_name_of_wide_characters_takes_the_room_that_it_has_in_a_terminal_and_no_number_is_broken() -> None:
    # 24 signs of two characters each: 48 with 2 between columns, and 3 x 10 of numbers with 2 between them, are 86
    name = "这是一个非常长的类别名称用来测试表格的宽度吗啊哦"
    numbers = tuple(Column(title=f"N{number}", decimals=0) for number in range(3))
    table = Table(title="", columns=(Column(title="Class", whole=True), *numbers), rows=((name, *[12_345_678] * 3),))
    assert name in printed(table, 86)
    for width in (85, 60):
        shown = printed(table, width)
        assert (name in shown, "…" in shown, shown.count("12,345,678")) == (False, True, 3)
        assert name[-4:] in shown  # the end of a name tells it apart


def test_names_that_would_look_alike_shortened_are_broken_into_lines() -> None:
    names = [f"shufflenet_v2_x{width}_se_residual_authors" for width in ("0_5", "1_0")]
    numbers = tuple(Column(title=f"N{number}", decimals=0) for number in range(3))
    rows = tuple((name, *[1_234_567] * 3) for name in names)
    shown = printed(Table(title="", columns=(Column(title="Network", whole=True), *numbers), rows=rows), 50)
    assert ("…" in shown, shown.count("1,234,567"), max(map(len, shown.splitlines())) <= 50) == (False, 6, True)
    first = "".join(line.split()[0] for line in shown.splitlines() if line.strip() and "─" not in line)
    assert all(name in first for name in names)


def test_an_interval_is_broken_into_lines_before_a_column_is_left_out() -> None:
    intervals = [Column(title=f"I{number}", decimals=3) for number in range(3)]
    columns = (Column(title="Network", whole=True), *intervals)
    table = Table(title="", columns=columns, rows=(("n" * 20, *[Interval(1.0, 0.9, 1.1)] * 3),))
    lines = printed(table, 75).splitlines()  # 22 characters of name and 3 x 23 of intervals would be 91
    assert [line.count("1.000") for line in lines if "nnn" in line] == [3]
    assert sum(line.count("(0.900") for line in lines) == sum(line.count("1.100)") for line in lines) == 3


def test_no_number_is_broken_into_lines_where_wide_columns_or_texts_can_give_way() -> None:
    intervals = [Column(title=f"Interval {number}", decimals=3) for number in range(4)]
    text = "words that can be broken between any two of them"
    wide = Table(
        title="", columns=(*intervals, Column(title="Text"), Column(title="Wide", wide=True)),
        rows=((*[Interval(1.0, 0.9, 1.1)] * 4, text, "w" * 9),),
    )  # fmt: skip
    # 4 x 22 characters, 7 of "between", 9 of the wide column, and 2 for each of six columns: 116
    assert "Wide" in printed(wide, 116)
    for width in (115, 105):
        shown = printed(wide, width)
        assert "Wide" not in shown
        assert shown.count("1.000 (0.900 to 1.100)") == 4


def test_csv_and_json_have_the_ends_of_an_interval_apart(table: Table) -> None:
    assert table.csv().splitlines()[:2] == [
        "label,trial,tau,tau_low,tau_high,top1_percent,top1_percent_std,on_front,note",
        "<b>[red]x|y</b>,3,0.614,0.08,0.97,88.4,0.3,True,",
    ]
    second = table.dicts()[1]
    assert (second["tau"], second["tau_low"], second["top1_percent_std"], second["note"]) == (-0.2, None, None, "50 %")


def test_a_page_sorts_by_the_number_and_shows_the_interval(table: Table) -> None:
    html = table.html()
    assert '<td class="number" data-value="0.614">+0.61 (+0.08 to +0.97)</td>' in html
    assert '<td class="number trial" data-value="1200">1,200</td>' in html
    assert "&lt;b&gt;[red]x|y&lt;/b&gt;" in html
    assert "<h2>Networks &amp; more</h2>" in html
    folded = table.folded_html(summary="s")
    data = json.loads(folded.partition('<script type="application/json">')[2].partition("</script>")[0])
    tau, top1 = [0.614, "+0.61 (+0.08 to +0.97)"], [88.4, "88.40 ± 0.30"]
    assert data["rows"][0] == ["<b>[red]x|y</b>", 3, tau, top1, True, None]


def test_a_table_that_is_folded_away_has_the_number_of_every_cell_that_shows_more_or_less_than_it() -> None:
    columns = (
        Column(title="Latency", decimals=3),
        Column(title="Front", probability=True),
        Column(title="Name", whole=True),
        Column(title="Top-1", decimals=2),
    )
    row = (Marked(1234.5, "?"), 0.9, Marked("a", " *"), Interval(math.nan, None, None))
    table = Table(title="", columns=columns, rows=(row,))
    folded = table.folded_html(summary="s")
    rows = json.loads(folded.partition('<script type="application/json">')[2].partition("</script>")[0])["rows"]
    # sorted as text `1,234.500?` and `90 %` are no numbers, and stand anywhere; what is not known is none
    assert rows == [[[1234.5, "1,234.500?"], [0.9, "90 %"], "a *", "not known"]]
    assert 'data-value="nan"' not in table.html()


def test_markdown_and_latex_escape_what_they_would_read(table: Table) -> None:
    markdown = table.markdown().splitlines()
    assert markdown[:2] == [
        "| Network | Trial | Tau | Top-1 (%) | On the front |",
        "|---|---:|---:|---:|---|",
    ]
    assert markdown[2].startswith(r"| \<b\>\[red\]x\|y\</b\> | 3 | +0.61 (+0.08 to +0.97) | 88.40 ± 0.30 | yes |")
    latex = table.latex(label="tab:x", caption="50 % & more")
    assert r"\caption{50 \% \& more}" in latex
    assert r"    b\_1 & 1,200 & $-0.20$ & 91.25 & no \\" in latex
    assert r"\begin{tabular}{lrrrl}" in latex


def test_in_latex_each_negative_number_of_a_cell_is_mathematics_and_the_words_between_are_text() -> None:
    columns = tuple(Column(title=title, decimals=1, signed=signed) for title, signed in (("I", True), ("S", False)))
    rows = ((Interval(-1234.5, -2345.6, 0.5), Spread(-0.5, 0.1)), (Interval(0.5, -0.1, 1.1), None))
    table = Table(title="", columns=(*columns, Column(title="Text")), rows=tuple((*row, "a -b 3-5") for row in rows))
    lines = table.latex(label="tab:x", caption="").splitlines()
    # within one $...$ spaces are dropped and `to` is t times o; a $ within it (of ±) would end it
    assert r"    $-1{,}234.5$ ($-2{,}345.6$ to +0.5) & $-0.5$ $\pm$ 0.1 & a -b 3-5 \\" in lines
    assert r"    +0.5 ($-0.1$ to +1.1) &  & a -b 3-5 \\" in lines


def test_columns_are_chosen_by_name_in_the_order_asked_for(table: Table) -> None:
    chosen = table.select("trial", "label")
    assert [column.name for column in chosen.columns] == ["trial", "label"]
    assert chosen.rows[1] == (1200, "b_1")
    with pytest.raises(KeyError):
        table.select("nothing")
    assert [column.name for column in Table(title="", columns=table.columns, rows=()).without_empty_columns().columns]


def test_a_notebook_has_the_marked_row_bold_and_says_what_it_leaves_out(table: Table) -> None:
    html = table.notebook()
    assert html.count("font-weight: bold") == len(table.columns)  # of the second row alone
    many = Table(title="", columns=(Column(title="n", decimals=0),), rows=tuple((n,) for n in range(32)))
    assert "2 more rows not shown" in many.notebook()


def test_any_result_is_json_without_a_number_that_json_lacks() -> None:
    class Kind(StrEnum):
        ONE = "one"

    @dataclass(frozen=True)
    class Part:
        value: float
        kind: Kind
        more: dict[int, tuple[float, ...]]

    assert plain(Part(math.nan, Kind.ONE, {1: (math.inf, 2.0)})) == {
        "value": None,
        "kind": "one",
        "more": {"1": [None, 2.0]},
    }


def test_a_result_shows_itself_in_a_notebook(table: Table) -> None:
    @dataclass(frozen=True)
    class Found(InNotebooks):
        empty: str | None = None
        title: str = "Title <x>"
        subtitle: tuple[str, ...] = ("of 2 networks",)
        sentences: tuple[str, ...] = ("It is so.",)
        method: str = "By looking."
        warnings: tuple[str, ...] = ("Not sure.",)

        def tables(self) -> tuple[Table, ...]:
            return (table,)

    assert isinstance(Found(), Result)
    html = Found()._repr_html_()
    for part in ("Title &lt;x&gt;", "<table", "of 2 networks", "It is so.", "By looking.", "Not sure."):
        assert part in html
    assert "<table" not in Found(empty="nothing yet")._repr_html_()


def test_what_a_program_reads_has_null_where_a_number_is_too_large_and_is_json_for_every_parser() -> None:
    assert json_text({"a": [1.5, float("inf")], "b": float("nan")}, indent=1) == (
        '{\n "a": [\n  1.5,\n  null\n ],\n "b": null\n}\n'
    )
    assert json.loads(json_text({"name": "\udcff", "a": 1e308}, indent=2)) == {"name": "\udcff", "a": 1e308}


@pytest.mark.parametrize("width", [60, 66, 72, 80])
def test_a_heading_is_broken_between_its_words_and_never_cut(width: int) -> None:
    table = Table(
        title="",
        columns=(
            Column(title="network", whole=True),
            *(Column(title=name, decimals=3) for name in ("p10 ms", "median", "p90", "ratio")),
            Column(title="95% interval", whole=True),
        ),
        rows=(("shufflenet_v2_x1_0_se_residual", 0.318, 0.337, 0.633, 1.002, "0.995-1.006"),),
    )
    text = io.StringIO()
    Console(file=text, width=width, color_system=None).print(table.to_rich(width=width))
    head = text.getvalue().partition("─")[0].split()
    assert sorted(head) == sorted(["network", "p10", "ms", "median", "p90", "ratio", "95%", "interval"])
    assert "0.995-1.006" in text.getvalue()
