"""`archsearch measure`, `guidelines` and `target`: latencies of networks on this device or on a board."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from archsearch.cli import completion
from archsearch.cli.console import doing, error_console, show, tell, typed_command
from archsearch.cli.networks import check_networks
from archsearch.cli.options import (
    BOARDS,
    DeviceOption,
    JsonOption,
    StorageOption,
    TargetOption,
    check_backend_name,
    check_files_asked,
    check_target,
    checked,
    one_of,
    page_option,
)
from archsearch.errors import ArchsearchError
from archsearch.text import duration, plural, rough_duration

if TYPE_CHECKING:
    from archsearch.api.guidelines import GuidelinesProgress
    from archsearch.api.measure import MeasuredNetwork, MeasureProgress

ThreadsOption = Annotated[int, typer.Option(min=1, metavar="N", help="CPU threads of one run.")]
CoresOption = Annotated[
    str,
    typer.Option(
        metavar="KIND",
        help="A board's cores: all, big or little.",
        **one_of("kind of cores", "all", "big", "little"),
    ),
]


def measure(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME|FILE|STUDY:TRIAL",
            autocompletion=completion.networks,
            help="Published networks, spec.json or YAML files, model folders, or trials of a study (number, a variant, "
            "best). Weights do not matter for latency: networks are measured with random ones.",
            show_default=False,
        ),
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            metavar="B",
            autocompletion=completion.backends,
            callback=checked(check_backend_name),
            help="How a network is run, e.g. onnxruntime or torch. Repeatable. Default: auto.",
        ),
    ] = None,
    batch: Annotated[
        list[int] | None,
        typer.Option(min=1, metavar="N", help="Images a run. Repeatable. Default: 1 on a CPU, 8 on a GPU."),
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(
            metavar="P",
            help="fp32, tf32, fp16 or bf16. Repeatable. Default: fp32 on a CPU, fp16 on a GPU.",
            **one_of("precision", "fp32", "tf32", "fp16", "bf16"),
        ),
    ] = None,
    threads: ThreadsOption = 1,
    input_size: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="H", help="Height and width in pixels. Default: each network's: 224, or its study's."
        ),
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Outputs of the classifier. Default: each network's own.")
    ] = None,
    device: DeviceOption = "auto",
    target: TargetOption = None,
    cores: CoresOption = "all",
    reference: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=completion.networks,
            help="The network that ratios are to; named as the others are.",
        ),
    ] = "shufflenet_v2_x1_0",
    budget: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Longest time of one network measured alone; n together have (n + 1)/2 of it. Default: 20.",
        ),
    ] = None,
    json: JsonOption = False,
    storage: StorageOption = None,
) -> None:
    """Measure networks on this device: p10, median and p90, and the ratio to a reference.

    Networks of one backend, batch, precision, input size and number of classes are measured in turn with each other and
    with the reference. The device is taken for it, so this may be typed while a study runs: the study waits meanwhile.

    Examples:
    archsearch measure shufflenet_v2_x0_5 shufflenet_v2_x1_5
    archsearch measure shufflenet_v2_x0_5 --input-size 32 --backend onnxruntime --backend torch --batch 1 --batch 8
    archsearch measure quickstart:best --json
    archsearch measure shufflenet_v2_x0_5 --target ssh:pi5
    """
    done: list[MeasuredNetwork] = []
    check_networks(names, storage=storage)
    try:
        from archsearch.api.measure import measure as measure_named  # takes seconds: Ctrl-C may come already here

        # Drawn between visits alone: a progress bar with a thread of its own would disturb what is timed.
        with Progress(
            "{task.description}", console=error_console, transient=True, auto_refresh=False,
            disable=not error_console.is_interactive,
        ) as progress:  # fmt: skip
            task = progress.add_task("reading the networks", total=None)
            told = 0

            def tell_progress(now: MeasureProgress) -> None:
                nonlocal told
                if error_console.is_interactive:
                    progress.update(task, description=f"{_line(now)}: {duration(now.seconds)}", refresh=True)
                elif now.group != told:
                    told = now.group
                    error_console.print(_line(now), markup=False)

            found = measure_named(
                names or (),
                backends=backend or (),
                batches=batch or (),
                precisions=precision or (),
                threads=threads,
                input_size=input_size,
                num_classes=classes,
                device=device,
                reference=reference,
                budget_seconds=budget,
                target=target or "local",
                cores=cores,
                storage=storage,
                on_measured=done.append,
                on_progress=tell_progress,
            )
    except (ArchsearchError, KeyboardInterrupt) as error:
        if done and not json:  # as JSON a program would take it for all that it asked for
            from archsearch.api.measure import MeasuredNetworks

            show(MeasuredNetworks(done))
        if isinstance(error, ArchsearchError):
            raise
        error_console.print("stopped; a measurement that was not finished has no numbers")
        raise typer.Exit(1) from None
    tell(found, json=json)


def _line(now: MeasureProgress) -> str:
    of_all = f"[{now.group}/{now.groups}] " if now.groups > 1 else ""
    return (
        f"{of_all}measuring {plural(now.networks, 'network')} and the reference with {now.backend} on {now.device}, "
        f"batch {now.batch}, {now.precision}, {now.input_size}x{now.input_size}"
    )


class TableName(StrEnum):
    """The printed tables that hold an experiment."""

    G1 = "1"
    G2 = "2"
    G3 = "3"
    G4 = "4"


def guidelines(
    table: Annotated[
        list[TableName] | None,
        typer.Option("--table", "-t", help="One experiment; repeatable. Default: all, and a sample of the space."),
    ] = None,
    device: DeviceOption = "auto",
    target: TargetOption = None,
    backend: Annotated[
        str,
        typer.Option(
            metavar="B",
            autocompletion=completion.backends,
            callback=checked(check_backend_name),
            help="How networks are run; auto: ONNX Runtime on a CPU, CUDA graphs on a GPU.",
        ),
    ] = "auto",
    batch: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Images a run. Default: 8 on a GPU, else 1, as in the paper.")
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            metavar="P",
            help="fp32, tf32, fp16 or bf16; auto: fp32 on a CPU, fp16 on a GPU.",
            **one_of("precision", "auto", "fp32", "tf32", "fp16", "bf16"),
        ),
    ] = "auto",
    threads: ThreadsOption = 1,
    cores: CoresOption = "all",
    quick: Annotated[
        bool, typer.Option("--quick", help="A few runs of each network, to see it work: nothing to rely on.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Measure anew what was measured before.")] = False,
    plot: Annotated[bool, page_option("guidelines.html")] = False,
    png: Annotated[bool, typer.Option("--png", help="Write guidelines.png (extra `png`).")] = False,
    json: JsonOption = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where page and picture go. Default: runs/guidelines.")
    ] = None,
) -> None:
    """Re-run the paper's four guideline experiments on this device: which guideline holds here?

    Each group of networks is kept in runs/guidelines when it is measured: a run that was stopped continues.

    Examples:
    archsearch guidelines --plot
    archsearch guidelines --table 3 --quick
    archsearch guidelines --device cuda --batch 1
    archsearch guidelines --target ssh:pi5
    """
    check_files_asked(out, plot=plot, png=png)
    from archsearch.api.guidelines import FOLDER
    from archsearch.api.guidelines import guidelines as run_guidelines
    from archsearch.api.output import write
    from archsearch.plots.guidelines import guidelines_figure

    told = False  # how long it will take

    def tell_progress(now: GuidelinesProgress) -> None:
        """One line where a terminal watches, a line for each group elsewhere."""
        nonlocal told
        if now.cached:
            return
        if not told:
            told = True
            error_console.print(now.expected.sentence, markup=False)
        text = f"{now.group} of {now.groups}: {now.name}, {rough_duration(now.expected.seconds)} left"
        if error_console.is_interactive:
            say(text)
        else:
            error_console.print(text, markup=False)

    with doing("reading the printed tables", still=True) as say:
        report = run_guidelines(
            [each.value for each in table or ()],
            device=device,
            target=target or "local",
            backend=backend,
            batch=batch,
            precision=precision,
            threads=threads,
            cores=cores,
            quick=quick,
            again=again,
            on_progress=tell_progress,
        )
    folder = out or FOLDER
    wanted = [name for name, asked in (("guidelines.html", plot), ("guidelines.png", png)) if asked]
    facts = sorted(report.facts.items())
    written = [
        write(report, folder / name, figure=guidelines_figure, facts=facts, command=typed_command()) for name in wanted
    ]
    tell(report, *written, json=json)


target_app = typer.Typer(help="Look at a board that latency is measured on (--target).")


@target_app.command("check")
def check(
    target: Annotated[
        str,
        typer.Argument(metavar="TARGET", callback=checked(check_target), help=f"{BOARDS}.", show_default=False),
    ],
    json: JsonOption = False,
) -> None:
    """Connect to a board; say what it is, how steadily it measures, and what the line to it costs. Takes half a minute.

    The board needs Python 3.9 with numpy and onnxruntime. Nothing is installed there, and nothing is left.

    Examples:
    archsearch target check ssh:pi5
    archsearch target check "command:docker exec -i box python3"
    archsearch target check command:python3 --json
    """
    from archsearch.api.target import target_check

    with doing("connecting") as say:
        found = target_check(target, on_step=say)
    tell(found, json=json)


@target_app.command("pool")
def pool(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET...",
            callback=checked(check_target),
            help=f"Two boards or more: {BOARDS}.",
            show_default=False,
        ),
    ],
    json: JsonOption = False,
) -> None:
    """Measure five networks on each of several boards of one model: may a study share its measurements among them?

    Takes about a minute; all boards are measured at the same time.
    A study names them: the first one is `latency.target`, the others are `latency.pool`.

    Examples:
    archsearch target pool ssh:pi5-a ssh:pi5-b
    archsearch target pool ssh:pi5-a ssh:pi5-b ssh:pi5-c --json
    """
    from archsearch.api.target import target_pool

    with doing("connecting") as say:
        found = target_pool(*targets, on_step=say)
    tell(found, json=json)
    if not found.agrees:
        raise typer.Exit(1)
