"""Where a study's networks are measured: on this device, or on boards. A visit is one call at either.

On this device a visit is made at once, because nothing else may run beside it: in this process by a backend, or, on a
CPU in ONNX Runtime, by an agent as on a board. On a board it is made while the worker goes on with its training, one
after the other of those that were begun.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from torch import nn

from archsearch.latency.lease import DeviceLease
from archsearch.latency.network import memory_witness, open_measurement
from archsearch.latency.prepare import ExportedNetwork, PreparedReference, conditions_of, prepare_reference
from archsearch.latency.protocol import Conditions, Measurement
from archsearch.latency.settings import LatencySettings
from archsearch.targets.board import (
    Board,
    BoardGroup,
    BoardNetwork,
    board_conditions,
    own_agent,
    uses_own_agent,
)
from archsearch.targets.transports import parse_target


class Place(Protocol):
    """One of the places at which every network of a study is measured, each with a reference of its own there.

    Attributes:
        name: the backend's, or the target's: what `Latency.by` says.
        conditions: what is measured there belongs to this.
    """

    name: str

    @property
    def conditions(self) -> Conditions:
        """See the class."""

    @property
    def quiet_ms(self) -> float | None:
        """What the memory witness there takes in quiet measurements (milliseconds), as far as this worker knows."""

    @property
    def is_away(self) -> bool:
        """Whether it does not answer and is being looked for; never this device, and a pool if no board answers."""

    def export(self, model: nn.Module) -> Any:
        """A network in the form that is run there, for `open`. Raises MeasurementError."""

    @property
    def exported_reference(self) -> Any:
        """The reference in this form."""

    def device(self) -> Device:
        """What makes the next measurement: of a pool of boards the one that has least to do."""

    def take_back(self) -> None:
        """Where a network has ended every agent: boards that answered meanwhile are not away."""

    def close(self) -> None:
        """Nothing is measured there any more."""


class Device(Protocol):
    """What makes measurements at a place: this machine, or one board.

    Attributes:
        name: see `Place`.
        conditions: see `Place`; all devices of a place have the same.
    """

    name: str

    @property
    def conditions(self) -> Conditions:
        """See the class."""

    @property
    def is_away(self) -> bool:
        """Whether it does not answer and is being looked for."""

    def open(self, network: Any, *, afresh: bool = False) -> Measurement:
        """Make an exported network ready to be measured, opened anew; `afresh`: the reference, too.

        Raises MeasurementError.
        """

    def begin(self, visit: Callable[[], None]) -> Future[None]:
        """Have a visit made; done when it is. The calling thread holds no lease."""


@dataclass(frozen=True, kw_only=True)
class PlaceSetup:
    """What all places of a study share.

    Attributes:
        device: of this machine: torch device ("cpu", "cuda:0").
        input_size: height and width of the images (pixels).
        seed: of the random input.
        lease: of the device.
        reference: builds the reference network.
        reference_name: what records call it.
    """

    device: str
    input_size: int
    seed: int
    lease: DeviceLease
    reference: Callable[[], nn.Module]
    reference_name: str


class _LocalPlace:
    """This device, by the settings' backend in this process."""

    def __init__(self, settings: LatencySettings, setup: PlaceSetup) -> None:
        self.name = settings.backend_on(setup.device)
        self.conditions = conditions_of(setup.reference_name, settings, setup.device, setup.input_size)
        self.is_away = False
        self._settings = settings
        self._setup = setup

    @property
    def quiet_ms(self) -> float | None:
        witness = memory_witness(self.conditions.device)
        return None if witness is None else witness.quiet_ms

    def export(self, model: nn.Module) -> ExportedNetwork:
        setup = self._setup
        return ExportedNetwork(model, self.conditions, what="the network", lease=setup.lease, seed=setup.seed)

    @property
    def exported_reference(self) -> ExportedNetwork:
        return self._reference.exported

    def device(self) -> _LocalPlace:
        return self

    def take_back(self) -> None:
        """It never is away."""

    def open(self, network: ExportedNetwork, *, afresh: bool = False) -> Measurement:
        reference = self._reference.again() if afresh else self._reference
        return open_measurement(network, reference, settings=self._settings, lease=self._setup.lease)

    def begin(self, visit: Callable[[], None]) -> Future[None]:
        """See `Device`: the visit is made now."""
        return made_now(visit)

    def close(self) -> None:
        """There is nothing to be closed."""

    @cached_property
    def _reference(self) -> PreparedReference:
        setup = self._setup
        return prepare_reference(
            setup.reference(),
            name=setup.reference_name,
            settings=self._settings,
            device=setup.device,
            input_size=setup.input_size,
            lease=setup.lease,
        )


def made_now(visit: Callable[[], None]) -> Future[None]:
    """Make a visit, which is done then."""
    made: Future[None] = Future()
    visit()
    made.set_result(None)
    return made


