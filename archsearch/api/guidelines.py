"""The four experiments of ShuffleNet V2 on a device, and what explains latency there: measured, or as stored before.

What was measured is kept in one JSON file a device, whole after every group. Torch is imported only to measure.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.analysis.guidelines import (
    DEVICE_NAMES,
    Experiment,
    ExperimentColumn,
    ExperimentRow,
    GuidelinesReport,
    PrintedSpeed,
    SampleReport,
    sample_report,
    table_report,
)
from archsearch.api.paths import RUNS
from archsearch.api.stored import device_name_of
from archsearch.errors import ConfigError, UnknownNameError
from archsearch.files import write_atomically
from archsearch.latency.backends import BACKENDS
from archsearch.latency.precision import PRECISIONS
from archsearch.latency.settings import AUTO, LOCAL, LatencySettings, check_backend_name
from archsearch.models.guideline_spec import TABLES, printed_network
from archsearch.papers.printed import PrintedTable, find_paper
from archsearch.records import Latency
from archsearch.resources import user_path
from archsearch.search.estimate import Estimate
from archsearch.validation import whole

if TYPE_CHECKING:
    from archsearch.models.spec import Spec

FOLDER = RUNS / "guidelines"
FORMAT = 1
PAPER = "shufflenet_v2"
SPACE = "shufflenet_v2"
SAMPLE_NETWORKS, QUICK_SAMPLE_NETWORKS = 40, 8
SAMPLE_INPUT_SIZE = 32
_GROUP = 8  # sampled networks that are measured together
# A whole run stays below 12 minutes. An interval says what a second attempt would: so there is none.
_FULL: Mapping[str, Any] = {"budget_seconds": 12.0, "remeasure": 0}
QUICK: Mapping[str, Any] = {
    "bursts": 6, "runs_per_burst": 3, "visits": 2, "spread_seconds": 0.2, "warmup_runs": 3, "warmup_windows": 3,
    "budget_seconds": 1.0, "remeasure": 0,
}  # fmt: skip
# What a stored group leaves out of its settings was not there to be chosen when it was measured.
_DEFAULTS = LatencySettings().model_dump(mode="json")

_Group = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class GuidelinesProgress:
    """How far a run is.

    Attributes:
        group, groups: number of the group in hand (1 is the first), and of all.
        name: what it is.
        cached: it was measured before, and is taken from the file.
        expected: what it and those that follow will take.
    """

    group: int
    groups: int
    name: str
    cached: bool
    expected: Estimate


@dataclass(frozen=True, kw_only=True)
class _Planned:
    """A group of so many networks, the reference included, as it is kept and measured."""

    name: str
    conditions: _Group
    networks: int
    measure: Callable[[], _Group]


def guidelines(
    tables: str | int | Sequence[str | int] = (),
    *,
    device: str = "auto",
    target: str = LOCAL,
    backend: str = "auto",
    batch: int | None = None,
    precision: str = AUTO,
    threads: int = 1,
    cores: str = "all",
    quick: bool = False,
    again: bool = False,
    networks: int | None = None,
    input_size: int = SAMPLE_INPUT_SIZE,
    seed: int = 0,
    folder: str | Path = FOLDER,
    on_progress: Callable[[GuidelinesProgress], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> GuidelinesReport:
    """Measure the experiments, or take from the file what was measured before under the same conditions.

    A GPU runs the channels of the paper's GPU column at batch 8, any other device those of its ARM column at batch 1,
    each column of a table in one group whose bursts take turns. Every group is written to FOLDER/FINGERPRINT.json when
    it ends, so that a run that was stopped continues where it was.

    Args:
        tables: of 1 to 4, or one of them; empty: all, and the sample of the search space.
        device: auto, cpu, cuda or cuda:N.
        target: where they run: local, or a board (`archsearch.targets`), which has the channels of the ARM column.
        backend: a name of `archsearch.latency.backends.BACKENDS`, or auto.
        batch: images a run; None: as in the paper.
        precision: a name of `archsearch.latency.precision.PRECISIONS`; auto: fp32 on a CPU, fp16 on a GPU.
        threads: CPU threads of one run.
        cores: the board's cores: all, big or little.
        quick: few runs of each network, to see the command work: no measurement to keep.
        again: measure everything anew.
        networks: of the sample; None: 40, or 8 if quick; 0: no sample.
        input_size: of the sampled networks (pixels).
        seed: of weights, inputs and the sample.
        folder: of the files.
        on_progress: told before each group.
        sleep: spends the time between two visits to the device.
        clock: tells what a group took (seconds).

    Raises ConfigError, UnknownNameError, BuildError or MeasurementError.
    """
    from archsearch.api import guideline_measure as measuring
    from archsearch.latency.fingerprint import device_fingerprint
    from archsearch.search.devices import measured_where
    from archsearch.targets.board import Board, check_backend, check_cores, measure_on

    batch, networks = whole(batch, "batch"), whole(networks, "networks")
    input_size, seed, threads = whole(input_size, "input_size"), whole(seed, "seed"), whole(threads, "threads")
    on_board, where = measured_where(target, device, threads=threads, cores=cores)
    given = tables if isinstance(tables, Iterable) and not isinstance(tables, str) else [tables]
    named = tuple(sorted(set(map(str, given))))
    column = "gpu" if where.startswith("cuda") else "arm"
    wanted = experiments(column, named or TABLES)
    settings = _settings(backend, batch, precision, where, quick=quick).model_copy(
        update={"threads": threads, "cores": cores}
    )
    with ExitStack() as ended:
        board = None if on_board is None else ended.enter_context(closing(Board(on_board)))
        if board is None:
            fingerprint = device_fingerprint(where, settings.backend, settings.threads, settings.precision_on(where))
        else:
            check_backend(settings)
            check_cores(board, cores, threads=threads)
            fingerprint = board.fingerprint(threads=settings.threads, cores=settings.cores)
        measure = measure_on(where, board, settings)
        cache = GuidelineCache(user_path(folder), fingerprint.id, fingerprint.facts)
        size = (QUICK_SAMPLE_NETWORKS if quick else SAMPLE_NETWORKS) if networks is None else networks
        parts = [] if named or size == 0 else _sample_parts(size, seed=seed, input_size=input_size)
        common = {"settings": settings.model_dump(mode="json"), "seed": seed}
        planned = [
            _Planned(
                name=_name(column_),
                conditions={**common, "channels": _channels(column_)},
                networks=len(column_.rows) + 1,
                measure=partial(measuring.measure_column, column_, measure, seed=seed, sleep=sleep),
            )
            for experiment in wanted
            for column_ in experiment.columns
        ] + [
            _Planned(
                name=f"sample, part {number}",
                conditions={**common, "input_size": input_size, "networks": [spec.arch_id for spec in specs]},
                networks=len(specs) + 1,
                measure=partial(
                    measuring.measure_sample, specs, measure, input_size=input_size, seed=seed, sleep=sleep
                ),
            )
            for number, specs in enumerate(parts, start=1)
        ]  # fmt: skip
        known = [None if again else cache.get(each.name, each.conditions) for each in planned]
        left = sum(each.networks for each, stored in zip(planned, known, strict=True) if stored is None)
        budget = settings.group_budget_seconds(1)  # of each network: what it took, once one is known
        spent, done = 0.0, 0  # seconds, networks
        groups: list[_Group] = []
        for each, stored in zip(planned, known, strict=True):
            if on_progress is not None:
                on_progress(
                    GuidelinesProgress(
                        group=len(groups) + 1,
                        groups=len(planned),
                        name=each.name,
                        cached=stored is not None,
                        expected=Estimate(
                            first_seconds=((spent / done if done else budget) * left,),
                            basis="from the groups before" if done else "its time budget",
                            at_most=not done,
                        ),
                    )
                )
            began = clock()
            groups.append(stored or cache.put(each.name, each.conditions, each.measure()))
            if stored is None:
                spent, done, left = spent + clock() - began, done + each.networks, left - each.networks
        sampled = groups[len(groups) - len(parts) :]
        return _report(
            wanted,
            groups,
            device=where if board is None else board.target.name,
            fingerprint=fingerprint.id,
            facts=fingerprint.facts,
            printed_column=column,
            sample=sample_report(measuring.sampled_networks(sampled), space=SPACE, input_size=input_size, seed=seed)
            if sampled
            else None,
        )


def stored_guidelines(fingerprint: str, *, folder: Path = FOLDER) -> GuidelinesReport | None:
    """What `archsearch guidelines` found on the device of this fingerprint; None if it was not run to its end there.

    Of measurements under several settings those of a whole protocol come before a quick one's, then the newest. The
    sample of the search space is left out: what it holds needs the networks.

    Raises ConfigError if the file is there and is no such file.
    """
    if not fingerprint or not (folder / f"{fingerprint}.json").is_file():
        return None
    cache = GuidelineCache(folder, fingerprint, {})
    facts = cache.facts
    column = "gpu" if "gpu" in facts else "arm"
    wanted = experiments(column)
    of_settings: dict[str, list[_Group]] = {}
    for group in cache.groups():
        of_settings.setdefault(repr(sorted(_settings_of(group).items())), []).append(group)
    found = [complete for groups in of_settings.values() if (complete := _complete(groups, wanted)) is not None]
    if not found:
        return None
    chosen = max(found, key=lambda groups: (not _quick(groups[0]), max(str(group["measured_on"]) for group in groups)))
    return _report(
        wanted,
        chosen,
        device=str(facts.get("device", "")),
        fingerprint=fingerprint,
        facts=facts,
        printed_column=column,
    )


def _report(
    wanted: Sequence[Experiment],
    groups: Sequence[_Group],
    *,
    device: str,
    fingerprint: str,
    facts: Mapping[str, str],
    printed_column: str,
    sample: SampleReport | None = None,
) -> GuidelinesReport:
    """`groups`: of every column of the experiments in order, then those of the sample, all under the same settings."""
    columns, settings = iter(groups), _settings_of(groups[0])
    return GuidelinesReport(
        device=device,
        device_name=device_name_of(facts),
        backend=str(settings["backend"]),
        batch=int(settings["batch"]),
        threads=int(settings["threads"]),
        precision=facts.get("precision", "fp32"),  # which float32 on a CPU is not among
        fingerprint=fingerprint,
        facts=dict(facts),
        printed_column=printed_column,
        quick=_quick(groups[0]),
        measured=tuple(sorted({str(group["measured_on"]) for group in groups})),
        experiments=tuple(
            table_report(
                experiment,
                [[Latency.from_dict(each) for each in next(columns)["latencies"]] for _ in experiment.columns],
            )
            for experiment in wanted
        ),
        sample=sample,
    )


def _settings(backend: str, batch: int | None, precision: str, device: str, *, quick: bool) -> LatencySettings:
    """The protocol with its backend, batch and precision resolved. Raises ConfigError."""
    check_backend_name(backend)
    if batch is not None and batch < 1:
        raise ConfigError(f"a batch is at least 1 image, got {batch}")
    if precision not in (AUTO, *PRECISIONS):
        raise UnknownNameError("precision", precision, (AUTO, *PRECISIONS))
    plain = LatencySettings(backend=backend, batch=batch, **(QUICK if quick else _FULL))
    if precision != plain.precision_on(device):  # the usual one is `auto`, named or not: one group, measured once
        plain = plain.model_copy(update={"precision": precision})
    resolved = plain.with_backend(plain.backend_on(device)).model_copy(update={"batch": plain.batch_on(device)})
    BACKENDS[resolved.backend].check(device, resolved.precision_on(device))
    return resolved


def _sample_parts(networks: int, *, seed: int, input_size: int) -> list[tuple[Spec, ...]]:
    from archsearch.api.guideline_measure import sampled_specs
    from archsearch.space.search_space import load_space

    if networks < _GROUP:
        raise ConfigError(f"a sample needs at least {_GROUP} networks, got {networks}", hint="0 leaves it out")
    specs = sampled_specs(load_space(SPACE), networks, seed=seed, input_size=input_size)
    return [specs[start : start + _GROUP] for start in range(0, networks, _GROUP)]


def _complete(groups: list[_Group], wanted: tuple[Experiment, ...]) -> list[_Group] | None:
    """The groups of every column in order; None if one is missing or was measured with other channels."""
    newest = {group["name"]: group for group in sorted(groups, key=lambda each: str(each["measured_on"]))}
    found = []
    for column in (column for experiment in wanted for column in experiment.columns):
        measured = newest.get(_name(column))
        if measured is None or measured["conditions"].get("channels") != _channels(column):
            return None
        found.append(measured)
    return found


def _quick(group: _Group) -> bool:
    settings = group["conditions"]["settings"]
    return all(settings.get(name) == value for name, value in QUICK.items())


def _settings_of(group: _Group) -> dict[str, Any]:
    """The settings that a group was measured with: later keys at their defaults, and none that is gone."""
    stored = group["conditions"]["settings"]
    return {key: stored.get(key, default) for key, default in _DEFAULTS.items()}


def experiments(device_column: str, tables: tuple[str, ...] = TABLES) -> tuple[Experiment, ...]:
    """The experiments of these tables.

    Args:
        device_column: whose channels are run: "gpu" or "arm". The paper gave its ARM device narrower networks. The
            other device's speeds stand where the table has them: its narrowest column beside ours.

    Raises ConfigError for a table without an experiment.
    """
    if device_column not in DEVICE_NAMES:
        raise ConfigError(f"the paper has no column '{device_column}'", hint=", ".join(DEVICE_NAMES))
    wrong = [table for table in tables if table not in TABLES]
    if wrong:
        raise ConfigError(f"table '{wrong[0]}' holds no experiment", hint=f"one of {', '.join(TABLES)}")
    printed = {table.table: table for table in find_paper(PAPER).tables}
    return tuple(_experiment(printed[table], device_column) for table in tables)


def _experiment(table: PrintedTable, device_column: str) -> Experiment:
    cells: dict[str, dict[int, dict[str, PrintedSpeed]]] = {device: defaultdict(dict) for device in DEVICE_NAMES}
    for row in table.rows:
        network = printed_network(table.table, row.model)
        for value in row.values:
            cells[value.column][network.scale][network.label] = PrintedSpeed(
                network=network, speed=float(value.value), step=_step(value.value), unit=value.unit
            )
    printed = (row for row in table.rows if any(value.column == device_column for value in row.values))
    labels = tuple(dict.fromkeys(printed_network(table.table, row.model).label for row in printed))
    scales = {device: sorted(found) for device, found in cells.items()}
    columns = []
    for position, scale in enumerate(scales[device_column]):
        beside = {device: cells[device][scales[device][position]] for device in DEVICE_NAMES}
        rows = tuple(
            ExperimentRow(
                label=label,
                network=beside[device_column][label].network,
                printed={device: found[label] for device, found in beside.items()},
            )
            for label in labels
        )
        columns.append(
            ExperimentColumn(table=table.table, scale=scale, scale_text=rows[0].network.scale_text, rows=rows)
        )
    return Experiment(table=table.table, columns=tuple(columns))


def _step(printed: Any) -> float:
    """One of the last printed digit: 0.1 of 76.2 and of 40.0, 1 of 1480."""
    _, point, digits = str(printed).partition(".")
    return 10.0 ** -len(digits) if point else 1.0


def _name(column: ExperimentColumn) -> str:
    """What a column's group is called."""
    return f"table {column.table}, {column.scale_text}"


