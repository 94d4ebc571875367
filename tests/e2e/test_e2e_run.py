from __future__ import annotations

import importlib.util
import json

import jsonschema

import archsearch
from archsearch.records import TrialStatus


def facts(study: object) -> dict[int, object]:
    return {record.trial: record for record in study.records}


def test_a_study_runs_to_its_total_and_prints_the_front(first_run: object) -> None:
    workplace, ended = first_run
    assert ended.returncode == 0, ended.stderr
    study = workplace.study()
    assert dict(study.counts) == {"complete": 3}
    assert study.records[0].variant == "shufflenet_v2_x0_5"
    for record in study.records:
        assert record.cost is not None
        assert record.latency is not None
        assert record.score is not None
        assert record.score.split == "validation"
        assert record.score.eval_images == 40
        assert record.score.train_images == 64
    # lines for people, one for each trial, since nobody watches
    for number in (1, 2, 3):
        assert f"[{number}/3] trial " in ended.stderr
    assert "The front: " in ended.stdout
    assert "\x1b[" not in ended.stdout + ended.stderr


def test_optuna_knows_each_end_and_the_values_of_each_trial(first_run: object) -> None:
    import optuna

    workplace, _ = first_run
    study = workplace.study()
    known = optuna.load_study(study_name="tiny", storage=workplace.storage)
    assert known.metric_names == ["error_percent", "latency_ms"]
    assert [trial.state.name for trial in known.trials] == ["COMPLETE"] * 3
    for record in study.records:
        assert known.trials[record.trial].values == [record.error_percent, record.latency.corrected_ms]
        assert dict(known.trials[record.trial].params) == dict(record.suggested)


def test_more_trials_continue_the_study(finished: object) -> None:
    before = facts(finished.study())
    log = ("--log", "tensorboard:logs") if importlib.util.find_spec("tensorboard") else ()
    ended = finished.type("run", "--study", "./tiny.yaml", "--device", "cpu", "--trials", "4", *log)
    assert ended.returncode == 0, ended.stderr
    new = [f"trial-{number:05d}" for number in facts(finished.study()) if number not in before]
    assert [path.name for path in (finished.folder / "logs" / "tiny").glob("*")] == (new if log else [])
    assert "continuing: 3 of 4 trials are done" in ended.stderr
    study = finished.study()
    assert study.counts["complete"] == 4
    after = facts(study)
    assert {number: after[number] for number in before} == before
    assert len({record.arch_id for record in study.records if record.status is TrialStatus.COMPLETE}) == 4
    again = finished.type("run", "--study", "./tiny.yaml", "--device", "cpu", "--trials", "4", "--json")
    printed = json.loads(again.stdout)
    jsonschema.validate(printed, archsearch.schema("run"))
    assert printed["command"] == "run"
    front = json.loads(finished.type("pareto", "--json").stdout)
    assert printed | {"command": "pareto"} == front
    assert "4 in all" in again.stderr  # the plan, for people


def test_a_dry_run_stores_nothing(new_workplace: object) -> None:
    workplace = new_workplace()
    ended = workplace.type("run", "--study", "./tiny.yaml", "--device", "cpu", "--dry-run")
    assert ended.returncode == 0, ended.stderr
    assert "nothing was stored" in ended.stdout
    assert "3 in all" in ended.stdout
    assert [path.name for path in workplace.folder.iterdir()] == ["tiny.yaml"]


def test_a_changed_protocol_under_an_old_name_is_refused(finished: object) -> None:
    before = facts(finished.study())
    changes = ("--set", "proxy.epochs=2", "--set", "fixed.width=1.0", "--trials", "9")
    ended = finished.type("run", "--study", "./tiny.yaml", "--device", "cpu", *changes)
    assert ended.returncode == 2
    assert "proxy.epochs: was 1, now 2" in ended.stderr
    assert "width" in ended.stderr or "channels" in ended.stderr
    assert "--set name=NEW" in ended.stderr
    assert facts(finished.study()) == before
