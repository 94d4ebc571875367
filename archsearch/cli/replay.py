"""`archsearch replay`: what a stopping rule would have saved in a stored study, and what it would have cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from archsearch.cli.console import console, print_json
from archsearch.cli.options import JsonOption, StorageOption, StudyOption
from archsearch.text import plural

if TYPE_CHECKING:
    from archsearch.api.replay import PolicyReplay, StudyReplay
    from archsearch.search.stopping.calibration import RuleCalibration
    from archsearch.search.stopping.settings import StoppingSettings

LISTED = 12


def replay(
    study: StudyOption = None,
    policy: Annotated[
        str | None, typer.Option("--policy", "-p", metavar="NAME", help="none, predicted or mo_asha. Default: all.")
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A key of the study's `stopping`, such as quantile=0.05."),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, max=256, help="Trainings at the same time.")] = 1,
    json: JsonOption = False,
    storage: StorageOption = None,
) -> None:
    """Run a stopping rule over a study's whole learning curves: epochs saved against hypervolume lost.

    Examples:
    archsearch replay
    archsearch replay --study quickstart --policy predicted --set quantile=0.05
    """
    from archsearch.api.replay import replay_json, replay_study

    found = replay_study(study, policy=policy, overrides=override or [], workers=workers, storage=storage)
    if json:
        print_json(replay_json(found))
        return
    console.print(_table(found))
    for each in found.policies:
        _print_policy(each, found)
    _print_study(found)


def _table(found: StudyReplay) -> Table:
    title = f"'{escape(found.study)}': {plural(len(found.curves), 'whole curve')} of {plural(found.epochs, 'epoch')}"
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("policy", no_wrap=True)
    for name in ("epochs", "saved", "hv", "hv lost", "stopped", "of front", "promoted"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in found.policies:
        ended = each.replay
        table.add_row(
            each.settings.policy,
            str(ended.epochs_trained),
            f"{ended.epochs_saved_share:.1%}",
            f"{ended.hypervolume_kept:.4g}",
            f"{ended.hypervolume_lost_share:.2%}",
            str(len(ended.stopped)),
            f"{len(ended.false_stops)} of {len(ended.true_front)}",
            str(len(ended.promoted)),
        )
    return table


def _print_policy(each: PolicyReplay, found: StudyReplay) -> None:
    ended, settings = each.replay, each.settings
    if settings.policy == "none":
        return
    keys = ", ".join(f"{key} {value}" for key, value in settings.protocol().items() if key != "policy")
    console.print(f"{settings.policy} ({keys})", markup=False)
    if ended.false_stops:
        console.print(f"  stopped of the front: {_listed(ended.false_stops, found)}", markup=False)
    if ended.calibration.predictions:
        console.print(f"  {_calibration_text(ended.calibration, settings)}", markup=False)


def _print_study(found: StudyReplay) -> None:
    if found.own is not None:
        own = _calibration_text(found.own, found.own_settings)
        console.print(f"the study's own rule ({found.own_settings.policy}): {own}", markup=False)
    if found.stopped_by_study:
        number = plural(len(found.stopped_by_study), "trial")
        console.print(
            f"[yellow]warning:[/] the study stopped {number} itself; only its complete curves are replayed, which are "
            "those that its rule found promising"
        )
    console.print(
        "hv: hypervolume of the networks that ran to the end, below the study's reference point; of front: those of "
        "the true front that were stopped; published networks never are",
        markup=False,
    )


def _calibration_text(found: RuleCalibration, settings: StoppingSettings) -> str:
    spared = len(found.spared)
    if not spared:
        return "no trial that it would have stopped ran to the end, so its predictions are not checked"
    expected = f" ({settings.quantile:.0%} expected)" if settings.policy == "predicted" else ""
    return (
        f"{plural(spared, 'trial')} that it would have stopped ran to the end all the same: {len(found.below)} ended "
        f"below the optimistic prediction{expected}, {len(found.on_front)} on the front"
    )


def _listed(trials: tuple[int, ...], found: StudyReplay) -> str:
    names = [found.labels.get(trial, f"trial {trial}") for trial in trials[:LISTED]]
    return ", ".join(names) + (", ..." if len(trials) > LISTED else "")
