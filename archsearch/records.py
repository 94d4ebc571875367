"""The frozen facts that pass between the parts of archsearch, and all that analysis and plots ever see.

A number never travels alone: a latency carries its device, backend, batch, threads, n and spread; a score carries
its epochs, seed and split. Units stand in the names. Nothing here imports torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

LARGEST_INPUT = 4096
MOST_CLASSES = 100_000
"""Height and width of an input (pixels), and outputs of a classifier: more is a mistake, and would take all memory."""
_SEARCHED_TRIAL = re.compile(r"trial [0-9]+")  # how a design names the network of a trial that has no other name


def known_fields(kind: Any, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Of stored facts those that a dataclass has as fields: keys of other versions are left out."""
    return {entry.name: facts[entry.name] for entry in fields(kind) if entry.name in facts}


class TrialStatus(StrEnum):
    """Where one evaluated suggestion stands. Only COMPLETE records reach a front."""

    RUNNING = "running"
    COMPLETE = "complete"
    STOPPED = "stopped"  # its training was ended early: its curve is stored, and it holds a slot
    FAILED = "failed"  # diverged, out of memory, could not be built: the reason is stored
    REJECTED = "rejected"  # a constraint was violated; does not count towards --trials
    REPLAY = "replay"  # answered from an equal network's record; does not count towards --trials
    INTERRUPTED = "interrupted"  # its worker was stopped or killed; its choices are tried again


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one architecture costs on paper, at one input size and number of classes.

    Attributes:
        params: trainable parameters (count).
        macs: multiply-adds of one image in convolutions and linear layers, the convention of `docs/counting.md`.
        input_size: height and width of the square input (pixels).
        num_classes: outputs of the classifier.
        unsupported_ops: operators that the counter met and could not count, with how often each was met.
        macs_by_convention: multiply-adds of one image in each convention of `docs/counting.md`, by its name; empty in
            records of before there were any.
        memory_read_bytes, memory_written_bytes: what the operators of one image move (bytes, float32); None in
            records of before they were counted.
        guidelines: score of each guideline of `archsearch.limits`; empty where no audit was asked for.
    """

    params: int
    macs: int
    input_size: int
    num_classes: int
    unsupported_ops: Mapping[str, int] = field(default_factory=dict)
    macs_by_convention: Mapping[str, int] = field(default_factory=dict)
    memory_read_bytes: int | None = None
    memory_written_bytes: int | None = None
    guidelines: Mapping[str, float] = field(default_factory=dict)

    @property
    def memory_bytes(self) -> int | None:
        """Read and written by one image; None where it was not counted."""
        if self.memory_read_bytes is None or self.memory_written_bytes is None:
            return None
        return self.memory_read_bytes + self.memory_written_bytes


def precision_before(device: str) -> str:
    """What latencies on a torch device were measured in before there was a choice: torch's float32, TF32 on a GPU."""
    return "fp32" if device.partition(":")[0] == "cpu" else "tf32"


