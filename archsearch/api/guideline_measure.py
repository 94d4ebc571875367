"""The groups of the guideline experiments, built and measured: each column of a table, and the sample's eighths."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from archsearch.analysis.guidelines import ExperimentColumn, SampledNetwork
from archsearch.cost import cost_of
from archsearch.cost.memory import operators_run
from archsearch.errors import ConfigError
from archsearch.latency.backends.fold import folded
from archsearch.models.families import build
from archsearch.models.guideline_blocks import guideline_network
from archsearch.models.guideline_spec import MAP_SIZE
from archsearch.models.spec import Spec
from archsearch.models.variants import find_variant
from archsearch.records import Latency
from archsearch.space.search_space import SearchSpace

REFERENCE = "shufflenet_v2_x1_0"
SAMPLE_CLASSES = 10
_TOLD_OF_NETWORKS = [field.name for field in fields(SampledNetwork) if field.name != "latency_ms"]
_MOST_DRAWS = 50  # for each network that is asked for

Sleep = Callable[[float], None]
# What `targets.board.measure_on` gives.
Measure = Callable[..., Sequence[Latency]]


def measure_column(
    column: ExperimentColumn, measure: Measure, *, seed: int, sleep: Sleep = time.sleep
) -> dict[str, Any]:
    """Measure the networks of one column in turn, each against the column's best row, that row itself included.

    The best row is measured against another copy of itself: what these two differ by is noise.

    Returns plain data: `latencies`, as `dataclasses.asdict` gives them, in the order of the rows.
    Raises ConfigError or MeasurementError.
    """
    models = [guideline_network(row.network, seed=seed) for row in column.rows]
    latencies = measure(
        models,
        guideline_network(column.best.network, seed=seed),
        names=[f"table {column.table}, {column.scale_text}, {row.label}" for row in column.rows],
        reference_name=f"{column.best.label} {column.scale_text}",
        input_size=MAP_SIZE,
        seed=seed,
        sleep=sleep,
    )
    return {"latencies": [asdict(latency) for latency in latencies]}


def sampled_specs(space: SearchSpace, networks: int, *, seed: int, input_size: int) -> tuple[Spec, ...]:
    """Different networks of a search space, drawn uniformly; the same seed gives the same ones.

    Raises ConfigError if the space does not hold so many.
    """
    found: dict[str, Spec] = {}
    for draw in range(_MOST_DRAWS * networks):
        spec = space.spec(space.sample(seed + draw)).normalised(input_size)
        found.setdefault(spec.arch_id, spec)
        if len(found) == networks:
            return tuple(found.values())
    raise ConfigError(
        f"the search space '{space.name}' gave {len(found)} different networks in {_MOST_DRAWS * networks} draws, "
        f"and {networks} are wanted"
    )


def measure_sample(
    specs: Sequence[Spec], measure: Measure, *, input_size: int, seed: int, sleep: Sleep = time.sleep
) -> dict[str, Any]:
    """Measure one group of sampled networks in turn with ShuffleNetV2 x1.0, and count what they cost.

    Returns plain data: `networks`, each with its costs, its ratio and whether to trust it, and
    `reference_p10_ms`.
    Raises BuildError, ConfigError or MeasurementError.
    """
    models = [build(spec, num_classes=SAMPLE_CLASSES, input_size=input_size, seed=seed) for spec in specs]
    reference = find_variant(REFERENCE).spec.normalised(input_size)
    latencies = measure(
        models,
        build(reference, num_classes=SAMPLE_CLASSES, input_size=input_size, seed=seed),
        names=[spec.arch_id for spec in specs],
        reference_name=REFERENCE,
        input_size=input_size,
        seed=seed,
        sleep=sleep,
    )
    networks = []
    for spec, model, latency in zip(specs, models, latencies, strict=True):
        cost = cost_of(spec, num_classes=SAMPLE_CLASSES, input_size=input_size)
        networks.append(
            {
                "arch_id": spec.arch_id,
                "macs": cost.macs,
                "params": cost.params,
                "operators": operators_run(folded(model), input_size),
                "memory_bytes": cost.memory_bytes or 0,
                "ratio": latency.ratio_to_reference,
                "converged": latency.converged,
                "contended": latency.contended,
            }
        )
    return {"reference_p10_ms": latencies[0].reference_p10_ms, "networks": networks}


def sampled_networks(groups: Sequence[Mapping[str, Any]]) -> tuple[SampledNetwork, ...]:
    """The sample of these groups, in milliseconds of the first group's reference, so that drift cancels."""
    fixed_ms = float(groups[0]["reference_p10_ms"])
    return tuple(
        SampledNetwork(latency_ms=each["ratio"] * fixed_ms, **{name: each[name] for name in _TOLD_OF_NETWORKS})
        for group in groups
        for each in group["networks"]
    )
