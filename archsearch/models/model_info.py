"""What whoever uses a network's weights needs to know of it, one class for all that writes or reads them. No torch."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from archsearch.image_rules import ImageRules, Interpolation, Preprocessing
from archsearch.models.spec import Spec


@dataclass(frozen=True, kw_only=True)
class NetworkFacts:
    """A network and what it takes and gives.

    Attributes:
        name: the variant's name, `trial N`, or the folder's.
        spec: the network's choices.
        classes: name of each output, in order.
        input_size: height and width of the input (pixels).
        mean, std: per channel, of pixels in [0, 1]: inputs are normalised as (pixel - mean) / std.
        image_rules: how the images of its dataset are read.
        interpolation: of the step from a picture to the input; None: not known, an older version trained it, or began
            its study.
        study, trial: where the network was found; None for one that no study found.
    """

    name: str
    spec: Spec
    classes: tuple[str, ...]
    input_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    image_rules: ImageRules = field(default_factory=ImageRules)
    interpolation: Interpolation | None = None
    study: str | None = None
    trial: int | None = None

    @property
    def preprocessing(self) -> Preprocessing | None:
        """From a picture file to its input; None where that is not known."""
        if self.interpolation is None:
            return None
        return Preprocessing(
            input_size=(3, self.input_size, self.input_size),
            interpolation=self.interpolation,
            background=self.image_rules.background,
            mean=self.mean,
            std=self.std,
            classes=self.classes,
        )


@dataclass(frozen=True, kw_only=True)
class ModelInfo(NetworkFacts):
    """The facts of a network with weights: what a loaded one carries as `.archsearch`, and an exported file tells.

    Attributes:
        test_top1_percent: test top-1 of each seed, in the order of training; the weights are the first one's. Empty for
            initial weights, which are good for measuring alone.
        seeds: the seed of each.
        archsearch_version, torch_version: that wrote the folder; of an exported file the first, which wrote the file.
    """

    test_top1_percent: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()
    archsearch_version: str
    torch_version: str = ""

    @property
    def trained(self) -> bool:
        """Whether the weights are trained ones."""
        return bool(self.test_top1_percent)

    def as_dict(self) -> dict[str, Any]:
        """What whoever runs an exported file needs, as plain data; the specification as canonical JSON."""
        return {
            "name": self.name,
            "arch_id": self.spec.arch_id,
            "spec": self.spec.canonical_json(),
            "classes": list(self.classes),
            "input_size": self.input_size,
            "mean": list(self.mean),
            "std": list(self.std),
            "trained": self.trained,
            "top1_percent": self.test_top1_percent[0] if self.trained else None,
            "preprocessing": None if self.preprocessing is None else self.preprocessing.model_dump(mode="json"),
            "archsearch_version": self.archsearch_version,
        }

    def as_text(self) -> dict[str, str]:
        """The same as flat text, as ONNX and safetensors can hold: lists are JSON, what is not known is left out."""
        facts = self.as_dict()
        facts["archsearch"] = facts.pop("archsearch_version")
        return {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in facts.items()
            if value is not None
        }
