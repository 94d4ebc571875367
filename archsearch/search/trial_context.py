"""One trial as its study follows it: what is known of its network already, and what is stored while it is trained."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Protocol

from archsearch.records import Cost, EarlyStop, Epoch, Latency, known_fields
from archsearch.search.config import StudyConfig
from archsearch.search.outcome import constrained_values
from archsearch.search.stopping.base import Curve, Decision, StoppingRule
from archsearch.store.curves import StoredCurve, load_curves
from archsearch.store.database import Database
from archsearch.store.partial_trainings import PartialTraining, note_epoch
from archsearch.store.trials import note_measured

_CHEAP_SHARE = 0.02  # of an epoch's training time, for a state that is only kept in memory


class SlotLostError(Exception):
    """The trial's slot was given back meanwhile: another worker has its choices, and nobody waits for this one."""


class TrialContext(Protocol):
    """What an evaluation asks, and whom it tells how far it is.

    Attributes:
        seed: of the initial weights and of the training.
        latency: the network's, if it was measured before; None if it is to be measured.
        start, curve: what the training goes on from, as `train_proxy` takes it.
        ruled: whether a stopping rule is asked after each epoch.
        early_stop: what the stopping rule said, if it spoke for stopping.
        reason: why the training was ended early, in words; None if it was not.
    """

    seed: int
    latency: Latency | None
    start: bytes | None
    curve: tuple[Epoch, ...]

    @property
    def ruled(self) -> bool:
        """See the class."""

    @property
    def early_stop(self) -> EarlyStop | None:
        """See the class."""

    @property
    def reason(self) -> str | None:
        """See the class."""

    def measured(self, cost: Cost, latency: Latency) -> None:
        """The network was measured, or measured once more."""

    def estimated(self, cost: Cost, latency: Latency) -> None:
        """What the network's measurement says so far, while it goes on: for the rule of this trial alone."""

    def would_stop(self, point: Epoch) -> bool:
        """Whether the rule speaks for ending the training after this epoch; nothing is stored."""

    def epoch_done(self, point: Epoch, state: Callable[[], bytes]) -> bool:
        """One epoch is done; whether the training goes on. `state` gives the bytes to go on from later."""


class StandaloneTrial:
    """A network that nothing is known of, and whose training runs to its end unseen."""

    latency: Latency | None = None
    start: bytes | None = None
    curve: tuple[Epoch, ...] = ()
    ruled = False
    early_stop: EarlyStop | None = None
    reason: str | None = None

    def __init__(self, *, seed: int) -> None:
        self.seed = seed

    def measured(self, cost: Cost, latency: Latency) -> None:
        """Nobody is told."""

    def estimated(self, cost: Cost, latency: Latency) -> None:
        """No rule asks."""

    def would_stop(self, point: Epoch) -> bool:
        """Never."""
        return False

    def epoch_done(self, point: Epoch, state: Callable[[], bytes]) -> bool:
        """Go on."""
        return True


class Curves:
    """The learning curves of a study as its stopping rule takes them; those of ended trials are read once."""

    def __init__(self, database: Database, study_id: int, config: StudyConfig) -> None:
        self._database = database
        self._study_id = study_id
        self._epochs = config.proxy.epochs
        self._known = config.known_objectives
        self._stored: tuple[StoredCurve, ...] = ()

    def load(self, *, without: int | None = None) -> list[Curve]:
        """Every curve as it is now, in order of trial number, but for that of one trial (by its number)."""
        self._stored = load_curves(self._database, self._study_id, self._stored)
        values = [(stored, _values(stored)) for stored in self._stored if stored.trial != without]
        return [
            Curve(
                trial=stored.trial,
                errors=stored.errors,
                epochs=self._epochs,
                known=tuple(known[name] for name in self._known),
                running=stored.status == "running",
                losses=stored.losses,
            )
            for stored, known in values
            if all(name in known for name in self._known)
        ]


def _values(stored: StoredCurve) -> dict[str, float]:
    """What is known of a network beside its training, as `constrained_values` names it."""
    counted = constrained_values(stored.cost, None)
    return counted if stored.latency_ms is None else {**counted, "latency_ms": stored.latency_ms}


