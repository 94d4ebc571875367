"""What is known of picture files without decoding them, looked at once: remembered by path, size and time of change."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from archsearch.data.decoded import on_every_core
from archsearch.data.pictures import PictureFacts, picture_facts
from archsearch.errors import ArchsearchError
from archsearch.files import write_atomically

logger = logging.getLogger(__name__)

_FORMAT = 1  # counted up when `picture_facts` finds other things
_TELL_SECONDS = 15.0


def scanned(files: Sequence[Path], *, root: Path, folder: Path, whole: bool) -> list[PictureFacts]:
    """The facts of every file, in order; those that are new or were changed are read now, on every core.

    Args:
        root: what the memory is kept for; files of several calls share one.
        folder: where it is kept. A memory that cannot be written is done without, with a warning.
        whole: see `picture_facts`.
    """
    place = folder / f"{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:24]}.json"
    known = _remembered(place)
    told = [time.monotonic(), 0]
    stamps = [_stamp(file, whole=whole) for file in files]

    def look(number: int) -> PictureFacts:
        facts = picture_facts(files[number], whole=whole)
        told[1] += 1
        if time.monotonic() - told[0] > _TELL_SECONDS:
            told[0] = time.monotonic()
            logger.info("%d of %d new files are looked at", told[1], len(new))
        return facts

    names = [str(file) for file in files]
    new = [number for number, name in enumerate(names) if not _answers(known.get(name), stamps[number])]
    found = dict(zip(new, on_every_core(look, new), strict=True))
    for number, facts in found.items():
        known[names[number]] = {"stamp": stamps[number], "facts": asdict(facts)}
    if found:
        try:
            write_atomically(place, json.dumps({"format": _FORMAT, "files": known}).encode())
        except ArchsearchError as error:
            logger.warning("what was found out of %s is not remembered: %s", root, error)
    return [PictureFacts(**known[name]["facts"]) for name in names]


def _stamp(file: Path, *, whole: bool) -> list[int]:
    """Size, time of the last change, and whether the whole file was decoded; a file that is not there has no stamp."""
    try:
        found = file.stat()
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns, int(whole)]


def _answers(entry: Any, stamp: list[int]) -> bool:
    """Whether what is remembered is of this file; one that was decoded whole answers the smaller question, too."""
    return bool(stamp) and entry is not None and entry["stamp"] in (stamp, [*stamp[:2], 1])


def _remembered(place: Path) -> dict[str, Any]:
    """What was found earlier; nothing where the memory is absent, damaged, or of another version."""
    try:
        said = json.loads(place.read_text(encoding="utf-8"))
        if said["format"] != _FORMAT:
            return {}
        return {
            str(name): {"stamp": list(entry["stamp"]), "facts": asdict(PictureFacts(**entry["facts"]))}
            for name, entry in said["files"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
