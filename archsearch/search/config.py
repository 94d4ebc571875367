"""A study as a person writes it: one YAML file, checked key by key. Nothing here imports torch or Optuna."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from archsearch.designs import Design
from archsearch.errors import OverrideError
from archsearch.files import NAME
from archsearch.image_rules import RULES_DEFAULTS, Background, ImageRules, OnBadImage
from archsearch.latency.settings import LOCAL, LatencySettings
from archsearch.limits import GUIDELINES
from archsearch.models.families import FAMILIES
from archsearch.models.variants import VARIANTS
from archsearch.overrides import Overrides, read_overrides
from archsearch.resources import find_yaml, is_file, read_yaml
from archsearch.search.stopping.base import StoppingSettings
from archsearch.space.search_space import SearchSpace, load_space
from archsearch.training.settings import ProxySettings
from archsearch.validation import explain

ObjectiveName = Literal["error_percent", "latency_ms", "params", "macs", "balanced_error_percent"]
BoundName = Literal["params", "macs", "memory_bytes", "latency_ms"]
ChoiceKey = str
_Frozen = ConfigDict(frozen=True, extra="forbid")
_Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
# Below these keys stand dotted choice names, so the rest of a `--set` path is one key.
_CHOICE_MAPS = ("fixed", "restrict", "scale")
_SPATIAL = ("stride", "pool")
# What the keys of targets mean in studies from before there were any.
_NO_TARGET: Mapping[str, Any] = {"target": LOCAL, "also_targets": [], "pool": [], "cores": "all"}
MOST_SEEDS = 3  # trainings of one network under `repeats: reseed`, the first included


class Constraints(BaseModel):
    """Upper bounds, each inclusive, and the four guidelines. The sampler is told of each how far it is exceeded.

    A network over a hard bound is rejected before anything dearer is spent on it; one over a soft bound is measured and
    trained all the same.

    Attributes:
        params, macs, memory_bytes: on paper; memory access is read and written by one image (bytes).
        latency_ms: drift-corrected (milliseconds a batch).
        soft: those of the bounds that are soft.
        guidelines: off: no audit; report: scores are stored with each trial; soft, hard: they are bounds, too.
    """

    model_config = _Frozen

    params: int | None = Field(default=None, strict=True, gt=0)
    macs: int | None = Field(default=None, strict=True, gt=0)
    memory_bytes: int | None = Field(default=None, strict=True, gt=0)
    latency_ms: _Positive | None = None
    soft: tuple[BoundName, ...] = ()
    guidelines: Literal["off", "report", "soft", "hard"] = "report"

    @field_validator("guidelines", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: Any) -> Any:
        return "off" if value is False else value  # YAML reads a bare off as false

    @model_validator(mode="after")
    def _soft_bounds_are_set(self) -> Self:
        for name in self.soft:
            if getattr(self, name) is None:
                raise ValueError(f"soft: '{name}' has no bound: set it, or leave it out of `soft`")
        return self

    def bounds(self) -> dict[str, float]:
        """Every bound that is set, by name, cheap before dear; guidelines that bind stand under theirs."""
        found = {name: getattr(self, name) for name in get_args(BoundName)}
        if self.guidelines in ("soft", "hard"):
            found |= {name: GUIDELINES[name].threshold for name in GUIDELINES}
        return {name: float(bound) for name, bound in found.items() if bound is not None}

    def is_soft(self, name: str) -> bool:
        """Whether a network may exceed this bound and be evaluated all the same."""
        return self.guidelines == "soft" if name in GUIDELINES else name in self.soft

    def protocol(self) -> dict[str, Any]:
        """What makes two trials comparable; as it was for studies that use nothing newer."""
        shared: dict[str, Any] = {"params": self.params, "macs": self.macs, "latency_ms": self.latency_ms}
        if self.memory_bytes is not None:
            shared["memory_bytes"] = self.memory_bytes
        if self.soft:
            shared["soft"] = sorted(self.soft)
        if self.guidelines in ("soft", "hard"):
            shared["guidelines"] = self.guidelines
        return shared


class StudyConfig(BaseModel):
    """A search space, a dataset, a proxy, a latency protocol, constraints and a sampler.

    Attributes:
        space: a shipped search space's name, or the path of a YAML file.
        restrict: values of choices that this study searches, in place of the space's own.
        fixed: choices that the search does not vary; published variants keep their own.
        scale: strides and pooling that every network of this study has, as far as its family has them, published
            variants of other families included: a small image wants a stem that does not shrink it away.
        dataset: cifar10, cifar100, digits, folder:PATH or npz:PATH.
        test_share: share of the images that is held out for testing, a share of every class; None: the dataset has a
            test split; 0: it needs none, and no network can be retrained before there is one.
        on_bad_image: refuse or skip a file that is no readable image.
        background: white or black, what transparent pixels show.
        trials: how many networks are evaluated in all, variants included.
        workers: worker processes; None: one for each CPU core, at most 8, with one thread each, or `workers_per_gpu`
            for each GPU.
        workers_per_gpu: trials that share one GPU; auto: as many as raise what they do together, as it is measured when
            the run begins. Without effect where `workers` says how many there are.
        seed: seed of the suggestions and of every proxy's initial weights and data order.
        objectives: minimised; the first two span the front.
        variants: published networks evaluated first: "auto" (those of the family), "none", or a list of names, in
            which "auto" stands for those of the family.
        reference: the network that every latency is interleaved with.
        reference_point: where the hypervolume is measured from; None: chance error, and 4 times the reference
            network's first latency, fixed when it is first measured.
        stopping: when a proxy's training is ended before its schedule is.
        repeats: what becomes of a suggested network that the study has already. replay: its record answers; reseed: it
            is trained once more, with the next seed, until it has `MOST_SEEDS` trainings.
        design: the networks and seeds of a study that suggests none (`api/designed.py` makes these studies); None: a
            search.
    """

    model_config = _Frozen

    name: Annotated[str, Field(pattern=NAME)]
    description: str = ""
    space: str
    restrict: Mapping[ChoiceKey, list[Any]] = Field(default_factory=dict)
    fixed: Mapping[ChoiceKey, Any] = Field(default_factory=dict)
    scale: Mapping[ChoiceKey, Any] = Field(default_factory=dict)
    dataset: str
    test_share: float | None = Field(default=None, strict=True, ge=0, lt=1)
    on_bad_image: OnBadImage = "refuse"
    background: Background = "white"
    trials: int = Field(default=100, strict=True, ge=1)
    workers: int | None = Field(default=None, strict=True, ge=1, le=256)
    workers_per_gpu: Literal["auto"] | Annotated[int, Field(strict=True, ge=1, le=64)] = "auto"
    seed: int = Field(default=0, strict=True, ge=0, lt=2**31)
    sampler: str = "ehvi"
    objectives: tuple[ObjectiveName, ...] = ("error_percent", "latency_ms")
    variants: Literal["auto", "none"] | tuple[str, ...] = "auto"
    reference: str = "shufflenet_v2_x1_0"
    reference_point: Mapping[ObjectiveName, _Positive] | None = None
    proxy: ProxySettings = Field(default_factory=ProxySettings)
    latency: LatencySettings = Field(default_factory=LatencySettings)
    constraints: Constraints = Field(default_factory=Constraints)
    stopping: StoppingSettings = Field(default_factory=StoppingSettings)
    repeats: Literal["replay", "reseed"] = "replay"
    design: Design | None = None

    @field_validator("objectives")
    @classmethod
    def _two_or_three_distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value[:2] != ("error_percent", "latency_ms") or len(set(value)) != len(value) or len(value) > 3:
            raise ValueError("must be error_percent, latency_ms and at most one more, each once")
        return value

    @model_validator(mode="after")
    def _rules_predict_what_they_see(self) -> Self:
        if "balanced_error_percent" in self.objectives and self.stopping.policy != "none":
            raise ValueError(
                "objectives: balanced_error_percent is known only when a training ends, so nothing is stopped early by "
                "it (stopping.policy: none)"
            )
        return self

    @field_validator("design")
    @classmethod
    def _points_differ(cls, value: Design | None) -> Design | None:
        listed: dict[str, list[str | int]] = {
            "names": [point.name for point in value.points] if value else [],
            "networks": [point.arch_id for point in value.points] if value else [],
            "seeds": list(value.seeds) if value else [],
        }
        for name, given in listed.items():
            if len(set(given)) < len(given):
                raise ValueError(f"two of its {name} are equal")
        return value

    @field_validator("scale")
    @classmethod
    def _spatial_only(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        for name in value:
            if name.rsplit(".", 1)[-1] not in _SPATIAL:
                raise ValueError(
                    f"'{name}' is no stride or pooling, and would make the published variants other networks "
                    "(use `fixed` or `restrict`)"
                )
        return value

    def search_space(self) -> SearchSpace:
        """The space that this study searches. Raises ConfigError naming the file and key of a wrong choice."""
        space = load_space(self.space)
        listed = () if isinstance(self.variants, str) else self.variants
        specs = [VARIANTS[named].spec for named in (*listed, self.reference) if named in VARIANTS]
        outside = {name for spec in specs for name in spec.names()}
        theirs = outside - FAMILIES[space.family].base.names()  # of named networks of another family alone
        scale = {name: value for name, value in self.scale.items() if name not in theirs}
        return space.restricted(self.restrict, self.fixed, scale, where=f"study '{self.name}'")

    @property
    def known_objectives(self) -> tuple[ObjectiveName, ...]:
        """Those that are known before a network is trained."""
        return tuple(name for name in self.objectives if name not in ("error_percent", "balanced_error_percent"))

    def image_rules(self, *, former: bool = False) -> ImageRules:
        """How its images are read; `former`: as by versions that did not know these keys."""
        return ImageRules(**{key: getattr(self, key) for key in RULES_DEFAULTS}, former=former)

    def protocol(self) -> dict[str, Any]:
        """What makes two trials comparable, as plain data: a study's records all share it.

        Without a stopping rule it is as it was before there were any, and so it is without a design. `repeats` is no
        part of it: a further seed is a further trial, and says so.
        """
        shared = (
            "dataset", "seed", "objectives", "variants", "scale", "reference", "proxy", "latency", "constraints",
            "reference_point",
        )  # fmt: skip
        found = dict(self.model_dump(mode="json", include=set(shared), exclude={"proxy": {"chunk_steps"}}))
        for key, before in _NO_TARGET.items():
            if found["latency"][key] == before:
                del found["latency"][key]
        found |= {"constraints": self.constraints.protocol()}
        found |= {key: getattr(self, key) for key, before in RULES_DEFAULTS.items() if getattr(self, key) != before}
        stopping = self.stopping.protocol()
        found |= {"stopping": stopping} if stopping else {}
        return found | self.model_dump(mode="json", include={"design"}, exclude_none=True)


def load_study(name_or_path: str | Path, overrides: Overrides = ()) -> StudyConfig:
    """Read a shipped study or a user's YAML file, with other values for some keys.

    A relative path of a search space is looked for beside the study's file first.
    Raises ConfigError naming the file or the override, the key, what was got and what is allowed.
    """
    path = find_yaml("studies", str(name_or_path))
    content = read_yaml(path)
    changes = read_overrides(overrides)
    for key, value in changes.items():
        _apply(content, key, value)
    space = content.get("space")
    if isinstance(space, str) and is_file(path.parent / space):
        content["space"] = str(path.parent / space)
    content.setdefault("name", path.stem)
    return parse_study(content, source=str(path), overrides=changes)


def parse_study(content: Mapping[str, Any], *, source: str, overrides: Iterable[str] = ()) -> StudyConfig:
    """Check a study's keys and values.

    Raises ConfigError that names the first wrong key, and `source`, or the overrides if one of their keys is it.
    """
    try:
        return StudyConfig.model_validate(dict(content))
    except ValidationError as error:
        raise explain(error, source=source, model=StudyConfig, overrides=overrides) from error


def _apply(content: dict[str, Any], key: str, value: Any) -> None:
    head, _, rest = key.partition(".")
    if not rest:
        content[head] = value
        return
    *above, last = (head, rest) if head in _CHOICE_MAPS else key.split(".")
    target: Any = content
    for index, part in enumerate(above, start=1):
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise OverrideError(key, f"'{'.'.join(above[:index])}' has no keys below it")
    target[last] = value
