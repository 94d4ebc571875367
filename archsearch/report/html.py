"""A report as one self-contained HTML page, which needs no network and works from a file."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib import resources

from archsearch.plots.page import document, facts_html, figure_html, warnings_html
from archsearch.report.sections import Drawing, Pick, Report, Section, Subsection
from archsearch.table import json_script

_DEFAULT_HEIGHT_PX = 520


def html_text(report: Report) -> str:
    """The page. Every name in it is escaped, in the text and in the data of its scripts."""
    drawn = any(section.drawings or any(part.drawings for part in section.parts) for section in report.sections)
    parts = [
        _contents(report),
        "<main>",
        _head(report),
        *(_section(section, report) for section in report.sections),
        _made(report),
        "</main>",
        json_script(report.networks, name="networks"),
    ]
    return document(
        parts,
        title=report.title,
        with_plotly=drawn,
        styles=(_asset("report.css"),),
        scripts=(_asset("report.js"),),
    )


def _contents(report: Report) -> str:
    links = "".join(
        f'<li><a href="#{escape(section.key)}">{escape(section.title)}</a></li>' for section in report.sections
    )
    return f'<nav aria-label="Contents"><p>Contents</p><ol><li><a href="#answer">The answer</a></li>{links}</ol></nav>'


def _head(report: Report) -> str:
    lines = [f"<h1>{escape(report.title)}</h1>"]
    lines += [f'<p class="quiet">{escape(line)}</p>' for line in report.subtitle]
    lines.append(f'<p class="question">{escape(report.question)}</p>')
    lines.append('<section id="answer" class="answer"><h2>The answer</h2>')
    lines += _paragraphs(report.answer)
    if report.picks:
        cards = "".join(_card(pick) for pick in report.picks)
        lines.append(f'<div class="cards">{cards}</div>')
        lines.append(f'<p class="quiet">{escape(report.picks_note)}</p>')
    return "\n".join([*lines, "</section>"])


def _card(pick: Pick) -> str:
    numbers = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pick.measures)
    changes = ", ".join(f"{escape(name)} <b>{escape(value)}</b> ({escape(base)})" for name, value, base in pick.changes)
    return (
        f'<article class="card"><p class="roles">{escape(" · ".join(pick.roles))}'
        f'<span class="{"sure" if pick.confirmed else "unsure"}">{escape(pick.state)}</span></p>'
        f'<h3>{escape(pick.label)}</h3><dl class="numbers">{numbers}</dl>'
        f"{''.join(f'<p>{escape(line)}</p>' for line in pick.why)}"
        f"<h4>How sure</h4><p>{escape(' '.join(pick.certainty))}</p>"
        f"{_confirm(pick)}"
        f"<h4>What differs</h4><p>{changes or 'Nothing: it is the network that others are described against.'}</p>"
        f'<h4>Train it in full</h4><p class="type"><code>{escape(pick.command)}</code></p>'
        f'<button type="button" class="show" data-trial="{pick.trial}">Show this network</button></article>'
    )


def _confirm(pick: Pick) -> str:
    return f'<p class="type">Confirm: <code>{escape(pick.confirm)}</code></p>' if pick.confirm else ""


def _section(section: Section, report: Report) -> str:
    lines = [f'<section id="{escape(section.key)}" class="chapter"><h2>{escape(section.title)}</h2>']
    lines += _paragraphs(section.sentences)
    lines.append(warnings_html(section.warnings))
    lines += _points(section.points)
    lines += [_drawing(drawing) for drawing in section.drawings]
    lines += [table.without_empty_columns().html(level=3) for table in section.tables]
    lines += [_part(part) for part in section.parts]
    if section.facts:
        lines.append(facts_html(section.facts))
    lines += _command(section.command)
    return "\n".join(line for line in [*lines, "</section>"] if line)


def _part(part: Subsection) -> str:
    lines = [f"<h3>{escape(part.title)}</h3>", *_paragraphs(part.sentences), *_points(part.points)]
    lines.append(warnings_html(part.warnings))
    lines += [_drawing(drawing) for drawing in part.drawings]
    lines += [table.without_empty_columns().html(level=4) for table in part.tables]
    if part.more:
        told = "".join(_points(part.more))
        lines.append(f'<details class="more"><summary>Each in a sentence, with its interval</summary>{told}</details>')
    return "\n".join(line for line in [*lines, *_command(part.command)] if line)


def _drawing(drawing: Drawing) -> str:
    figure = drawing.draw(drawing.info)
    height = drawing.height_px or figure.layout.height or _DEFAULT_HEIGHT_PX
    caption = f"<figcaption>{escape(drawing.caption)}</figcaption>"
    shown = figure_html(figure, drawing.name, height_px=int(height))
    tables = "".join(
        table.folded_html(summary=f"The data of this figure: {table.title.lower()} ({len(table.rows):,} rows)")
        for table in drawing.tables
    )
    if not drawing.picks_networks:
        return f"<figure>{shown}{caption}</figure>{tables}"
    label = f"{escape(drawing.caption)} The arrow keys go from network to network."
    return (
        f'<div class="with-panel"><figure class="picks-networks" tabindex="0" aria-label="{label}">'
        f"{shown}{caption}{tables}</figure>{_PANEL}</div>"
        '<div id="built"></div>'
    )


_PANEL = (
    '<aside id="panel" aria-label="One network"><label>Network <select id="which"></select></label>'
    '<div id="network" tabindex="-1" aria-live="polite"></div></aside>'
)


def _made(report: Report) -> str:
    if not report.command:
        return ""
    return f'<p class="quiet made">Made by <code>{escape(report.command)}</code></p>'


def _paragraphs(lines: Iterable[str]) -> list[str]:
    return [f"<p>{escape(line)}</p>" for line in lines if line]


def _points(lines: Iterable[str]) -> list[str]:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines if line)
    return [f'<ul class="points">{items}</ul>'] if items else []


def _command(command: str | None) -> list[str]:
    return [f'<p class="type">To find out: <code>{escape(command)}</code></p>'] if command else []


def _asset(name: str) -> str:
    return resources.files("archsearch.report").joinpath(name).read_text(encoding="utf-8")
