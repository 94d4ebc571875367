"""Waiting for a database that goes away for a while: a server that restarts, a network that is cut.

What is retried is the whole function, so every function of the store leaves the same behind when it is called again
after a commit whose answer was lost.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError, IntegrityError

from archsearch.errors import first_line

if TYPE_CHECKING:
    from archsearch.store.database import Database

logger = logging.getLogger(__name__)

RETRY_SECONDS = 300.0
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 10.0

P = ParamSpec("P")
R = TypeVar("R")

# Of PostgreSQL: class 08 is "connection exception", 53300 is a server without a free connection, 57P01 to 57P03 are one
# that stops, crashes or starts.
_LOST_SQLSTATES = re.compile(r"08...|53300|57P0[123]")
# A connection that could not be made has no SQLSTATE, only words: psycopg's first, then libpq's or the server's, in
# whatever language. Who waits has had a connection before: what is not refused for good is taken for passing.
_NOT_MADE = ("connection failed", "connection is bad")
_REFUSED_WORDS = re.compile(
    r"authentication failed|no password supplied|does not exist|no pg_hba.conf entry|permission denied", re.IGNORECASE
)
_LOST_WORDS = re.compile(
    r"connection refused|server closed the connection|connection reset by peer|broken pipe|connection timed out"
    r"|timeout expired|no route to host|network is unreachable|temporary failure in name resolution"
    r"|the database system is (?:starting up|shutting down|in recovery mode|not (?:yet )?accepting connections)"
    r"|too many clients|too many connections|remaining connection slots are reserved"
    r"|terminating connection|the connection is (?:lost|closed)|connection (?:already )?closed"
    r"|SSL (?:connection has been closed|SYSCALL error)|could not receive data from server",
    re.IGNORECASE,
)


def connection_lost(error: BaseException) -> bool:
    """Whether an error, or what caused it, is a database that cannot be reached now but may come back.

    A lost or refused connection, a server that starts, stops or has none free, or a SQLite file that another process
    has locked for longer than the busy timeout. A full disk, a wrong password, a missing table or a broken constraint
    is not.
    """
    return any(_is_lost(cause) for cause in causes_of(error))


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """An error, and what it was raised from, one after the other."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__


def _is_lost(error: BaseException) -> bool:
    if not isinstance(error, DBAPIError) or isinstance(error, IntegrityError):
        return False
    if error.connection_invalidated:
        return True
    if isinstance(error.orig, sqlite3.Error):
        return isinstance(error.orig, sqlite3.OperationalError) and "locked" in str(error.orig)
    sqlstate = getattr(error.orig, "sqlstate", None)
    if sqlstate:
        return _LOST_SQLSTATES.fullmatch(sqlstate) is not None
    said = str(error.orig)
    not_made = said.startswith(_NOT_MADE) and _REFUSED_WORDS.search(said) is None
    return not_made or _LOST_WORDS.search(said) is not None


def retry(
    call: Callable[[], R],
    *,
    wait: Callable[[float], object] = time.sleep,
    lost: Callable[[BaseException], bool] = connection_lost,
    retry_seconds: float = RETRY_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> R:
    """The answer of `call`, which is called again, with growing pauses, while the database cannot be reached.

    Args:
        call: what to do; it must be safe to repeat when it was done but its answer was lost.
        wait: pauses for so many seconds; what it raises (a worker that is asked to end) ends the waiting.
        lost: whether an error is worth waiting for.
        retry_seconds: how long it is tried again, counted from the first failure; the last error is raised then.
        clock: seconds that only grow.
    """
    began: float | None = None
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            answer = call()
        except Exception as error:
            if not lost(error):
                raise
            now = clock()
            if began is None:
                began = now
                logger.warning("%s: waiting for it, up to %.0f seconds", first_line(error), retry_seconds)
            left = began + retry_seconds - now
            if left <= 0:
                raise
            wait(min(pause, left))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        else:
            if began is not None:
                logger.warning("the database answers again, after %.1f seconds", clock() - began)
            return answer


def retried(function: Callable[Concatenate[Database, P], R]) -> Callable[Concatenate[Database, P], R]:
    """A function of the store that waits for a lost database, by `Database.wait`, and is done anew then."""

    @wraps(function)
    def call(database: Database, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return retry(lambda: function(database, *args, **kwargs), wait=database.wait)

    return call
