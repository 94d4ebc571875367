"""`archsearch replay` over studies written into a database by hand."""

from __future__ import annotations

import gzip
import json
import runpy
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from makers import make_record

import archsearch
from archsearch.errors import ConfigError
from archsearch.records import Cost, Epoch, Latency, TrialStatus
from archsearch.search.stopping.base import Decision
from archsearch.store.database import Database
from archsearch.store.rows import latency_to_row, score_to_row
from archsearch.store.schema import PartialTrainingRow, StudyRow, TrialRow

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
# Errors after both epochs, all at 1 ms: what multi-objective halving with one in two does by hand in
# tests/search/test_search_stopping_replay.py: 6 of 8 epochs, trials 1 and 3 stopped, 5 of 60 of the hypervolume lost.
ERRORS = [(80, 50), (90, 40), (70, 45), (95, 60)]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial to write."""

    errors: Sequence[float]
    status: TrialStatus = TrialStatus.COMPLETE
    variant: str | None = None
    arch_id: str | None = None
    decision: Decision | None = None


def write_study(
    trials: Sequence[Trial], *, name: str = "small", epochs: int = 2, stopping: dict[str, Any] | None = None,
    reference_point: dict[str, float] | None = None,
) -> None:  # fmt: skip
    """A study in `runs/archsearch.db`, of error and latency below (100 %, 2 ms) unless said, without a noise floor."""
    corner = reference_point or {"error_percent": 100.0, "latency_ms": 2.0}
    config: dict[str, Any] = {
        "name": name, "seed": 0, "objectives": list(corner), "proxy": {"epochs": epochs}, "dataset": "digits",
    }  # fmt: skip
    if stopping is not None:
        config["stopping"] = stopping
    database = Database("sqlite:///runs/archsearch.db")
    with database.writing() as session:
        study = StudyRow(
            name=name, config=config, space={}, space_fingerprint="0" * 12, facts={},
            reference_point=corner,
        )  # fmt: skip
        session.add(study)
        session.flush()
        for number, trial in enumerate(trials):
            arch_id = trial.arch_id or f"{number:012d}"
            points = tuple(
                Epoch(epoch=epoch, train_loss=1.0, top1_percent=100.0 - error, learning_rate=0.1, train_seconds=1.0)
                for epoch, error in enumerate(trial.errors, start=1)
            )
            top1 = points[-1].top1_percent
            record = make_record(
                number, top1=top1, balanced_top1_percent=top1, p10=1.0, epochs=len(points), curve=points
            )
            assert isinstance(record.cost, Cost)
            assert isinstance(record.latency, Latency)
            row = TrialRow(
                study_id=study.id, number=number, status=trial.status, variant=trial.variant, arch_id=arch_id,
                suggested={"kernel": 3}, family="shufflenet_v2", choices={}, cost=asdict(record.cost),
                latency=latency_to_row(record.latency, arch_id),
                training=score_to_row(record.score, study.id, arch_id),
            )  # fmt: skip
            session.add(row)
            session.flush()
            if trial.decision is not None:
                session.add(
                    PartialTrainingRow(
                        study_id=study.id,
                        arch_id=arch_id,
                        seed=0,
                        row_id=row.id,
                        epoch=len(points),
                        decisions=[{**asdict(trial.decision), "of_another_version": 1}],
                    )
                )
    database.close()


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")


def whole() -> list[Trial]:
    return [Trial(errors=errors) for errors in ERRORS]


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_a_rule_that_only_another_version_knows_is_refused_in_words() -> None:
    write_study(whole(), stopping={"policy": "predicted", "patience": 3})
    with pytest.raises(ConfigError, match=r"study 'small' as stored: stopping: .*patience"):
        archsearch.replay("small")


def test_a_policy_prints_what_it_saves_and_loses_and_which_of_the_front_it_stopped(cli: Callable[..., Any]) -> None:
    write_study(whole())
    ended = cli("replay", "--study", "small", "--policy", "mo_asha", "--set", "reduction=2")
    assert ended.code == 0, ended.err
    assert "Stopping rules on 'small': 4 whole curves of 2 epochs" in ended.out
    row = next(words for words in lines(ended.out) if words[:2] == ["mo_asha", "6"])
    assert row == ["mo_asha", "6", "25.0", "55.00", "8.33", "2", "1", "of", "1", "0"]
    assert "mo_asha (min_epochs 1, reduction 2); stopped of the front: trial 1." in ended.out


def test_without_a_policy_all_are_compared(cli: Callable[..., Any]) -> None:
    write_study(whole())
    ended = cli("replay")
    named = [words[0] for words in lines(ended.out) if len(words) == 10 and words[1].isdigit()]
    assert named == ["none", "predicted", "mo_asha"]
    assert (
        "it stopped nothing: the first 20 trainings (first_full) always run to their end; in a study with more trials "
        "there are some that can be stopped."
    ) in ended.out


def test_a_rule_that_stops_nothing_says_why(cli: Callable[..., Any]) -> None:
    write_study([Trial(errors=ERRORS[0], variant="shufflenet_v2_x0_5"), *whole()[1:]])
    kept = cli("replay", "-p", "predicted", "--set", "first_full=2").out
    assert "published networks (1 of 4) and the first 2 trainings (first_full) always run to their end" in kept
    assert "it stopped nothing" not in cli("replay", "-p", "mo_asha", "--set", "reduction=2").out  # it stops two


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        # of 3 curves floor(0.1 x 4) = 0 may end below the optimistic prediction, of 9 one
        ("quantile=0.1", "the curves are too few to predict anything with a quantile of 0.1"),
        ("quantile=0.3", "of the 2 left none fell behind far enough"),
        ("min_epochs=2", "it stopped nothing: min_epochs leaves none of the 2 epochs to decide after"),
    ],
)
def test_a_rule_that_could_not_decide_is_told_from_one_that_found_nothing_to_stop(
    setting: str, why: str, cli: Callable[..., Any]
) -> None:
    write_study([Trial(errors=(80 - number, 50 - number)) for number in range(4)])
    kept = cli("replay", "-p", "predicted", "--set", "first_full=2", "--set", setting).out
    assert why in " ".join(kept.split())


def test_a_rule_without_predictions_says_nothing_of_how_they_held(cli: Callable[..., Any]) -> None:
    promoted = Decision(epoch=1, stop=True, would_stop=True, reason="not among the best")
    write_study([Trial(errors=ERRORS[0], decision=promoted), *whole()[1:]], stopping={"policy": "mo_asha"})
    assert "prediction" not in cli("replay", "-p", "none").out


def test_json_holds_the_same(cli: Callable[..., Any]) -> None:
    write_study(whole())
    ended = cli("replay", "-p", "mo_asha", "--set", "stopping.reduction=2", "--json")
    found = json.loads(ended.out)
    assert (found["study"], found["trials"], found["epochs"]) == ("small", 4, 2)
    policy = found["policies"][0]
    assert policy["settings"] == {"policy": "mo_asha", "min_epochs": 1, "reduction": 2}
    assert (policy["epochs_full"], policy["epochs_trained"], policy["epochs_saved_share"]) == (8, 6, 0.25)
    assert (policy["hypervolume_full"], policy["hypervolume_kept"]) == (60.0, 55.0)
    assert (policy["stopped"], policy["true_front"], policy["false_stops"]) == ([1, 3], [1], [1])
    assert found["own_calibration"] is None


def test_published_networks_are_never_stopped(cli: Callable[..., Any]) -> None:
    trials = whole()
    trials[1] = Trial(errors=ERRORS[1], variant="shufflenet_v2_x0_5")
    write_study(trials)
    found = json.loads(cli("replay", "-p", "mo_asha", "--set", "reduction=2", "--json").out)
    assert found["policies"][0]["stopped"] == [3]


def test_a_network_that_two_trials_share_was_trained_once(cli: Callable[..., Any]) -> None:
    trials = [*whole(), Trial(errors=ERRORS[1], variant="shufflenet_v2_x0_5", arch_id=f"{1:012d}")]
    write_study(trials)
    assert json.loads(cli("replay", "-p", "none", "--json").out)["trials"] == 4


def test_a_study_that_stopped_trials_itself_says_so_and_how_its_predictions_held(cli: Callable[..., Any]) -> None:
    """Trials 0 and 1 were spared: 0 ended at 50, below the 55 thought possible; 1 at 40, not below 30, on the front."""

    def said(optimistic: float, *, stop: bool = False) -> Decision:
        return Decision(
            epoch=1, stop=stop, would_stop=True, optimistic_error_percent=optimistic, exempt="" if stop else "x"
        )

    write_study(
        [
            Trial(errors=ERRORS[0], decision=said(55.0)),
            Trial(errors=ERRORS[1], decision=said(30.0)),
            Trial(errors=ERRORS[2]),
            Trial(errors=ERRORS[3]),
            Trial(errors=(95,), status=TrialStatus.STOPPED, decision=said(70.0, stop=True)),
        ],
        stopping={"policy": "predicted", "quantile": 0.025},
    )
    ended = cli("replay", "-p", "none")
    assert (
        "The study's own rule (predicted): 2 trials that it would have stopped ran to the end all the same: 1 ended "
        "below the optimistic prediction (2.5 % expected), 1 on the front"
    ) in " ".join(ended.out.split())
    assert "note: the study stopped 1 trial itself; only its complete curves are replayed" in ended.out
    found = json.loads(cli("replay", "-p", "predicted", "--json").out)
    assert (found["trials"], found["stopped_by_study"]) == (4, [4])
    assert found["own_calibration"]["below"] == [0]
    assert found["policies"][0]["settings"]["quantile"] == 0.025  # the study's own


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--policy", "predict"), "did you mean 'predicted'?"),
        (("--study", "smal"), "did you mean 'small'?"),
        (("--set", "quantil=0.1"), "did you mean 'quantile'?"),
        (("--set", "quantile=0.7"), "--set quantile: must be below 0.5, got 0.7"),
        (("--set", "quantile"), "expected key=value"),
        (("--set", "policy=none"), "--policy"),
        (("--set", "quantile=["), "not valid YAML"),
    ],
)
def test_what_was_written_wrong_is_said_in_one_line(
    arguments: tuple[str, ...], said: str, cli: Callable[..., Any]
) -> None:
    write_study(whole())
    ended = cli("replay", *arguments)
    assert ended.code == 2
    assert said in " ".join(ended.err.split())
    assert ended.out == ""


@pytest.mark.parametrize(
    ("trials", "epochs", "said"),
    [
        ([], 2, "study 'small' has no complete trial with its learning curve"),
        ([Trial(errors=(80,), status=TrialStatus.STOPPED)], 2, "study 'small' has no complete trial"),
        ([Trial(errors=(80,))], 1, "the proxies of study 'small' have 1 epoch: there is nothing to stop"),
    ],
)
def test_a_study_without_anything_to_replay_says_why(
    trials: list[Trial], epochs: int, said: str, cli: Callable[..., Any]
) -> None:
    write_study(trials, epochs=epochs)
    ended = cli("replay")
    assert (ended.code, ended.out) == (1, "")
    assert said in " ".join(ended.err.split())


def test_a_study_whose_objective_is_known_only_at_the_end_cannot_be_replayed(cli: Callable[..., Any]) -> None:
    write_study(whole(), reference_point={"error_percent": 100.0, "latency_ms": 2.0, "balanced_error_percent": 100.0})
    ended = cli("replay", "-p", "mo_asha")
    assert (ended.code, ended.out) == (1, "")
    assert "balanced_error_percent, which is known only when a training ends" in " ".join(ended.err.split())


@pytest.mark.parametrize("workers", [0, -1])
def test_a_replay_without_a_worker_is_refused(workers: int) -> None:
    write_study(whole())
    with pytest.raises(ConfigError, match=f"^workers must be at least 1, got {workers}"):
        archsearch.replay("small", workers=workers)


def test_no_database_is_said_with_what_to_do(cli: Callable[..., Any]) -> None:
    ended = cli("replay")
    assert ended.code == 1
    assert "archsearch run" in ended.err


def test_replay_imports_neither_torch_nor_optuna() -> None:
    write_study(whole())
    code = (
        "import sys\nsys.argv = ['archsearch', 'replay', '--json']\nfrom archsearch.cli.main import main\n"
        "try:\n    main()\nfinally:\n    print('\\nMODULES', *sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    imported = set(ended.stdout.rsplit("MODULES", 1)[1].split())
    assert imported.isdisjoint({"torch", "torchvision", "optuna", "plotly", "pandas", "scipy"})


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a benchmark in this process, and give what it printed."""
    monkeypatch.syspath_prepend(BENCHMARKS)

    def run(script: str, *arguments: str) -> str:
        monkeypatch.setattr("sys.argv", [script, *arguments])
        runpy.run_path(str(BENCHMARKS / script), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_an_exported_study_holds_what_benchmarks_replay(benchmark: Callable[..., str]) -> None:
    """The same study gives the same bytes; the benchmark of early stopping reads them, and asks Optuna's own pruner."""
    write_study([*whole(), Trial(errors=(95,), status=TrialStatus.STOPPED)])
    assert "wrote one.json.gz: 4 trials of 'small'" in benchmark("export_study.py", "small", "--out", "one.json.gz")
    benchmark("export_study.py", "small", "--out", "two.json.gz")
    assert Path("one.json.gz").read_bytes() == Path("two.json.gz").read_bytes()
    content = json.loads(gzip.decompress(Path("one.json.gz").read_bytes()))
    assert {key: content[key] for key in ("objectives", "reference_point", "noise_floor")} == {
        "objectives": ["error_percent", "latency_ms"], "reference_point": [100.0, 2.0], "noise_floor": 0.0
    }  # fmt: skip
    assert content["trials"][1] == {
        "trial": 1, "variant": None, "suggested": {"kernel": 3}, "params": 1_000_000, "macs": 40_000_000,
        "latency_ms": 1.0, "curve": [90.0, 40.0], "train_loss": [1.0, 1.0],
    }  # fmt: skip
    printed = benchmark("early_stopping.py", "--data", "one.json.gz", "--orders", "2", "--out", "found.json")
    assert [line.split("  ")[0] for line in printed.splitlines() if " of 1.0" in line] == [
        "predicted", "mo_asha", "optuna median"
    ]  # fmt: skip
    assert set(json.loads(Path("found.json").read_text())["rules"]) == {"predicted", "mo_asha", "optuna median"}


def test_optunas_pruner_is_asked_as_its_documentation_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults: not before five complete trials; then when the best so far is above their median at the same step."""
    from archsearch.search.stopping.base import Curve

    monkeypatch.syspath_prepend(BENCHMARKS)
    median = runpy.run_path(str(BENCHMARKS / "early_stopping.py"))["OptunaMedian"]
    complete = [Curve(trial=n, errors=(10.0 * n, 5.0), epochs=2, known=(1.0,)) for n in range(1, 6)]

    def stopped(error: float, others: Sequence[Curve]) -> bool:
        decided: Decision = median().decide(Curve(trial=9, errors=(error,), epochs=2, known=(1.0,)), others)
        return decided.stop

    assert not stopped(99.0, complete[:4])
    assert stopped(31.0, complete)  # the median of 10, 20, 30, 40, 50 is 30
    assert not stopped(29.0, complete)


def test_overrides_that_can_be_read_once_are_those_of_every_policy() -> None:
    write_study(whole())
    listed = archsearch.replay("small", overrides=["reduction=2"])
    assert archsearch.replay("small", overrides=(text for text in ["reduction=2"])) == listed  # type: ignore[arg-type]
    assert {each.settings.reduction for each in listed.policies} == {2}
    with pytest.raises(ConfigError, match=r"^override 'reductoin': "):
        archsearch.replay("small", overrides=(text for text in ["reductoin=2"]))  # type: ignore[arg-type]
