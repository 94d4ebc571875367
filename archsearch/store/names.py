"""Names in a database for a shell's completion: read at once, without SQLAlchemy, and without writing a byte."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

DEFAULT_URL = "sqlite:///runs/archsearch.db"
_SQLITE = "sqlite:///"
_WAIT_SECONDS = 0.2  # for a writer: a key was pressed


def study_names(url: str | None) -> tuple[str, ...]:
    """The studies of a database, the one that was entered last first; none of one that is not SQLite, or not there."""
    return tuple(name for (name,) in _rows(url, "SELECT name FROM archsearch_studies ORDER BY id DESC"))


def trial_names(url: str | None, study: str | None) -> tuple[tuple[int, str], ...]:
    """Number and name of every complete trial of a study; None: of the one worked on last, as `latest_study` has it."""
    newest = (
        "SELECT coalesce(base.id, made.id) FROM archsearch_studies made LEFT JOIN archsearch_studies base "
        "ON base.name = json_extract(made.config, '$.design.of') "
        "WHERE made.id = (SELECT study_id FROM archsearch_trials ORDER BY id DESC LIMIT 1)"
    )
    named = "SELECT id FROM archsearch_studies WHERE name = ?"
    found = _rows(
        url,
        # a design's trials have its keys, '@0#3', in the place of variants
        "SELECT number, coalesce(CASE WHEN variant LIKE '@%' THEN NULL ELSE variant END, arch_id, '') "
        "FROM archsearch_trials WHERE status = 'complete' AND number "
        f"IS NOT NULL AND study_id = ({newest if study is None else named}) ORDER BY number",
        *(() if study is None else (study,)),
    )
    return tuple((int(number), str(name)) for number, name in found)


def choice_names(url: str | None, study: str) -> tuple[str, ...]:
    """The choices that a stored study searches."""
    for (space,) in _rows(url, "SELECT space FROM archsearch_studies WHERE name = ?", study):
        return tuple(str(domain["name"]) for domain in json.loads(space).get("domains", ()))
    return ()


def _rows(url: str | None, query: str, *values: str) -> list[tuple[str, ...]]:
    """What a database answers; nothing if it is not SQLite, not there, or cannot be read."""
    url = url or DEFAULT_URL
    try:
        path = Path(url.removeprefix(_SQLITE).partition("?")[0]).expanduser()  # as `database.normal_url` does
    except RuntimeError:  # there is no such home folder
        return []
    if not url.startswith(_SQLITE) or not path.is_file():
        return []
    # Where nobody has it open nothing changes, and SQLite need not make the files that readers and writers share.
    still = "" if path.with_name(f"{path.name}-wal").exists() else "&immutable=1"
    uri = f"file:{quote(str(path))}?mode=ro{still}"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=_WAIT_SECONDS)) as database:
            return database.execute(query, values).fetchall()
    except sqlite3.Error:
        return []
