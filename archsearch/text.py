"""How numbers and levels become words. Nothing else in the package decides how one is written.

All functions give plain text of one line; who shows it escapes it.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Callable, Sequence
from typing import Any

NOT_KNOWN = "not known"
_HEAD = 4  # characters of a shortened name before the ellipsis
_SAME_POINTS = 1e-9  # accuracies that differ by less differ by rounding alone


def plural(number: object, noun: str) -> str:
    """`1 epoch`, `12 epochs`, `1,200 images`; several values as text take the plural."""
    shown = f"{number:,}" if isinstance(number, int) else str(number)
    return f"{shown} {noun}{'' if shown == '1' else 's'}"


def span_text(values: Sequence[float], form: str = ",") -> str:
    """The least and the most of them in a format, `200 to 1,400`; one number where both are written alike."""
    return " to ".join(dict.fromkeys(format(end, form) for end in (min(values), max(values))))


def duration(seconds: float) -> str:
    """A time: 42 s, 5 min 10 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def rough_duration(seconds: float) -> str:
    """A time that is estimated, as exactly as an estimate is: 40 s, 2 min 30 s, 25 min, 2 h 10 min, 45 h, 6 days."""
    if seconds < 90:
        return f"{max(round(seconds / 5) * 5, 5)} s"
    if seconds < 300:
        minutes, half = divmod(round(seconds / 30), 2)
        return f"{minutes} min 30 s" if half else f"{minutes} min"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    if minutes < 600:
        hours, tens = divmod(round(minutes / 10), 6)
        return f"{hours} h {10 * tens} min" if tens else f"{hours} h"
    hours = round(minutes / 60)
    return f"{hours} h" if hours < 96 else f"{round(hours / 24):,} days"


def capitalised(words: str) -> str:
    """The words with a capital letter first, the rest as it is."""
    return words[:1].upper() + words[1:]


def first_of(names: Sequence[object], most: int) -> str:
    """`a, b, ...`: at most so many."""
    return ", ".join(map(str, names[:most])) + (", ..." if len(names) > most else "")


def some_of(names: Sequence[str], most: int) -> str:
    """`a, b and 3 more`: at most so many, and how many are left."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def shorten(words: str, characters: int) -> str:
    """At most this many characters, with an ellipsis near the beginning: the end of a variant's name tells it apart."""
    if len(words) <= characters:
        return words
    tail = max((characters - 1) // 2, characters - 1 - _HEAD)
    return f"{words[: characters - 1 - tail]}…{words[len(words) - tail :]}"


def significant(value: float, digits: int = 3) -> str:
    """A number with this many significant digits and no exponent: 0.0314, 3.14, 314, 31400."""
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    decimals = digits - 1 - int(f"{value:.{digits - 1}e}".partition("e")[2])  # 9.996 rounds to 10.0, and not to 10.00
    return f"{round(value, decimals):.{max(decimals, 0)}f}"


def count_text(value: float) -> str:
    """A count with k, M or G: 2.28 M, 341 k, 950."""
    for size, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= 0.9995 * size:  # what rounds to 1000 k is 1.00 M
            return f"{significant(value / size)}{suffix}"
    return f"{value:.0f}"


def bytes_text(value: int) -> str:
    """A size: 950 B, 12.4 MiB, 1.9 GiB."""
    for exponent, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if value >= 1023.95 * 1024 ** (exponent - 1):  # what rounds to 1024.0 KiB is 1.0 MiB
            return f"{value / 1024**exponent:.1f} {unit}"
    return f"{value} B"


def amount_text(value: float, *, decimals: int) -> str:
    """An amount of 0 or more; one that is there, but would be shown as 0: `less than 0.1`."""
    step = 10.0**-decimals
    return f"less than {step:.{decimals}f}" if 0.0 < value < 0.5 * step else number_text(value, decimals=decimals)


def percent_text(value: float) -> str:
    """A relative difference, given in percent, 0 or more: one decimal below 10 %, none above.

    `less than 0.1 %` where it is not 0, `more than 99 %` where it is not 100.
    """
    if value < 10.0:
        return f"{amount_text(value, decimals=1)} %"
    return "more than 99 %" if 99.5 <= value < 100.0 else f"{value:.0f} %"


def accurate_text(points: float) -> tuple[str, str]:
    """A difference of two accuracies in words, and the word before the other: `1.20 points less accurate`, `than`."""
    if abs(points) <= _SAME_POINTS:
        return "as accurate", "as"
    return f"{amount_text(abs(points), decimals=2)} points {'more' if points > 0.0 else 'less'} accurate", "than"


def probability_text(value: float) -> str:
    """A probability, given as a share, in whole percent; of a share of finitely many draws, so never 0 or 1 itself."""
    if value <= 0.005:
        return "<1 %"
    return ">99 %" if value >= 0.995 else f"{100.0 * value:.0f} %"


def level_text(value: Any) -> str:
    """A choice's level as YAML writes it: `true`, `none`, `0.5`, `se`; 1 and 1.0 are one level, true is another."""
    if value is None:
        return "none"
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | tuple):
        return ",".join(level_text(each) for each in value)
    return json.dumps(value, default=str)