@dataclass(frozen=True, kw_only=True)
class Latency:
    """A latency distribution of one network on one device, measured in bursts interleaved with a reference.

    Attributes:
        p10_ms, median_ms, p90_ms: quantiles over all `n` runs (milliseconds a batch). The median is what a user feels.
        ratio_to_reference: p10 of this network over p10 of the reference measured in the same bursts. It ranks
            networks: interference only ever adds time, and what the device's clock does to one it does to the other.
        reference: name of the reference network.
        reference_p10_ms: the reference's p10 in the same bursts (milliseconds).
        n, bursts: timed runs in all, and the bursts that they were spread over.
        half_split_difference: how far the ratios of two halves of the bursts differ, relative to each other: the larger
            of earlier against later, and even against odd visits.
        converged: whether the halves agreed within the protocol's tolerance before its budget ended.
        contended: whether another process used the device meanwhile, or may have, or a board slowed itself down (False:
            the device lease was held for every timed run, and the system told of no other's use).
        device, backend, batch, threads, precision, input_size: the conditions; precision is `fp32`, `tf32`, `fp16` or
            `bf16`.
        fingerprint: the device's fingerprint; latencies with different ones are not comparable.
        measure_seconds: time spent on it: making ready, waiting for the device, runs, pauses that were slept through.
        study_reference_ms: the reference's p10 that the study fixed at its first measurement (milliseconds); None
            for a latency measured outside of a study.
        ratio_low, ratio_high: 95% interval of `ratio_to_reference`, from the runs of this measurement alone; None in
            records of older versions.
        attempts: measurements that were made; more than one if an earlier one was in doubt.
        memory_ms: what a copy of 16 MiB took beside the runs (milliseconds, p10): the memory witness. None on a GPU,
            and in records of older versions.
        state: what else was true of the device meanwhile: load average and frequency of the CPU, clocks and throttling
            of a GPU, use by other processes. Facts that the system does not tell are absent.
        also: the same network measured by further backends or on further targets, each against the reference there.
    """

    p10_ms: float
    median_ms: float
    p90_ms: float
    ratio_to_reference: float
    reference: str
    reference_p10_ms: float
    n: int
    bursts: int
    half_split_difference: float
    converged: bool
    contended: bool
    device: str
    backend: str
    batch: int
    threads: int
    precision: str = "fp32"
    input_size: int
    fingerprint: str
    measure_seconds: float
    study_reference_ms: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    attempts: int = 1
    memory_ms: float | None = None
    state: Mapping[str, str] = field(default_factory=dict, hash=False)
    also: tuple[Latency, ...] = ()

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Latency:
        """The inverse of `dataclasses.asdict`, JSON in between or not; keys of other versions are left out."""
        also = tuple(cls.from_dict(other) for other in facts.get("also", ()))
        said = {"precision": precision_before(str(facts.get("device", "cpu")))} | dict(facts)
        return cls(**known_fields(cls, said) | {"also": also})

    @property
    def by(self) -> str:
        """What it was measured by: the backend on this machine, or the name of the target that ran the network."""
        return self.backend if self.device.partition(":")[0] in ("cpu", "cuda", "mps", "xpu") else self.device

    @property
    def throttled(self) -> bool:
        """Whether a board said that it slowed itself down meanwhile: why it is contended, if others did nothing."""
        return self.state.get("throttled") == "yes"

    @property
    def drift(self) -> float | None:
        """How far the reference's p10 was from the one that the study fixed, relative to it; None outside of a study.

        0.1: the reference took 10% longer than at the study's first measurement.
        """
        return None if self.study_reference_ms is None else self.reference_p10_ms / self.study_reference_ms - 1.0

    @property
    def corrected_ms(self) -> float:
        """The milliseconds that rank networks within a study: p10 corrected for the device's drift since its start.

        It is `ratio_to_reference` x `study_reference_ms`, or p10 itself outside of a study. On a shared machine the
        same network's p10 moves by tens of percent within an hour; its ratio to the reference hardly does.
        """
        return self.p10_ms if self.study_reference_ms is None else self.ratio_to_reference * self.study_reference_ms


CLEAR_RATIO = 1.5
"""A network's time over that of one of half its width, from which on latency tells widths apart (of work: 3 to 4)."""


