"""Operations, branches and units: what an architecture is drawn of, and how each differs from a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archsearch.models.spec import Spec

CHANGED, ADDED, GONE = "≠", "+", "−"
_ATTENTION = {"se": "SE", "se_full": "SE, all", "se_hard": "SE", "eca": "ECA", "cbam": "CBAM", "simam": "SimAM"}


@dataclass(frozen=True, kw_only=True)
class Op:
    """One operation. `kind`: conv, depthwise, attention, mix (split, concat, add, shuffle), pool, linear or other.

    `sign`: "≠" it differs from the baseline's, "+" the baseline has none here, "−" only the baseline has it.
    """

    text: str
    kind: str
    sign: str = ""


@dataclass(frozen=True, kw_only=True)
class UnitDiagram:
    """`count` equal units in a row: what comes before the branches, the branches, and what joins them.

    A branch without operations passes its input on.
    """

    name: str
    branches: tuple[tuple[Op, ...], ...]
    count: int = 1
    before: tuple[Op, ...] = ()
    after: tuple[Op, ...] = ()
    sign: str = ""  # of the count


def op(text: str, kind: str) -> tuple[Op, ...]:
    """An operation that hangs on no choice."""
    return (Op(text=text, kind=kind),)


AVERAGE, LINEAR = op("average", "pool"), op("linear", "linear")
ADD, CONCAT, SHUFFLE = op("add", "mix"), op("concat", "mix"), op("shuffle", "mix")


class Differences:
    """The choices that differ from a baseline of the same family, and the sign of what hangs on them."""

    def __init__(self, spec: Spec, baseline: Spec | None) -> None:
        self.choices: Mapping[str, Any] = spec.choices()
        comparable = baseline is not None and baseline.family == spec.family
        self.base: Mapping[str, Any] = baseline.choices() if comparable and baseline is not None else self.choices

    def names(self) -> tuple[str, ...]:
        """The choices that differ, in the specification's order."""
        return tuple(name for name, value in self.choices.items() if self.base[name] != value)

    def of(self, group: str, *names: str) -> tuple[str, ...]:
        """The dotted names of those choices of a group that the family has."""
        return tuple(dotted for name in names if (dotted := f"{group}.{name}") in self.choices)

    def sign(self, *names: str) -> str:
        """`≠` if one of these choices differs."""
        return CHANGED if any(self.choices[name] != self.base[name] for name in names) else ""

    def conv(self, text: str, *names: str, kind: str = "conv") -> tuple[Op, ...]:
        """An operation that hangs on these choices."""
        return (Op(text=text, kind=kind, sign=self.sign(*names)),)

    def optional(self, name: str, text: str, kind: str) -> tuple[Op, ...]:
        """An operation that a flag switches."""
        here, there = bool(self.choices[name]), bool(self.base[name])
        if not here and not there:
            return ()
        return (Op(text=text, kind=kind, sign="" if here == there else ADDED if here else GONE),)

    def attention(self, name: str) -> tuple[Op, ...]:
        """The attention of a unit, or the one that the baseline has there."""
        here, there = str(self.choices[name]), str(self.base[name])
        if here == there == "none":
            return ()
        shown = there if here == "none" else here
        sign = GONE if here == "none" else "" if here == there else ADDED if there == "none" else CHANGED
        return (Op(text=_ATTENTION.get(shown, shown), kind="attention", sign=sign),)


def kernel_text(size: int, stride: int = 1) -> str:
    """`3×3`, with `s2` for a stride of two."""
    return f"{size}×{size}" + (f" s{stride}" if stride != 1 else "")


def chain(name: str, *ops: tuple[Op, ...], count: int = 1, sign: str = "") -> UnitDiagram:
    """A unit of one branch."""
    return UnitDiagram(name=name, branches=(tuple(op for part in ops for op in part),), count=count, sign=sign)
