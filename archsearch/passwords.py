"""Passwords in the URLs of databases: hidden wherever a URL is shown or kept."""

from __future__ import annotations

import re

_HIDDEN = "***"
# To the last @: a password may hold one that is not escaped. `?+`: the colon of `scheme://` is never the password's.
_OF_USER = re.compile(r"^((?:[^:/]*://)?+[^:]*):.*@", re.DOTALL)
_PARAMETER = re.compile(r"([?&])([^=&]*)=([^&]*)")
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
    return _PARAMETER.sub(_shown, url)


def command_without_passwords(words: str) -> str:
    """What was typed, with the passwords of its URLs hidden."""
    return " ".join(without_password(word) if "://" in word else word for word in words.split(" "))


def _shown(found: re.Match[str]) -> str:
    mark, name, value = found.groups()
    return f"{mark}{name}={value if _HARMLESS.fullmatch(name) else _HIDDEN}"
