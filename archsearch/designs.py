"""Designs: networks and seeds that were chosen beforehand, to answer one question. Nothing here imports torch.

A search suggests its networks as it goes; a design lists them. An ablation, a confirmation of a front and a check of
the proxy are each a design, run as a study of its own on the same workers, tables and devices as any other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Purpose = Literal["ablation", "confirm", "trust"]
WORDS: Mapping[Purpose, str] = {"ablation": "ablate", "confirm": "confirm", "trust": "trust"}
"""The command that makes a design of each purpose."""

FRESH_IMAGES = "fresh-images"


@dataclass(frozen=True, kw_only=True)
class DesignPoint:
    """One network of a design.

    Attributes:
        name: unique within the design: "base", "kernel=5", "trial 17", a variant's name.
        family, choices, arch_id: the network, as a record has them (normalised at the study's image size).
        changes: what differs from the design's base, as the search space names it (a choice's name and its level);
            empty for the base, and in designs without one.
        trial: the trial of the studied study that has the same network, if it comes from one.
        variant: the published network's name, if it is one.
    """

    name: str
    family: str
    choices: Mapping[str, Any]
    arch_id: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    trial: int | None = None
    variant: str | None = None


@dataclass(frozen=True, kw_only=True)
class Design:
    """Which networks are evaluated with which seeds, and what for: each point once with each seed.

    Attributes:
        purpose: the question.
        of: the name of the study that it was made from.
        points: the networks; in an ablation the first is the base.
        seeds: each point is trained with each of them: the same initial weights' seed, and the same data order.
        mode: of an ablation: one-at-a-time, leave-one-out or pairs; of a confirmation FRESH_IMAGES, where it validates
            on other images than the search.
    """

    purpose: Purpose
    of: str
    points: tuple[DesignPoint, ...]
    seeds: tuple[int, ...]
    mode: str = ""

    @property
    def digest(self) -> str:
        """Six hex digits of everything but the seeds: typed again with more seeds, it is the same design."""
        facts = {key: value for key, value in asdict(self).items() if key != "seeds"}
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:6]

    @property
    def size(self) -> int:
        """Trials in all."""
        return len(self.points) * len(self.seeds)

    def point(self, name: str) -> DesignPoint:
        """The point of this name. Raises KeyError if there is none."""
        for point in self.points:
            if point.name == name:
                return point
        raise KeyError(name)
