"""A worker of a study with a design: each network once with each seed, measured afresh every time."""

from __future__ import annotations

from typing import Any

from archsearch.designs import Design
from archsearch.errors import ConfigError, StoreError
from archsearch.models.spec import Spec
from archsearch.search.config import StudyConfig
from archsearch.search.design_points import design_specs
from archsearch.search.follow import TrialFollower
from archsearch.search.worker import Worker
from archsearch.store.claims import Claim, NoSlot, claim_trial
from archsearch.store.designs import parse_key, trial_keys
from archsearch.store.measured import load_measured
from archsearch.store.trials import note_architecture, note_suggestion


class DesignWorker(Worker):
    """Works through a design, all points with the first seed first; see `Worker` for the arguments.

    A trial that was cut off goes on with its own training and its own latency; a trial of another seed never lends
    it one.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._design = _design_of(self._config)
        self._keys = [(key, None) for key in trial_keys(self._design)]
        self._specs = design_specs(self._design, input_size=self._evaluator.input_size)

    def _hopeless(self) -> str | None:
        return None  # however many points fail, there is an end

    def _claim(self, worker_id: str) -> Claim | NoSlot:
        return claim_trial(
            self._database,
            study_id=self._study.id,
            total=self._total,
            worker_id=worker_id,
            variants=self._keys,
            listed_only=True,
        )

    def _suggest(self, claim: Claim) -> tuple[int, Spec]:
        index, _ = _parsed(claim)
        number = self._optuna.ask_outside()
        note_suggestion(self._database, claim.row_id, number=number, suggested=None)
        return number, self._specs[index]

    def _known(self, claim: Claim, spec: Spec) -> tuple[str, int] | None:
        return note_architecture(
            self._database,
            claim.row_id,
            family=spec.family,
            arch_id=spec.arch_id,
            choices=spec.choices(),
            repeats=True,
        )

    def _facts(self, claim: Claim) -> dict[str, Any]:
        index, seed = _parsed(claim)
        point = self._design.points[index]
        return {"variant": point.variant, "point": point.name, "seed": seed}

    def _new_network(self, claim: Claim, number: int, spec: Spec) -> TrialFollower:
        _, seed = _parsed(claim)
        measured = load_measured(self._database, self._study.id, spec.arch_id, variant=claim.variant)
        latency = None if measured is None else measured[1]
        return self._follower(claim, number, spec, seed=seed, latency=latency, rule=None)


def _design_of(config: StudyConfig) -> Design:
    if config.design is None:
        raise ConfigError(f"study '{config.name}' has no design")
    return config.design


def _parsed(claim: Claim) -> tuple[int, int]:
    parsed = parse_key(claim.variant)
    if parsed is None:
        raise StoreError(f"a claim of a design has the key {claim.variant!r}")
    return parsed