class StoredTrial:
    """Stores a trial's latency and curve as they come, and asks the study's stopping rule after each epoch.

    The curve is stored after every epoch. The state that another worker can go on from is stored every
    `stopping.checkpoint_seconds` of training and, where it is cheap to have, kept in memory after every epoch, so that
    `save` can store it when the worker is asked to end.

    Args:
        database, study_id, config: the study.
        rule: gives its stopping rule, asked for after the network was measured; None: the training runs to its end.
        curves: what the rule compares with.
        row_id, number, arch_id: the trial.
        seed: of the training.
        latency: see `TrialContext`.
        begun: what an earlier worker has left of this training.
        exempt: why the trial is not stopped whatever the rule says; "" if it may be.
    """

    def __init__(
        self,
        database: Database,
        study_id: int,
        config: StudyConfig,
        *,
        rule: Callable[[], StoppingRule] | None,
        curves: Curves,
        row_id: int,
        number: int,
        arch_id: str,
        seed: int,
        latency: Latency | None = None,
        begun: PartialTraining | None = None,
        exempt: str = "",
    ) -> None:
        self.seed = seed
        self.latency = latency
        self.start = None if begun is None else begun.state
        self.curve = () if begun is None else begun.curve
        self._database = database
        self._study_id, self._row_id, self._arch_id = study_id, row_id, arch_id
        self._rule = rule
        self._curves = curves
        self._number = number
        self._epochs = config.proxy.epochs
        self._policy, self._promotes = config.stopping.policy, config.stopping.promotes
        self._checkpoint_seconds = config.stopping.checkpoint_seconds
        self._objectives = config.known_objectives
        self._exempt = exempt
        self._known: tuple[float, ...] = ()
        self._is_measured = False  # whether what is known is more than an estimate
        self._decisions = [Decision(**known_fields(Decision, each)) for each in (begun.decisions if begun else ())]
        self._kept: tuple[tuple[Epoch, ...], bytes] | None = None  # a state that is not stored, and its curve
        self._state_seconds = 0.0  # what making the last state took
        self._unsaved_seconds = 0.0  # of training, since the last state that was stored

    @property
    def ruled(self) -> bool:
        """Whether a stopping rule is asked after each epoch."""
        return self._rule is not None

    @property
    def early_stop(self) -> EarlyStop | None:
        """The decision that ended the training, or else the first one that spoke for ending it."""
        spoken = [said for said in self._decisions if said.would_stop]
        if not spoken:
            return None
        said = spoken[-1] if self._ended else spoken[0]
        return EarlyStop(
            policy=self._policy,
            epoch=said.epoch,
            of_epochs=self._epochs,
            error_percent=100.0 - self.curve[said.epoch - 1].top1_percent,
            expected_error_percent=said.expected_error_percent,
            optimistic_error_percent=said.optimistic_error_percent,
            stopped=self._ended,
            exempt="" if self._ended else said.exempt or "it was promoted",
        )

    @property
    def reason(self) -> str | None:
        """Why the training was ended, as the rule said it; None if it was not."""
        return self._decisions[-1].reason if self._ended else None

    @property
    def _ended(self) -> bool:
        """Whether the last epoch done is the one after which the rule ended the training."""
        return bool(self._decisions) and self._decisions[-1].stop and self._decisions[-1].epoch == len(self.curve)

    def measured(self, cost: Cost, latency: Latency) -> None:
        """Store cost and latency: whoever takes the trial over has them, and other trials are compared with it."""
        self.estimated(cost, latency)
        self._is_measured = True
        if not note_measured(self._database, self._row_id, cost=cost, latency=latency):
            raise SlotLostError

    def estimated(self, cost: Cost, latency: Latency) -> None:
        """Tell this trial's rule. Nothing is stored: whoever takes the trial over measures the network anew."""
        values = constrained_values(cost, latency)
        self._known = tuple(values[name] for name in self._objectives)

    def would_stop(self, point: Epoch) -> bool:
        """Whether the rule speaks for ending the training after this epoch, as the study stands now, exempt or not."""
        decision = self._decide((*self.curve[: point.epoch - 1], point))
        return decision is not None and decision.would_stop

    def epoch_done(self, point: Epoch, state: Callable[[], bytes]) -> bool:
        """Store the curve and what the rule says of it, and the state if it is time; whether to go on.

        Raises SlotLostError if the trial's slot was given back meanwhile.
        """
        self.curve = (*self.curve[: point.epoch - 1], point)
        self._decisions = [said for said in self._decisions if said.epoch < point.epoch]
        decision = self._decide(self.curve)
        if decision is not None:
            self._decisions.append(decision)
        self._note(self.curve, None)  # before its state: making that may be what a stop interrupts
        stop = decision is not None and decision.stop
        last = point.epoch >= self._epochs
        self._unsaved_seconds += point.train_seconds
        promotable = stop and self._promotes
        due = not stop and self._unsaved_seconds >= self._checkpoint_seconds
        cheap = not stop and self._state_seconds <= _CHEAP_SHARE * point.train_seconds
        # Of a whole training a state is needed where the network is not measured yet, and may have to wait for it.
        if (not self._is_measured) if last else (promotable or due or cheap):
            self._kept = (self.curve, self._made(state))
            if due and not last:
                self.save()
        return not stop

    @property
    def state_of_stop(self) -> bytes | None:
        """The state after which the rule ended the training, if the trial may be promoted.

        It is stored with the trial's end alone: whoever took the trial up before would go on beyond the stop.
        """
        if self._kept is None or not self._ended or len(self._kept[0]) != len(self.curve):
            return None
        return self._kept[1]

    def save(self) -> None:
        """Store the last state that is at hand, if it is not stored and none `state_of_stop`."""
        if self._kept is None or self.state_of_stop is not None:
            return
        self._note(*self._kept)
        self._kept, self._unsaved_seconds = None, 0.0

    def _note(self, curve: tuple[Epoch, ...], state: bytes | None) -> None:
        said = next((said for said in self._decisions if said.epoch == len(curve)), None)
        noted = note_epoch(
            self._database,
            study_id=self._study_id,
            row_id=self._row_id,
            arch_id=self._arch_id,
            seed=self.seed,
            curve=curve,
            decision=None if said is None else asdict(said),
            state=state,
        )
        if not noted:
            raise SlotLostError

    def _made(self, state: Callable[[], bytes]) -> bytes:
        began = time.monotonic()
        made = state()
        self._state_seconds = time.monotonic() - began
        return made

    def _decide(self, curve: Sequence[Epoch]) -> Decision | None:
        """What the rule says of the trial with this curve; None where there is nothing to decide."""
        if self._rule is None or not self._known or len(curve) >= self._epochs:
            return None
        own = Curve(
            trial=self._number,
            errors=tuple(100.0 - point.top1_percent for point in curve),
            epochs=self._epochs,
            known=self._known,
            running=True,
            losses=tuple(point.train_loss for point in curve),
        )
        decision = self._rule().decide(own, self._curves.load(without=self._number))
        return replace(decision, stop=False, exempt=self._exempt) if decision.stop and self._exempt else decision
