"""The networks of ShuffleNet V2's four experiments (arXiv 1807.11164, section 2, tables 1-4), described without torch.

Each is ten equal blocks on a map of 56 x 56. A row of a printed table names its network: `c1:c2=1:2 (22,44) x4` is read
here into a frozen description, so the channels stand in the printed data alone. What the paper leaves open is decided
as follows, and said in docs/guideline_experiments.md:

- a convolution has a bias and no batch norm, which every runtime folds into it, and no activation but where table 4
  says so;
- in table 2, c = 180 cannot be divided by 8 groups, so 184, the nearest that can (of two, the larger), is taken;
- in table 3, n fragments have the nearest multiple of 4 to c / sqrt(n) channels, so that n convolutions cost about what
  one of c channels does. Vector units and runtimes are slower at other numbers, which is not what the table is about;
- in table 4, c is the bottleneck's outer width and c/4 its inner one, as in ResNet: with c inside, the printed ARM
  speeds would be an order of magnitude more multiply-adds a second than those of tables 1-3.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from archsearch.errors import ConfigError

BLOCKS = 10
MAP_SIZE = 56
_PIXELS = MAP_SIZE * MAP_SIZE
_BOTTLENECK = 4
_ALIGNED = 4


@dataclass(frozen=True, kw_only=True)
class GuidelineNetwork(ABC):
    """One network of one experiment."""

    @property
    @abstractmethod
    def input_channels(self) -> int:
        """Channels of the map that goes in, and of the one that comes out."""

    @property
    @abstractmethod
    def block_macs_per_pixel(self) -> int:
        """Multiply-adds of one block on one pixel."""

    @property
    @abstractmethod
    def label(self) -> str:
        """What the rows of one column of the table differ in."""

    @property
    @abstractmethod
    def scale(self) -> int:
        """What the columns of the table differ in; a larger one is a wider network."""

    @property
    def channels_text(self) -> str:
        """The channels of a block, for people."""
        return str(self.input_channels)

    @property
    def scale_text(self) -> str:
        """The scale as the paper's columns are headed."""
        return f"c={self.scale}"

    @property
    def macs(self) -> int:
        """Multiply-adds of one image."""
        return BLOCKS * _PIXELS * self.block_macs_per_pixel

    @property
    def printed_macs(self) -> int:
        """Those of the network that the paper timed, where its channels are not ours."""
        return self.macs


@dataclass(frozen=True, kw_only=True)
class ChannelRatio(GuidelineNetwork):
    """Table 1, G1: a block is a 1x1 convolution of c1 to c2 channels and one back; `times` has multiplied both."""

    c1: int
    c2: int
    ratio: str
    times: int

    @property
    def input_channels(self) -> int:
        """c1."""
        return self.c1

    @property
    def block_macs_per_pixel(self) -> int:
        """2 c1 c2."""
        return 2 * self.c1 * self.c2

    @property
    def label(self) -> str:
        """c1:c2."""
        return self.ratio

    @property
    def channels_text(self) -> str:
        """c1 and c2."""
        return f"{self.c1}, {self.c2}"

    @property
    def scale(self) -> int:
        """The multiple of the channels."""
        return self.times

    @property
    def scale_text(self) -> str:
        """x1, x2, x4."""
        return f"x{self.times}"


@dataclass(frozen=True, kw_only=True)
class Groups(GuidelineNetwork):
    """Table 2, G2: a block is one 1x1 convolution of c to c channels in `groups` groups; `times` has multiplied c.

    `channels` is c as printed.
    """

    channels: int
    groups: int
    times: int

    @property
    def input_channels(self) -> int:
        """c, or the nearest number to it that the groups divide."""
        return _nearest_multiple(self.channels, self.groups)

    @property
    def block_macs_per_pixel(self) -> int:
        """c^2 / g."""
        return self.input_channels**2 // self.groups

    @property
    def printed_macs(self) -> int:
        """With c as printed."""
        return BLOCKS * _PIXELS * self.channels**2 // self.groups

    @property
    def label(self) -> str:
        """The groups."""
        return f"g={self.groups}"

    @property
    def scale(self) -> int:
        """The multiple of the channels."""
        return self.times

    @property
    def scale_text(self) -> str:
        """x1, x2, x4."""
        return f"x{self.times}"


