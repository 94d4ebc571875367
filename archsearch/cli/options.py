"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StorageOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Database, as SQLAlchemy writes it: sqlite:///FILE or postgresql+psycopg://USER@HOST/DB. "
        "Default: sqlite:///runs/archsearch.db.",
    ),
]
StudyOption = Annotated[
    str | None, typer.Option("--study", "-s", metavar="NAME", help="A stored study. Default: the one worked on last.")
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Where datasets are kept. Default: archsearch in the user's cache folder."),
]
DeviceOption = Annotated[str, typer.Option(metavar="D", help="auto, cpu, cuda or cuda:N.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
