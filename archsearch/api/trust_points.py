"""Which networks of a study are trained again for longer: a spread over its accuracies, half of it near the top."""

from __future__ import annotations

import math
from collections.abc import Sequence

from archsearch.analysis.objectives import is_complete
from archsearch.designs import Design, DesignPoint
from archsearch.errors import ConfigError
from archsearch.records import Record


def ranked_networks(records: Sequence[Record]) -> tuple[Record, ...]:
    """The first complete record of each network, the most accurate first; ties by trial."""
    first: dict[str, Record] = {}
    for record in sorted(records, key=lambda record: record.trial):
        if is_complete(record) and math.isfinite(record.error_percent):
            first.setdefault(record.arch_id, record)
    return tuple(sorted(first.values(), key=lambda record: (record.error_percent, record.trial)))


def chosen_networks(records: Sequence[Record], networks: int) -> tuple[Record, ...]:
    """A spread of a study's complete networks, the most accurate first.

    Half of them (rounded up) come from the best quarter by proxy accuracy, the others from the rest, each half at
    equal distances of rank from its first to its last. A published network takes the place that is nearest to its
    rank, so that all of them are in unless there are more than places. A half that has too few networks leaves its
    places to the other. The same records always give the same networks.
    """
    ranked = ranked_networks(records)
    quarter = math.ceil(len(ranked) / 4)
    top, rest = ranked[:quarter], ranked[quarter:]
    networks = min(networks, len(ranked))
    from_top = min(len(top), math.ceil(networks / 2))
    from_rest = min(len(rest), networks - from_top)
    from_top = networks - from_rest
    return (*_spread(top, from_top), *_spread(rest, from_rest))


def _spread(ranked: Sequence[Record], places: int) -> tuple[Record, ...]:
    """So many of these, published ones first, at places that are equally far apart in rank."""
    if places <= 0:
        return ()
    if places >= len(ranked):
        return tuple(ranked)
    wanted = [(len(ranked) - 1) * place / max(places - 1, 1) for place in range(places)]
    chosen: list[int] = []
    published = [index for index, record in enumerate(ranked) if record.variant is not None]
    while published and wanted:
        # the nearest pair of a place and a network; ties to the better rank
        _, index, place = min((abs(index - place), index, place) for index in published for place in wanted)
        chosen.append(index)
        published.remove(index)
        wanted.remove(place)
    left = [index for index, record in enumerate(ranked) if record.variant is None]
    for place in wanted:
        if left:
            nearest = min(left, key=lambda index: (abs(index - place), index))
            chosen.append(nearest)
            left.remove(nearest)
    return tuple(ranked[index] for index in sorted(chosen))


def trust_design(of: str, records: Sequence[Record], *, networks: int, seeds: Sequence[int]) -> Design:
    """The design that trains the chosen networks again. Raises ConfigError without a complete network."""
    chosen = chosen_networks(records, networks)
    if not chosen:
        raise ConfigError(
            f"study '{of}' has no complete trial to train for longer", hint=f"archsearch run --study {of}"
        )
    return Design(
        purpose="trust",
        of=of,
        points=tuple(
            DesignPoint(
                name=record.variant or f"trial {record.trial}",
                family=record.family,
                choices=dict(record.choices),
                arch_id=record.arch_id,
                trial=record.trial,
                variant=record.variant,
            )
            for record in chosen
        ),
        seeds=tuple(seeds),
    )
