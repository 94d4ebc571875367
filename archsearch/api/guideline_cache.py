"""What a run of the guideline experiments has measured so far: one JSON file a device, whole after every group."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from archsearch.errors import ConfigError
from archsearch.files import write_atomically

FORMAT = 1


class GuidelineCache:
    """Groups by what they were measured under; a changed protocol, device or library is another group or file.

    Args:
        folder: of the files.
        fingerprint: the device's; it names the file.
        facts: what the fingerprint is made of, kept for people.

    Raises ConfigError if the file is there and is no such file.
    """

    def __init__(self, folder: Path, fingerprint: str, facts: Mapping[str, str]) -> None:
        self.path = folder / f"{fingerprint}.json"
        self._content: dict[str, Any] = {
            "format": FORMAT,
            "fingerprint": fingerprint,
            "facts": dict(facts),
            "groups": {},
        }
        if self.path.is_file():
            self._content = _read(self.path)

    @property
    def facts(self) -> dict[str, str]:
        """What the fingerprint is made of, as the file has it."""
        return dict(self._content["facts"])

    def groups(self) -> tuple[dict[str, Any], ...]:
        """Everything that was measured, under whatever conditions."""
        return tuple(dict(group) for group in self._content["groups"].values())

    def get(self, name: str, conditions: Mapping[str, Any]) -> dict[str, Any] | None:
        """The group of this name that was measured under exactly these conditions, or None."""
        found = self._content["groups"].get(_key(name, conditions))
        return None if found is None else dict(found)

    def put(self, name: str, conditions: Mapping[str, Any], measured: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a group, with today's date, and give it as `get` will. Raises ArchsearchError if that fails."""
        group = {"name": name, "conditions": dict(conditions), "measured_on": date.today().isoformat(), **measured}
        kept: dict[str, Any] = json.loads(json.dumps(group, allow_nan=False))
        if self.path.is_file():  # another run may have written groups of its own meanwhile
            self._content["groups"] |= _read(self.path)["groups"]
        self._content["groups"][_key(name, conditions)] = kept
        write_atomically(self.path, (json.dumps(self._content, indent=1) + "\n").encode())
        return dict(kept)


def _key(name: str, conditions: Mapping[str, Any]) -> str:
    text = json.dumps(dict(conditions), sort_keys=True)
    return f"{name}/{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _read(path: Path) -> dict[str, Any]:
    hint = "move it away and measure anew"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}", hint=hint) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("groups"), dict):
        raise ConfigError(f"{path}: not a file of measured guideline experiments of format {FORMAT}", hint=hint)
    return content
