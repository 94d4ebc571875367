"""One report of a study: sections of plain facts, rendered as a page, as Markdown or as LaTeX."""
