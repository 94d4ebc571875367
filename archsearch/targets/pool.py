"""Whether boards of one model may share a study's measurements: five networks, measured twice on each, say the same.

The rule, for every two boards. What is compared are the networks' ratios to the reference, each the mean of its two
measurements; a floor is a board's own (`archsearch.noise`), from its five networks measured twice.

1. They differ (no), if a network's ratios do by more than the larger floor, if one board is faster by more than the
   study's drift tolerance, or if the mean offset of all five lies beyond `MOST_OFFSET` with its whole 95 % interval.
2. It cannot be told, if a floor is above `MOST_FLOOR`, because boards so noisy would agree whatever they are, or if
   the interval of the mean offset does not lie within `MOST_OFFSET`.
3. Else they agree (yes).

The mean offset is that of ln(ratio of one board / ratio of the other) over the five networks, because boards of other
speed share a factor; its interval is Student's t with four degrees of freedom. Where the reference itself lay in memory
is part of all five: it moves the mean and does not widen the interval, so the tolerance is to hold it, too.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from archsearch.analysis.intervals import half_width
from archsearch.errors import ConfigError
from archsearch.latency.fingerprint import Fingerprint
from archsearch.latency.settings import LatencySettings
from archsearch.models.families import build
from archsearch.models.variants import find_variant
from archsearch.noise import Repeat, noise_floor_of
from archsearch.records import Latency
from archsearch.table import Column, InNotebooks, Table, json_as, table_of
from archsearch.targets.board import Board, BoardNetwork, lasting_facts, measure_board_networks
from archsearch.targets.transports import Target, parse_target
from archsearch.text import interval_text, percent_text

NETWORKS = ("shufflenet_v2_x0_5", "shufflenet_v2_x1_5", "shufflenet_v1_x1_0_g3", "mobilenet_v2_x0_5", "resnet20")
REFERENCE = "shufflenet_v2_x1_0"
MOST_FLOOR = 0.10
MOST_OFFSET = 0.05
_CLASSES = 10
_OWN_FACTS = ("machine_id",)  # of each board of a model


@dataclass(frozen=True, kw_only=True)
class PoolBoard:
    """What one board of a pool said of the five networks.

    Attributes:
        target: its name.
        ratios: by network (`NETWORKS`), the ratios to the reference of its two measurements.
        reference_p10_ms: median p10 of the reference (milliseconds).
        floor: from which difference on two measurements of one network differ there (0.02 is 2%).
    """

    target: str
    ratios: tuple[tuple[float, float], ...]
    reference_p10_ms: float
    floor: float

    @classmethod
    def of(cls, target: str, first: Sequence[Latency], second: Sequence[Latency]) -> PoolBoard:
        """From two measurements of all five."""
        ratios = tuple(
            (one.ratio_to_reference, other.ratio_to_reference) for one, other in zip(first, second, strict=True)
        )
        repeats = [
            Repeat(arch_id=name, first_ms=one, second_ms=other)
            for name, (one, other) in zip(NETWORKS, ratios, strict=True)
        ]
        reference_p10_ms = statistics.median(latency.reference_p10_ms for latency in (*first, *second))
        return cls(
            target=target, ratios=ratios, reference_p10_ms=reference_p10_ms, floor=noise_floor_of(repeats).relative
        )

    @property
    def noise_percent(self) -> float:
        """The floor in percent."""
        return 100.0 * self.floor

    def ratio(self, network: int) -> float:
        """Geometric mean of the two."""
        return statistics.geometric_mean(self.ratios[network])


class PoolBoardJson(TypedDict):
    """One board of a pool; `ratios` are in the order of `networks`, two measurements of each."""

    target: str
    ratios: list[list[float]]
    reference_p10_ms: float
    noise_percent: float


class PoolOffsetJson(TypedDict):
    """How much slower the second of two boards is than the first, over five networks, with its 95 % interval."""

    targets: list[str]
    mean_percent: float
    low_percent: float
    high_percent: float


class PoolJson(TypedDict):
    """Whether boards may share measurements; `agrees` where the verdict is yes. `offsets` are of every two boards."""

    agrees: bool
    verdict: Literal["yes", "no", "cannot be told"]
    most_noise_percent: float
    most_offset_percent: float
    offsets: list[PoolOffsetJson]
    networks: list[str]
    reference: str
    boards: list[PoolBoardJson]


@dataclass(frozen=True, kw_only=True)
class PoolOffset:
    """How two boards differ over the five networks together.

    Attributes:
        targets: their names.
        mean, low, high: how much larger the second one's ratios are (0.02 is 2 %), with the 95 % interval.
    """

    targets: tuple[str, str]
    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, one: PoolBoard, other: PoolBoard) -> PoolOffset:
        """Of two boards."""
        logs = [math.log(other.ratio(place) / one.ratio(place)) for place in range(len(NETWORKS))]
        mean = statistics.fmean(logs)
        error = statistics.stdev(logs) / math.sqrt(len(logs))
        half = half_width(error, len(logs) - 1)
        mean, low, high = (math.expm1(value) for value in (mean, mean - half, mean + half))
        return cls(targets=(one.target, other.target), mean=mean, low=low, high=high)

    @property
    def percents(self) -> dict[str, float]:
        """Mean and interval in percent."""
        return {"mean_percent": 100.0 * self.mean, "low_percent": 100.0 * self.low, "high_percent": 100.0 * self.high}

    @property
    def is_within(self) -> bool:
        """Whether the whole interval lies within the tolerance."""
        return max(self._ends) <= MOST_OFFSET

    @property
    def is_beyond(self) -> bool:
        """Whether all of it lies outside."""
        return (self.low > 0.0 or self.high < 0.0) and min(self._ends) > MOST_OFFSET

    @property
    def _ends(self) -> tuple[float, float]:
        return _apart(1.0 + self.low, 1.0), _apart(1.0 + self.high, 1.0)


@dataclass(frozen=True, kw_only=True)
class PoolCheck(InNotebooks):
    """Five networks on every board of a pool: an `archsearch.table.Result`.

    Attributes:
        boards: the first is the one that the others are to stand in for.
        drift_tolerance: largest relative difference of the boards' own speed (the reference's p10).
    """

    boards: tuple[PoolBoard, ...]
    drift_tolerance: float
    title: str = "May these boards share measurements?"
    subtitle: tuple[str, ...] = ()
    method: str = (
        f"Five networks and {REFERENCE}, in turn, twice on each board; compared are the ratios to it. Two boards agree "
        "where the means of each network differ by no more than the larger of their noise floors, where no floor is "
        f"above {percent_text(100.0 * MOST_FLOOR)}, and where the mean offset over the five networks lies within "
        f"{percent_text(100.0 * MOST_OFFSET)} with its 95 % interval."
    )
    empty: str | None = None

    @property
    def offsets(self) -> tuple[PoolOffset, ...]:
        """Of every two boards."""
        return tuple(PoolOffset.of(one, other) for one, other in combinations(self.boards, 2))

    @property
    def differences(self) -> tuple[str, ...]:
        """What keeps the boards apart; none if nothing was shown to."""
        found = []
        for (one, other), offset in zip(combinations(self.boards, 2), self.offsets, strict=True):
            both, floor = f"{one.target} and {other.target} differ by", max(one.floor, other.floor)
            for place, name in enumerate(NETWORKS):
                if (apart := _apart(one.ratio(place), other.ratio(place))) > floor:
                    found.append(
                        f"{both} {_percent(apart)} in {name}, where two measurements on one board differ by at most "
                        f"{_percent(floor)}"
                    )
            if offset.is_beyond:
                found.append(f"{_said(offset)}, which is more than {_percent(MOST_OFFSET)}")
            if (apart := _apart(one.reference_p10_ms, other.reference_p10_ms)) > self.drift_tolerance:
                found.append(
                    f"{both} {_percent(apart)} in speed: {one.reference_p10_ms:.3f} and {other.reference_p10_ms:.3f} "
                    f"ms for {REFERENCE}"
                )
        return tuple(found)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why it cannot be told whether the boards agree; none if it can."""
        noisy = [
            f"{board.target}'s latencies repeat within {_percent(board.floor)} only, and {_percent(MOST_FLOOR)} is the "
            "most with which agreement is told"
            for board in self.boards
            if board.floor > MOST_FLOOR
        ]
        wide = [
            f"{_said(offset)}, and all of it has to lie within {_percent(MOST_OFFSET)}"
            for offset in self.offsets
            if not offset.is_within and not offset.is_beyond
        ]
        return (*noisy, *wide)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What keeps the boards apart, or else why it cannot be told whether they agree; none if they agree."""
        return self.differences or self.doubts

    @property
    def verdict(self) -> Literal["yes", "no", "cannot be told"]:
        """By the rule that stands above."""
        return "no" if self.differences else "cannot be told" if self.doubts else "yes"

    @property
    def agrees(self) -> bool:
        """Whether every two boards agree in every network, and that could be told."""
        return self.verdict == "yes"

    @property
    def sentences(self) -> tuple[str, ...]:
        """The answer."""
        if self.verdict == "no":
            return ("No: measure on one of them, or on each as a target of its own.",)
        if self.verdict == "cannot be told":
            worst = max(board.floor for board in self.boards)
            why = (
                f"these boards' latencies repeat within {_percent(worst)} only"
                if worst > MOST_FLOOR
                else f"over the five networks the boards may differ by more than {_percent(MOST_OFFSET)}"
            )
            return (f"Cannot be told: {why}; measure when nothing else runs there.",)
        first, *others = (board.target for board in self.boards)
        return (f"Yes: latency.target {first} and latency.pool {', '.join(others)} in a study.",)

    def tables(self) -> tuple[Table, ...]:
        """One line a board."""
        ratios = [
            (Column(title=name, key=f"{name}_ratio", decimals=3), lambda board, place=place: board.ratio(place))
            for place, name in enumerate(NETWORKS)
        ]
        return (
            table_of(
                "",
                self.boards,
                Column(title="Board", key="target"),
                *ratios,
                Column(title="Noise floor", key="noise_percent", unit="%", decimals=1),
                Column(title=REFERENCE, key="reference_p10_ms", unit="ms", decimals=3),
            ),
        )

    def plain(self) -> PoolJson:
        """Plain data for JSON."""
        return json_as(
            PoolJson,
            self,
            most_noise_percent=100.0 * MOST_FLOOR,
            most_offset_percent=100.0 * MOST_OFFSET,
            offsets=[json_as(PoolOffsetJson, offset, **offset.percents) for offset in self.offsets],
            networks=list(NETWORKS),
            reference=REFERENCE,
            boards=[json_as(PoolBoardJson, board) for board in self.boards],
        )


def check_pool(
    targets: Sequence[str],
    settings: LatencySettings,
    *,
    input_size: int,
    on_step: Callable[[str], None] = lambda _step: None,
) -> PoolCheck:
    """Measure the five networks twice on every board, on all boards at the same time.

    Args:
        targets: the boards, two or more.
        settings: how; their targets do not matter.
        input_size: height and width of the images (pixels).
        on_step: told what is done now.

    Raises:
        ConfigError: a target is no board, or the boards are not of one model.
        MeasurementError: a board does not answer, or lacks something.
    """
    if len(set(targets)) < max(len(targets), 2):
        raise ConfigError(f"two boards or more are needed, each once; got {', '.join(targets) or 'none'}")
    parsed = [_board_of(name) for name in targets]
    # The boards are closed first, whatever ends this: what a thread waits for then ends.
    with ThreadPoolExecutor(len(targets)) as threads, ExitStack() as open_boards:
        on_step("connecting")
        boards = [open_boards.enter_context(closing(Board(target))) for target in parsed]
        check_one_model({board.target.name: board.facts for board in boards})

        *networks, reference = (_exported(name, settings, input_size) for name in (*NETWORKS, REFERENCE))

        def measured(board: Board) -> tuple[Latency, ...]:
            return measure_board_networks(networks, reference, board=board, reference_name=REFERENCE, settings=settings)

        rounds = []
        for name in ("once", "a second time"):
            on_step(f"measuring five networks {name} on each of {len(boards)} boards")
            rounds.append(list(threads.map(measured, boards)))
    found = [PoolBoard.of(name, *both) for name, both in zip(targets, zip(*rounds, strict=True), strict=True)]
    return PoolCheck(boards=tuple(found), drift_tolerance=settings.drift_tolerance)


def check_one_model(boards: Mapping[str, Mapping[str, str]]) -> None:
    """Raise ConfigError that says in what these boards, by target, are not of one model; else nothing."""
    (first, facts), *others = boards.items()
    for name, other in others:
        pairs = Fingerprint.of(_of_model(facts)).differences(Fingerprint.of(_of_model(other)))
        if pairs:
            said = "; ".join(f"{fact} is {one} and {two}" for fact, (one, two) in pairs.items())
            raise ConfigError(
                f"{first} and {name} are not boards of one model: {said}", hint="measure on each as a target of its own"
            )


def _exported(name: str, settings: LatencySettings, input_size: int) -> BoardNetwork:
    spec = find_variant(name).spec.normalised(input_size)
    model = build(spec, num_classes=_CLASSES, input_size=input_size, seed=0)
    return BoardNetwork.of(model, what=f"the network '{name}'", settings=settings, input_size=input_size, seed=0)


def _of_model(facts: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in lasting_facts(facts).items() if key not in _OWN_FACTS}


def _board_of(name: str) -> Target:
    found = parse_target(name)
    if found is None:
        raise ConfigError(f"{name} is this machine: only boards share measurements")
    return found


def _percent(share: float) -> str:
    return percent_text(100.0 * share)


def _said(offset: PoolOffset) -> str:
    one, other = offset.targets
    shown = interval_text(*offset.percents.values(), decimals=1, signed=True, unit="%")
    return f"{other} is slower than {one} by {shown} in the mean of five networks"


def _apart(one: float, other: float) -> float:
    """How far two positive numbers lie apart, relative to the smaller one."""
    return math.expm1(abs(math.log(one / other)))
