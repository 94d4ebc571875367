"""Times as people type them: 300s, 90m, 2h, 1h30m."""

from __future__ import annotations

import re

from archsearch.errors import ConfigError

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_TIME = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?", re.ASCII)


def parse_duration(text: str, *, option: str) -> float:
    """Seconds of a time such as `2h`, `90m`, `300s` or `1h30m`.

    A bare number is refused: 90 may mean minutes or seconds. Raises ConfigError that names the option.
    """
    found = _TIME.fullmatch(text.strip().lower())
    seconds = 0.0 if found is None else sum(float(found[unit] or 0) * size for unit, size in _UNITS.items())
    if seconds <= 0.0:
        raise ConfigError(f"{option} {text}: not a time above zero", hint="for example 2h, 90m, 300s or 1h30m")
    return seconds