@dataclass(frozen=True, kw_only=True)
class Fragments(GuidelineNetwork):
    """Table 3, G3: a block is 1, 2 or 4 1x1 convolutions, one after the other or side by side and added.

    Attributes:
        channels: c, those of the one convolution that they stand for.
        fragments: how many.
        parallel: side by side.
    """

    channels: int
    fragments: int
    parallel: bool

    @property
    def input_channels(self) -> int:
        """The nearest multiple of 4 to c / sqrt(fragments)."""
        return _nearest_multiple(self.channels / math.sqrt(self.fragments), _ALIGNED)

    @property
    def block_macs_per_pixel(self) -> int:
        """About c^2."""
        return self.fragments * self.input_channels**2

    @property
    def printed_macs(self) -> int:
        """c^2 a pixel: the paper says that all rows cost the same, and does not say how it rounded."""
        return BLOCKS * _PIXELS * self.channels**2

    @property
    def label(self) -> str:
        """The fragments and how they lie."""
        if self.fragments == 1:
            return "1 fragment"
        return f"{self.fragments} in {'parallel' if self.parallel else 'series'}"

    @property
    def scale(self) -> int:
        """c."""
        return self.channels


@dataclass(frozen=True, kw_only=True)
class Bottleneck(GuidelineNetwork):
    """Table 4, G4: ResNet's bottleneck of c channels (1x1 to c/4, 3x3, 1x1 back), its ReLUs and its shortcut or not."""

    channels: int
    relu: bool
    shortcut: bool

    @property
    def input_channels(self) -> int:
        """c."""
        return self.channels

    @property
    def inner_channels(self) -> int:
        """c / 4."""
        return self.channels // _BOTTLENECK

    @property
    def block_macs_per_pixel(self) -> int:
        """2 c c/4 + 9 (c/4)^2."""
        return 2 * self.channels * self.inner_channels + 9 * self.inner_channels**2

    @property
    def label(self) -> str:
        """What it has beside its convolutions."""
        parts = [name for name, has in (("ReLU", self.relu), ("shortcut", self.shortcut)) if has]
        return " and ".join(parts) or "neither"

    @property
    def channels_text(self) -> str:
        """Outer and inner."""
        return f"{self.channels}, {self.inner_channels}"

    @property
    def scale(self) -> int:
        """c."""
        return self.channels


_PATTERNS = {
    "1": re.compile(r"c1:c2=(?P<ratio>\d+:\d+) \((?P<c1>\d+),(?P<c2>\d+)\) x(?P<times>\d+)"),
    "2": re.compile(r"g=(?P<groups>\d+) c=(?P<channels>\d+) x(?P<times>\d+)"),
    "3": re.compile(r"(?P<fragments>\d+)-fragment(?:-(?P<how>series|parallel))? c=(?P<channels>\d+)"),
    "4": re.compile(r"bottleneck ReLU=(?P<relu>yes|no) shortcut=(?P<shortcut>yes|no) c=(?P<channels>\d+)"),
}
# The row that each guideline calls best: equal channels, no groups, one fragment, no element-wise operators.
BEST_LABEL = {"1": "1:1", "2": "g=1", "3": "1 fragment", "4": "neither"}
TABLES = tuple(_PATTERNS)


def printed_network(table: str, model: str) -> GuidelineNetwork:
    """The network that a row of table 1, 2, 3 or 4 names (`papers.Row.model`). Raises ConfigError if it cannot be read.

    >>> printed_network("2", "g=4 c=128 x2").input_channels
    256
    """
    pattern = _PATTERNS.get(table)
    found = None if pattern is None else pattern.fullmatch(model)
    if found is None:
        raise ConfigError(f"ShuffleNet V2, table {table}: the row '{model}' names no network of the experiments")
    text: dict[str, Any] = found.groupdict()
    if table == "1":
        times = int(text["times"])
        return ChannelRatio(c1=times * int(text["c1"]), c2=times * int(text["c2"]), ratio=text["ratio"], times=times)
    if table == "2":
        times = int(text["times"])
        return Groups(channels=times * int(text["channels"]), groups=int(text["groups"]), times=times)
    if table == "3":
        return Fragments(
            channels=int(text["channels"]), fragments=int(text["fragments"]), parallel=text["how"] == "parallel"
        )
    return Bottleneck(channels=int(text["channels"]), relu=text["relu"] == "yes", shortcut=text["shortcut"] == "yes")


def _nearest_multiple(value: float, step: int) -> int:
    return step * math.floor(value / step + 0.5)
