"""Whose failure it is when a trial ends with an error: its network's, or the program's and so every network's."""

from __future__ import annotations

import re
import traceback
from collections.abc import Sequence
from pathlib import Path

from archsearch.errors import ArchsearchError, DivergedError, TrainingMemoryError
from archsearch.search.outcome import Blame
from archsearch.store.claims import EndedTrial

WINDOW = 10  # networks, the newest
ALIKE = 3  # of them that one error has ended

_PACKAGE = Path(__file__).parents[1]
_MEMORY = re.compile(r"out of memory|not enough memory|can't allocate memory|MemoryError", re.IGNORECASE)
# What differs where the same line fails for two networks: their ids, addresses, sizes, shapes.
_VARIES = re.compile(r"\b0x[0-9a-f]+|\b[0-9a-f]{12}\b|[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?", re.IGNORECASE)
_LIST = re.compile(r"[\[(]?#(?:[ ,x]+#)*[\])]?")


class CommonFailureError(ArchsearchError):
    """One error ended several networks of a study, and it is not theirs."""


def reason_of(error: Exception) -> str:
    """The error in words; one that archsearch did not raise on purpose with its type, and where it came from."""
    if isinstance(error, ArchsearchError):
        return str(error)
    own = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(_PACKAGE)
    ]
    where = f" (in {Path(own[-1].filename).relative_to(_PACKAGE).as_posix()}, {own[-1].name})" if own else ""
    return f"{type(error).__name__}: {error}".strip() + where


def blame_of(error: Exception) -> Blame:
    """Whom one such failure speaks of: a diverged training or a lack of memory is the network's own."""
    if isinstance(error, DivergedError | TrainingMemoryError | MemoryError) or _MEMORY.search(str(error)):
        return Blame.NETWORK
    return Blame.UNCLEAR if isinstance(error, ArchsearchError) else Blame.PROGRAM


def kind_of(reason: str) -> str:
    """What two reasons have in common if one mistake made both: the text without numbers, shapes, addresses and ids.

    >>> kind_of("RuntimeError: size [3, 24] at 0x7f00 is not [3, 58] (in blocks/pairs.py, _picked)")
    'RuntimeError: size # at # is not # (in blocks/pairs.py, _picked)'
    """
    return " ".join(_LIST.sub("#", _VARIES.sub("#", reason)).split())


def common_failure(ended: Sequence[EndedTrial], reason: str, blame: Blame) -> tuple[EndedTrial, ...]:
    """The trials that this error has ended, if it is no longer taken for their networks'; else nothing.

    Of the last `WINDOW` networks that came to an end, at least `ALIKE` failed in the same way; and archsearch did not
    raise the error on purpose, or every network of the window failed so. An error that archsearch raises (no export of
    this attention) may hold for a part of a space, and others of the study succeed. Any other error is a mistake in
    the program, whatever part of the space meets it.

    Args:
        ended: the study's trials that ended, the newest first; of each network the newest speaks.
        reason: of the newest failure.
        blame: of the newest failure.
    """
    if blame is Blame.NETWORK:
        return ()
    kind = kind_of(reason)
    alike = tuple(one for one in ended if one.failed and kind_of(one.reason or "") == kind)
    networks: dict[str, EndedTrial] = {}
    for one in ended:
        networks.setdefault(one.arch_id, one)
    window = list(networks.values())[:WINDOW]
    failed = sum(one in alike for one in window)
    if failed < ALIKE or (blame is Blame.UNCLEAR and failed < len(window)):
        return ()
    return alike
