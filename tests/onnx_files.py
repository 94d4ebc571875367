"""What an exported file tells, read as whoever gets one reads it."""

from __future__ import annotations

import onnx


def read_metadata(content: bytes) -> dict[str, str]:
    """The facts of an ONNX file, as text by key."""
    entries = onnx.load_model_from_string(content).metadata_props
    return {
        entry.key.removeprefix("archsearch."): entry.value for entry in entries if entry.key.startswith("archsearch.")
    }
