from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from makers import make_score

from archsearch.api.papers import Measured


@pytest.fixture(autouse=True)
def no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_table_for_people_has_printed_computed_and_match(cli: Callable[..., object]) -> None:
    ended = cli("papers", "--paper", "shufflenet_v2_s")
    assert ended.code == 0, ended.err
    (row,) = [line for line in ended.out.splitlines() if "shufflenet_v2_s_counted" in line]
    assert row.split() == ["ShuffleNetV2-s", "shufflenet_v2_s_counted", "params", "2,380,648", "2,380,648", "exact"]
    # 2 counts of table 1; 6 accuracies of table 2 and 8 settings of section 4.1
    assert "16 printed values: 2 exact, 0 round to the printed number, 0 differ, 14 not computed" in ended.out


def test_what_cannot_be_reproduced_is_listed_with_its_reason(cli: Callable[..., object]) -> None:
    ended = cli("papers", "--paper", "shufflenet_v1")
    assert ended.code == 0, ended.err
    assert "Printed counts that are not met" in ended.out
    assert "cannot be reproduced" in ended.out


def test_what_was_measured_stands_beside_the_printed_accuracies(
    cli: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    score = make_score(81.5, epochs=100, seed=3, split="test", protocol="shufflenetv2-s")
    found = Measured(study="small", dataset="cifar10", trial=None, score=score, latency=None, input_size=32)
    monkeypatch.setattr("archsearch.api.papers.stored_studies", lambda _: (SimpleNamespace(name="small"),))
    monkeypatch.setattr(
        "archsearch.api.papers.measured",
        lambda variant, _: (found,) if variant.name == "plain_cnn" else (),
    )
    ended = cli("papers", "--paper", "shufflenet_v2_s")
    assert ended.code == 0, ended.err
    _, _, shown = ended.out.partition("Accuracy on CIFAR-10 and CIFAR-100: measured here")
    for text in ("traditional CNN", "84.47 %", "53.69 %", "81.50 %"):
        assert text in shown
    assert "Measured in: small" in shown


def test_json_is_one_object_and_nothing_else(cli: Callable[..., object]) -> None:
    ended = cli("papers", "--paper", "torchvision", "--json")
    assert ended.code == 0, ended.err
    content = json.loads(ended.out)
    assert content["outcomes"]["not computed"] == content["values"] == 4
    (table,) = content["papers"][0]["tables"]
    assert table["rows"][1]["variant"] == "shufflenet_v2_x1_0"
    assert table["rows"][1]["values"][0]["value"] == [69.362, 88.316]


def test_markdown_is_a_page(cli: Callable[..., object]) -> None:
    ended = cli("papers", "--paper", "torchvision", "--markdown")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("# The papers' printed numbers\n")
    assert "| shufflenet_v2_x1_0 | 69.362 / 88.316 |" in ended.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--paper", "shufflenetv2"], "did you mean 'shufflenet_v2'?"),
        (["--json", "--markdown"], "choose one"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], said: str, cli: Callable[..., object]) -> None:
    ended = cli("papers", *arguments)
    assert ended.code == 2
    assert said in ended.err


def test_help_shows_examples_and_imports_nothing_heavy(cli: Callable[..., object], tmp_path: Path) -> None:
    ended = cli("papers", "--help")
    assert ended.code == 0
    assert "archsearch papers --paper ldc" in ended.out.split("Examples:")[1]
    code = (
        "import sys\nsys.argv = ['archsearch', 'papers', '--help']\n"
        "from archsearch.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('MODULES', *sys.modules)\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    modules = set(shown.stdout.rsplit("MODULES", 1)[1].split())
    assert modules.isdisjoint({"torch", "torchvision", "optuna", "plotly", "sqlalchemy", "fvcore", "numpy"})


def test_loading_the_data_imports_no_torch() -> None:
    code = "import sys\nfrom archsearch.papers import load_papers\nload_papers()\nprint('torch' in sys.modules)\n"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "False\n"
