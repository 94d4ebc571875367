"""`archsearch data`: what a dataset holds, what is wrong with it, and a study that fits it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from archsearch.cli.console import console, doing, error_console, tell
from archsearch.cli.options import DataDirOption, JsonOption, check_dataset, checked


def data(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            callback=checked(lambda typed: Path(typed).is_dir() or check_dataset(typed)),
            help="folder:PHOTOS, npz:PATH, cifar10, cifar100 or digits; or a folder.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE.yaml", help="Write a study that fits, for `archsearch run --study`."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Rows of each table that are printed.")] = 20,
    json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Look at a dataset before a study is begun.

    Images and classes of each split, sizes, unreadable files, copies, imbalance,
    and what a fitting study reads: memory, space and time to decode. Nothing is trained.

    Examples:
    archsearch data folder:PHOTOS
    archsearch data folder:PHOTOS --out photos.yaml && archsearch run --study photos.yaml
    archsearch data npz:ARRAYS --json
    """
    from archsearch.api.data import data as survey
    from archsearch.api.data import write_study
    from archsearch.api.output import check_format

    if out is not None:
        check_format(out, (".yaml", ".yml"))
    with doing("looking at the images"):
        found = survey(dataset, data_dir=data_dir)
    if not json:
        tell(found, json=False, limit=limit, of_each=True)
    if out is not None:
        write_study(found, out)
    if json:  # the object when all is done, or nothing
        tell(found, json=True)
    if out is not None:
        error_console.print(f"wrote {out}: {_typed('run', '--study', str(out), data_dir=data_dir)}", markup=False)
    elif not json and found.study is not None:
        write = _typed("data", dataset, "--out", "study.yaml", data_dir=data_dir)
        run = _typed("run", "--study", "study.yaml", data_dir=data_dir)
        console.print(f"next: {write} && {run}", markup=False)


def _typed(*words: str, data_dir: Path | None) -> str:
    """A command that finds the same images."""
    return shlex.join(["archsearch", *words, *(() if data_dir is None else ("--data-dir", str(data_dir)))])