def _channels(column: ExperimentColumn) -> dict[str, str]:
    return {row.label: row.network.channels_text for row in column.rows}


class GuidelineCache:
    """Groups by what they were measured under; a changed protocol, device or library is another group or file.

    Args:
        folder: of the files.
        fingerprint: the device's; it names the file.
        facts: what the fingerprint is made of, kept for people.

    Raises ConfigError if the file is there and is no such file.
    """

    def __init__(self, folder: Path, fingerprint: str, facts: Mapping[str, str]) -> None:
        self.path = folder / f"{fingerprint}.json"
        fresh: dict[str, Any] = {"format": FORMAT, "fingerprint": fingerprint, "facts": dict(facts), "groups": {}}
        self._content = _read(self.path) if self.path.is_file() else fresh

    @property
    def facts(self) -> dict[str, str]:
        """What the fingerprint is made of, as the file has it."""
        return dict(self._content["facts"])

    def groups(self) -> tuple[dict[str, Any], ...]:
        """Everything that was measured, under whatever conditions."""
        return tuple(dict(group) for group in self._content["groups"].values())

    def get(self, name: str, conditions: Mapping[str, Any]) -> dict[str, Any] | None:
        """The group of this name that was measured under exactly these conditions, or None.

        A key of the settings that a group has not stands for its default: it is younger than the group.
        """
        found = self._find(name, conditions)
        return None if found is None else dict(self._content["groups"][found])

    def put(self, name: str, conditions: Mapping[str, Any], measured: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a group, with today's date, and give it as `get` will. Raises ArchsearchError if that fails."""
        group = {"name": name, "conditions": dict(conditions), "measured_on": date.today().isoformat(), **measured}
        kept: dict[str, Any] = json.loads(json.dumps(group, allow_nan=False))
        if self.path.is_file():  # another run may have written groups of its own meanwhile
            self._content["groups"] |= _read(self.path)["groups"]
        key = self._find(name, conditions)
        if key is None:
            text = json.dumps(dict(conditions), sort_keys=True)
            key = f"{name}/{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        self._content["groups"][key] = kept
        write_atomically(self.path, (json.dumps(self._content, indent=1) + "\n").encode())
        return dict(kept)

    def _find(self, name: str, conditions: Mapping[str, Any]) -> str | None:
        wanted = {**conditions, "settings": _settings_of({"conditions": conditions})}
        for key, group in self._content["groups"].items():
            if group["name"] == name and {**group["conditions"], "settings": _settings_of(group)} == wanted:
                return str(key)
        return None


def _read(path: Path) -> dict[str, Any]:
    hint = "move it away and measure anew"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}", hint=hint) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("groups"), dict):
        raise ConfigError(f"{path}: not a file of measured guideline experiments of format {FORMAT}", hint=hint)
    return content
