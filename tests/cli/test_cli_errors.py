"""Exit codes and messages: 2 for what the user wrote, 1 for what went wrong, one red line and what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from makers import make_record
from stored import store_study

STUDY = """
name: mine
space: shufflenet_v2
dataset: digits
trials: 2
sampler: random
proxy: {epochs: 1, train_images: 64, validation_images: 40}
latency: {bursts: 2, visits: 1, spread_seconds: 0, budget_seconds: 2}
"""


@pytest.fixture(autouse=True)
def study_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.yaml"
    path.write_text(STUDY)
    return path


def check(ended: object, code: int, *said: str) -> None:
    """One `error:` line, then a hint, after what was being done; never a traceback."""
    assert ended.code == code, ended.err
    assert "Traceback" not in ended.out + ended.err
    doing = ("reading ", "estimating ")
    lines = [line for line in ended.err.strip().splitlines() if not line.startswith(doing)]
    assert lines[0].startswith("error: ")
    assert sum(line.startswith("error: ") for line in lines) == 1
    assert len(lines) <= 2
    for text in said:
        assert text in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--study", "quickstrat"), ("unknown study 'quickstrat'", "did you mean 'quickstart'?")),
        (("run", "--study", "absent.yaml"), ("no such file: absent.yaml",)),
        (("run", "--study", "mine.yaml", "--set", "epochs"), ("--set epochs: expected key=value",)),
        (
            ("run", "--study", "mine.yaml", "--set", "proxy.epoch=3"),
            ("--set proxy.epoch: unknown key", "did you mean 'proxy.epochs'?"),
        ),
        (
            ("run", "--study", "mine.yaml", "--set", "proxy.epochs=many"),
            ("--set proxy.epochs: must be a whole number, got 'many'",),
        ),
        (("run", "--study", "mine.yaml", "--set", "trials.x=1"), ("trials",)),
        (("run", "--study", "mine.yaml", "--max-params", "0"), ("constraints.params", "got 0")),
        (("run", "--study", "mine.yaml", "--max-latency", "nan"), ("constraints.latency_ms", "got nan")),
        (("run", "--study", "mine.yaml", "--set", "fixed.widht=1"), ("'widht'", "did you mean 'width'?")),
        (("run", "--study", "mine.yaml", "--set", "space=shufflenet_v3"), ("shufflenet_v3", "shufflenet_v2")),
        (("run", "--study", "mine.yaml", "--set", "dataset=cifar11"), ("cifar11", "cifar10")),
        (("run", "--study", "mine.yaml", "--set", "sampler=tpf"), ("unknown sampler 'tpf'",)),
        (("run", "--study", "mine.yaml", "--set", "reference=x"), ("unknown variant 'x'",)),
        (("run", "--study", "mine.yaml", "--set", "variants=[x]"), ("unknown variant 'x'",)),
        (("run", "--study", "mine.yaml", "--set", "proxy.validation_images=9999"), ("9999", "1438")),
        (("run", "--study", "mine.yaml", "--device", "tpu"), ("--device tpu",)),
        (("run", "--study", "mine.yaml", "--device", "cpu", "--workers", "250"), ("--workers 250",)),
        (("run", "--study", "mine.yaml", "--dry-run", "--storage", "nonsense", "--set", "name=a b"), ("name",)),
        (("run", "--study", "mine.yaml", "--set", "sampler=[tpe"), ("--set sampler: not valid YAML",)),
        (("run",), ("which study to run is not said", "quickstart")),
        (("describe",), ("which network is not said", "archsearch variants")),
        (("describe", "shufflenet_v2_x1"), ("did you mean 'shufflenet_v2_x1_0'?", "archsearch variants lists")),
        (("describe", "shufflenet_v2_x1_0", "--set", "stem.kernal=3"), ("did you mean 'stem.kernel'?",)),
        (("describe", "shufflenet_v2_x1_0", "--set", "stem.kernel=9"), ("stem.kernel", "9")),
        (("describe", "shufflenet_v2_x1_0", "--set", "kernel"), ("expected KEY=VALUE", "--set stage3.kernel=5")),
        (
            ("describe", "shufflenet_v2_x1_0", "--set", "kernel=3", "--set", "kernel=5"),
            ("--set kernel is given twice",),
        ),
        (
            ("describe", "shufflenet_v2_x1_0", "--set", " kernel=3", "--set", "kernel = 5"),
            ("--set kernel is given twice",),
        ),
        (("describe", "absent.json"), ("absent.json",)),
        (("run", "--study", "mine.yaml", "--set", "trials=true"), ("--set trials: must be a whole number, got True",)),
        (("measure", "shufflenet_v2_x0_5", "--threads", "9999"), ("--threads 9999", "CPU cores may be used here")),
        (("measure", "shufflenet_v2_x0_5", "--budget", "0"), ("--budget 0: must be above 0",)),
        (("measure", "shufflenet_v2_x0_5", "--device", "cuda:x"), ("--device cuda:x: ",)),
        (
            ("describe", "shufflenet_v2", "--set", "zzzzzz=1"),
            ("lists the 31 known names; further ones: channels, units,",),
        ),
        (
            ("run", "--study", "mine.yaml", "--time-budget", "5"),
            ("--time-budget 5: not a time above zero, and its unit is",),
        ),
        (("run", "--study", "mine.yaml", "--time-budget", "0"), ("--time-budget 0: not a time above zero\n",)),
        (("data", "digits", "--out", "study.txt"), ("study.txt", ".yaml or .yml")),
        (("pareto", "--storage", "nonsense"), ("--storage: not a database URL",)),
        (("studies", "--storage", ""), ("--storage: not a database URL: ''",)),
        (("retrain", "--protocol", "one_cycle"), ("did you mean 'one-cycle'?",)),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else None,
)
def test_what_the_user_wrote_wrong_is_exit_code_2(
    arguments: tuple[str, ...], said: tuple[str, ...], cli: Callable[..., object]
) -> None:
    check(cli(*arguments), 2, *said)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [", "mine.yaml:"),
        ("- a\n- b\n", "a mapping of keys was expected"),
        (STUDY + "trails: 3\n", "did you mean 'trials'?"),
        (STUDY + "trials: 3\n", "'trials' is there twice"),
        (STUDY.replace("dataset: digits\n", ""), "dataset"),
        (STUDY + "restrict: {kernel: [3, 99]}\n", "study 'mine': restrict.kernel[1]"),
        (STUDY + "scale: {width: 0.5}\n", "'width' is no stride or pooling"),
        (STUDY + "objectives: [latency_ms]\n", "objectives"),
    ],
)
def test_a_wrong_study_file_is_exit_code_2_and_names_the_key(
    text: str, said: str, study_file: Path, cli: Callable[..., object]
) -> None:
    study_file.write_text(text)
    check(cli("run", "--study", "./mine.yaml"), 2, said)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--study", "mine.yaml", "--trails", "3"), ("archsearch run has no option --trails", "--trials")),
        (("run", "--study", "mine.yaml", "--trials", "0"), ("--trials: must be at least 1, got '0'",)),
        (("run", "--study", "mine.yaml", "--trials", "many"), ("--trials: must be a whole number, got 'many'",)),
        (("retrain", "--seeds", "0"), ("--seeds: must be at least 1", "archsearch retrain --help")),
        (("guidelines", "--table", "9"), ("--table: '9' is not one of '1', '2', '3', '4'",)),
        (("plot", "--study"), ("option '--study' requires an argument",)),
        (("paretto",), ("no such command 'paretto'", "did you mean 'pareto'")),
    ],
)
def test_an_unknown_option_or_command_is_exit_code_2(
    arguments: tuple[str, ...], said: tuple[str, ...], cli: Callable[..., object]
) -> None:
    check(cli(*arguments), 2, *said)


def test_the_name_of_a_program_or_a_group_alone_shows_what_there_is(cli: Callable[..., object]) -> None:
    for words, within in (((), "pareto"), (("target",), "check")):
        ended = cli(*words)
        assert (ended.code, ended.err) == (0, "")
        assert within in ended.out


@pytest.mark.parametrize("group", [(), ("target",)], ids=["program", "group"])
def test_an_option_without_a_command_is_exit_code_2_and_says_that_the_command_is_missing(
    group: tuple[str, ...], cli: Callable[..., object]
) -> None:
    ended = cli("--verbose", *group)
    check(ended, 2, "error: missing command", " --help")
    assert ended.out == ""


def test_a_command_that_a_signal_stops_is_exit_code_1(
    cli: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("archsearch.api.study.open_study", stopped)
    for command in ("pareto", "report", "plot front"):
        ended = cli(*command.split())
        assert (ended.code, ended.out, ended.err.splitlines()[-1]) == (1, "", "stopped")


@pytest.mark.parametrize(
    "arguments",
    [("pareto",), ("retrain",), ("describe", "quickstart:best"), ("studies", "--storage", "sqlite:///absent.db")],
)
def test_no_database_is_exit_code_1_and_says_what_to_run_first(
    arguments: tuple[str, ...], cli: Callable[..., object]
) -> None:
    check(cli(*arguments), 1, "there is no database", "archsearch run --study quickstart")
    assert not list(Path().glob("**/*.db"))


def test_a_wrong_name_is_answered_before_torch_is_imported(tmp_path: Path) -> None:
    store_study(f"sqlite:///{tmp_path}/runs/archsearch.db", [make_record(0)])
    commands = [
        ["run", "--study", "quickstrat"],
        *([name, "--study", "smal"] for name in ("pareto", "report", "ablate", "confirm", "trust", "retrain")),
        ["compare", "small", "smal"],
        ["retrain", "--trial", "99"],
        ["retrain", "--trial", "bset"],
        ["retrain", "--select", "kne"],
        *([name, "shufflenet"] for name in ("describe", "audit", "measure")),
        ["variants", "--family", "shufflenet"],
        ["papers", "--paper", "shufflenet"],
        ["describe", "shufflenet_v2_x1_0", "--set", "kernl=5"],
        *(
            ["ablate", "--study", "quickstart", "--set", "proxy.input_size=32", *asked]
            for asked in (("--choices", "kernl"), ("--choices", "kernel=9"), ("--from", "bset"))
        ),
        ["ablate", "--mode", "pair"],
        ["ablate", "--spread", "pool"],
        *([name, "--device", "gpu"] for name in ("run", "ablate", "confirm", "trust", "retrain", "guidelines")),
        *([name, "--target", "shh:pi5"] for name in ("run", "confirm", "guidelines")),
        ["target", "check", "shh:pi5"],
        ["run", "--study", "quickstart", "--set", "dataset=cifar11"],
        ["run", "--study", "quickstart", "--set", "latency.also_targets=[shh:pi5]"],
        ["run", "--study", "quickstart", "--set", "latency.backend=onx"],
        ["run", "--study", "quickstart", "--log", "tensorbord:logs"],
        ["measure", "shufflenet_v2_x0_5", "--backend", "torch", "--backend", "onx"],
        ["measure", "shufflenet_v2_x0_5", "--precision", "fp17"],
        ["measure", "shufflenet_v2_x0_5", "--cores", "litle"],
        ["guidelines", "--backend", "onx"],
        ["data", "flder:photos"],
        ["retrain", "--start", "prox"],
        ["export", "--trial", "bset"],
        ["export", "--format", "onx"],
        ["export", "--quantize", "int4"],
        ["export", "--dataset", "cifar11"],
        ["replay", "--policy", "predictd"],
    ]
    code = (
        "import json, sys\n"
        "from archsearch.cli.main import main\n"
        "for arguments in json.loads(sys.argv.pop()):\n"
        "    sys.argv = ['archsearch', *arguments]\n"
        "    try:\n        main()\n"
        "    except SystemExit as ended:\n        assert ended.code == 2, arguments\n"
        "    assert not {'torch', 'scipy', 'plotly', 'optuna'} & set(sys.modules), arguments\n"
    )
    command = [sys.executable, "-c", code, json.dumps(commands)]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("error: ") == len(commands)
    assert "did you mean 'best'? archsearch variants lists" in ended.stderr


def test_a_file_that_is_no_database_is_exit_code_1(cli: Callable[..., object]) -> None:
    Path("bad.db").write_text("this is not a database, and long enough to be read as one\n" * 40)
    check(cli("pareto", "--storage", "sqlite:///bad.db"), 1, "bad.db")
    assert Path("bad.db").read_text().startswith("this is not a database")  # somebody's file: left as it was


def test_an_absent_dataset_without_network_is_exit_code_1_and_says_what_to_put_where(
    cli: Callable[..., object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def offline(*_arguments: object, **_named: object) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    monkeypatch.setattr("archsearch.api.run.timed_estimate", lambda *_, **__: None)
    folder = tmp_path / "images"
    ended = cli(
        "run", "--study", "cifar10_cpu", "--set", "dataset=cifar10", "--device", "cpu", "--data-dir", str(folder)
    )
    check(ended, 1, "cifar-10-python.tar.gz", str(folder))
    assert not Path("runs").exists()


def test_without_a_database_studies_lists_what_can_be_run(cli: Callable[..., object]) -> None:
    ended = cli("studies")
    assert ended.code == 0
    assert "No study is stored yet" in ended.out
    for name in ("quickstart", "cifar10", "cifar100"):
        assert name in ended.out
    assert not Path("runs").exists()


def test_the_old_name_of_a_command_is_answered_with_its_new_one(cli: Callable[..., object]) -> None:
    ended = cli("proxy", "--storage", "postgresql://db/x")
    assert ended.out == ""
    check(ended, 2, "now called serve-storage", "archsearch serve-storage --help")
