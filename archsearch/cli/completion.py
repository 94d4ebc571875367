"""What a shell completes: names of studies, trials, networks, plots and choices, and the words that an option takes.

A shell asks after every press of a key, so nothing here imports torch, SQLAlchemy or plotly, and databases are read
only. What cannot be read completes to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pkgutil import resolve_name
from typing import Any

import typer

from archsearch.errors import ArchsearchError

Completed = list[tuple[str, str]]


def _completed(found: Callable[[typer.Context, str], Iterable[tuple[str, str]]]) -> Callable[..., Completed]:
    """A completion as typer takes it: those names, with what they are, that begin as what was typed."""

    def complete(ctx: typer.Context, incomplete: str) -> Completed:
        try:
            return [each for each in dict(found(ctx, incomplete)).items() if each[0].startswith(incomplete)]
        except (ArchsearchError, OSError, ValueError, KeyError):
            return []  # a message would be typed into the command line

    return complete


def words(*known: str) -> Callable[..., Completed]:
    """Completes one of these words."""
    return _completed(lambda _ctx, _typed: _named(known))


def _names_of(home: str, *more: str) -> Callable[..., Completed]:
    """Completes a name in the table at MODULE:NAME, which is imported when it is asked for, or one of these words."""
    return _completed(lambda _ctx, _typed: _named([*more, *resolve_name(home)]))


def _option(ctx: typer.Context, name: str) -> str | None:
    value: Any = ctx.params.get(name)
    return value if isinstance(value, str) else None


@_completed
def stored_studies(ctx: typer.Context, _typed: str) -> Iterable[tuple[str, str]]:
    """Names of the studies in the database."""
    from archsearch.store.names import study_names

    return ((name, "stored") for name in study_names(_option(ctx, "storage")))


@_completed
def shipped_studies(_ctx: typer.Context, _typed: str) -> Iterable[tuple[str, str]]:
    """Names of the studies that come with archsearch."""
    from archsearch.resources import list_yaml

    return ((name, "shipped") for name in list_yaml("studies"))


@_completed
def trials(ctx: typer.Context, _typed: str) -> Iterable[tuple[str, str]]:
    """What names a network of the study that is named, or of the one worked on last."""
    from archsearch.models.variants import VARIANTS
    from archsearch.store.names import trial_names

    found = trial_names(_option(ctx, "storage"), _option(ctx, "study"))
    several = [("front", "every network on the front"), ("variants", "the study's published networks")]
    lists = several if ctx.info_name == "retrain" else []
    return [("best", "recommended"), *lists, *((str(number), name) for number, name in found), *_named(VARIANTS)]


def _named(names: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, "") for name in names]


@_completed
def networks(ctx: typer.Context, typed: str) -> Iterable[tuple[str, str]]:
    """Named networks and families; after a study's name and a colon its trials."""
    from archsearch.models.families import FAMILIES
    from archsearch.models.variants import VARIANTS
    from archsearch.store.names import trial_names

    study, colon, _ = typed.rpartition(":")
    if colon:
        found = trial_names(_option(ctx, "storage"), study)
        return [(f"{study}:best", "recommended"), *((f"{study}:{number}", name) for number, name in found)]
    return [
        *_named([*VARIANTS, *FAMILIES]),
        *((f"{name}:best", "recommended") for name, _ in stored_studies(ctx, typed)),
    ]


@_completed
def plots(_ctx: typer.Context, _typed: str) -> Iterable[tuple[str, str]]:
    """Plots, and what each shows."""
    from archsearch.plots.summaries import SUMMARIES

    return SUMMARIES.items()


@_completed
def choices(ctx: typer.Context, typed: str) -> Iterable[tuple[str, str]]:
    """Choices of the study that is named, or of the main family; after a comma the next one."""
    from archsearch.models.families import FAMILIES
    from archsearch.store.names import choice_names

    before, comma, _ = typed.rpartition(",")
    study = _option(ctx, "study")
    base = FAMILIES["shufflenet_v2"].base
    known = () if study is None else choice_names(_option(ctx, "storage"), study)
    return _named(f"{before}{comma}{name}" for name in known or (*base.macros(), *base.rules()))


@_completed
def papers(_ctx: typer.Context, _typed: str) -> Iterable[tuple[str, str]]:
    """Keys of the papers whose printed numbers are data."""
    from archsearch.papers.printed import DATA

    return _named(path.stem for path in sorted(DATA.glob("*.yaml")))


any_studies = _completed(lambda ctx, typed: [*shipped_studies(ctx, typed), *stored_studies(ctx, typed)])
protocols = _names_of("archsearch.training.protocols:PROTOCOLS")
families = _names_of("archsearch.models.families:FAMILIES")
backends = _names_of("archsearch.latency.backends:BACKENDS", "auto")
devices = words("auto", "cpu", "cuda")
rules = words("recommended", "knee", "accuracy", "latency")
