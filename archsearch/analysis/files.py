"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from archsearch.errors import ArchsearchError


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file beside its final name and rename it into place, so that no reader sees half of it.

    Raises ArchsearchError if the folder cannot be made or written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ArchsearchError(f"{path}: cannot be written: {error.strerror or error}") from error
