"""Files that are either whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

from archsearch.errors import ArchsearchError


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or the next start after a kill or a power cut, finds the old or the new one.

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
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name, too, must outlive a power cut
        finally:
            os.close(folder)
    except OSError as error:
        raise ArchsearchError(f"{path}: cannot be written: {error.strerror or error}") from error
