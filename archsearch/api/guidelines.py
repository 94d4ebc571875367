"""The four experiments of ShuffleNet V2 run on a device, and what explains latency there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsearch.analysis.guideline_report import (
    Experiment,
    GuidelinesReport,
    SampleReport,
    TableReport,
    table_report,
)
from archsearch.analysis.regression import Regression, explain_latency
from archsearch.api.guideline_cache import GuidelineCache
from archsearch.api.guideline_rows import experiments
from archsearch.api.places import RUNS
from archsearch.errors import ConfigError
from archsearch.latency.backends import BACKENDS
from archsearch.latency.settings import LatencySettings
from archsearch.models.guideline_spec import TABLES

if TYPE_CHECKING:
    from archsearch.models.spec import Spec

FOLDER = RUNS / "guidelines"
SPACE = "shufflenet_v2"
SAMPLE_NETWORKS, QUICK_SAMPLE_NETWORKS = 40, 8
SAMPLE_INPUT_SIZE = 32
_GROUP = 8  # sampled networks that are measured together
# A whole run stays below 12 minutes. An interval says what a second attempt would: so there is none.
_FULL: Mapping[str, Any] = {"budget_seconds": 12.0, "remeasure": 0}
QUICK: Mapping[str, Any] = {
    "bursts": 6,
    "runs_per_burst": 3,
    "visits": 2,
    "spread_seconds": 0.2,
    "warmup_runs": 3,
    "warmup_windows": 3,
    "budget_seconds": 1.0,
    "remeasure": 0,
}
# A per-operator price explains latency where the number of operators does so better than the multiply-adds, and these
# by less than this power.
_OVERHEAD_EXPONENT = 0.25


@dataclass(frozen=True, kw_only=True)
class GuidelinesProgress:
    """How far a run is.

    Attributes:
        group, groups: number of the group in hand (1 is the first), and of all.
        name: what it is.
        cached: it was measured before, and is taken from the file.
    """

    group: int
    groups: int
    name: str
    cached: bool


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What all groups of a run share."""

    device: str
    settings: LatencySettings
    seed: int
    cache: GuidelineCache
    again: bool


