"""One architecture evaluated: cost, guidelines, real latency, then the proxy. Cheap before dear."""

from __future__ import annotations

import gc
import logging
import math
import re
import time
import traceback
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from archsearch.cost.architecture import cost_of
from archsearch.cost.audit import audit
from archsearch.data.dataset import Dataset
from archsearch.errors import (
    ArchsearchError,
    DivergedError,
    MeasurementError,
    MeasurementMemoryError,
    StoreError,
    TrainingError,
    TrainingMemoryError,
)
from archsearch.host import give_back_freed_memory
from archsearch.latency.lease import DeviceLease
from archsearch.latency.remeasure import drifted
from archsearch.models.families import build
from archsearch.models.spec import Spec
from archsearch.noise import LEAST_REPEATS, Repeat
from archsearch.records import Cost, Epoch, Latency, Score, TrialStatus
from archsearch.search.config import StudyConfig
from archsearch.search.measuring import AwaitedError, RepeatMeasurement, Stopwatch, StudyLatency, TrialLatency
from archsearch.search.outcome import Blame, Outcome, constrained_values, constraint_excess, rejection
from archsearch.search.places import PlaceSetup, places_of
from archsearch.search.trial_context import StandaloneTrial, TrialContext
from archsearch.search.variants import scaled
from archsearch.store.claims import EndedTrial
from archsearch.store.database import Database
from archsearch.store.studies import add_repeat
from archsearch.store.trials import measured_networks, repeated_networks
from archsearch.targets.wire import BoardAwayError
from archsearch.training.graph import broken_capture
from archsearch.training.proxy import train_proxy

# Whose failure it is when a trial ends with an error: its network's, or the program's and so every network's.

WINDOW = 10  # networks, the newest
ALIKE = 3  # of them that one error has ended

_PACKAGE = Path(__file__).parents[1]
_MEMORY = re.compile(r"out of memory|not enough memory|can't allocate memory|MemoryError", re.IGNORECASE)
# What differs where the same line fails for two networks: their ids, addresses, sizes, shapes.
_VARIES = re.compile(r"\b0x[0-9a-f]+|\b[0-9a-f]{12}\b|[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?", re.IGNORECASE)
_LIST = re.compile(r"[\[(]?#(?:[ ,x]+#)*[\])]?")


class CommonFailureError(ArchsearchError):
    """One error ended several networks of a study, and it is not theirs."""


def reason_of(error: Exception) -> str:
    """The error in words; one that archsearch did not raise on purpose with its type, and where it came from."""
    if isinstance(error, ArchsearchError):
        return str(error)
    own = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(_PACKAGE)
    ]
    where = f" (in {Path(own[-1].filename).relative_to(_PACKAGE).as_posix()}, {own[-1].name})" if own else ""
    return f"{type(error).__name__}: {error}".strip() + where


def blame_of(error: Exception) -> Blame:
    """Whom one such failure speaks of: a diverged training or a lack of memory is the network's own."""
    if isinstance(error, DivergedError | TrainingMemoryError | MemoryError) or _MEMORY.search(str(error)):
        return Blame.NETWORK
    return Blame.UNCLEAR if isinstance(error, ArchsearchError) else Blame.PROGRAM


def kind_of(reason: str) -> str:
    """What two reasons have in common if one mistake made both: the text without numbers, shapes, addresses and ids.

    >>> kind_of("RuntimeError: size [3, 24] at 0x7f00 is not [3, 58] (in blocks/pairs.py, _picked)")
    'RuntimeError: size # at # is not # (in blocks/pairs.py, _picked)'
    """
    return " ".join(_LIST.sub("#", _VARIES.sub("#", reason)).split())


