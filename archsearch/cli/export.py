"""`archsearch export`: a trained network as a file for another runtime."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archsearch.cli.console import console, error_console
from archsearch.cli.options import DataDirOption, JsonOption, StorageOption, StudyOption

if TYPE_CHECKING:
    from archsearch.api.export import Exported


def export(
    trial: Annotated[
        str,
        typer.Option(
            "--trial", "-t", metavar="best|N|VARIANT|FOLDER", help="A retrained network, or the folder that holds it."
        ),
    ] = "best",
    study: StudyOption = None,
    select: Annotated[str, typer.Option(metavar="RULE", help="What best means, as for retrain.")] = "recommended",
    format_: Annotated[
        str, typer.Option("--format", "-f", metavar="F", help="onnx, torch-export or state-dict.")
    ] = "onnx",
    quantize: Annotated[str, typer.Option(metavar="Q", help="none or int8 (onnx only).")] = "none",
    with_preprocessing: Annotated[
        bool,
        typer.Option(
            "--with-preprocessing",
            help="The ONNX file takes a picture: uint8 (H, W, 3), upright RGB of any size.",
        ),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: in the model's folder, named after the network.")
    ] = None,
    untrained: Annotated[
        bool, typer.Option("--untrained", help="Initial weights, where the network has not been retrained.")
    ] = False,
    measure: Annotated[bool, typer.Option(help="Time the network and the file on this CPU.")] = True,
    dataset: Annotated[
        str | None,
        typer.Option(metavar="URI", help="Images to calibrate and score on. Default: what the study was run on."),
    ] = None,
    data_dir: DataDirOption = None,
    storage: StorageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a retrained network to one file, and check that the file computes the same.

    ONNX files take any number of images, normalised; how a picture becomes one stands in their metadata.

    Examples:
    archsearch export --trial best --format onnx
    archsearch export --trial best --quantize int8
    archsearch export --trial best --with-preprocessing
    archsearch export --trial runs/quickstart/retrain/ARCH_ID --format torch-export --out model.pt2
    """
    from archsearch.api.export import export as write

    with error_console.status("reading the network") as status:
        made = write(
            trial,
            study=study,
            rule=select,
            format_name=format_,
            quantize=quantize,
            with_preprocessing=with_preprocessing,
            out=out,
            untrained=untrained,
            measure=measure,
            dataset=dataset,
            data_dir=data_dir,
            storage=storage,
            on_step=status.update,
        )
    if as_json:
        console.print_json(json.dumps(asdict(made) | {"path": str(made.path)}))
    else:
        _print(made)


def _print(made: Exported) -> None:
    facts = made.metadata
    weights = "trained" if facts.trained else "initial weights, not trained: good for measuring alone"
    console.print(f"network   {facts.name}, {facts.arch_id}, {weights}", markup=False)
    console.print(
        f"file      {made.path} ({made.format}, {made.bytes / 1e6:.2f} MB), input "
        f"{made.input}, {len(facts.classes)} classes",
        markup=False,
    )
    console.print(
        f"parity    largest difference {made.parity.largest_difference:.1g} of the largest output, same top-1 for "
        f"{made.parity.same_top1_percent:.1f} % of {made.parity.images} random inputs"
    )
    if made.int8_parity is not None:
        console.print(
            f"int8      largest difference {made.int8_parity.largest_difference:.1g}, same top-1 for "
            f"{made.int8_parity.same_top1_percent:.1f} % of {made.int8_parity.images} training images"
        )
    if made.top1_percent is not None:
        before, after = made.top1_percent
        console.print(f"test      top-1 {before:.2f} % before, {after:.2f} % after (n = {made.test_images:,} images)")
    if made.latency is not None:
        for name, latency in made.latency.files.items():
            doubt = "" if latency.converged else ", not converged"
            interval = (
                ""
                if latency.ratio_low is None or latency.ratio_high is None
                else f" (95 % interval {1 / latency.ratio_high:.2f} to {1 / latency.ratio_low:.2f})"
            )
            console.print(
                f"latency   {name}: p10 {latency.p10_ms:.3f} ms, median {latency.median_ms:.3f}; before, in torch, p10 "
                f"{latency.reference_p10_ms:.3f} ms: {1 / latency.ratio_to_reference:.2f} times as fast{interval} "
                f"(cpu, batch 1, 1 thread, n = {latency.n}{doubt})",
                markup=False,
            )
