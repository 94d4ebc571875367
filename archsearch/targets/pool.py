"""Whether boards of one model may share a study's measurements: five networks, measured twice on each, say the same."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import combinations

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from archsearch.errors import ConfigError
from archsearch.latency.fingerprint import Fingerprint
from archsearch.latency.settings import LatencySettings
from archsearch.models.families import build
from archsearch.models.variants import find_variant
from archsearch.noise import Repeat, noise_floor_of
from archsearch.records import Latency
from archsearch.table import Column, InNotebooks, Table, table_of
from archsearch.targets.board import Board, BoardNetwork, lasting_facts, measure_board_networks
from archsearch.targets.transports import Target, parse_target
from archsearch.text import percent_text

NETWORKS = ("shufflenet_v2_x0_5", "shufflenet_v2_x1_5", "shufflenet_v1_x1_0_g3", "mobilenet_v2_x0_5", "resnet20")
REFERENCE = "shufflenet_v2_x1_0"
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


class PoolJson(TypedDict):
    """Whether boards may share measurements."""

    agrees: bool
    networks: list[str]
    reference: str
    boards: list[PoolBoardJson]


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
        "where the means of each network differ by no more than the larger of their noise floors."
    )
    empty: str | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What keeps the boards apart; none if they agree."""
        found = []
        for one, other in combinations(self.boards, 2):
            both, floor = f"{one.target} and {other.target} differ by", max(one.floor, other.floor)
            for place, name in enumerate(NETWORKS):
                if (apart := _apart(one.ratio(place), other.ratio(place))) > floor:
                    found.append(
                        f"{both} {_percent(apart)} in {name}, where two measurements on one board differ by at most "
                        f"{_percent(floor)}"
                    )
            if (apart := _apart(one.reference_p10_ms, other.reference_p10_ms)) > self.drift_tolerance:
                found.append(
                    f"{both} {_percent(apart)} in speed: {one.reference_p10_ms:.3f} and {other.reference_p10_ms:.3f} "
                    f"ms for {REFERENCE}"
                )
        return tuple(found)

    @property
    def agrees(self) -> bool:
        """Whether every two boards agree in every network."""
        return not self.warnings

    @property
    def sentences(self) -> tuple[str, ...]:
        """The answer."""
        if not self.agrees:
            return ("No: measure on one of them, or on each as a target of its own.",)
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
                (
                    Column(title="Noise floor", key="noise_percent", unit="%", decimals=1),
                    lambda board: 100.0 * board.floor,
                ),
                Column(title=REFERENCE, key="reference_p10_ms", unit="ms", decimals=3),
            ),
        )

    def plain(self) -> PoolJson:
        """Plain data for JSON."""
        return {
            "agrees": self.agrees,
            "networks": list(NETWORKS),
            "reference": REFERENCE,
            "boards": [
                {
                    "target": board.target,
                    "ratios": [list(pair) for pair in board.ratios],
                    "reference_p10_ms": board.reference_p10_ms,
                    "noise_percent": board.noise_percent,
                }
                for board in self.boards
            ],
        }


def check_pool(
    targets: Sequence[str],
    settings: LatencySettings,
    *,
    input_size: int,
    seed: int = 0,
    on_step: Callable[[str], None] = lambda _step: None,
) -> PoolCheck:
    """Measure the five networks twice on every board, on all boards at the same time.

    Args:
        targets: the boards, two or more.
        settings: how; their targets do not matter.
        input_size: height and width of the images (pixels).
        seed: of the weights and of the random input.
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

        *networks, reference = (_exported(name, settings, input_size, seed) for name in (*NETWORKS, REFERENCE))

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


def _exported(name: str, settings: LatencySettings, input_size: int, seed: int) -> BoardNetwork:
    spec = find_variant(name).spec.normalised(input_size)
    model = build(spec, num_classes=_CLASSES, input_size=input_size, seed=seed)
    return BoardNetwork.of(model, what=f"the network '{name}'", settings=settings, input_size=input_size, seed=seed)


def _of_model(facts: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in lasting_facts(facts).items() if key not in _OWN_FACTS}


def _board_of(name: str) -> Target:
    found = parse_target(name)
    if found is None:
        raise ConfigError(f"{name} is this machine: only boards share measurements")
    return found


def _percent(share: float) -> str:
    return percent_text(100.0 * share)


def _apart(one: float, other: float) -> float:
    """How far two positive numbers lie apart, relative to the smaller one."""
    return math.expm1(abs(math.log(one / other)))
