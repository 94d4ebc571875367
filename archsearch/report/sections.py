"""What a report is made of: sections of sentences, figures and tables. Plain text: each renderer escapes its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from archsearch.table import Table


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One figure with the data that it shows.

    Attributes:
        name: of the plot, unique in the report; the element's id.
        title: its heading.
        caption: what is seen, in a sentence.
        result: what the figure draws.
        draw: makes the figure of it.
        tables: the data, folded away below the figure.
        picks_networks: whether a point's custom data is the trial that it stands for.
        height_px: on the page, of a figure that has no height of its own; None: as most have.
    """

    name: str
    title: str
    caption: str
    result: Any
    draw: Callable[[Any], Any]
    tables: tuple[Table, ...] = ()
    picks_networks: bool = False
    height_px: int | None = None


@dataclass(frozen=True, kw_only=True)
class Subsection:
    """A piece of a section under a heading of its own.

    Attributes:
        title: its heading.
        sentences: paragraphs, before everything else.
        points: a list of sentences.
        warnings: shown apart.
        drawings, tables: in this order; with sentences before them.
        more: sentences that the page folds away.
        command: what to type to get what is missing here; None if nothing is.
    """

    title: str
    sentences: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    tables: tuple[Table, ...] = ()
    more: tuple[str, ...] = ()
    command: str | None = None


@dataclass(frozen=True, kw_only=True)
class Section(Subsection):
    """One section.

    Attributes:
        key: of links to it.
        parts: pieces with headings of their own, after the rest.
        facts: (name, value) pairs, last.
    """

    key: str
    parts: tuple[Subsection, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Pick:
    """One network that the report says to take.

    Attributes:
        roles: why it is one of those to take, such as "recommended"; one network may have several.
        label, trial, arch_id: which it is.
        measures: (name, value with its unit): top-1, latency, params, MACs.
        why: sentences.
        certainty: how sure its place is, in sentences.
        confirmed: whether further seeds stand behind it.
        state: the same in two words.
        confirm: the command that confirms it; None if nothing is left to do.
        changes: what differs from the baseline, as (choice, value, the baseline's value).
        command: what retrains it.
    """

    roles: tuple[str, ...]
    label: str
    trial: int
    arch_id: str
    measures: tuple[tuple[str, str], ...]
    why: tuple[str, ...]
    certainty: tuple[str, ...]
    confirmed: bool
    state: str
    confirm: str | None
    changes: tuple[tuple[str, str, str], ...]
    command: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """A whole report.

    Attributes:
        study: its study's name.
        title, question: of the page.
        subtitle: lines of conditions.
        answer: what to take, in a sentence or two.
        choices: which choices are worth their cost; None where the study does not ask.
        glance: the front with the networks to take; None without one.
        picks: the networks to take; empty if there is none, and then `answer` says why.
        picks_note: how they were chosen.
        sections: the rest, in order.
        networks: what is known of each network, for the page's panel (`networks.panel_data`).
        command: what was typed to make the report.
    """

    study: str
    title: str
    question: str
    subtitle: tuple[str, ...]
    answer: tuple[str, ...]
    picks: tuple[Pick, ...]
    picks_note: str
    sections: tuple[Section, ...]
    choices: Subsection | None = None
    glance: Drawing | None = None
    networks: dict[str, Any] = field(default_factory=dict)
    command: str | None = None
