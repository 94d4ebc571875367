"""The front of a study run without a pause on its device or on a board: what heat does to it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np

from archsearch.analysis.confirmed import Sustained, Turn, ends_of
from archsearch.analysis.recommendation import made_with
from archsearch.api.designed import ON_ANOTHER_BOARD, base_of
from archsearch.api.study import Study, open_base
from archsearch.errors import ArchsearchError, ConfigError
from archsearch.latency.group import Group, LocalGroup, VisitPlan
from archsearch.latency.lease import DeviceLease
from archsearch.latency.prepare import ExportedNetwork, conditions_of
from archsearch.latency.settings import LOCAL
from archsearch.latency.watch import DeviceWatch
from archsearch.models.families import build
from archsearch.search.devices import worker_devices
from archsearch.search.variants import scaled
from archsearch.targets.board import Board, BoardGroup, BoardNetwork, own_agent, uses_own_agent
from archsearch.targets.transports import check_device_beside, parse_target

_BURSTS = 4  # of each network in a turn
_ENDLESS_NS = 10**15
_SHOWN = ("clock_mhz", "temperature_celsius", "throttled")


def measure_sustained(
    study: str | Path | Study | None,
    *,
    seconds: float,
    target: str | None = None,
    device: str = "auto",
    storage: str | None = None,
    on_turn: Callable[[float], None] | None = None,
) -> Sustained:
    """Run the networks of a study's front and its reference in turn for so long, without a pause between turns.

    The device is held in each turn alone, so trainings of this user go on between them, and cool it: stop them.

    Args:
        study: a stored study; None: the one worked on last.
        seconds: above 0.
        target: where; None: the study's own.
        device: this machine's, where the target is local.
        on_turn: told after each turn how many seconds have gone by.

    Raises ConfigError, MeasurementError, also for a board that goes away meanwhile, and ArchsearchError for a study
    without a front.
    """
    if not seconds > 0:
        raise ConfigError(f"sustained: more than 0 s are needed, got {seconds:g}")
    opened = open_base(study, storage=storage)
    if not isinstance(opened, Study) or not opened.front.members:
        made_by = (
            opened.made_by if isinstance(opened, Study) else shlex.join(["archsearch", "run", "--study", str(study)])
        )
        raise ArchsearchError(f"study '{opened.name}' has no complete network yet", hint=made_with(made_by))
    config, size = base_of(opened).config, opened.input_size
    settings = config.latency.at(config.latency.target if target is None else target)
    if settings.target not in (LOCAL, *config.latency.every_target):
        settings = settings.model_copy(update={**ON_ANOTHER_BOARD, "cores": "all"})
    members = {row.record.arch_id: row.record for row in opened.front.members}
    specs = {record.label: opened.choose(record.trial).spec for record in members.values()}
    specs.pop(config.reference, None)  # the reference is the last one, on the front or not
    specs[config.reference] = scaled(config.reference, config).normalised(size)
    models = [build(spec, num_classes=opened.num_classes, input_size=size, seed=0) for spec in specs.values()]
    on_board = parse_target(settings.target)
    check_device_beside(on_board, device)
    with ExitStack() as ended:
        group: Group
        where = worker_devices(device, 1)[0] if on_board is None else settings.target
        if on_board is None and not uses_own_agent(where, settings):
            lease, conditions = DeviceLease.of_device(where), conditions_of(config.reference, settings, where, size)
            exported = [ExportedNetwork(model, conditions, what="a network", lease=lease) for model in models]
            group = LocalGroup([one.open() for one in exported], lease=lease, watch=DeviceWatch(where))
        else:
            if on_board is None:
                board = own_agent()
            else:
                board = ended.enter_context(closing(Board(on_board, patience_seconds=0.0)))  # it cools down while away
            sent = [
                BoardNetwork.of(model, what="a network", settings=settings, input_size=size, seed=0) for model in models
            ]
            group = BoardGroup(board, sent)
        turns, runs, began = list[Turn](), settings.runs_per_burst, time.monotonic()
        while len(turns) < 2 or turns[-1].ended_seconds < seconds:
            plan = VisitPlan(
                number=len(turns), bursts=_BURSTS, before=_BURSTS * len(turns), runs=runs, left_ns=_ENDLESS_NS
            )
            made = group.visit(settings, plan)
            runs = made.runs
            by_network = zip(*made.bursts_ns, strict=True)
            p10_ms = tuple(float(np.quantile(np.concatenate(bursts), 0.1)) / 1e6 for bursts in by_network)
            turns.append(Turn(ended_seconds=time.monotonic() - began, p10_ms=p10_ms))
            if on_turn is not None:
                on_turn(turns[-1].ended_seconds)
        *networks, reference = ends_of(turns, list(specs))
        state = group.state()
        return Sustained(
            study=opened.name,
            device=where,
            seconds=turns[-1].ended_seconds,
            turns=len(turns),
            networks=tuple(sorted(networks, key=lambda each: each.first_ms)),
            reference=reference,
            contended=group.contended,
            state=tuple((name, state[name]) for name in _SHOWN if name in state),
        )
