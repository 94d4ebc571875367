"""What a named network is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archsearch.models.spec import Spec


@dataclass(frozen=True)
class Variant:
    """A network with a name.

    Attributes:
        spec: its choices.
        source: where it was printed.
        note: how it differs from what was printed, or what is not known; empty if nothing.
        reading: in few words which of several readings of the source this is; shown wherever the network is. Empty if
            there is one reading.
        published: whether the source describes this network; False for an idea carried over from another family.
        num_classes, input_size: the conditions (outputs, pixels) under which its printed size and cost hold.
    """

    name: str
    spec: Spec
    source: str
    note: str
    published: bool
    num_classes: int = 1000
    input_size: int = 224
    reading: str = ""

    def at_scale(self, scale: Mapping[str, Any]) -> Spec:
        """The network with a study's strides and pooling, as far as its family has them.

        A study's scale is written for the family that it searches: an outside network has no such stem, or a stem of
        its own, and keeps it.
        """
        known = self.spec.rules()
        return self.spec.with_choices({name: value for name, value in scale.items() if name in known})