def run_guidelines(
    tables: Sequence[str] = (),
    *,
    device: str = "auto",
    backend: str = "auto",
    batch: int | None = None,
    quick: bool = False,
    again: bool = False,
    networks: int | None = None,
    input_size: int = SAMPLE_INPUT_SIZE,
    seed: int = 0,
    folder: Path = FOLDER,
    on_progress: Callable[[GuidelinesProgress], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> GuidelinesReport:
    """Measure the experiments, or take from the file what was measured before under the same conditions.

    A GPU runs the channels of the paper's GPU column at batch 8, any other device those of its ARM column at batch 1,
    each column of a table in one group whose bursts take turns. Every group is written to FOLDER/FINGERPRINT.json when
    it ends, so that a run that was stopped continues where it was.

    Args:
        tables: of "1" to "4"; empty: all, and the sample of the search space.
        device: auto, cpu, cuda or cuda:N.
        backend: a name of `archsearch.latency.backends.BACKENDS`, or auto.
        batch: images a run; None: as in the paper.
        quick: few runs of each network, to see the command work: no measurement to keep.
        again: measure everything anew.
        networks: of the sample; None: 40, or 8 if quick; 0: no sample.
        input_size: of the sampled networks (pixels).
        seed: of weights, inputs and the sample.
        folder: of the files.
        on_progress: told before each group.
        sleep: spends the time between two visits to the device.

    Raises ConfigError, UnknownNameError, BuildError or MeasurementError.
    """
    from archsearch.latency.fingerprint import device_fingerprint
    from archsearch.search.devices import worker_devices

    where = worker_devices(device, 1)[0]
    chosen = tuple(sorted(set(tables))) or TABLES
    column = "gpu" if where.startswith("cuda") else "arm"
    wanted = experiments(column, chosen)
    settings = _settings(backend, batch, where, quick=quick)
    fingerprint = device_fingerprint(where, settings.backend, settings.threads, settings.precision_on(where))
    run = _Run(
        device=where,
        settings=settings,
        seed=seed,
        cache=GuidelineCache(folder, fingerprint.id, fingerprint.facts),
        again=again,
    )
    size = (QUICK_SAMPLE_NETWORKS if quick else SAMPLE_NETWORKS) if networks is None else networks
    parts = [] if tables or size == 0 else _sample_parts(size, seed=seed, input_size=input_size)
    tell = _teller(sum(len(experiment.columns) for experiment in wanted) + len(parts), on_progress)
    reports, days = [], set[str]()
    for experiment in wanted:
        groups = [_column_group(run, experiment, position, tell, sleep) for position in range(len(experiment.columns))]
        days |= {group["measured_on"] for group in groups}
        reports.append(_table(experiment, groups))
    sample = None
    if parts:
        groups = [_sample_group(run, part, number, input_size, tell, sleep) for number, part in enumerate(parts)]
        days |= {group["measured_on"] for group in groups}
        sample = _sample(groups, seed=seed, input_size=input_size)
    facts = fingerprint.facts
    return GuidelinesReport(
        device=where,
        device_name=str(facts.get("gpu") or facts.get("cpu") or "unknown device"),
        backend=settings.backend,
        batch=settings.batch_on(where),
        threads=settings.threads,
        precision=settings.precision_on(where),
        fingerprint=fingerprint.id,
        facts=dict(facts),
        printed_column=column,
        quick=quick,
        measured=tuple(sorted(days)),
        tables=tuple(reports),
        sample=sample,
        warnings=tuple(guideline_warnings(reports, sample, quick=quick)),
    )


def _settings(backend: str, batch: int | None, device: str, *, quick: bool) -> LatencySettings:
    """The protocol with its backend and batch resolved. Raises ConfigError."""
    from archsearch.errors import UnknownNameError

    if backend != "auto" and backend not in BACKENDS:
        raise UnknownNameError(BACKENDS.kind, backend, ("auto", *BACKENDS))
    if batch is not None and batch < 1:
        raise ConfigError(f"a batch is at least 1 image, got {batch}")
    plain = LatencySettings(backend=backend, batch=batch, **(QUICK if quick else _FULL))
    resolved = plain.with_backend(plain.backend_on(device)).model_copy(update={"batch": plain.batch_on(device)})
    BACKENDS[resolved.backend].check(device, resolved.precision_on(device))
    return resolved


def _teller(groups: int, on_progress: Callable[[GuidelinesProgress], None] | None) -> Callable[[str, bool], None]:
    count = 0

    def tell(name: str, cached: bool) -> None:
        nonlocal count
        count += 1
        if on_progress is not None:
            on_progress(GuidelinesProgress(group=count, groups=groups, name=name, cached=cached))

    return tell


def _group(
    run: _Run,
    name: str,
    more: Mapping[str, Any],
    measure: Callable[[], dict[str, Any]],
    tell: Callable[[str, bool], None],
) -> dict[str, Any]:
    """A group from the file, or measured now and written there."""
    # The precision is in the fingerprint, which names the file; a CPU has no warm-up by time.
    without = {"precision"} | ({"warmup_seconds"} if run.device == "cpu" else set())
    conditions = {"settings": run.settings.model_dump(mode="json", exclude=without), "seed": run.seed, **more}
    found = None if run.again else run.cache.get(name, conditions)
    tell(name, found is not None)
    return found if found is not None else run.cache.put(name, conditions, measure())


def _column_group(
    run: _Run,
    experiment: Experiment,
    position: int,
    tell: Callable[[str, bool], None],
    sleep: Callable[[float], None],
) -> dict[str, Any]:
    column = experiment.columns[position]

    def measure() -> dict[str, Any]:
        from archsearch.api.guideline_measure import measure_column
        from archsearch.latency.lease import DeviceLease

        lease = DeviceLease.of_device(run.device)
        return measure_column(column, run.settings, run.device, seed=run.seed, lease=lease, sleep=sleep)

    channels = {row.label: row.network.channels_text for row in column.rows}
    return _group(run, f"table {experiment.table}, {column.scale_text}", {"channels": channels}, measure, tell)


def _table(experiment: Experiment, groups: Sequence[dict[str, Any]]) -> TableReport:
    from archsearch.api.guideline_measure import latencies_of

    return table_report(experiment, [latencies_of(group) for group in groups])


def _sample_parts(networks: int, *, seed: int, input_size: int) -> list[tuple[Spec, ...]]:
    from archsearch.api.guideline_measure import sampled_specs
    from archsearch.space.search_space import load_space

    if networks < _GROUP:
        raise ConfigError(f"a sample needs at least {_GROUP} networks, got {networks}", hint="0 leaves it out")
    specs = sampled_specs(load_space(SPACE), networks, seed=seed, input_size=input_size)
    return [specs[start : start + _GROUP] for start in range(0, networks, _GROUP)]


def _sample_group(
    run: _Run,
    specs: Sequence[Spec],
    number: int,
    input_size: int,
    tell: Callable[[str, bool], None],
    sleep: Callable[[float], None],
) -> dict[str, Any]:
    def measure() -> dict[str, Any]:
        from archsearch.api.guideline_measure import measure_sample
        from archsearch.latency.lease import DeviceLease

        lease = DeviceLease.of_device(run.device)
        return measure_sample(
            specs, run.settings, run.device, input_size=input_size, seed=run.seed, lease=lease, sleep=sleep
        )

    more = {"input_size": input_size, "networks": [spec.arch_id for spec in specs]}
    return _group(run, f"sample, part {number + 1}", more, measure, tell)


def _sample(groups: Sequence[dict[str, Any]], *, seed: int, input_size: int) -> SampleReport:
    from archsearch.api.guideline_measure import sampled_networks

    networks = sampled_networks(groups)
    regression = explain_latency(
        [network.latency_ms for network in networks],
        {
            "MACs": [network.macs for network in networks],
            "memory access": [network.memory_bytes for network in networks],
            "operators": [network.operators for network in networks],
            "parameters": [network.params for network in networks],
        },
    )
    return SampleReport(
        space=SPACE,
        input_size=input_size,
        seed=seed,
        networks=networks,
        regression=regression,
        overhead=_overhead(regression),
    )


def _overhead(regression: Regression) -> str:
    alone = {each.names[0]: each for each in regression.alone}
    if "operators" not in alone or "MACs" not in alone:
        return ""
    operators, macs = alone["operators"], alone["MACs"]
    if operators.predicted_r2 <= macs.predicted_r2 or macs.exponents[0] >= _OVERHEAD_EXPONENT:
        return ""
    return (
        f"bound by starting operators: latency grows as the {macs.exponents[0]:.2f}th power of the multiply-adds, and "
        f"the number of operators explains it better (predicted R2 {operators.predicted_r2:.2f} against "
        f"{macs.predicted_r2:.2f})"
    )


def guideline_warnings(reports: Sequence[TableReport], sample: SampleReport | None, *, quick: bool) -> Iterator[str]:
    """What to know before the verdicts are believed."""
    if quick:
        yield "a quick trial with few runs: its verdicts are not to be kept"
    for report in reports:
        found = report.growth
        name = report.experiment.guideline
        if found is not None and found.launch_bound:
            yield (
                f"{name}: launch-bound: {found.times_macs:.0f} times the multiply-adds took only "
                f"{found.times_time:.2f} times as long, so what is timed is mostly starting operators, and a guideline "
                "about work or memory access can hardly show"
            )
        loose = [
            f"{column.column.scale_text} {row.row.label}"
            for column in report.columns
            for row in column.rows
            if not row.latency.converged
        ]
        if loose:
            yield f"{name}: not converged, so the verdict may be wrong: {', '.join(loose)}"
        if any(row.latency.contended for column in report.columns for row in column.rows):
            yield f"{name}: another process may have used the device meanwhile"
    if sample is not None:
        if sample.overhead:
            yield f"the sample is {sample.overhead}"
        loose_networks = sum(not network.converged for network in sample.networks)
        if loose_networks:
            yield f"{loose_networks} of the {len(sample.networks)} sampled networks did not converge"
        if any(network.contended for network in sample.networks):
            yield "the sample: another process may have used the device meanwhile"
