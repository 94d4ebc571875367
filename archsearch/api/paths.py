"""Where a project's files lie: everything below one folder, `runs/` unless told otherwise."""

from __future__ import annotations

from pathlib import Path

from archsearch.store.database import DEFAULT_URL, Database

RUNS = Path("runs")


def open_database(storage: str | None, *, create: bool) -> Database:
    """The database at this URL, or `runs/archsearch.db`. Raises ConfigError or StoreError."""
    return Database(storage or DEFAULT_URL, create=create)


def study_folder(study: str) -> Path:
    """Where a study's pages, logs and models go."""
    return RUNS / study
