"""Callbacks on trials and epochs, and the trackers that keep them: read back with the trackers' own readers."""

from __future__ import annotations

import inspect
import json
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from makers import make_record
from sqlalchemy import select
from stored import store_study

from archsearch.errors import ArchsearchError, ConfigError, UnknownNameError
from archsearch.records import Epoch, Record, TrialStatus
from archsearch.search.run import TrialNews
from archsearch.search.runtime import CallbackList, RunCallbacks
from archsearch.search.trackers import TRACKERS, tracker
from archsearch.store.database import Database
from archsearch.store.partial_trainings import note_epoch
from archsearch.store.rows import score_to_row
from archsearch.store.schema import PartialTrainingRow, TrialRow
from archsearch.store.studies import StudyInfo, find_study
from archsearch.store.trials import load_records

CURVE = tuple(
    Epoch(epoch=epoch, train_loss=2.0 / epoch, top1_percent=20.0 * epoch, learning_rate=0.1, train_seconds=1.5)
    for epoch in (1, 2, 3)
)
ENDED = make_record(1, top1=60.0, curve=CURVE, epochs=3, choices={"stage2.kernel": 5, "stage3.attention": "se"})


class Heard(RunCallbacks):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.epochs: list[tuple[int, Epoch]] = []
        self.ended: list[Record] = []

    def epoch(self, trial: int, epoch: Epoch) -> None:
        self.epochs.append((trial, epoch))

    def trial_ended(self, record: Record) -> None:
        self.ended.append(record)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A study of one complete trial, 0, and a running one, 1."""
    url = f"sqlite:///{tmp_path}/studies.db"
    running = make_record(1, top1=None, status=TrialStatus.RUNNING)
    store_study(url, [make_record(0), running])
    found = Database(url)
    yield found
    found.close()


def trained(database: Database, study: StudyInfo, epochs: int) -> None:
    """The running trial is so far."""
    with database.reading() as session:
        row_id = session.scalars(select(TrialRow.id).where(TrialRow.number == 1)).one()
    assert note_epoch(database, study_id=study.id, row_id=row_id, arch_id=ENDED.arch_id, seed=0, curve=CURVE[:epochs])


def test_each_epoch_and_each_end_is_told_once_and_what_was_there_before_is_no_news(database: Database) -> None:
    study, heard = find_study(database, "small"), Heard()
    news = TrialNews(database, study.id, CallbackList([RunCallbacks(), heard]), load_records(database, study.id))
    news.tell(load_records(database, study.id))
    assert not heard.epochs
    for epochs in (1, 1, 2):
        trained(database, study, epochs)
        news.tell(load_records(database, study.id))
    assert heard.epochs == [(1, CURVE[0]), (1, CURVE[1])]
    assert not heard.ended
    with database.writing() as session:
        row = session.scalars(select(TrialRow).where(TrialRow.number == 1)).one()
        row.status = TrialStatus.COMPLETE
        assert ENDED.score is not None
        row.training = score_to_row(ENDED.score, study.id, ENDED.arch_id)
    for _ in range(2):
        news.tell(load_records(database, study.id))
    assert heard.epochs == [(1, point) for point in CURVE]  # the last one came and went between two looks
    assert [(record.trial, record.score and record.score.curve) for record in heard.ended] == [(1, CURVE)]


def test_a_training_that_began_anew_is_told_from_there(database: Database) -> None:
    study, heard = find_study(database, "small"), Heard()
    news = TrialNews(database, study.id, heard)
    for epochs in (3, 1, 2):
        trained(database, study, epochs)
        news.tell([])
    assert [epoch.epoch for _, epoch in heard.epochs] == [1, 2, 3, 2]


@pytest.mark.parametrize("repeat", [False, True])
def test_every_epoch_is_told_of_a_training_that_failed_and_of_a_further_one_of_a_known_network(
    database: Database, repeat: bool
) -> None:
    study, heard = find_study(database, "small"), Heard()
    news = TrialNews(database, study.id, heard, load_records(database, study.id))
    for epochs in (1, 3):  # between two looks two are done, and the trial ends
        trained(database, study, epochs)
        with database.writing() as session:
            session.scalars(select(PartialTrainingRow)).one().repeat = repeat
            if epochs == 3:
                row = session.scalars(select(TrialRow).where(TrialRow.number == 1)).one()
                row.status = TrialStatus.REPLAY if repeat else TrialStatus.FAILED
        news.tell(load_records(database, study.id))
        assert heard.epochs == [(1, point) for point in CURVE[:epochs]]
    assert [record.trial for record in heard.ended] == [1]


def test_nothing_is_read_where_nobody_listens() -> None:
    assert not RunCallbacks().follows_trials
    assert not CallbackList([RunCallbacks()]).follows_trials
    TrialNews(None, 1, RunCallbacks()).tell([ENDED])  # type: ignore[arg-type]  # a database would be asked


@pytest.mark.parametrize("name", [name for name, found in vars(RunCallbacks).items() if callable(found)])
def test_a_list_of_callbacks_tells_all_of_them_everything(name: str) -> None:
    heard: list[tuple[object, ...]] = []
    each = type("Heard", (RunCallbacks,), {name: lambda _self, *said: heard.append(said)})
    said = tuple(range(len(inspect.signature(getattr(RunCallbacks, name)).parameters) - 1))
    getattr(CallbackList([each(), each()]), name)(*said)
    assert heard == [said, said]


def test_what_one_callback_raises_keeps_no_other_from_being_told(database: Database) -> None:
    """A trial is news once: who is not told of it then never is."""

    class Away(RunCallbacks):
        def trial_ended(self, record: Record) -> None:
            raise ArchsearchError("no server")

    study, before, after = find_study(database, "small"), Heard(), Heard()
    news = TrialNews(database, study.id, CallbackList([before, Away(), after]))
    for _ in range(2):  # a run looks once more when it ends
        with suppress(ArchsearchError):
            news.tell(load_records(database, study.id))
    assert [record.trial for record in before.ended] == [record.trial for record in after.ended] == [0]
    with pytest.raises(ArchsearchError, match="no server"):
        CallbackList([Away(), after]).trial_ended(ENDED)


@pytest.mark.parametrize("last", [2, 3])
def test_each_epoch_and_the_end_are_told_once_where_what_a_callback_raises_at_an_epoch_ends_the_run(
    database: Database, last: int
) -> None:
    class Enough(RunCallbacks):
        def epoch(self, trial: int, epoch: Epoch) -> None:
            if epoch.epoch == last:
                raise ArchsearchError("enough")

    study, heard = find_study(database, "small"), Heard()
    news = TrialNews(database, study.id, CallbackList([heard, Enough()]), load_records(database, study.id))
    trained(database, study, 2)
    with database.writing() as session:
        row = session.scalars(select(TrialRow).where(TrialRow.number == 1)).one()
        row.status = TrialStatus.COMPLETE
        assert ENDED.score is not None
        row.training = score_to_row(ENDED.score, study.id, ENDED.arch_id)
    with pytest.raises(ArchsearchError, match="enough"):
        news.tell(load_records(database, study.id))
    news.tell(load_records(database, study.id))  # a run looks once more when it ends
    assert heard.epochs == [(1, point) for point in CURVE]
    assert [record.trial for record in heard.ended] == [1]


def told(kept: RunCallbacks, study: StudyInfo) -> None:
    kept.begun(study)
    for point in CURVE:
        kept.epoch(1, point)
    kept.trial_ended(ENDED)
    kept.trial_ended(make_record(2, top1=None, p10=None, status=TrialStatus.FAILED, reason="out of memory"))


def test_tensorboard_has_a_run_for_each_trial_with_its_curve_and_its_choices(
    database: Database, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    told(tracker(f"tensorboard:{tmp_path}/logs"), find_study(database, "small"))
    assert sorted(path.name for path in (tmp_path / "logs" / "small").iterdir()) == ["trial-00001", "trial-00002"]
    found = EventAccumulator(str(tmp_path / "logs" / "small" / "trial-00001"))
    found.Reload()
    points = [(event.step, event.value) for event in found.Scalars("top1_percent/validation")]
    assert points == [(1, 20.0), (2, 40.0), (3, 60.0)]
    assert [event.value for event in found.Scalars("latency_ms")] == [5.0]
    content = found.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    chosen = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert chosen["stage2.kernel"].number_value == 5
    assert chosen["stage3.attention"].string_value == "se"


def test_one_tracker_may_follow_one_study_after_the_other(database: Database, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    kept, study = tracker(f"tensorboard:{tmp_path}"), find_study(database, "small")
    kept.begun(study)
    kept.epoch(3, CURVE[0])  # a trial that was cut off
    told(kept, replace(study, name="other"))
    kept.epoch(3, CURVE[0])
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("**/trial-*")) == [
        "other/trial-00001", "other/trial-00002", "other/trial-00003", "small/trial-00003"
    ]  # fmt: skip


@pytest.mark.slow  # its database takes some seconds to make
def test_mlflow_has_an_experiment_for_the_study_and_a_run_for_each_trial(database: Database, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    study = find_study(database, "small")
    told(tracker(f"mlflow:{uri}"), study)
    again = tracker(f"mlflow:{uri}")  # another process goes on
    again.begun(study)
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("small")
    assert experiment.tags["dataset"] == "digits"
    runs = {run.data.tags["archsearch.trial"]: run for run in client.search_runs([experiment.experiment_id])}
    assert {trial: run.info.status for trial, run in runs.items()} == {"1": "FINISHED", "2": "FAILED"}
    done = runs["1"]
    assert (done.data.params["stage2.kernel"], done.data.params["stage3.attention"]) == ("5", "se")
    assert (done.data.metrics["top1_percent"], done.data.metrics["latency_ms"]) == (60.0, 5.0)
    curve = client.get_metric_history(done.info.run_id, "epoch_top1_percent")
    assert [(point.step, point.value) for point in curve] == [(1, 20.0), (2, 40.0), (3, 60.0)]


@pytest.mark.slow  # its database takes some seconds to make
def test_another_study_of_the_same_name_has_runs_of_its_own_in_mlflow(database: Database, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    study = find_study(database, "small")
    for began, kernel in ((study.created_at, 5), (study.created_at + timedelta(days=1), 7)):
        kept = tracker(f"mlflow:{uri}")
        kept.begun(replace(study, created_at=began))
        kept.trial_ended(replace(ENDED, choices={"stage2.kernel": kernel}))
    client = mlflow.MlflowClient(tracking_uri=uri)
    runs = client.search_runs([client.get_experiment_by_name("small").experiment_id])
    assert sorted(run.data.params["stage2.kernel"] for run in runs) == ["5", "7"]


def logged(content: bytes) -> Iterator[bytes]:
    """The records of a `.wandb` file: after 7 bytes a log of LevelDB (doc/log_format.md) in blocks of 32 KiB."""
    place, parts = 7, b""
    while place < len(content):
        left = 2**15 - place % 2**15
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        parts += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield parts
            parts = b""


def test_weights_and_biases_has_a_run_for_each_trial_offline(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    from wandb.proto.wandb_internal_pb2 import Record as Written

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    for folder in ("WANDB_DIR", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(folder, str(tmp_path))
    study = find_study(database, "small")
    told(tracker("wandb:project"), study)
    # another study of this name would begin at another time, and has other runs
    (path,) = tmp_path.glob(f"wandb/offline-run-*/run-small-{study.created_at:%Y%m%d%H%M%S}-1.wandb")
    assert len(list(tmp_path.glob("wandb/offline-run-*/run-small-*.wandb"))) == 2
    records = [Written.FromString(data) for data in logged(path.read_bytes())]
    (run,) = {(each.run.project, each.run.run_group, each.run.display_name) for each in records if each.HasField("run")}
    assert run == ("project", "small", "trial 1")
    history = [
        {item.key or item.nested_key[0]: json.loads(item.value_json) for item in each.history.item}
        for each in records
        if each.HasField("history")
    ]
    assert [(point["_step"], point["epoch_top1_percent"]) for point in history] == [(1, 20.0), (2, 40.0), (3, 60.0)]
    updates = [item for each in records if each.HasField("config") for item in each.config.update]
    config = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in updates}
    assert (config["stage2.kernel"], config["stage3.attention"]) == (5, "se")
    summary = {
        item.key or item.nested_key[0]: json.loads(item.value_json)
        for each in records
        if each.HasField("summary")
        for item in each.summary.update
    }
    assert (summary["top1_percent"], summary["latency_ms"]) == (60.0, 5.0)
    assert [each.exit.exit_code for each in records if each.HasField("exit")] == [0]


@pytest.mark.parametrize("kind", TRACKERS)
def test_without_its_extra_a_tracker_says_what_to_install(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith((kind, f"torch.utils.{kind}"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, kind, None)
    with pytest.raises(ConfigError) as caught:
        tracker(f"{kind}:{tmp_path}")
    assert caught.value.hint == f"pip install 'archsearch[{kind}]'"


def test_what_a_tracker_s_library_refuses_is_told_in_a_sentence(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = find_study(database, "small")
    pytest.importorskip("mlflow")
    with pytest.raises(ArchsearchError, match=r"MLflow keeps no trials: .*unsupported URI 'ftp://nowhere'"):
        tracker("mlflow:ftp://nowhere")
    wandb = pytest.importorskip("wandb")

    def nobody(**_: object) -> None:
        raise wandb.Error("api_key not configured (no-tty)\nwandb login")

    monkeypatch.setattr(wandb, "init", nobody)
    kept = tracker("wandb:project")
    kept.begun(study)
    with pytest.raises(ArchsearchError) as caught:
        kept.epoch(1, CURVE[0])
    assert caught.value.message == "Weights & Biases keeps no trials: api_key not configured (no-tty)"


def test_a_folder_that_tensorboard_cannot_write_is_told_in_a_sentence(database: Database, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    (tmp_path / "logs").write_text("no folder")
    kept = tracker(f"tensorboard:{tmp_path}/logs")
    kept.begun(find_study(database, "small"))
    for tell in (lambda: kept.epoch(1, CURVE[0]), lambda: kept.trial_ended(ENDED)):
        with pytest.raises(ArchsearchError, match=f"TensorBoard keeps no trials: .*{tmp_path}/logs/small"):
            tell()


def test_what_names_no_tracker_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown tracker 'tensorbord'"):
        tracker("tensorbord:logs")
    for wrong in ("tensorboard", "tensorboard:"):
        with pytest.raises(ConfigError, match="expected KIND:WHERE"):
            tracker(wrong)
