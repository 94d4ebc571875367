"""Where a project's files lie: everything below one folder, `runs/` unless told otherwise."""

from __future__ import annotations

from pathlib import Path

from archsearch.errors import ConfigError, shown
from archsearch.files import NAME_WORDS, is_name
from archsearch.models.variants import TORCHVISION
from archsearch.resources import is_file, user_path
from archsearch.store.database import Database
from archsearch.store.names import DEFAULT_URL

RUNS = Path("runs")


def as_path(given: str | Path | None) -> Path | None:
    """A path that may be given as text, see `user_path`."""
    return None if given is None else user_path(given)


def open_database(storage: str | None, *, create: bool, entering: str | None = None) -> Database:
    """The database at this URL, or `runs/archsearch.db`; arguments and errors as of `Database`."""
    return Database(DEFAULT_URL if storage is None else storage, create=create, entering=entering)


def study_folder(study: str) -> Path:
    """Where a study's pages, logs and models go. Raises ConfigError for a name that would lead elsewhere."""
    if not is_name(study):
        raise ConfigError(f"a study cannot be called {shown(study)}", hint=NAME_WORDS)
    return RUNS / study


def model_folder(named: str | int | Path) -> Path | None:
    """The model's folder that a network is named by, whole or not; None for a name, or the number of a trial."""
    folder = user_path(str(named))
    is_path = isinstance(named, Path) or ("/" in str(named) and not str(named).startswith(TORCHVISION))
    return folder if is_path or is_file(folder / "spec.json") else None