def common_failure(ended: Sequence[EndedTrial], reason: str, blame: Blame) -> tuple[EndedTrial, ...]:
    """The trials that this error has ended, if it is no longer taken for their networks'; else nothing.

    Of the last `WINDOW` networks that came to an end, at least `ALIKE` failed in the same way; and archsearch did not
    raise the error on purpose, or every network of the window failed so. An error that archsearch raises (no export of
    this attention) may hold for a part of a space, and others of the study succeed. Any other error is a mistake in
    the program, whatever part of the space meets it.

    Args:
        ended: the study's trials that ended, the newest first; of each network the newest speaks.
        reason: of the newest failure.
        blame: of the newest failure.
    """
    if blame is Blame.NETWORK:
        return ()
    kind = kind_of(reason)
    alike = tuple(one for one in ended if one.failed and kind_of(one.reason or "") == kind)
    networks: dict[str, EndedTrial] = {}
    for one in ended:
        networks.setdefault(one.arch_id, one)
    window = list(networks.values())[:WINDOW]
    failed = sum(one in alike for one in window)
    if failed < ALIKE or (blame is Blame.UNCLEAR and failed < len(window)):
        return ()
    return alike


# Which networks of a study are measured a second time, and where that is stored: see `noise.noise_floor_of`.

SIZES = (0.75, 1.5)  # latencies over the reference's that part small, middle and large networks
_BEHIND = 2  # so many repeats too few, and a network of any size is taken


class Repeats:
    """The repeats of one study.

    Args:
        database, study_id: the study.
        every: `LatencySettings.repeat_every`, above 0.
        published: networks (their arch_ids) that are evaluated before all others; the reference may be one of them.
    """

    def __init__(self, database: Database, study_id: int, *, every: int, published: Collection[str] = ()) -> None:
        self._database = database
        self._study_id = study_id
        self._every = every
        self._published = published

    @property
    def are_few(self) -> bool:
        """Whether the study has not the repeats that a noise floor is computed from."""
        return len(repeated_networks(self._database, self._study_id)) < LEAST_REPEATS

    def due(self, arch_id: str, latency: Latency, *, reference: str) -> str | None:
        """The network (its arch_id) that is to be measured a second time beside a trial whose latency is known by now.

        That is the trial's own as `is_due` says, and the reference's always; else the reference, if it is no trial's
        network; else None. A network is repeated once, but that two workers may begin at one moment.

        Args:
            arch_id, latency: of the trial.
            reference: the reference's arch_id.
        """
        repeated = repeated_networks(self._database, self._study_id)
        ratios = measured_networks(self._database, self._study_id) | {arch_id: latency.ratio_to_reference}
        if arch_id not in repeated and (
            arch_id == reference
            or is_due(
                latency.ratio_to_reference,
                measured=list(ratios.values()),
                repeated=[ratios[each] for each in repeated if each in ratios],
                every=self._every,
            )
        ):
            return arch_id
        if arch_id in self._published or reference in repeated or reference in ratios:
            return None
        return reference

    def store(self, repeat: Repeat, latency: Latency) -> None:
        """Store a repeat with the second measurement."""
        add_repeat(self._database, self._study_id, repeat, latency)


def is_due(ratio: float, *, measured: Collection[float], repeated: Sequence[float], every: int) -> bool:
    """Whether a network of this ratio to the reference is to be measured a second time.

    Of n networks min(3, n) + n // `every` are. When one is wanted, the next network is taken that is of the size
    (`SIZES`) that has the fewest repeats, of those that the study has measured at all; when two are, the next one.

    Args:
        ratio: of the network, to the reference.
        measured: ratios of all networks that were measured, this one among them.
        repeated: ratios of those that were measured a second time.
        every: above 0.
    """
    wanted = min(LEAST_REPEATS, len(measured)) + len(measured) // every - len(repeated)
    if wanted <= 0:
        return False
    if wanted >= _BEHIND or len(measured) <= LEAST_REPEATS:
        return True
    repeats = Counter(bisect(SIZES, each) for each in repeated)
    return repeats[bisect(SIZES, ratio)] == min(repeats[size] for size in {bisect(SIZES, each) for each in measured})


logger = logging.getLogger(__name__)

_CLEAR = 3.0  # times its doubt that a first visit's latency is from a bound, for the bound to be decided by it

# What ends a trial and not its worker. A database that is away or full, or a lost file, is none of it.
FAILURES = (
    ArchsearchError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    RuntimeError,
    TypeError,
    ValueError,
)


