"""One architecture evaluated: cost, guidelines, real latency, then the proxy. Cheap before dear."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from archsearch.cost.architecture import cost_of
from archsearch.cost.audit import audit
from archsearch.data.dataset import Dataset
from archsearch.data.split import stratified_split
from archsearch.errors import ArchsearchError, MeasurementError, StoreError
from archsearch.latency.lease import DeviceLease
from archsearch.models.families import build
from archsearch.models.spec import Spec
from archsearch.records import Cost, Epoch, Latency, Score, TrialStatus
from archsearch.search.config import StudyConfig
from archsearch.search.follow import Follower, Unfollowed
from archsearch.search.measuring import RepeatMeasurement, StudyLatency
from archsearch.search.outcome import Outcome, constrained_values, constraint_excess, rejection
from archsearch.search.repeats import Repeats
from archsearch.search.variants import scaled
from archsearch.training.host_memory import give_back_freed_memory
from archsearch.training.proxy import train_proxy

logger = logging.getLogger(__name__)

# The split is part of what a study's accuracies mean: one split for all seeds, so that seeds can be compared.
SPLIT_SEED = 0


class StopRequested(Exception):  # noqa: N818 (a request, not an error)
    """The worker was asked to end: the trial in hand is given back."""


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
    ) -> None:
        self.config = config
        self.device = device
        self.input_size = config.proxy.input_size or dataset.image_size
        self.num_classes = dataset.num_classes
        self._flip = dataset.flip
        self._check = check
        self._train_images, self._validation_images = stratified_split(
            dataset.train,
            validation_images=config.proxy.validation_images,
            train_images=config.proxy.train_images,
            seed=SPLIT_SEED,
        )
        self._repeats = repeats
        self._repeat: RepeatMeasurement | None = None  # of the network in hand, until it is complete
        self._lease = DeviceLease.of_device(device)
        self._latency = StudyLatency(
            config.latency,
            device=device,
            input_size=self.input_size,
            seed=config.seed,
            lease=self._lease,
            reference=self._build_reference,
            reference_name=config.reference,
            fix_reference=fix_reference,
            sleep=self._sleep,
        )

    def evaluate(self, spec: Spec, follower: Follower | None = None) -> Outcome:
        """Evaluate one normalised specification. Raises StopRequested; every other expected end is an Outcome.

        Args:
            spec: the network.
            follower: what is known of it already, and who is told how far it is; None: nothing, and nobody.
        """
        found: dict[str, Any] = {}
        try:
            return self._steps(spec, found, follower or Unfollowed(seed=self.config.seed))
        except StoreError:  # says nothing of the network: the worker ends, and its trial is given back
            raise
        except (ArchsearchError, RuntimeError, ValueError, MemoryError) as error:
            logger.warning(
                "network %s failed: %s", spec.arch_id, error, exc_info=not isinstance(error, ArchsearchError)
            )
            self._check_device()
            name = "" if isinstance(error, ArchsearchError) else f"{type(error).__name__}: "
            reason = f"{name}{error}".strip()
            return Outcome(status=TrialStatus.FAILED, reason=reason, excess=self._excess(found), **found)
        finally:
            self._repeat = None
            self._release_memory()

    def reference_cost(self) -> Cost:
        """Parameters and multiply-adds of the reference network at the study's scale."""
        spec = scaled(self.config.reference, self.config).normalised(self.input_size)
        return cost_of(spec, num_classes=self.num_classes, input_size=self.input_size)

    def _check_device(self) -> None:
        """Raise RuntimeError if the GPU is lost to this process: every later trial would fail, whatever its network.

        The worker then ends, its trial is given back, and a new worker has a new context.
        """
        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)

    def _steps(self, spec: Spec, found: dict[str, Any], follower: Follower) -> Outcome:
        with self.chunk():
            found["cost"] = cost_of(spec, num_classes=self.num_classes, input_size=self.input_size)
            if rejected := self._rejected(found):
                return rejected
            model = build(spec, num_classes=self.num_classes, input_size=self.input_size, seed=follower.seed)
            if self.config.constraints.guidelines != "off":
                found["cost"] = replace(found["cost"], guidelines=audit(model, self.input_size).scores)
                if rejected := self._rejected(found):
                    return rejected
        self._check()
        if follower.latency is not None and self._latency.is_of_this_device(follower.latency):
            found["latency"] = follower.latency
        else:
            found["latency"] = self._latency.measure(model)
            if self._is_close_call(found):
                found["latency"] = self._latency.measure_again(model, found["latency"])
        if rejected := self._rejected(found):
            return rejected
        follower.measured(found["cost"], found["latency"])
        found["score"] = self._train(model, spec.arch_id, found, follower)
        self._complete_repeat()
        stopped = found["early_stop"] is not None and found["early_stop"].stopped
        if not stopped and self._latency.needs_again(found["latency"]):
            self._measure_again(model, found, follower)
        if rejected := self._rejected(found):
            return rejected
        return Outcome(
            status=TrialStatus.STOPPED if stopped else TrialStatus.COMPLETE,
            reason=follower.reason if stopped else None,
            excess=self._excess(found),
            **found,
        )

    def _train(self, model: nn.Module, arch_id: str, found: dict[str, Any], follower: Follower) -> Score:
        """Train the proxy, until its end or until the study's stopping rule ends it."""

        def after_epoch(point: Epoch, state: Callable[[], bytes]) -> bool:
            # A trial is not stopped for a latency that is in doubt.
            if self._latency.needs_again(found["latency"]) and follower.would_stop(point):
                self._measure_again(model, found, follower)
            if point.epoch == max(1, self.config.proxy.epochs // 2):
                self._begin_repeat(model, arch_id, found["latency"])
            return follower.epoch_done(point, state)

        try:
            return train_proxy(
                model.to(self.device),
                self._train_images,
                self._validation_images,
                self.config.proxy,
                seed=follower.seed,
                num_classes=self.num_classes,
                input_size=self.input_size,
                flip=self._flip,
                device=self.device,
                chunk=self._training_chunk,
                on_epoch=after_epoch,
                start=follower.start,
                curve=follower.curve,
            )
        finally:
            found["early_stop"] = follower.early_stop

    def _begin_repeat(self, model: nn.Module, arch_id: str, latency: Latency) -> None:
        """Begin to measure a network a second time if that is due: half a training later, in another episode."""
        try:
            if self._repeats is not None and self._repeats.due(arch_id, latency):
                self._repeat = self._latency.begin_repeat(model, arch_id, latency)
        except MeasurementError as error:
            logger.warning("not measured a second time: %s", error)

    def _complete_repeat(self) -> None:
        if self._repeat is None or self._repeats is None:
            return
        try:
            self._repeats.store(*self._repeat.complete(self._sleep))
        except MeasurementError as error:
            logger.warning("not measured a second time: %s", error)
        self._repeat = None

    def _measure_again(self, model: nn.Module, found: dict[str, Any], follower: Follower) -> None:
        """Measure a latency that is in doubt once more: by now in another episode of the machine."""
        found["latency"] = self._latency.measure_again(model, found["latency"])
        follower.measured(found["cost"], found["latency"])

    def _build_reference(self) -> nn.Module:
        spec = scaled(self.config.reference, self.config).normalised(self.input_size)
        return build(spec, num_classes=self.num_classes, input_size=self.input_size, seed=0)

    def _is_close_call(self, found: Mapping[str, Any]) -> bool:
        """Whether a doubtful latency is over its bound by less than what is doubtful about it."""
        latency, over = found["latency"], self._excess(found).get("latency_ms", 0.0)
        return 0.0 < over <= self._latency.doubt(latency) and self._latency.needs_again(latency)

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
        """Use the device for a short while, beside other workers but never beside a measurement."""
        self._check()
        with self._lease.shared():
            yield

    @contextmanager
    def _training_chunk(self) -> Iterator[None]:
        """A chunk of the training; before it a visit of the network's second measurement, if one is due."""
        if self._repeat is not None:
            try:
                self._repeat.visit_if_due()
            except MeasurementError as error:
                logger.warning("not measured a second time: %s", error)
                self._repeat = None
        with self.chunk():
            yield

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._check()
            time.sleep(min(left, 0.2))

    def _release_memory(self) -> None:
        gc.collect()
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        else:
            give_back_freed_memory()
