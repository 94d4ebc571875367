"""Options that would do nothing, or something else than was meant, are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored import unpack_golden


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Any]) -> Callable[..., Any]:
    """Runs a command beside the golden studies."""
    monkeypatch.chdir(tmp_path)
    unpack_golden(tmp_path)
    return cli


@pytest.mark.parametrize(
    "words",
    [
        *(
            (*command.split(), "--study", "")
            for command in (
                "pareto", "report", "plot front", "retrain", "export", "ablate", "confirm", "confirm --sustained 1m",
                "trust", "replay", "dashboard",
            )
        ),
        ("pareto", "--study", " "),
        ("compare", "cifar10_random", ""),
        *((command, ":best") for command in ("describe", "measure", "audit")),
    ],
    ids=" ".join,
)  # fmt: skip
def test_an_empty_name_of_a_study_is_not_the_last_study(words: tuple[str, ...], said: Callable[..., Any]) -> None:
    ended = said(*words)
    assert (ended.code, ended.out) == (2, "")
    assert "error: the study's name is empty\narchsearch studies lists the stored ones" in ended.err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("pareto",), "give --plot, --png or --csv, too"),
        (("compare", "cifar10_random", "cifar10_other"), "give --plot or --csv, too"),
        (("guidelines",), "give --plot or --png, too"),
    ],
)
def test_a_folder_for_no_file_is_refused(words: tuple[str, ...], hint: str, said: Callable[..., Any]) -> None:
    ended = said(*words, "--out", "folder")
    assert (ended.code, ended.out) == (2, "")
    assert f"error: --out folder needs a file to write\n{hint}" in ended.err and not Path("folder").exists()


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        ("confirm --sustained 10m --seeds 8", "--seeds: --sustained trains nothing, and runs the front alone"),
        ("confirm --sustained 10m --top 3 --fresh-images", "--top and --fresh-images: --sustained trains nothing"),
        ("confirm --sustained 10m --dry-run", "--dry-run: --sustained trains nothing"),
        ("confirm --sustained 10m --time-budget 1h --workers 1", "--workers and --time-budget: --sustained trains"),
        ("retrain --trial 3 --select knee", "--select knee: it says what best means, and best is not asked for"),
        ("retrain --trial front --select latency<=3", "--select latency<=3: it says what best means, and best is not"),
        ("export --trial 3 --select knee", "--select knee: it says what best means, and best is not asked for"),
        (
            "export --trial model --select knee --study x",
            "--study and --select: the folder model is a network of its own",
        ),
        ("export --trial model --storage sqlite:///x.db", "--storage: the folder model is a network of its own"),
        ("export --trial model --untrained", "--untrained: the folder model is a network of its own"),
        ("export --format state-dict --dataset digits", "--dataset digits: weights alone are neither calibrated nor"),
        ("measure shufflenet_v2_x0_5 --device cuda --target command:python3", "--device cuda: command:python3 runs"),
        (
            "guidelines --device cuda:1 --target command:python3",
            "--device cuda:1: command:python3 runs networks on its",
        ),
        (
            "confirm --study cifar10_random --sustained 1m --device cuda --target command:python3",
            "--device cuda: command:python3 runs networks on its own CPU",
        ),
        ("run --study quickstart --dry-run --json", "--json: a dry run has no result"),
        ("ablate --study cifar10_random --dry-run --json", "--json: a dry run has no result"),
        ("confirm --study cifar10_random --dry-run --json", "--json: a dry run has no result"),
        ("trust --study cifar10_random --dry-run --json", "--json: a dry run has no result"),
        ("run --study quickstart --seed 2 --set seed=1", "--set seed and --seed are one key"),
        ("run --study quickstart --trials 9 --set trials=8", "--set trials and --trials are one key"),
        ("run --study quickstart --workers 1 --set workers=2", "--set workers and --workers are one key"),
        (
            "run --study quickstart --max-params 9 --set constraints.params=8",
            "--set constraints.params and --max-params",
        ),
        (
            "run --study quickstart --max-latency 9 --set constraints.latency_ms=8",
            "--set constraints.latency_ms and --max-",
        ),
        ("run --study quickstart --target local --set latency.target=local", "--set latency.target and --target are"),
        ("run --study quickstart --optuna-proxy node1", "--optuna-proxy node1: not a HOST:PORT"),
        ("run --study quickstart --optuna-proxy node1:1", "--optuna-proxy node1:1: it serves a PostgreSQL database"),
        ("retrain --weights file.pth", "--weights file.pth: only a pretrained start reads a file"),
        ("export --quantize int8 --format torch-export", "--quantize int8: it is done by ONNX Runtime, not in the"),
        ("export --with-preprocessing --format state-dict", "--with-preprocessing: it is put into ONNX files alone"),
        ("plot --storage sqlite:///x.db", "which plot is not said"),
        ("studies --shipped --storage sqlite:///x.db", "--storage: --shipped reads no database"),
        ("replay --policy predicted --set reduction=4", "--set reduction: no replay of predicted reads it"),
        ("replay --policy none --set quantile=0.2", "--set quantile: no replay of none reads it"),
        ("replay --set checkpoint_seconds=3", "--set checkpoint_seconds: no replay of predicted and mo_asha reads it"),
    ],
)
def test_an_option_that_would_have_no_effect_is_refused(words: str, refused: str, said: Callable[..., Any]) -> None:
    Path("model").mkdir()
    Path("model/spec.json").write_text("{}")
    ended = said(*words.split())
    assert (ended.code, ended.out) == (2, "")
    assert f"error: {refused}" in " ".join(ended.err.split())


@pytest.mark.parametrize("typed", ["~/model", "./model", "models/of/mine"])
def test_a_model_s_folder_that_is_not_whole_is_told_from_the_name_of_a_trial(
    typed: str, said: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(Path.cwd()))
    Path("model").mkdir()
    ended = said("export", "--trial", typed)
    folder = Path(typed).expanduser()
    assert (ended.code, ended.out) == (1, "")
    assert f"error: {folder} is not a model folder: spec.json cannot be read" in " ".join(ended.err.split())


def test_every_row_limit_of_data_is_of_each_table_and_what_comes_next_can_be_typed(said: Callable[..., Any]) -> None:
    ended = said("data", "digits", "--limit", "3", "--data-dir", "my data")
    assert "7 more rows not shown" in ended.out
    assert ended.out.splitlines()[-1] == (
        "next: archsearch data digits --out study.yaml --data-dir 'my data' && "
        "archsearch run --study study.yaml --data-dir 'my data'"
    )
    assert (
        "wrote my study.yaml: archsearch run --study 'my study.yaml'\n"
        in said("data", "digits", "--out", "my study.yaml").err
    )


def test_json_is_nothing_where_the_study_beside_it_is_not_written(said: Callable[..., Any]) -> None:
    Path("study.yaml").write_text("name: mine\n")
    ended = said("data", "digits", "--json", "--out", "study.yaml")
    assert (ended.code, ended.out) == (1, "")
    assert "error: study.yaml holds another study" in ended.err


def test_what_to_type_next_names_the_database_that_was_typed(said: Callable[..., Any]) -> None:
    Path("runs/archsearch.db").rename("other.db")
    typed = ("--study", "cifar10_random", "--storage", "sqlite:///other.db")
    ended = said("pareto", *typed)
    assert f"archsearch confirm {' '.join(typed)}\n" in ended.out
    assert f"archsearch pareto {' '.join(typed)} --verbose" in ended.out
    retrain = f"archsearch retrain {' '.join(typed)} --trial"
    assert f"{retrain} TRIAL\n" in said("pareto", *typed, "--verbose").out
    assert f"{retrain} front --with-variants" in said("pareto", *typed, "--final").out
    ended = said("plot", "confusion", *typed)
    assert (ended.code, ended.err.splitlines()[-1]) == (1, f"make it with: archsearch retrain {' '.join(typed)}")
    ended = said("export", *typed, "--trial", "best", "--select", "accuracy")
    assert f"archsearch retrain {' '.join(typed)} --trial best --select accuracy; or export its initial weights" in (
        " ".join(ended.err.split())
    )


def test_a_design_is_said_to_have_all_its_trials_and_each_network_once(said: Callable[..., Any]) -> None:
    printed = said("pareto", "--study", "cifar10_random.trust-bbf805").out
    assert "· 18 trials" in " ".join(printed.split())  # 9 networks with 2 seeds, as `archsearch studies` counts them
    assert "The front: 5 of 9 networks" in printed