class BoardPlace:
    """A board.

    Attributes:
        board: it.

    Args:
        stands_for: the board of its model whose conditions it measures under, in a pool; None: its own.
    """

    def __init__(
        self, board: Board, settings: LatencySettings, setup: PlaceSetup, *, stands_for: BoardPlace | None = None
    ) -> None:
        self.name = board.target.name
        self.board = board
        self._stands_for = stands_for
        self._settings = settings
        self._setup = setup

    @cached_property
    def conditions(self) -> Conditions:
        """See `Place`."""
        if self._stands_for is not None:
            return self._stands_for.conditions
        setup = self._setup
        return board_conditions(self.board, self._settings, reference=setup.reference_name, input_size=setup.input_size)

    @property
    def quiet_ms(self) -> float | None:
        """See `Place`."""
        return self.board.quiet_ms

    @property
    def is_away(self) -> bool:
        """See `Place`."""
        return self.board.is_away

    def export(self, model: nn.Module) -> BoardNetwork:
        """See `Place`."""
        return self._exported(model, what="the network")

    @cached_property
    def exported_reference(self) -> BoardNetwork:
        """See `Place`."""
        if self._stands_for is not None:
            return self._stands_for.exported_reference
        setup = self._setup
        return self._exported(setup.reference(), what=f"the reference network '{setup.reference_name}'")

    def device(self) -> BoardPlace:
        """Itself."""
        return self

    def take_back(self) -> None:
        """See `Place`."""
        self.board.take_back()

    def open(self, network: BoardNetwork, *, afresh: bool = False) -> Measurement:
        """See `Device`; nothing is sent before the first visit, and every measurement opens the reference afresh."""
        lease = self._setup.lease if self.board.is_own else None
        group = BoardGroup(self.board, (network, self.exported_reference), lease=lease)
        return Measurement(group, self._settings)

    def begin(self, visit: Callable[[], None]) -> Future[None]:
        """See `Device`: the visit is made beside what the worker does."""
        return self.board.begin(visit)

    def close(self) -> None:
        """The agent ends."""
        self.board.close()

    def _exported(self, model: nn.Module, *, what: str) -> BoardNetwork:
        setup = self._setup
        with setup.lease.shared():  # waiting for it is counted
            return BoardNetwork.of(
                model, what=what, settings=self._settings, input_size=setup.input_size, seed=setup.seed
            )


class _AgentPlace(BoardPlace):
    """This device, by an agent of this process's own."""

    def __init__(self, settings: LatencySettings, setup: PlaceSetup) -> None:
        super().__init__(own_agent(), settings, setup)
        self.name = settings.backend_on(setup.device)

    def begin(self, visit: Callable[[], None]) -> Future[None]:
        """See `Device`: the visit is made now."""
        return made_now(visit)

    def close(self) -> None:
        """The agent stays, for whatever this process measures next."""


class _PoolPlace:
    """Boards of one model, of which each measurement takes one. What is measured belongs to the first one's conditions.

    Workers know nothing of each other: each begins with another board, and takes them in turn.

    Args:
        boards: the study's target first.
    """

    def __init__(self, boards: Sequence[BoardPlace]) -> None:
        first = boards[0]
        self.name = first.name
        self._first = first
        self._boards = deque(boards)
        self._boards.rotate(-os.getpid() % len(boards))

    @property
    def conditions(self) -> Conditions:
        return self._first.conditions

    @property
    def quiet_ms(self) -> float | None:
        """See `Place`: of the board whose memory is the fastest in quiet."""
        known = [place.quiet_ms for place in self._boards if place.quiet_ms is not None]
        return min(known, default=None)

    @property
    def is_away(self) -> bool:
        return all(place.is_away for place in self._boards)

    def export(self, model: nn.Module) -> BoardNetwork:
        """See `Place`: the same for every board."""
        return self._first.export(model)

    @property
    def exported_reference(self) -> BoardNetwork:
        return self._first.exported_reference

    def device(self) -> BoardPlace:
        """The board that answers and has least to do; among equals the one whose turn it is."""
        chosen = min(self._boards, key=lambda place: (place.is_away, place.board.waiting))
        self._boards.remove(chosen)
        self._boards.append(chosen)
        return chosen

    def take_back(self) -> None:
        for place in self._boards:
            place.take_back()

    def close(self) -> None:
        """All agents end."""
        for place in self._boards:
            place.close()


def place_here(settings: LatencySettings, setup: PlaceSetup) -> Place:
    """This device, by the settings' backend. Raises MeasurementError where no agent can be started."""
    return (_AgentPlace if uses_own_agent(setup.device, settings) else _LocalPlace)(settings, setup)


def places_of(
    settings: LatencySettings, setup: PlaceSetup, *, boards: Mapping[str, Mapping[str, str]]
) -> tuple[Place, ...]:
    """The places of a study's latency protocol: the one whose latency is the objective, then the further ones.

    Args:
        settings: the study's latency protocol.
        setup: what the places share.
        boards: by target, what it said of itself when the study was begun; one that is not there is asked now.

    Raises ConfigError for a target that is none; MeasurementError for one that is asked and does not answer.
    """
    found: list[Place] = []
    for target in settings.targets:
        there = settings.at(target)
        on_board = parse_target(target)
        if on_board is not None:
            first = BoardPlace(Board(on_board, known=boards.get(target)), there, setup)
            others = [
                BoardPlace(Board(board, known=boards.get(board.name)), there, setup, stands_for=first)
                for board in map(parse_target, there.pool)
                if board is not None
            ]
            found.append(_PoolPlace([first, *others]) if others else first)
            continue
        for backend in (there.backend_on(setup.device), *there.also_on(setup.device)):
            found.append(place_here(there.with_backend(backend), setup))
    return tuple(found)
