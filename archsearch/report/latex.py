"""The front and the ablations of a report as LaTeX tables; they need the package booktabs."""

from __future__ import annotations

from archsearch.report.sections import Report

# What a printed page has room for; the report's page and its CSV have the rest.
_FRONT = ("trial", "network", "top1_percent", "latency_ms", "params", "macs")


def latex_text(report: Report) -> str:
    """The tables, each in a float with caption and label; names are escaped."""
    blocks = ["% \\usepackage{booktabs}"]
    for section in report.sections:
        if section.key == "front":
            under = ", ".join(report.subtitle).replace(" · ", ", ")
            blocks += [
                table.select(*_FRONT).latex(
                    label="tab:front",
                    caption=f"{report.title}: the front. {under}. {table.note}",
                )
                for table in section.tables[:1]
                if table.rows
            ]
        if section.key == "ablation":
            for number, part in enumerate(section.parts, start=1):
                blocks += [
                    table.latex(
                        label=f"tab:ablation-{number}.{place}", caption=f"{part.title}. {table.title}. {table.note}"
                    )
                    for place, table in enumerate(part.tables, start=1)
                    if table.rows and not table.wide
                ]
    if len(blocks) == 1:
        title = " ".join(report.title.split())  # it may not end the line
        blocks.append(f"% {title}: no network on a front and no ablation, so there is no table.")
    return "\n\n".join(blocks) + "\n"