class StopRequested(Exception):  # noqa: N818 (a request, not an error)
    """The worker was asked to end: the trial in hand is given back."""


@dataclass(eq=False)
class Awaited:
    """A network that is trained, and whose measurement waits for a board that is away.

    Attributes:
        spec: the network.
        trial: its latency in the making.
        found: what is known of it.
        context: who is told.
        error: why it cannot be measured; None as far as that is known.
    """

    spec: Spec
    trial: TrialLatency
    found: dict[str, Any]
    context: TrialContext
    error: MeasurementError | None = None


class Evaluator:
    """Evaluates architectures of one study on one device; the data and the reference are prepared once.

    Args:
        config: the study.
        dataset: its dataset.
        device: torch device ("cpu", "cuda:0").
        check: called between training steps; raises StopRequested when the worker is asked to end.
        fix_reference: takes the reference's p10 of a measurement and gives the one that the study has fixed (both
            in milliseconds).
        repeats: which networks are measured a second time, and where that is stored; None: none is.
        boards: by target, what it said of itself when the study was begun.
    """

    def __init__(
        self,
        config: StudyConfig,
        dataset: Dataset,
        device: str,
        *,
        check: Callable[[], None],
        fix_reference: Callable[[float], float],
        repeats: Repeats | None = None,
        boards: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.config = config
        self.device = device
        self.input_size = config.proxy.input_size_for(dataset.image_size)
        self.num_classes = dataset.num_classes
        self._flip = dataset.flip
        self._check = check
        self._train_images, self._validation_images = dataset.split(**config.proxy.split, image_size=self.input_size)
        self._repeats = repeats
        self._repeat: RepeatMeasurement | None = None  # until it is complete: beside this trial, and the next ones
        self._asked_repeat = False  # whether it was asked beside the trial in hand which network is due
        self._reference_latency: Latency | None = None  # the first of the reference's two, made beside a trial
        self._between_chunks: Callable[[], None] | None = None
        self.stopwatch = Stopwatch()
        self._lease = DeviceLease.of_device(device, waiting=lambda: self.stopwatch.at("wait"))
        self._awaited: list[Awaited] = []
        setup = PlaceSetup(
            device=device,
            input_size=self.input_size,
            seed=config.seed,
            lease=self._lease,
            reference=lambda: build(
                self._reference_spec(), num_classes=self.num_classes, input_size=self.input_size, seed=0
            ),
            reference_name=config.reference,
        )
        self._latency = StudyLatency(
            config.latency,
            places=places_of(config.latency, setup, boards=boards or {}),
            fix_reference=fix_reference,
            sleep=self._sleep,
            stopwatch=self.stopwatch,
        )

    def evaluate(self, spec: Spec, context: TrialContext | None = None) -> Outcome | Awaited:
        """Evaluate one normalised specification. Raises StopRequested, and BoardAwayError for a board that stays away;
        every other expected end is an Outcome, or Awaited where all is done but for a latency on a board that is away.

        Args:
            spec: the network.
            context: what is known of it already, and who is told how far it is; None: nothing, and nobody.
        """
        found: dict[str, Any] = {}
        told = context or StandaloneTrial(seed=self.config.seed)
        return self._guarded(spec, found, lambda: self._steps(spec, found, told))

    def finish(self, awaited: Awaited) -> Outcome | Awaited:
        """Make what is left to be measured of a trained network, if its boards are back; as `evaluate` else."""
        if awaited.trial.is_awaited:
            return awaited
        self._awaited.remove(awaited)
        awaited.found.pop("latency", None)  # it may have been measured meanwhile
        return self._guarded(awaited.spec, awaited.found, lambda: self._measured(awaited))

    def close(self) -> None:
        """End what is under way elsewhere."""
        self._latency.close()

    def _guarded(self, spec: Spec, found: dict[str, Any], work: Callable[[], Outcome | Awaited]) -> Outcome | Awaited:
        """Do a piece of an evaluation; an error that ends the trial and not its worker is an Outcome."""
        try:
            return work()
        except (StoreError, MeasurementMemoryError, BoardAwayError, torch.OutOfMemoryError):
            raise  # says nothing of the network: the worker ends, and its trial is given back
        except FAILURES as error:
            logger.warning(
                "network %s failed: %s", spec.arch_id, error, exc_info=not isinstance(error, ArchsearchError)
            )
            self._check_device(error)
            return Outcome(
                status=TrialStatus.FAILED,
                reason=reason_of(error),
                excess=self._excess(found),
                blame=blame_of(error),
                **found,
            )
        finally:
            self._asked_repeat = False
            self._release_memory()

    def advance_awaited(self) -> None:
        """Make the next visits of trained networks whose boards are back. Raises BoardAwayError."""
        for awaited in self._awaited:
            if awaited.error is None:
                try:
                    awaited.trial.advance()
                except BoardAwayError:
                    raise
                except MeasurementError as error:  # it ends its own trial, in `finish`
                    awaited.error = error

    def advance_repeat(self) -> None:
        """Make the next visit of the repeat under way, if it is due. The calling thread holds no lease."""
        if self._repeat is not None:
            with self._repeating():
                self._repeat.advance()
                self._end_repeat()

    def complete_repeat(self) -> None:
        """Sleep through the repeat under way, if the study has so few that its noise floor is not known.

        Another one is dropped with this worker: some network will be due later. Ends early when asked to stop.
        """
        if self._repeat is not None and self._repeats is not None and self._repeats.are_few:
            with self._repeating(), suppress(StopRequested):
                self._check()
                self._repeat.complete()
                self._end_repeat()

    def reference_cost(self) -> Cost:
        """Parameters and multiply-adds of the reference network at the study's scale."""
        return cost_of(self._reference_spec(), num_classes=self.num_classes, input_size=self.input_size)

    def _check_device(self, error: Exception) -> None:
        """Raise RuntimeError if the GPU is lost to this process: every later trial would fail, whatever its network.

        The worker then ends, its trial is given back, and a new worker has a new context.
        """
        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)
            if (why := broken_capture()) and not isinstance(error, ArchsearchError):
                raise RuntimeError(f"a CUDA graph's capture broke in this process ({why}), and then: {error}")

    def _steps(self, spec: Spec, found: dict[str, Any], context: TrialContext) -> Outcome | Awaited:
        with self.chunk(), self.stopwatch.at("build"):
            found["cost"] = cost_of(spec, num_classes=self.num_classes, input_size=self.input_size)
            if rejected := self._rejected(found):
                return rejected
            model = build(
                spec,
                num_classes=self.num_classes,
                input_size=self.input_size,
                seed=context.seed,
                by_name=self.config.proxy.initial_weights != "in_order",
            )
            if self.config.constraints.guidelines != "off":
                found["cost"] = replace(found["cost"], guidelines=audit(model, self.input_size).scores)
                if rejected := self._rejected(found):
                    return rejected
        self._check()
        trial = self._latency.of(model, context.latency)
        with suppress(AwaitedError):  # the training comes first then, and the bound is looked at after it
            self._look_at_bound(trial, found)
            if rejected := self._rejected(found):
                return rejected
        if trial.known:
            self._tell(trial, found, context)
        else:  # clear of its bound; a provisional latency stands in no record but a rejected one's
            found.pop("latency", None)
        found["score"] = self._train(model, spec.arch_id, trial, found, context)
        return self._measured(Awaited(spec=spec, trial=trial, found=found, context=context))

    def _look_at_bound(self, trial: TrialLatency, found: dict[str, Any]) -> None:
        """Measure as much as a bound needs before the training. Raises AwaitedError while a board is away."""
        if self._is_bounded and not trial.known:
            found["latency"] = trial.provisional()
            if not self._is_clear(found):
                del found["latency"]
                trial.complete()
        if trial.known:
            found["latency"] = trial.latency
            if trial.doubtful and self._is_close_call(found):
                found["latency"] = trial.settle()

    def _measured(self, trained: Awaited) -> Outcome | Awaited:
        """The end of a network that is trained: what is left of its measurement, unless a board is away."""
        trial, found, context = trained.trial, trained.found, trained.context
        if trained.error is not None:
            raise trained.error
        stopped = found["early_stop"] is not None and found["early_stop"].stopped
        try:
            if not trial.known or (trial.doubtful and not stopped):
                if stopped:
                    trial.complete()
                else:
                    trial.settle()
                found.pop("latency", None)
            if "latency" not in found:
                self._tell(trial, found, context)
        except AwaitedError:
            self._awaited.append(trained)
            return trained
        if not stopped:
            self._begin_repeat(trained.spec.arch_id, trial)
        if rejected := self._rejected(found):
            return rejected
        return Outcome(
            status=TrialStatus.STOPPED if stopped else TrialStatus.COMPLETE,
            reason=context.reason if stopped else None,
            excess=self._excess(found),
            **found,
        )

    def _train(
        self, model: nn.Module, arch_id: str, trial: TrialLatency, found: dict[str, Any], context: TrialContext
    ) -> Score:
        """Train the proxy, until its end or until the study's stopping rule ends it; visits fall in between."""

        def between_chunks() -> None:
            if trial.advance():
                self._tell(trial, found, context)
            self.advance_awaited()
            self.advance_repeat()

        def after_epoch(point: Epoch, state: Callable[[], bytes]) -> bool:
            self.stopwatch.of_which("score", "train", point.train_seconds)
            with self.stopwatch.at("store"):
                return decided(point, state)

        def decided(point: Epoch, state: Callable[[], bytes]) -> bool:
            settled = False
            # While a board is away, the rule is not asked of what is not measured, and decides with what it knows.
            with suppress(AwaitedError):
                if context.ruled and not trial.known:
                    provisional = trial.provisional()
                    if trial.known:
                        self._tell(trial, found, context)
                    else:
                        context.estimated(found["cost"], provisional)
                # A trial is not stopped for a latency that is in doubt.
                if trial.doubtful and context.would_stop(point):
                    trial.settle()
                    self._tell(trial, found, context)
                    settled = True
            if not settled and point.epoch < self.config.proxy.epochs:
                trial.begin_again()
            if 2 * point.epoch >= self.config.proxy.epochs:
                self._begin_repeat(arch_id, trial)
            return context.epoch_done(point, state)

        self._between_chunks = between_chunks
        try:
            with self.stopwatch.at("score"):  # of which each epoch's training is taken off
                return train_proxy(
                    model,
                    self._train_images,
                    self._validation_images,
                    self.config.proxy,
                    seed=context.seed,
                    num_classes=self.num_classes,
                    input_size=self.input_size,
                    flip=self._flip,
                    device=self.device,
                    chunk=self.chunk,
                    on_epoch=after_epoch,
                    start=context.start,
                    curve=context.curve,
                )
        except TrainingError:  # it diverged, say: what its network's latency is, is known all the same
            if not trial.known:
                with suppress(AwaitedError):
                    trial.complete()
                    self._tell(trial, found, context)
            raise
        finally:
            self._between_chunks = None
            found["early_stop"] = context.early_stop

    def _begin_repeat(self, arch_id: str, trial: TrialLatency) -> None:
        """Begin to measure a network a second time if that is due: half a training later, in another episode.

        Asked once a trial, when its own first measurement stands and no other repeat is under way. It is mostly the
        trial's network. Of the reference both measurements are made beside trials. What is not complete when the trial
        ends goes on beside the next one: nobody sleeps for it.
        """
        if self._repeats is None or self._repeat is not None or self._asked_repeat or not trial.known or trial.doubtful:
            return
        self._asked_repeat = True
        with self._repeating():
            due = self._repeats.due(arch_id, trial.latency, reference=self._reference_spec().arch_id)
            if due == arch_id:
                self._repeat = RepeatMeasurement(self._latency, trial.exported, due, trial.latency)
            elif due is not None:
                reference = self._latency.places[0].exported_reference
                self._repeat = RepeatMeasurement(self._latency, reference, due, self._reference_latency)

    def _end_repeat(self) -> None:
        if self._repeat is None or self._repeats is None or not self._repeat.done:
            return
        repeat, latency = self._repeat.result()
        self._repeat = None
        if repeat is None:
            self._reference_latency = latency
        else:
            self._repeats.store(repeat, latency)

    @contextmanager
    def _repeating(self) -> Iterator[None]:
        """A repeat that fails, for want of memory beside the training too, is left out: the trial does not need it.

        It may be of an earlier trial's network, whose error must not fail this one.
        """
        try:
            with self.stopwatch.at("measure"):
                yield
        except (MeasurementError, RuntimeError) as error:
            logger.warning("not measured a second time: %s", error)
            self._repeat = None

    def _tell(self, trial: TrialLatency, found: dict[str, Any], context: TrialContext) -> None:
        found["latency"] = trial.latency
        with self.stopwatch.at("store"):
            context.measured(found["cost"], found["latency"])

    def _reference_spec(self) -> Spec:
        return scaled(self.config.reference, self.config).normalised(self.input_size)

    @property
    def _is_bounded(self) -> bool:
        """Whether a latency may end a trial before its training."""
        constraints = self.config.constraints
        return "latency_ms" in constraints.bounds() and not constraints.is_soft("latency_ms")

    def _is_clear(self, found: Mapping[str, Any]) -> bool:
        """Whether a provisional latency is further from its bound, either way, than the rest of it can well move it.

        That is `_CLEAR` times what is doubtful about it: the tolerance that it will have to keep, the difference of its
        halves, half of its interval, and how crowded the memory was, whichever is largest.
        """
        latency: Latency = found["latency"]
        if drifted(latency, self.config.latency):
            return False
        low, high = latency.ratio_low or 0.0, latency.ratio_high or math.inf
        interval = (high - low) / (2.0 * latency.ratio_to_reference)
        crowding = self._latency.crowding(latency)
        doubt = max(self.config.latency.tolerance, latency.half_split_difference, interval, crowding)
        return abs(self._excess(found)["latency_ms"]) > _CLEAR * doubt

    def _is_close_call(self, found: Mapping[str, Any]) -> bool:
        """Whether a latency is over its bound by less than what is doubtful about it."""
        over = self._excess(found).get("latency_ms", 0.0)
        latency: Latency = found["latency"]
        doubt = max(latency.half_split_difference, abs(latency.drift or 0.0), self._latency.crowding(latency))
        return 0.0 < over <= doubt

    def _rejected(self, found: Mapping[str, Any]) -> Outcome | None:
        excess = self._excess(found)
        values = constrained_values(found.get("cost"), found.get("latency"))
        reason = rejection(self.config.constraints, excess, values)
        if reason is None:
            return None
        return Outcome(status=TrialStatus.REJECTED, reason=reason, excess=excess, **found)

    def _excess(self, found: Mapping[str, Any]) -> dict[str, float]:
        return constraint_excess(self.config.constraints, found.get("cost"), found.get("latency"))

    @contextmanager
    def chunk(self) -> Iterator[None]:
        """Use the device for a short while, beside other workers but never beside a measurement.

        Visits that are due beside a training are made before: of the trial's own measurement, of those that waited for
        their boards, and of the repeat under way.
        Nothing is queued on a GPU when it is left: a measurement that begins then would run beside it.
        """
        self._check()
        if self._between_chunks is not None:
            self._between_chunks()
        with self._lease.shared():
            try:
                yield
            finally:
                if self.device.startswith("cuda"):
                    torch.cuda.synchronize(self.device)

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        with self.stopwatch.at("sleep"):
            while (left := end - time.monotonic()) > 0:
                self._check()
                time.sleep(min(left, 0.2))

    def _release_memory(self) -> None:
        gc.collect()
        if self.device.startswith("cuda"):
            with self._lease.shared():  # giving memory back stops the whole GPU for a moment
                torch.cuda.empty_cache()
        else:
            give_back_freed_memory()