def number_text(value: float | None, *, decimals: int, signed: bool = False) -> str:
    """A number with thousands apart; what is not known or not finite is `not known`."""
    if value is None or not math.isfinite(value):
        return NOT_KNOWN
    rounded = round(value, decimals) + 0.0  # a tie is +0.00, never -0.00
    return f"{rounded:{'+' if signed else ''},.{decimals}f}"


def sided_text(value: float | None, *, decimals: int, signed: bool = False) -> str:
    """A number of which one asks on which side of 0 it lies, as an end of an interval.

    As `number_text`; with a decimal or two more where it is not 0 and would be shown as 0.
    """
    if value is not None and math.isfinite(value):
        decimals = next((more for more in range(decimals, decimals + 3) if round(value, more)), decimals)
    return number_text(value, decimals=decimals, signed=signed)


def interval_text(
    value: float | None,
    low: float | None,
    high: float | None,
    *,
    decimals: int | None,
    signed: bool = False,
    unit: str = "",
) -> str:
    """`0.61 (0.08 to 0.97)`, `58.20 % (55.66 to 60.74)`; the number alone where an end is not known.

    `decimals`: None: three significant digits each.
    """

    def shown(number: float | None, write: Callable[..., str]) -> str:
        if decimals is None and number is not None and math.isfinite(number):
            return f"{'+' if signed and number >= 0 else ''}{significant(number)}"
        return write(number, decimals=decimals or 0, signed=signed)

    known = value is not None and math.isfinite(value)
    middle = shown(value, number_text)
    middle = f"{middle} {unit}" if unit and known else middle
    if not known or low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return middle
    return f"{middle} ({shown(low, sided_text)} to {shown(high, sided_text)})"


# Passwords in the URLs of databases: hidden wherever a URL is shown or kept.

_HIDDEN = "***"
# To the last @: a password may hold one that is not escaped. `?+`: the colon of `scheme://` is never the password's.
_OF_USER = re.compile(r"^((?:[^:/]*://)?+[^:]*):.*@", re.DOTALL)
_PARAMETER = re.compile(r"([?&])([^=&]*)=([^&]*)")
# As libpq has it where there is no URL, whose parameters end at an & instead.
_KEYWORD = re.compile(r"(password\s*=\s*)(?:'(?:[^'\\]|\\.)*'?|(?:\\.|\S)+)", re.IGNORECASE | re.DOTALL)
_SCHEME = re.compile(r"(?:--[\w-]+=)?[\w+.-]+://")  # also behind an option, as it was typed
# Of libpq, psycopg and sqlite3. Drivers take passwords under many names, so all others are hidden.
_HARMLESS = re.compile(
    r"application_name|cache|check_same_thread|connect_timeout|dbname|host|hostaddr|immutable|isolation_level|mode|options"
    r"|port|sslcert|sslcrl|sslmode|sslrootcert|target_session_attrs|timeout|uri|user",
    re.IGNORECASE,
)


def without_password(url: str) -> str:
    """A database's URL, or what was meant as one, with its password hidden, also one among its parameters."""
    if not url.startswith("sqlite"):  # its path may hold any character, and there is no user
        url = _OF_USER.sub(rf"\1:{_HIDDEN}@", url)
        url = url if _SCHEME.match(url) else _KEYWORD.sub(rf"\1{_HIDDEN}", url)
    return _PARAMETER.sub(_shown, url)


def command_of(words: Sequence[str]) -> str:
    """A command as it can be typed, with the passwords of its URLs hidden."""
    return shlex.join(map(_hidden, words))


def command_without_passwords(command: str) -> str:
    """A command that was kept, with the passwords of its URLs hidden."""
    try:
        return command_of(shlex.split(command))
    except ValueError:  # a quotation that has no end
        return " ".join(map(_hidden, command.split(" ")))


def _hidden(word: str) -> str:
    return without_password(word) if "://" in word else word


def _shown(found: re.Match[str]) -> str:
    mark, name, value = found.groups()
    return f"{mark}{name}={value if _HARMLESS.fullmatch(name) else _HIDDEN}"
