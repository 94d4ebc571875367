"""The stored studies of designs that were made from a study. Nothing here imports torch or Optuna."""

from __future__ import annotations

from archsearch.api.places import open_database
from archsearch.api.study import Study, read_study
from archsearch.designs import Purpose
from archsearch.store.studies import list_studies


def stored_designs(study: Study, purpose: Purpose, *, storage: str | None = None) -> tuple[Study, ...]:
    """The studies of designs that were made from a study for this purpose, the newest first.

    An ablation is its own answer: asked for those of an ablation's study, that study is given.

    Raises StoreError if the database cannot be read.
    """
    own = study.design
    if purpose == "ablation" and own is not None and own.purpose == purpose and own.of != study.name:
        return (study,)
    database = open_database(storage, create=False)
    try:
        made = [
            info
            for info in reversed(list_studies(database))
            if (facts := info.config.get("design")) is not None
            and facts["of"] == study.name
            and facts["purpose"] == purpose
        ]
        return tuple(read_study(database, info) for info in made)
    finally:
        database.close()
