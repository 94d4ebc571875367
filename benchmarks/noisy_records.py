"""Records of trainings that never were, for simulations of what the analyses say of them."""

from __future__ import annotations

from archsearch.designs import DesignPoint
from archsearch.records import Cost, Latency, Record, Score, TrialStatus


def point_of(at: int, *, name: str = "") -> DesignPoint:
    """The network of a place."""
    return DesignPoint(name=name or f"n{at}", family="f", choices={}, arch_id=f"{at:012x}")


def record_of(trial: int, point: DesignPoint, *, error_percent: float, latency_ms: float, seed: int) -> Record:
    """A complete trial of a point."""
    return Record(
        study="simulated",
        trial=trial,
        arch_id=point.arch_id,
        family=point.family,
        choices=point.choices,
        suggested={},
        status=TrialStatus.COMPLETE,
        point=point.name,
        cost=Cost(params=1, macs=1, input_size=32, num_classes=10),
        latency=Latency(
            p10_ms=latency_ms,
            median_ms=latency_ms,
            p90_ms=latency_ms,
            ratio_to_reference=latency_ms,
            reference="reference",
            reference_p10_ms=1.0,
            n=1,
            bursts=1,
            half_split_difference=0.0,
            converged=True,
            contended=False,
            device="cpu",
            backend="torch",
            batch=1,
            threads=1,
            input_size=32,
            fingerprint="simulated",
            measure_seconds=0.0,
        ),
        score=Score(
            top1_percent=100.0 - error_percent,
            epochs=1,
            seed=seed,
            split="validation",
            train_images=1,
            eval_images=5000,
            protocol="simulated",
            train_seconds=0.0,
            images_per_second=1.0,
            device="cpu",
        ),
    )
