"""What an exported file says about itself, as the flat text that ONNX and safetensors can hold."""

from __future__ import annotations

import json
from dataclasses import dataclass

from archsearch.data.preprocessing import Preprocessing

Statistics = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class ExportMetadata:
    """A network's facts that whoever runs the file needs.

    Attributes:
        name: the variant's name, `trial N`, or the folder's.
        arch_id, spec: the network; the specification as canonical JSON.
        classes: name of each output, in order.
        input_size: height and width of the input (pixels).
        mean, std: per channel; inputs are (pixel - mean) / std of pixels in [0, 1].
        trained: False for initial weights, which are good for measuring alone.
        top1_percent: test top-1 of these weights before any quantisation; None where it is not known.
        archsearch_version: that wrote the file.
        preprocessing: from a picture file to the input; None where an older version trained the network.
    """

    name: str
    arch_id: str
    spec: str
    classes: tuple[str, ...]
    input_size: int
    mean: Statistics
    std: Statistics
    trained: bool
    top1_percent: float | None
    archsearch_version: str
    preprocessing: Preprocessing | None = None

    def as_text(self) -> dict[str, str]:
        """Flat text: lists are JSON, what is not known is left out."""
        facts: dict[str, str] = {
            "name": self.name,
            "arch_id": self.arch_id,
            "spec": self.spec,
            "classes": json.dumps(self.classes),
            "input_size": str(self.input_size),
            "mean": json.dumps(self.mean),
            "std": json.dumps(self.std),
            "trained": json.dumps(self.trained),
            "archsearch": self.archsearch_version,
        }
        if self.top1_percent is not None:
            facts["top1_percent"] = repr(self.top1_percent)
        if self.preprocessing is not None:
            facts["preprocessing"] = self.preprocessing.model_dump_json()
        return facts
