"""What the papers print, as data with its source, and how a printed number compares with a computed one."""

from archsearch.papers.match import Match, Outcome, compare
from archsearch.papers.printed import Number, Paper, PrintedValue, Row, Table, find_paper, load_papers

__all__ = [
    "Match",
    "Number",
    "Outcome",
    "Paper",
    "PrintedValue",
    "Row",
    "Table",
    "compare",
    "find_paper",
    "load_papers",
]
