"""The documents as a site: every page has its place, and the build finds no broken link, name or docstring."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SITE = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]


def pages(nav: Any) -> list[str]:
    """The files of a navigation, in its order."""
    if isinstance(nav, str):
        return [nav]
    entries = nav.values() if isinstance(nav, dict) else nav
    return [page for entry in entries for page in pages(entry)]


def test_every_document_has_one_place_in_the_navigation() -> None:
    documents = [str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")]
    assert sorted(pages(SITE["nav"])) == sorted(documents)


@pytest.mark.skipif(find_spec("zensical") is None or find_spec("mkdocstrings") is None, reason="extra docs is missing")
def test_the_site_is_built_without_a_warning_and_documents_the_interface(tmp_path: Path) -> None:
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    (tmp_path / "archsearch").symlink_to(ROOT / "archsearch")  # mkdocstrings reads its docstrings
    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    said = built.stdout + built.stderr
    assert built.returncode == 0, said
    assert "griffe" not in said  # what docstrings lack is no warning of the build
    python = (tmp_path / "site" / "python" / "index.html").read_text(encoding="utf-8")
    for name in ("archsearch.run", "archsearch.Study.front", "archsearch.Latency.corrected_ms"):
        assert f'id="{name}"' in python
