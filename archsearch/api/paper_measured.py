"""What studies and retrainings have measured of a published network, under the conditions that it holds for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from archsearch.api.study import Study, all_studies
from archsearch.errors import NothingStoredError
from archsearch.models.variants import Variant
from archsearch.records import Latency, Score, TrialStatus


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One trial or one retraining of a network in a study.

    Attributes:
        study, dataset: where it was measured and on which images.
        trial: its number in the study; None for a retraining.
        score: accuracy with split, epochs, seed and protocol.
        latency: with device, backend, batch and n; None for a retraining.
        input_size: height and width of the images that it saw (pixels).
    """

    study: str
    dataset: str
    trial: int | None
    score: Score
    latency: Latency | None
    input_size: int


def stored_studies(storage: str | None) -> tuple[Study, ...]:
    """Every stored study; none if there is no database yet and nobody named one. Raises StoreError."""
    try:
        return all_studies(storage=storage)
    except NothingStoredError:
        if storage is not None:
            raise
        return ()


def measured(variant: Variant, studies: tuple[Study, ...]) -> tuple[Measured, ...]:
    """Trials, then retrainings, of the network that a variant is at each study's scale."""
    return tuple(found for study in studies for found in _in_study(variant, study))


def _in_study(variant: Variant, study: Study) -> Iterator[Measured]:
    arch_id = variant.at_scale(study.info.config["scale"]).normalised(study.input_size).arch_id
    dataset = str(study.info.config["dataset"])
    for record in study.records:
        complete = record.status == TrialStatus.COMPLETE and record.score is not None
        if complete and record.arch_id == arch_id and record.score is not None:
            yield Measured(
                study=study.name,
                dataset=dataset,
                trial=record.trial,
                score=record.score,
                latency=record.latency,
                input_size=study.input_size,
            )
    for trained, score in study.trainings:
        if trained == arch_id:
            yield Measured(
                study=study.name,
                dataset=dataset,
                trial=None,
                score=score,
                latency=None,
                input_size=study.input_size,
            )
