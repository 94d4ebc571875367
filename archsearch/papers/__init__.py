"""What the papers print, as data with its source, and how a printed number compares with a computed one."""

from archsearch.papers.printed import (
    Agreement,
    Match,
    Number,
    Paper,
    PrintedTable,
    PrintedValue,
    Row,
    compare,
    find_paper,
    load_papers,
)

__all__ = [
    "Agreement",
    "Match",
    "Number",
    "Paper",
    "PrintedTable",
    "PrintedValue",
    "Row",
    "compare",
    "find_paper",
    "load_papers",
]
