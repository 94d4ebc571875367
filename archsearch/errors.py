"""Every error that archsearch raises on purpose. The command line catches the root and prints one line.

ArchsearchError          what went wrong, and what to do (`hint`)
├── ConfigError          a YAML file, an option or a choice is wrong (exit code 2)
│   ├── UnknownNameError a name that no registry, study or choice knows; suggests the nearest
│   └── OverrideError    a key of a study with another value, typed or given as an argument
├── BuildError           a specification that cannot be built at this input size
├── DataError            a dataset is absent, incomplete or not in the expected layout
├── MeasurementError     a latency could not be measured
│   └── MeasurementMemoryError   the device had no memory left for it
├── TrainingError        a training could not be finished
│   ├── TrainingBusyError        another process is at it
│   ├── DivergedError    the loss became NaN or infinite
│   └── TrainingMemoryError      the device has not the memory for it
└── StoreError           the database cannot be read or written as asked
    ├── NothingStoredError       there is no database, or no study in it yet
    └── StudyChangedError a study of that name exists with another space or protocol

Six stand where they are raised: `targets.wire.BoardAwayError`, a MeasurementError, AgentEndsError and
BoardChangedError, which are one; and of `search`, below the root itself, CommonFailureError, WorkersFailedError and
SpaceUsedUpError.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from reprlib import Repr
from typing import Any

from archsearch.text import some_of

_LONGEST = 2000  # characters of a message; what it names may be a whole file
_NEAR_ENOUGH = 200  # characters of a name that others are compared with: that takes the square of them
_ALIKE = 0.5  # the least that two names have in common for one to be meant by the other: `SequenceMatcher.ratio`
_FEW_NAMES = 12  # that are listed whole
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 120
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = 12


def shown(value: object) -> str:
    """A value as Python writes it, of what is long its two ends."""
    return _SHORT.repr(value)


def shortened(text: str, longest: int = _LONGEST) -> str:
    """At most so many characters of a text, with what is left out of its middle counted."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]} ... ({len(text) - 2 * half:,} characters) ... {text[-half:]}"


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without the hint of one of ours; its type where there is no message."""
    message = error.message if isinstance(error, ArchsearchError) else str(error)
    return next((line.strip() for line in message.splitlines() if line.strip()), type(error).__name__)


# The lines that torch puts below every error of CUDA, or of HIP.
_ADVICE = re.compile(
    r"(CUDA|HIP) kernel errors might|Device-side assertions were explicitly omitted|For debugging consider"
    r"|Compile with `TORCH_USE_|Search for `(cuda|hip)"
)


def last_words(written: str) -> str:
    """The last line that a process wrote before it failed, which names its error: torch's advice on it names none."""
    lines = (line.strip() for line in reversed(written.splitlines()))
    return next((line for line in lines if line and not _ADVICE.match(line)), "it wrote nothing")


class ArchsearchError(Exception):
    """The root: a message that says what was wrong and what was got, and a hint that says what to do."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.message = shortened(message)
        self.hint = None if hint is None else shortened(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        """As it is, whatever it was made of: it comes out of a pool of processes as it was raised there."""
        return type(self).__new__, (type(self), *self.args), self.__dict__


class ConfigError(ArchsearchError):
    """A value that a person wrote is wrong: the message names the file and the key where there is one."""

    exit_code = 2


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like a name, whatever its capitals, of equally near ones the first; None if none is near."""
    given = SequenceMatcher(b=name[:_NEAR_ENOUGH].casefold())
    best, ratio = None, _ALIKE
    for each in known:
        given.set_seq1(each.casefold())
        if given.quick_ratio() > ratio and given.ratio() > ratio:
            best, ratio = each, given.ratio()
    return best


class UnknownNameError(ConfigError):
    """A name that is not in the table it was looked up in. Many known names are not listed, but where they are is said.

    `listed_by`: the command that lists them; `beside`: known names that it does not list; `also`: what else could have
    been written. Its `near` is the known name that may be meant, or None.
    """

    def __init__(
        self,
        kind: str,
        name: str,
        known: Iterable[str],
        *,
        listed_by: str = "",
        beside: Sequence[str] = (),
        also: str = "",
    ) -> None:
        given = dict.fromkeys(map(str, known))  # of a damaged database a name may be anything
        self.near, names = nearest(name, [*beside, *given]), sorted(given)
        if len(names) + len(beside) <= _FEW_NAMES:
            listed = f"known: {', '.join(sorted({*names, *beside})) or 'none yet'}"
        elif listed_by:
            listed = f"{listed_by} lists the {len(names)} known names"
            listed += f"; further ones: {', '.join(beside)}" if beside else ""
        else:
            listed = f"known: {some_of(sorted({*names, *beside}), _FEW_NAMES)}"
        hint = f"did you mean '{self.near}'? {listed}" if self.near else listed
        super().__init__(f"unknown {kind} '{shortened(name, 120)}'", hint=f"{hint}; {also}" if also else hint)


class OverrideError(ConfigError):
    """A key of a study was given another value, and that or the key is wrong. `key` is empty where several disagree."""

    def __init__(self, key: str, what: str, *, hint: str | None = None) -> None:
        self.key, self.what = shortened(key, 200), what
        super().__init__(f"override '{self.key}': {what}" if key else f"overrides: {what}", hint=hint)


class BuildError(ArchsearchError):
    """A specification that is valid by itself but cannot be built, for example at this input size."""


class DataError(ArchsearchError):
    """A dataset is absent, incomplete, or not laid out as expected."""


class MeasurementError(ArchsearchError):
    """A latency could not be measured; there is never a default in its place."""


class MeasurementMemoryError(MeasurementError):
    """The device had no memory left to make a network ready: others hold it now, and may give it back."""


class TrainingError(ArchsearchError):
    """A training could not be finished."""


class TrainingMemoryError(TrainingError):
    """The device has not the memory for a training, even in the smallest parts."""


class TrainingBusyError(TrainingError):
    """Another process is at this training."""


class DivergedError(TrainingError):
    """The training loss became NaN or infinite."""


class StoreError(ArchsearchError):
    """The database cannot be opened, is newer than this version, or lacks what was asked for."""


class NothingStoredError(StoreError):
    """There is no database, or it holds no study yet."""


class StudyChangedError(StoreError):
    """A study of this name exists with another space, dataset or protocol; the message says what differs."""

    exit_code = 2
