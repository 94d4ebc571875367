"""`archsearch retrain`: from a point of the front to a trained model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from archsearch.cli.console import console, error_console
from archsearch.cli.options import DataDirOption, DeviceOption, StorageOption, StudyOption, parse_duration
from archsearch.text import plural

if TYPE_CHECKING:
    from archsearch.api.study import Chosen, Study
    from archsearch.records import Epoch


_BEGINS = {"proxy": "the proxy's weights", "pretrained": "ImageNet's weights"}


def retrain(
    trial: Annotated[
        str, typer.Option("--trial", "-t", metavar="best|N|VARIANT", help="Which network: see --select for best.")
    ] = "best",
    study: StudyOption = None,
    select: Annotated[
        str,
        typer.Option(
            metavar="RULE",
            help="What best means: recommended, knee, accuracy, latency, latency<=MS, params<=N, macs<=N, "
            "error<=PERCENT, accuracy>=PERCENT.",
        ),
    ] = "recommended",
    epochs: Annotated[int | None, typer.Option(min=1, metavar="N", help="Default: the protocol's own.")] = None,
    seeds: Annotated[int, typer.Option(min=1, metavar="K", help="Train K seeds; report mean and deviation.")] = 1,
    protocol: Annotated[
        str, typer.Option(metavar="NAME", help="shufflenetv2-s, ldc-cifar, ldc-caltech, modern or one-cycle.")
    ] = "shufflenetv2-s",
    batch_size: Annotated[int | None, typer.Option(min=2, metavar="N", help="Default: the protocol's own.")] = None,
    resume: Annotated[bool, typer.Option(help="Continue what an earlier call left, or begin anew.")] = True,
    start: Annotated[
        str,
        typer.Option(
            metavar="scratch|proxy|pretrained",
            help="Initial weights: random; the study's proxy training, made again; ImageNet's.",
        ),
    ] = "scratch",
    pretrained: Annotated[
        bool,
        typer.Option("--pretrained", help="The same as --start pretrained: those that fit of ImageNet's."),
    ] = False,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="torchvision's file for --pretrained. Default: torch.hub's folder."),
    ] = None,
    checkpoint_every: Annotated[
        str, typer.Option(metavar="TIME", help="Training time between checkpoints within an epoch.")
    ] = "60s",
    compiled: Annotated[
        bool, typer.Option("--compile", help="Train through torch.compile: minutes to prepare, for long trainings.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard event files, too (extra `tensorboard`).")
    ] = False,
    device: DeviceOption = "auto",
    threads: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="CPU threads. Default: OMP_NUM_THREADS, else every core."),
    ] = None,
    data_dir: DataDirOption = None,
    storage: StorageOption = None,
) -> None:
    """Train one network in full and score it on the test split, which no search sees.

    Writes runs/STUDY/retrain/ARCH_ID: spec, weights, metrics, curve, model card.
    A checkpoint after each epoch and every minute: the same command typed again continues.
    Load the model with `archsearch.load(FOLDER)` in Python.

    Examples:
    archsearch retrain --trial best
    archsearch retrain --trial best --select "latency<=3.5" --seeds 3
    archsearch retrain --trial shufflenet_v2_x1_0 --epochs 30
    archsearch retrain --trial shufflenet_v2_x1_0 --protocol modern --pretrained
    torchrun --standalone --nproc-per-node 2 --no-python archsearch retrain --trial best
    """
    from archsearch.api.retrain import retrain as train_in_full
    from archsearch.cli.progress import RetrainDisplay
    from archsearch.cli.tables import recommendation_view
    from archsearch.errors import ConfigError
    from archsearch.training.protocols import PROTOCOLS

    if pretrained and start not in ("scratch", "pretrained"):
        raise ConfigError(f"--pretrained and --start {start} are two starts", hint="give one of them")
    begin = "pretrained" if pretrained else start
    seconds = parse_duration(checkpoint_every, option="--checkpoint-every")

    length = epochs or PROTOCOLS[protocol].epochs

    def started(opened: Study, chosen: Chosen) -> None:
        rule = f" (best by {select})" if trial == "best" else ""
        console.print(f"study '{opened.name}': {chosen.label}{rule}, network {chosen.spec.arch_id}", markup=False)
        if trial == "best" and select.strip() == "recommended":
            recommendation_view(opened.recommendation, console)
        console.print(
            f"protocol {protocol}, {plural(length, 'epoch')}, {plural(seeds, 'seed')}, "
            f"{opened.info.config['dataset']} at {opened.input_size}x{opened.input_size}"
            + ("" if begin == "scratch" else f", starting from {_BEGINS.get(begin, begin)}"),
            markup=False,
        )

    if int(os.environ.get("RANK", "0")) > 0:  # torchrun's processes train together: the first one speaks
        console.quiet = True

    try:
        with RetrainDisplay(
            epochs=length, seeds=seeds, console=Console(quiet=True) if console.quiet else error_console
        ) as display:

            def shown(seed: int, epoch: Epoch) -> None:
                display.show(seed, epoch)

            result = train_in_full(
                study,
                trial=trial,
                rule=select,
                protocol=protocol,
                epochs=epochs,
                batch_size=batch_size,
                seeds=seeds,
                device=device,
                threads=threads,
                data_dir=data_dir,
                storage=storage,
                resume=resume,
                start=begin,
                weights=weights,
                checkpoint_seconds=seconds,
                compiled=compiled,
                tensorboard=tensorboard,
                on_start=started,
                on_epoch=shown,
            )
    except KeyboardInterrupt:
        error_console.print("stopped; the last checkpoint is kept: type the same command to continue")
        raise typer.Exit(1) from None
    facts = result.facts
    spread = "" if facts.std_top1_percent is None else f" ± {facts.std_top1_percent:.2f}"
    first = facts.scores[0]
    console.print(
        f"test top-1 {facts.mean_top1_percent:.2f}{spread} % (n = {len(facts.scores)} seed"
        f"{'s' if len(facts.scores) > 1 else ''}, {first.epochs} epochs, {first.eval_images:,} test images)"
    )
    if first.epochs < facts.protocol.epochs:
        console.print(f"a short training: the protocol {facts.protocol.name} itself has {facts.protocol.epochs} epochs")
    console.print(f"model     {result.folder}", markup=False)
    console.print(f"curve     {result.curve}", markup=False)
    if result.events is not None:
        console.print(f"events    tensorboard --logdir {result.events}", markup=False)
    console.print(
        f"load it   python -c \"import archsearch; print(archsearch.load('{result.folder}').archsearch)\"", markup=False
    )
