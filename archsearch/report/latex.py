"""The front and the ablations of a report as LaTeX tables; they need the package booktabs."""

from __future__ import annotations

from archsearch.plots.page import Table
from archsearch.report.markdown import cell_text
from archsearch.report.sections import Report

_SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": r"$-$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≠": r"$\neq$",
    "→": r"$\rightarrow$",
    "·": r"$\cdot$",
    "…": r"\ldots{}",
}
# What a printed page has room for; the report's page and its CSV have the rest.
_FRONT = ("Network", "Top-1 (%)", "Latency (ms)", "Params", "Macs")
_ABLATION = (
    "Change",
    "Top-1 (points)",
    "Top-1 low",
    "Top-1 high",
    "Latency (%)",
    "Latency low",
    "Latency high",
    "Params",
    "Pairs",
)


def latex_text(report: Report) -> str:
    """The tables, each in a float with caption and label; names are escaped."""
    blocks = ["% \\usepackage{booktabs}"]
    for section in report.sections:
        if section.key == "front":
            blocks += [
                latex_table(
                    table,
                    _FRONT,
                    label="tab:front",
                    caption=f"{report.title}: the front. {', '.join(report.subtitle[0].split(' · '))}. {table.note}",
                )
                for table in section.tables
                if table.rows
            ]
        if section.key == "ablation":
            for number, part in enumerate(section.parts, start=1):
                blocks += [
                    latex_table(table, _ABLATION, label=f"tab:ablation-{number}", caption=f"{part.title}. {table.note}")
                    for table in part.tables[:1]
                    if table.rows
                ]
    if len(blocks) == 1:
        blocks.append(f"% {comment(report.title)}: no network on a front and no ablation, so there is no table.")
    return "\n\n".join(blocks) + "\n"


def escaped(text: str) -> str:
    """Text that LaTeX prints letter for letter, on one line."""
    return "".join(_SIGNS.get(sign, sign) for sign in " ".join(text.split()))


def comment(text: str) -> str:
    """Text after a `%`: it may not end the line."""
    return " ".join(text.split())


def latex_table(table: Table, titles: tuple[str, ...], *, label: str, caption: str) -> str:
    """The named columns of a table, in their order, as a float of booktabs."""
    places = [
        (index, column) for title in titles for index, column in enumerate(table.columns) if column.title == title
    ]
    form = "".join("r" if column.decimals is not None else "l" for _, column in places)
    head = " & ".join(escaped(column.title) for _, column in places)
    body = [" & ".join(_cell(cell_text(row[index], column)) for index, column in places) for row in table.rows]
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            f"  \\caption{{{escaped(caption)}}}",
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


def _cell(text: str) -> str:
    """A cell; a number's minus is a minus, and a bracket that opens a row is none of LaTeX's own."""
    printed = escaped(text)
    if text.startswith("-") and text[1:2].isdigit():
        return f"${printed}$".replace(",", "{,}")
    return "{}" + printed if printed.startswith("[") else printed