@dataclass(frozen=True, kw_only=True)
class StudyBatch:
    """The batch of a study's latencies, and whether networks of different width differ in it.

    Attributes:
        batch: images a run.
        chosen: whether the study chose it when it began, as the smallest in which they do.
        wide, narrow: names of the two networks that were measured.
        ratios: of each batch that was tried, `batch` last, p10 of the wide network over that of the narrow one.
    """

    batch: int
    chosen: bool
    wide: str
    narrow: str
    ratios: tuple[tuple[int, float], ...]

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> StudyBatch:
        """The inverse of `dataclasses.asdict`, JSON in between or not; keys of other versions are left out."""
        ratios = tuple((int(batch), float(ratio)) for batch, ratio in facts["ratios"])
        return cls(**known_fields(cls, facts) | {"ratios": ratios})

    @property
    def ratio(self) -> float:
        """How many times as long the wide network takes in this batch."""
        return self.ratios[-1][1]

    @property
    def on_launch_floor(self) -> bool:
        """Whether its networks take the time of their launches, whatever their width."""
        return self.ratio < CLEAR_RATIO


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One point of a learning curve. Rates and losses are means over the epoch; top1 is on `split` after it."""

    epoch: int  # 1 is the first
    train_loss: float
    top1_percent: float
    learning_rate: float  # at the end of the epoch
    train_seconds: float  # of this epoch, evaluation excluded


@dataclass(frozen=True, kw_only=True)
class Score:
    """Top-1 of one training on one split.

    Attributes:
        top1_percent: share of correctly classified images of `split` after the last epoch (percent).
        epochs: epochs trained, of a schedule that anneals to its end within them.
        seed: seed of the initial weights, of the data order and of the augmentation.
        split: "validation" for proxies, "test" for retraining.
        train_images, eval_images: images trained on per epoch, and scored.
        protocol: name of the training protocol.
        train_seconds: training time, evaluation excluded.
        curve: one point for each epoch.
        balanced_top1_percent: mean over the classes of the share recognised of each, the mean recall (percent).
        top5_percent: share of images whose label is among the five highest outputs (percent); None with five classes or
            fewer.
        majority_percent: share of the largest class among the images scored (percent): the top-1 of an answer that is
            always the same.
        confusion: of a full training, how many images of each class (rows) were taken for each class (columns);
            None with more than 2,000 classes.

    The last four are None in records of older versions.
    """

    top1_percent: float
    epochs: int
    seed: int
    split: str
    train_images: int
    eval_images: int
    protocol: str
    train_seconds: float
    images_per_second: float
    device: str
    curve: tuple[Epoch, ...] = ()
    balanced_top1_percent: float | None = None
    top5_percent: float | None = None
    majority_percent: float | None = None
    confusion: tuple[tuple[int, ...], ...] | None = None

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any], curve: tuple[Epoch, ...]) -> Score:
        """The inverse of `dataclasses.asdict` but for the curve, JSON in between or not; unknown keys are left out."""
        said = known_fields(cls, facts) | {"curve": curve}
        if said.get("confusion") is not None:
            said["confusion"] = tuple(tuple(row) for row in said["confusion"])
        return cls(**said)

    @property
    def class_recall_percent(self) -> tuple[float | None, ...]:
        """Share recognised of each class (percent); None for a class without images, empty without a confusion."""
        rows = enumerate(self.confusion or ())
        return tuple(100.0 * row[label] / sum(row) if sum(row) else None for label, row in rows)


def most_taken_for(taken: Sequence[int], label: int) -> tuple[int, int] | None:
    """The other class that most of a class's images were taken for, the first of equal ones, and of how many.

    `taken`: how many images of class `label` were taken for each class. None where all were recognised.
    """
    others = [(-count, other) for other, count in enumerate(taken) if other != label and count]
    if not others:
        return None
    count, other = min(others)
    return other, -count


@dataclass(frozen=True, kw_only=True)
class EarlyStop:
    """What a stopping rule said of a trial when it first spoke for stopping it, whether or not the trial went on.

    Attributes:
        policy: the rule's name.
        epoch, of_epochs: epochs done then, of the whole schedule.
        error_percent: validation error then (percent).
        expected_error_percent, optimistic_error_percent: the final error that the rule expected, and the one that it
            still thought possible (percent); None for a rule that predicts none.
        stopped: whether the training ended there.
        exempt: why it went on all the same ("" if it did not): one that is spared checks the rule.
    """

    policy: str
    epoch: int
    of_epochs: int
    error_percent: float
    expected_error_percent: float | None
    optimistic_error_percent: float | None
    stopped: bool
    exempt: str = ""


@dataclass(frozen=True, kw_only=True)
class Phases:
    """What a trial's worker spent its time on (seconds). What `Record.seconds` has beyond their sum is none of these.

    Attributes:
        suggest_seconds: the sampler, its model included.
        build_seconds: the cost, the guidelines and the network with its initial weights.
        measure_seconds: making the network ready for a latency measurement, and the visits to the device.
        wait_seconds: waiting for the device, before a visit or before a piece of training.
        sleep_seconds: sleeping until a visit was due, with nothing left to train.
        train_seconds: training steps.
        score_seconds: scoring after the epochs, and making the images ready.
        store_seconds: the database and the stopping rule, up to the end of the evaluation.
    """

    suggest_seconds: float = 0.0
    build_seconds: float = 0.0
    measure_seconds: float = 0.0
    wait_seconds: float = 0.0
    sleep_seconds: float = 0.0
    train_seconds: float = 0.0
    score_seconds: float = 0.0
    store_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Record:
    """One evaluated architecture of one study, frozen: what the store gives and analysis, plots and reports take.

    Attributes:
        trial: the trial's number in the study, the same as Optuna's.
        arch_id: first 12 hex digits of the SHA-256 of the architecture's canonical JSON.
        family: name of the model family.
        choices: every choice of the architecture by its dotted name.
        suggested: the choices as the search space names them (what the sampler chose).
        variant: the published network's name, if this is one.
        status: where the trial stands; `reason` says why, if it did not complete.
        cost, latency, score: None where the trial ended before they were known. The score of a stopped trial is of the
            epochs that it had (`Score.epochs`), not of a whole schedule.
        early_stop: what the study's stopping rule said of it; None if it never spoke for stopping.
        point: name of the point of the study's design (`archsearch.designs`); None in a search. The seed is the
            score's.
        phases: what its worker spent the time on; None where the trial has no score, and in records of older versions.
    """

    study: str
    trial: int
    arch_id: str
    family: str
    choices: Mapping[str, Any]
    suggested: Mapping[str, Any]
    status: TrialStatus
    variant: str | None = None
    reason: str | None = None
    cost: Cost | None = None
    latency: Latency | None = None
    score: Score | None = None
    early_stop: EarlyStop | None = None
    seconds: float | None = None  # wall time of the whole trial
    point: str | None = None
    phases: Phases | None = None

    @property
    def error_percent(self) -> float:
        """Top-1 error on the validation split (percent). Raises ValueError if the trial has no score."""
        if self.score is None:
            raise ValueError(f"trial {self.trial} of study '{self.study}' has no score")
        return 100.0 - self.score.top1_percent

    @property
    def balanced_error_percent(self) -> float:
        """100 less the mean recall on the validation split (percent). Raises ValueError if the trial has none."""
        if self.score is None or self.score.balanced_top1_percent is None:
            raise ValueError(f"trial {self.trial} of study '{self.study}' has no balanced accuracy")
        return 100.0 - self.score.balanced_top1_percent

    def __str__(self) -> str:
        """In one line: which network, what became of it, and what it reached."""
        said = [f"{self.status}"]
        if self.score is not None:
            said.append(f"top-1 {self.score.top1_percent:.2f} % ({self.score.split})")
        if self.latency is not None:
            said.append(f"latency {self.latency.corrected_ms:.3f} ms")
        if self.cost is not None:
            said.append(f"{self.cost.params:,} parameters")
        return f"{self.label}, network {self.arch_id}: {', '.join(said)}"

    @property
    def label(self) -> str:
        """The variant's name, or that of the design's point, or `trial N` of its own study."""
        own = None if self.searched_trial else self.point
        return self.variant or own or f"trial {self.trial}"

    @property
    def searched_trial(self) -> str | None:
        """`trial N` of the study that its design was made from, where the point has its name from there; else None."""
        return self.point if self.point and _SEARCHED_TRIAL.fullmatch(self.point) else None
