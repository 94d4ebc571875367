"""What a study says about measuring latency. Torch-free, frozen, and every wrong value is answered in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from archsearch.errors import ConfigError, UnknownNameError
from archsearch.latency.backends import BACKENDS
from archsearch.latency.precision import Precision

AUTO = "auto"
LOCAL = "local"
Cores = Literal["all", "big", "little"]
CORES: tuple[Cores, ...] = get_args(Cores)
CPU_BACKEND = "onnxruntime"
GPU_BACKEND = "cuda-graph"
OTHER_BACKEND = "torch"
CPU_BATCH = 1
GPU_PRECISION: Precision = "fp16"
MOST_SECONDS = 1e9  # of a budget: more is a mistake, and no number of nanoseconds
GPU_BATCH = 8  # the batch of the GPU column of ShuffleNet V2 (Ma et al. 2018), section 2


class LatencySettings(BaseModel):
    """One measurement: how a network is run, and how often, over how long, and until when it is timed.

    Interference comes in episodes of seconds, so the runs are divided into short bursts, and the bursts into visits
    that lie apart in time. The device is held for a visit only; between visits it belongs to whoever trains.

    Attributes:
        backend: the backend whose latency is the objective: a name of `archsearch.latency.backends.BACKENDS`, or
            `auto`, see `backend_on`.
        also: further backends on this machine that every network is measured by, each with a reference of its own.
        target: where the networks are run: `local`, or a board as `archsearch.targets` names it, which runs ONNX
            Runtime in float32 on its CPU, in batches of 1 unless `batch` says more.
        also_targets: further targets that every network is measured on, each with a reference of its own; `local` among
            them is this machine by `backend`, beside a board.
        pool: further boards of the target's model, which share its measurements: each network is measured on one of
            them. The study makes sure that they agree when it begins (`archsearch.targets.pool`).
        cores: of a board: all, big or little, the kinds of core that its kernel tells apart.
        batch: images a run. `auto`: a study chooses it when it begins, so that networks of different width differ (see
            `search.batch`). None: 1 on a CPU; on a GPU `auto` in a study, and 8 outside of one, as in the ShuffleNet
            V2 paper.
        threads: CPU threads of one run.
        precision: of weights, maps and arithmetic; `auto`, see `precision_on`.
        bursts: planned bursts of each network; with the reference between them, so twice as many in all.
        runs_per_burst: timed runs of one burst, at most. A slow network gets fewer (at least one), so that the
            planned bursts fit in half of the budget.
        visits: how many visits the planned bursts are divided into.
        spread_seconds: time from the start of the first visit to the start of the last planned one; 0 of one visit.
        warmup_runs: runs of one warm-up window; warm-up of a network ends when two successive windows agree.
        warmup_windows: windows after which warm-up ends in any case.
        warmup_tolerance: largest relative difference of the medians of two windows that agree.
        untimed_runs: runs of each network at the start of every visit but the first that are not counted.
        warmup_seconds: on a device with a clock of its own (a GPU), time for which every visit runs its networks
            uncounted, all together, at least: the clocks of an idle GPU fall within a second, and rise within tenths.
        tolerance: largest relative difference of the two halves' ratios that counts as converged.
        budget_seconds: time in the visits of a measurement and in the planned pauses between them, after which no burst
            begins; neither waiting for the device counts, nor other work that made a pause longer.
            A group of several candidates has more, see `group_budget_seconds`.
        drift_tolerance: largest relative change of the reference's p10 against the one that the study fixed; a
            measurement beyond it is flagged and made again. The ratio corrects drift, so only a large one matters:
            the device is then in another state (throttled, another clock, a neighbour), in which ratios differ too.
        memory_tolerance: how much longer than in quiet measurements the memory witness may take; a measurement beyond
            it is flagged and made again, because networks that wait for memory were slowed and the reference was not.
        remeasure: how many more times a measurement that is in doubt (not converged, drifted, memory crowded) is made,
            at most.
        repeat_every: one of so many networks is measured a second time in another moment of the study, and the first
            three; the noise floor is computed from these. 0: none is, and the study has no noise floor.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: str = AUTO
    also: tuple[str, ...] = ()
    target: Annotated[str, Field(min_length=1)] = LOCAL
    also_targets: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    pool: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    cores: Cores = "all"
    batch: Annotated[int, Field(strict=True, ge=1)] | Literal["auto"] | None = None
    threads: int = Field(default=1, strict=True, ge=1)
    precision: Literal["auto"] | Precision = "auto"
    bursts: int = Field(default=30, strict=True, ge=2)
    runs_per_burst: int = Field(default=10, strict=True, ge=1)
    visits: int = Field(default=5, strict=True, ge=1)
    spread_seconds: float = Field(default=5.0, strict=True, ge=0.0, allow_inf_nan=False)
    warmup_runs: int = Field(default=10, strict=True, ge=1)
    warmup_windows: int = Field(default=20, strict=True, ge=2)
    warmup_tolerance: float = Field(default=0.05, strict=True, gt=0.0, lt=1.0)
    untimed_runs: int = Field(default=3, strict=True, ge=0)
    warmup_seconds: float = Field(default=0.15, strict=True, ge=0.0, allow_inf_nan=False)
    tolerance: float = Field(default=0.03, strict=True, gt=0.0, lt=1.0)
    budget_seconds: float = Field(default=20.0, strict=True, gt=0.0, le=MOST_SECONDS, allow_inf_nan=False)
    drift_tolerance: float = Field(default=0.25, strict=True, gt=0.0, allow_inf_nan=False)
    memory_tolerance: float = Field(default=0.10, strict=True, gt=0.0, allow_inf_nan=False)
    remeasure: int = Field(default=1, strict=True, ge=0)
    repeat_every: int = Field(default=4, strict=True, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _floor_is_measured_by_repeats(cls, content: Any) -> Any:
        if isinstance(content, Mapping) and "noise_rounds" in content:
            raise ConfigError(
                "latency.noise_rounds is no longer a key: the noise floor is computed from networks that are measured "
                "a second time during the study",
                hint="remove it; latency.repeat_every says how many networks are (docs/latency.md)",
            )
        return content

    @model_validator(mode="before")
    @classmethod
    def _one_visit_is_not_spread(cls, content: Any) -> Any:
        if isinstance(content, Mapping) and content.get("visits") == 1:
            return {"spread_seconds": 0.0, **content}
        return content

    @field_validator("backend")
    @classmethod
    def _backend_exists(cls, name: str) -> str:
        try:
            check_backend_name(name)
        except UnknownNameError as error:
            raise ValueError(str(error)) from error
        return name

    @field_validator("also")
    @classmethod
    def _further_backends_exist(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in BACKENDS:
                raise ValueError(str(UnknownNameError(BACKENDS.kind, name, BACKENDS)))
        if len(set(names)) < len(names):
            raise ValueError(f"a backend may stand once in also; got {', '.join(names)}")
        return names

    @model_validator(mode="after")
    def _further_backends_are_others(self) -> Self:
        if self.backend in self.also:
            raise ValueError(f"also names further backends; '{self.backend}' is the backend already")
        return self

    @model_validator(mode="after")
    def _targets_run_what_is_asked(self) -> Self:
        if len(set(self.targets)) < len(self.targets):
            raise ValueError(f"a target may stand once in target and also_targets; got {', '.join(self.targets)}")
        if self.pool and self.target == LOCAL:
            raise ValueError("pool names further boards of the target's model: set target to a board")
        if LOCAL in self.pool or len(set(self.every_target)) < len(self.every_target):
            raise ValueError(f"pool names boards that are no target yet, each once; got {', '.join(self.pool)}")
        if self.cores != "all" and self.targets == (LOCAL,):
            raise ValueError(f"cores ({self.cores}): only a board's are chosen; set target")
        if self.target == LOCAL:
            return self
        if (why := self.refused_by_targets) is not None:
            raise ValueError(why)
        if self.batch == AUTO:
            raise ValueError(f"batch (auto): the target {self.target} wants a number; 1 unless one is given")
        if self.also and LOCAL not in self.also_targets:
            raise ValueError("also names backends on this machine: add local to also_targets, or leave it out")
        return self

    @model_validator(mode="after")
    def _plan_is_possible(self) -> Self:
        if self.visits > self.bursts:
            raise ValueError(
                f"visits ({self.visits}) may not exceed bursts ({self.bursts}): each visit needs at least one burst"
            )
        if self.spread_seconds >= self.budget_seconds:
            raise ValueError(
                f"spread_seconds ({self.spread_seconds:g}) must be below budget_seconds ({self.budget_seconds:g}): "
                "the planned visits have to end within the budget"
            )
        if self.visits == 1 and self.spread_seconds > 0:
            raise ValueError("spread_seconds needs at least two visits to spread; set visits, or spread_seconds to 0")
        return self

    def backend_on(self, device: str) -> str:
        """The backend on this torch device ("cpu", "cuda:0", ...): the one that is named, or what `auto` means there.

        `auto` is `onnxruntime` on a CPU, `cuda-graph` on a GPU of CUDA and `torch` on any other device. A target has a
        device of its own, its CPU, whatever this machine's is; so for all that is asked of a device here.
        """
        device = self.runs_on(device)
        if self.backend != AUTO:
            return self.backend
        return {"cpu": CPU_BACKEND, "cuda": GPU_BACKEND}.get(device.partition(":")[0], OTHER_BACKEND)

    def also_on(self, device: str) -> tuple[str, ...]:
        """The further backends on this torch device, without the one that is `backend_on` it."""
        if self.target != LOCAL:
            return ()
        main = self.backend_on(device)
        return tuple(name for name in self.also if name != main)

    def with_backend(self, name: str) -> Self:
        """The same settings for one backend alone."""
        return self.model_copy(update={"backend": name, "also": ()})

    @property
    def targets(self) -> tuple[str, ...]:
        """The target whose latency is the objective, then the further ones."""
        return (self.target, *self.also_targets)

    @property
    def every_target(self) -> tuple[str, ...]:
        """All of them, the boards of the pool last."""
        return (*self.targets, *self.pool)

    def at(self, target: str) -> Self:
        """The same settings for one target alone, with its pool if it is the study's own, cores if it is a board."""
        return self.model_copy(
            update={
                "target": target,
                "also_targets": (),
                "pool": self.pool if target == self.target else (),
                "cores": "all" if target == LOCAL else self.cores,
            }
        )

    def runs_on(self, device: str) -> str:
        """The torch device that runs the networks: this one here, and a target's CPU elsewhere."""
        return device if self.target == LOCAL else "cpu"

    @property
    def refused_by_targets(self) -> str | None:
        """Why no target but this machine runs networks so; None: it does."""
        if self.backend not in (AUTO, CPU_BACKEND):
            return f"backend {self.backend}: a target runs {CPU_BACKEND} alone"
        if self.precision not in (AUTO, "fp32"):
            return f"precision {self.precision}: a target runs fp32 alone"
        return None

    def group_budget_seconds(self, networks: int) -> float:
        """The budget of a group of so many networks measured together, its reference included (seconds).

        Each network has the share that it has in a group of two, so a candidate alone has `budget_seconds`.

        >>> LatencySettings(budget_seconds=20).group_budget_seconds(5)
        50.0
        """
        return self.budget_seconds * networks / 2

    def batch_on(self, device: str) -> int:
        """Images a run on this torch device ("cpu", "cuda:0", ...); the smallest tried where a study chooses."""
        if isinstance(self.batch, int):
            return self.batch
        return CPU_BATCH if self.runs_on(device).partition(":")[0] == "cpu" else GPU_BATCH

    def chooses_batch_on(self, device: str) -> bool:
        """Whether a study that begins on this torch device chooses its batch."""
        return self.batch == AUTO or (self.batch is None and self.runs_on(device).partition(":")[0] != "cpu")

    def precision_on(self, device: str) -> Precision:
        """The precision on this torch device: the one that is named, or what is deployed there (`auto`).

        That is float16 on a GPU of CUDA and float32 on any other device.
        """
        if self.precision != "auto":
            return self.precision
        return GPU_PRECISION if self.runs_on(device).partition(":")[0] == "cuda" else "fp32"

    def bursts_of_visit(self, visit: int) -> int:
        """Bursts of each network in a visit (0 is the first). Visits after the planned ones are as large as the first.

        >>> [LatencySettings(bursts=7, visits=3).bursts_of_visit(visit) for visit in range(4)]
        [3, 2, 2, 3]
        """
        whole, left = divmod(self.bursts, self.visits)
        return whole + (1 if visit < left or (visit >= self.visits and left) else 0)

    @property
    def gap_seconds(self) -> float:
        """Time from the start of one visit to the start of the next (seconds)."""
        return self.spread_seconds / (self.visits - 1) if self.visits > 1 else 0.0


def check_backend_name(name: str) -> None:
    """Raise UnknownNameError for what is no latency backend, nor auto."""
    if name not in (AUTO, *BACKENDS):
        raise UnknownNameError(BACKENDS.kind, name, (AUTO, *BACKENDS))
