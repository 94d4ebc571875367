"""`archsearch retrain` and `export`: networks trained in full, and their files for other runtimes."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from archsearch.api.output import head_of
from archsearch.cli import completion
from archsearch.cli.console import console, doing, error_console, print_json, show_recommendation
from archsearch.cli.options import (
    DataDirOption,
    DeviceOption,
    JsonOption,
    StorageOption,
    StudyOption,
    check_dataset,
    check_protocol,
    check_read,
    checked,
    one_of,
    parse_duration,
)
from archsearch.host import torchrun_number
from archsearch.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from archsearch.api.retrain import Retrained
    from archsearch.api.stored import Chosen


_USUAL_RULE = "recommended"  # of --select
_LOOK_SECONDS = 5.0  # between two looks at networks that another command trains
_BEGINS = {"proxy": "the proxy's weights", "pretrained": "ImageNet's weights"}


def retrain(
    trial: Annotated[
        str,
        typer.Option(
            "--trial",
            "-t",
            metavar="best|front|variants|N|VARIANT",
            autocompletion=completion.trials,
            help="Which networks, several with commas: the best by --select, the whole front, the study's published "
            "networks, trials, variants.",
        ),
    ] = "best",
    with_variants: Annotated[
        bool, typer.Option("--with-variants", help="Also the published networks next to each in latency.")
    ] = False,
    study: StudyOption = None,
    select: Annotated[
        str,
        typer.Option(
            metavar="RULE",
            autocompletion=completion.rules,
            help="What best means: recommended, knee, accuracy, latency, latency<=MS, params<=N, macs<=N, "
            "error<=PERCENT, accuracy>=PERCENT.",
        ),
    ] = _USUAL_RULE,
    epochs: Annotated[int | None, typer.Option(min=1, metavar="N", help="Default: the protocol's own.")] = None,
    seeds: Annotated[int, typer.Option(min=1, metavar="K", help="Train K seeds; report mean and deviation.")] = 1,
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completion.protocols,
            callback=checked(check_protocol),
            help="one-cycle (default), photos (default for folders of pictures), modern, shufflenetv2-s, ldc-cifar or "
            "ldc-caltech.",
        ),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=2, metavar="N", help="Default: the protocol's own.")] = None,
    resume: Annotated[bool, typer.Option(help="Continue what an earlier call left, or begin anew.")] = True,
    start: Annotated[
        str,
        typer.Option(
            metavar="scratch|proxy|pretrained",
            help="Initial weights: random; the study's proxy training, made again; ImageNet's.",
            **one_of("start", "scratch", "proxy", "pretrained"),
        ),
    ] = "scratch",
    pretrained: Annotated[
        bool, typer.Option("--pretrained", help="The same as --start pretrained: those that fit of ImageNet's.")
    ] = False,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="torchvision's file for --pretrained. Default: torch.hub's folder, or downloaded."
        ),
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
        typer.Option(min=1, metavar="N", help="Of a training on a CPU. Default: OMP_NUM_THREADS, else every core."),
    ] = None,
    data_dir: DataDirOption = None,
    storage: StorageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train networks in full and score them on the test split, which no search sees.

    Writes runs/STUDY/retrain/ARCH_ID: spec, weights, metrics, curve, model card.
    A checkpoint after each epoch and every minute: the same command typed again continues.
    Load the model with `archsearch.load(FOLDER)` in Python.

    Examples:
    archsearch retrain --trial best
    archsearch retrain --trial front --with-variants --seeds 2
    archsearch retrain --trial best --select "latency<=3.5" --seeds 3
    archsearch retrain --trial best --protocol modern --epochs 10
    archsearch retrain --trial shufflenet_v2_x1_0 --protocol modern --pretrained
    torchrun --standalone --nproc-per-node 2 --no-python archsearch retrain --trial best
    """
    from archsearch.api.study import open_study
    from archsearch.errors import ConfigError, TrainingBusyError, TrainingError
    from archsearch.training.protocols import protocol_for

    if pretrained and start not in ("scratch", "pretrained"):
        raise ConfigError(f"--pretrained and --start {start} are two starts", hint="give one of them")
    begin = "pretrained" if pretrained else start
    seconds = parse_duration(checkpoint_every, option="--checkpoint-every")
    distributed = (torchrun_number("WORLD_SIZE") or 1) > 1
    if distributed and (torchrun_number("RANK") or 0) > 0:  # of those that train together the first one speaks
        console.quiet = True

    shown = Console(quiet=True) if console.quiet else error_console
    # the live view draws over what another console writes on its terminal
    told = shown if as_json or (console.is_terminal and shown.is_interactive) else console
    opened = open_study(study, storage=storage)  # what is not there is said before torch is imported
    recipe = protocol_for(str(opened.info.config["dataset"]), protocol)
    length = epochs or recipe.epochs
    networks = opened.choose_all(trial, rule=select, with_variants=with_variants)
    with doing("reading the study and its images", shown):
        from archsearch.api.retrain import RetrainedNetworks
        from archsearch.api.retrain import retrain as train_in_full
        from archsearch.cli.progress import RetrainDisplay

    if begin == "pretrained" and len(networks) > 1:
        _check_pretrained(networks)
    # A list keeps a list's form, however short it turns out: which networks are on a front is measured.
    alone = networks[0] if len(networks) == 1 and trial not in ("front", "variants") else None

    said = False

    def started(*_: object) -> None:
        """Said once what is typed has been checked."""
        nonlocal said
        said = True
        rule = f" (best: {select})" if trial == "best" else ""
        which = f"{alone.label}{rule}, network {alone.spec.arch_id}" if alone else plural(len(networks), "network")
        told.print(f"study '{opened.name}': {which}", markup=False)
        if trial == "best" and select.strip() == _USUAL_RULE:
            told.print(f"searched: {opened.conditions_text}", markup=False)
            show_recommendation(opened.recommendation, told)
        told.print(
            f"protocol {recipe.name}, {plural(length, 'epoch')}, {plural(seeds, 'seed')}, "
            f"{opened.info.config['dataset']} at {opened.input_size}x{opened.input_size}"
            + ("" if begin == "scratch" else f", starting from {_BEGINS.get(begin, begin)}"),
            markup=False,
        )

    trained: list[Retrained] = []
    failed: list[str] = []
    busy: list[tuple[int, Chosen]] = []
    try:
        with RetrainDisplay(epochs=length, seeds=seeds, costs=_costs(networks), console=shown) as display:
            waiting = list(enumerate(networks))
            while waiting:
                place, chosen = waiting.pop(0)
                if not alone:
                    later = [each for each, _ in (*waiting, *busy)]
                    display.begin(place, f"[{place + 1}/{len(networks)}] {chosen.label}", later=later)
                try:
                    result = train_in_full(
                        opened,
                        trial=chosen,
                        protocol=recipe.name,
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
                        on_start=None if said else started,
                        on_epoch=display.show,
                        on_pace=display.paced,
                        on_decoded=display.decoded,
                    )
                except TrainingBusyError:
                    if alone or distributed:
                        raise
                    busy.append((place, chosen))  # another command shares the list
                except TrainingError as error:
                    if alone or distributed:
                        raise
                    failed.append(chosen.label)
                    error_console.print(f"{chosen.label} failed, the others go on: {error.message}", markup=False)
                else:
                    trained.append(result)
                    if not alone:
                        told.print(f"{chosen.label}: {result.facts.accuracy}, {result.folder}", markup=False)
                if busy and not waiting:
                    time.sleep(_LOOK_SECONDS)
                    waiting, busy = busy, []
    except KeyboardInterrupt:
        same = "the same command" if resume else "the same command without --no-resume"  # which removes what is there
        error_console.print(f"stopped; the last checkpoint is kept: type {same} to continue")
        raise typer.Exit(1) from None
    if as_json and not console.quiet:
        found = RetrainedNetworks(networks=tuple(trained), failed=tuple(failed))
        print_json({**head_of(found), **found.plain()})
    if alone:
        told.print(str(result), markup=False)
        told.print(
            f"load it   python -c \"import archsearch; print(archsearch.load('{result.folder}').archsearch)\"",
            markup=False,
        )
        return
    told.print(f"see them  {shlex.join(['archsearch', 'pareto', *opened.named, '--final', '--plot'])}", markup=False)
    if failed:
        error_console.print(f"{plural(len(failed), 'network')} failed: {', '.join(failed)}", markup=False)
        raise typer.Exit(1)


