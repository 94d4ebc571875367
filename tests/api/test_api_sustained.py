"""A front run without a pause: which networks are run, under which conditions, and what each of them took."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from makers import make_record
from stored import store_study
from torch import nn

from archsearch.api import sustained
from archsearch.api.sustained import measure_sustained
from archsearch.latency.group import VisitPlan
from archsearch.latency.samples import Visit
from archsearch.latency.settings import LatencySettings
from archsearch.models.variants import find_variant
from archsearch.records import Record
from archsearch.space.search_space import load_space
from archsearch.store.database import Database
from archsearch.store.schema import StudyRow
from archsearch.targets.wire import BoardAwayError

FLAKY = Path(__file__).parents[1] / "targets" / "flaky_board.py"


class Counted:
    """Networks of which a run takes as many nanoseconds as they have parameters."""

    contended = False

    def __init__(self, networks: Sequence[int], **_given: Any) -> None:
        self.networks = networks

    def visit(self, settings: LatencySettings, plan: VisitPlan) -> Visit:
        burst = [[size] * plan.runs for size in self.networks]
        return Visit(
            bursts_ns=[burst] * plan.bursts, runs=plan.runs, warmup_runs=[], host_over_device=[], copies_ms=[],
            held_ns=1.0, waited_ns=0.0,
        )  # fmt: skip

    def state(self) -> dict[str, str]:
        return {}


def size_of(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def published(number: int, name: str, top1: float, ms: float) -> Record:
    spec = find_variant(name).spec.normalised(32)
    return replace(
        make_record(number, top1=top1, p10=ms, choices=spec.choices(), arch_id=spec.arch_id, variant=name),
        family=spec.family,
    )


def stored(folder: Path, records: Sequence[Record], latency: dict[str, Any]) -> str:
    """A study whose latencies are measured so."""
    url = f"sqlite:///{folder / 'studies.db'}"
    store_study(url, records)
    database = Database(url)
    with database.writing() as session:
        (row,) = session.query(StudyRow)
        row.space = load_space("shufflenet_v2").to_dict()
        row.config = {**row.config, "latency": latency}
    database.close()
    return url


def test_a_reference_that_is_on_the_front_is_run_once_and_as_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    front = [
        published(0, "shufflenet_v2_x0_5", 60.0, 1.0),
        published(1, "shufflenet_v2_x1_0", 64.0, 2.0),  # the reference of a study that names none
        published(2, "shufflenet_v2_x1_5", 66.0, 4.0),
    ]
    url = stored(tmp_path, front, {"backend": "torch"})
    monkeypatch.setattr(
        sustained, "ExportedNetwork", lambda model, *_given, **_named: SimpleNamespace(open=lambda: size_of(model))
    )
    monkeypatch.setattr(sustained, "LocalGroup", Counted)
    found = measure_sustained("small", seconds=0.001, device="cpu", storage=url)
    # x1.0 has 2,278,604 parameters with 1,000 outputs, and 990 x 1,025 fewer with 10.
    assert (found.reference.label, found.reference.first_ms) == ("shufflenet_v2_x1_0", pytest.approx(1.263854))
    assert [each.label for each in found.networks] == ["shufflenet_v2_x0_5", "shufflenet_v2_x1_5"]
    assert found.networks[0].first_ms < 1.263854 < found.networks[1].first_ms


BOARD = f"command:{shlex.quote(sys.executable)}"


@pytest.mark.parametrize(
    ("latency", "target", "batch"),
    [
        ({"backend": "torch", "precision": "bf16", "batch": 32}, BOARD, 1),  # chosen for what trained the study
        ({"backend": "auto", "target": "ssh:pi5", "cores": "big"}, BOARD, 1),  # chosen for the study's own board
        ({"backend": "auto", "target": BOARD, "batch": 4}, None, 4),
        ({"backend": "auto", "target": BOARD, "batch": 4}, BOARD, 4),  # the study's own board
    ],
)
def test_another_board_than_the_study_s_runs_networks_as_boards_do_and_its_own_as_the_study_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, latency: dict[str, Any], target: str | None, batch: int
) -> None:
    monkeypatch.chdir(tmp_path)
    url = stored(tmp_path, [published(0, "shufflenet_v2_x0_5", 60.0, 1.0)], latency)
    told: list[LatencySettings] = []

    def sent(model: nn.Module, *, settings: LatencySettings, **_named: Any) -> int:
        told.append(settings)
        return size_of(model)

    monkeypatch.setattr(sustained, "BoardNetwork", SimpleNamespace(of=sent))
    monkeypatch.setattr(sustained, "Board", lambda _target, **_given: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(sustained, "BoardGroup", lambda _board, networks: Counted(networks))
    measure_sustained("small", seconds=0.001, target=target, storage=url)
    assert {(each.target, each.backend, each.batch_on("cpu")) for each in told} == {(BOARD, "auto", batch)}
    assert {each.cores for each in told} == {"all"}


def test_a_board_that_goes_away_has_cooled_down_and_no_heat_is_told_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url = stored(tmp_path, [published(0, "shufflenet_v2_x0_5", 60.0, 1.0)], {"backend": "auto"})
    (tmp_path / "plan.json").write_text('{"1": "dies"}')  # the second turn
    flaky = shlex.join([sys.executable, str(FLAKY), str(tmp_path / "plan.json"), str(tmp_path / "count")])
    with pytest.raises(BoardAwayError, match="the line broke"):
        measure_sustained("small", seconds=0.001, target=f"command:{flaky}", storage=url)
