"""Stored studies side by side: the networks that they share, and how alike they rank them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from archsearch.analysis.comparison import Comparison, Side, compare_studies, sides_by_device
from archsearch.api.study import Study, opened_study
from archsearch.errors import ConfigError
from archsearch.search.precision import completed, protocol_as_settled
from archsearch.store.database import safe_url
from archsearch.text import level_text

# Keys of a proxy that the records' own conditions tell, and one that changes no result.
_SAID_BY_RECORDS = ("epochs", "train_images", "validation_images", "input_size", "chunk_steps")
_HINT = "give two studies, or one whose networks were measured on several devices"


def compare(studies: str | Path | Study | Sequence[str | Path | Study], *, storage: str | None = None) -> Comparison:
    """Compare stored studies, or the devices of one: a study whose latencies have several device fingerprints has a
    side for each.

    Args:
        studies: names, YAML files or opened studies; one alone may stand for itself. Equally named ones of several
            databases are told apart by these.
        storage: the database of those that are named.

    Raises ConfigError for a study given twice, or a single one of a single device; StoreError and UnknownNameError for
    names that are not stored.
    """
    named = [studies] if isinstance(studies, str | Path | Study) else studies
    opened = tuple(opened_study(each, storage=storage) for each in named)
    names, places = [study.name for study in opened], [(study.name, study.storage) for study in opened]
    twice = sorted({name for name, storage in places if places.count((name, storage)) > 1})
    if twice:
        raise ConfigError(f"study '{twice[0]}' is given twice", hint=_HINT)
    if not opened:
        raise ConfigError("no study to compare", hint=_HINT)
    told_apart = [name if names.count(name) == 1 else f"{name} in {safe_url(str(storage))}" for name, storage in places]
    sides = [
        side for study, name in zip(opened, told_apart, strict=True) for side in sides_by_device(_side(study, name))
    ]
    if len(sides) < 2:
        raise ConfigError(f"study '{names[0]}' was measured on one device alone: nothing to compare with", hint=_HINT)
    return compare_studies(sides)


def _side(study: Study, name: str) -> Side:
    config = study.info.config
    proxy = protocol_as_settled(completed(study.info), study.info)["proxy"]
    return Side(
        name=name,
        records=study.records,
        noise_floor=study.info.noise_floor,
        facts={
            "dataset": str(config["dataset"]),
            "data fingerprint": str(study.info.facts.get("data_fingerprint", "")),
            **{
                f"proxy.{key}": level_text(value)
                for key, value in proxy.items()
                if key not in _SAID_BY_RECORDS and value is not None
            },
        },
    )