def _check_pretrained(networks: Sequence[Chosen]) -> None:
    """Raise ConfigError that names what has no ImageNet weights, before hours are spent on the others."""
    from archsearch.errors import ConfigError
    from archsearch.training.start import torchvision_name

    without = []
    for each in networks:
        try:
            torchvision_name(each.spec)
        except ConfigError:
            without.append(each.label)
    if without:
        raise ConfigError(
            f"torchvision has no ImageNet weights for {', '.join(without)}",
            hint="leave it out of --trial, or start from scratch or from the proxy",
        )


def _costs(networks: Sequence[Chosen]) -> list[float]:
    """What an epoch of each network takes beside one of the others, as the study's own trainings took."""
    found = [
        None if chosen.record is None or chosen.record.score is None else 1.0 / chosen.record.score.images_per_second
        for chosen in networks
    ]
    known = [each for each in found if each is not None]
    usual = sum(known) / len(known) if known else 1.0
    return [usual if each is None else each for each in found]


def export(
    trial: Annotated[
        str,
        typer.Option(
            "--trial",
            "-t",
            metavar="best|N|VARIANT|FOLDER",
            autocompletion=completion.trials,
            help="A retrained network, or the folder that holds it.",
        ),
    ] = "best",
    study: StudyOption = None,
    select: Annotated[
        str, typer.Option(metavar="RULE", autocompletion=completion.rules, help="What best means, as for retrain.")
    ] = _USUAL_RULE,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            metavar="F",
            help="onnx, torch-export or state-dict.",
            **one_of("export format", "onnx", "torch-export", "state-dict"),
        ),
    ] = "onnx",
    quantize: Annotated[
        str, typer.Option(metavar="Q", help="none or int8 (onnx only).", **one_of("quantization", "none", "int8"))
    ] = "none",
    with_preprocessing: Annotated[
        bool,
        typer.Option(
            "--with-preprocessing", help="The ONNX file takes a picture: uint8 (H, W, 3), upright RGB of any size."
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Default: named after the network, in its model's folder; untrained, in runs/STUDY/export.",
        ),
    ] = None,
    untrained: Annotated[
        bool, typer.Option("--untrained", help="Initial weights, where the network has not been retrained.")
    ] = False,
    measure: Annotated[bool, typer.Option(help="Time the network and its ONNX file on this CPU.")] = True,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            callback=checked(check_dataset),
            help="Images to calibrate and score on. Default: what the study was run on.",
        ),
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
    from archsearch.api.paths import model_folder
    from archsearch.api.study import open_study

    if model_folder(trial) is not None:
        named = {"study": study is not None, "select": select.strip() != _USUAL_RULE, "storage": storage is not None}
        check_read(f"the folder {trial} is a network of its own", **named, untrained=untrained)
    else:
        open_study(study, storage=storage).choose(trial, rule=select)  # a wrong name is said before torch is imported
    with doing("reading the network", still=True) as say:
        from archsearch.api.export import export as write

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
            on_step=say,
        )
    if as_json:
        print_json({**head_of(made), **made.plain()})
    else:
        console.print(str(made), markup=False)
