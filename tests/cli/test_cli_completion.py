"""Names that a shell completes: in a real bash, zsh and fish, and from a database that is only read."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from makers import make_record
from stored import store_study

import archsearch
from archsearch.cli.main import app, main
from archsearch.export import FORMATS
from archsearch.plots.catalog import PLOTS
from archsearch.plots.summaries import SUMMARIES
from archsearch.search.stopping.rules import STOPPING
from archsearch.store.database import Database
from archsearch.store.names import trial_names
from archsearch.store.schema import StudyRow
from archsearch.training.protocols import PROTOCOLS
from archsearch.training.start import STARTS

BASH = """
eval "$(_ARCHSEARCH_COMPLETE=source_bash archsearch)"
complete_last() { COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _archsearch_completion archsearch; echo "${COMPREPLY[*]}"; }
complete_last archsearch plot fron
complete_last archsearch retrain --study small --trial 1
"""
ZSH = """
autoload -Uz compinit; compinit -D -u
_arguments() { print -r -- "$@" }  # what zsh would offer
eval "$(_ARCHSEARCH_COMPLETE=source_zsh archsearch)"
complete_last() { words=("$@"); CURRENT=$#words; _archsearch_completion }
complete_last archsearch plot fron
"""
FISH = """
_ARCHSEARCH_COMPLETE=source_fish archsearch | source
complete -C "archsearch plot fron"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a study of two networks, and `archsearch` on the path."""
    records = [make_record(0, variant="shufflenet_v2_x0_5"), make_record(1, arch_id="abc")]
    store_study(f"sqlite:///{tmp_path}/runs/archsearch.db", records)
    program = tmp_path / "bin" / "archsearch"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom archsearch.cli.main import main\nmain()\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(shell: str, options: list[str], script: str, folder: Path) -> list[str]:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"no {shell} here")
    command = [path, *options, "-c", script]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stderr == ""
    return ended.stdout.splitlines()


def test_bash_completes_plots_and_trials(folder: Path) -> None:
    assert said("bash", ["--norc", "--noprofile"], BASH, folder) == ["front front-3d", "1"]


def test_zsh_completes_plots_with_what_they_show(folder: Path) -> None:
    (offered,) = said("zsh", ["-f"], ZSH, folder)
    assert f'"front":"{SUMMARIES["front"]}"' in offered and '"front-3d":' in offered


def test_fish_completes_plots_with_what_they_show(folder: Path) -> None:
    offered = dict(line.split("\t") for line in said("fish", ["--no-config"], FISH, folder))
    assert offered == {name: SUMMARIES[name] for name in ("front", "front-3d")}


def completed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """What typer offers for the last word, in this process."""
    monkeypatch.setenv("_ARCHSEARCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", " ".join(("archsearch", *words)))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    with pytest.raises(SystemExit):
        app(prog_name="archsearch")
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("pareto --study sm", ["small"]),
        ("run --study quick", ["quickstart"]),
        ("ablate --study quick", ["quickstart"]),
        ("ablate --study small --from b", ["best"]),
        ("ablate --choices width,stage2.k", ["width,stage2.kernel"]),
        ("retrain --study small --trial 0", ["0"]),
        ("retrain --trial b", ["best"]),
        ("retrain --study absent --trial 0", []),
        ("retrain --protocol mod", ["modern"]),
        ("retrain --select kn", ["knee"]),
        ("describe small:", ["small:best", "small:0", "small:1"]),
        ("describe plain", ["plain_cnn"]),
        ("audit shufflenet_v2_x0_5 resnet2", ["resnet20"]),
        ("measure small:b", ["small:best"]),
        ("compare small sm", ["small"]),
        ("variants --family shufflenet_v1", ["shufflenet_v1"]),
        ("papers --paper ld", ["ldc"]),
        ("pareto --storage sqlite:///other.db --study s", []),
        ("pareto --storage postgresql://nobody@nowhere/x --study s", []),
    ],
)
def test_what_is_offered(
    words: str, offered: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert completed(monkeypatch, capsys, *words.split()) == offered


def test_a_design_offers_its_networks_and_stands_for_its_study_where_none_is_named(folder: Path) -> None:
    url = f"sqlite:///{folder}/runs/archsearch.db"
    store_study(url, [make_record(0, variant="@0#3", arch_id="def")], name="small.confirm-000000")
    assert trial_names(None, None) == ((0, "def"),)
    database = Database(url)
    with database.writing() as session:
        row = session.query(StudyRow).filter_by(name="small.confirm-000000").one()
        row.config = {**row.config, "design": {"of": "small"}}
    database.close()
    assert trial_names(None, None) == ((0, "shufflenet_v2_x0_5"), (1, "abc"))
    assert trial_names(None, "small.confirm-000000") == ((0, "def"),)


def test_names_of_a_database_below_the_home_folder_are_offered_by_its_tilde_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert trial_names("sqlite:///~/runs/archsearch.db", "small") == ((0, "shufflenet_v2_x0_5"), (1, "abc"))
    assert trial_names("sqlite:///~nobody-is-called-so/archsearch.db", "small") == ()


def test_a_database_is_only_read_and_one_that_is_damaged_offers_nothing_of_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "runs" / "archsearch.db"

    def there() -> dict[str, bytes]:
        return {each.name: each.read_bytes() for each in path.parent.iterdir()}

    before = there()
    assert completed(monkeypatch, capsys, "pareto", "--study", "") == ["small"]
    assert there() == before
    path.write_bytes(b"no database" * 1000)
    assert completed(monkeypatch, capsys, "pareto", "--study", "") == []
    for words, offered in (
        (("retrain", "--trial", "b"), ["best"]),
        (("export", "--trial", "plain"), ["plain_cnn"]),
        (("describe", "plain"), ["plain_cnn"]),
        (("ablate", "--study", "small", "--choices", "resid"), ["residual"]),
    ):
        assert completed(monkeypatch, capsys, *words) == offered, words


def test_the_words_that_are_offered_are_those_that_there_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, known in (
        (("plot", ""), PLOTS),
        (("retrain", "--protocol", ""), PROTOCOLS),
        (("retrain", "--start", ""), STARTS),
        (("export", "--format", ""), FORMATS),
        (("replay", "--policy", ""), STOPPING),
    ):
        assert set(completed(monkeypatch, capsys, *words)) == set(known), words
    assert set(SUMMARIES) == set(PLOTS)


def test_the_module_gives_a_shell_the_completion_of_the_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__package__", "archsearch")  # `python -m archsearch`
    monkeypatch.setattr("sys.argv", [str(Path(archsearch.__file__).with_name("__main__.py"))])
    monkeypatch.setenv("_ARCHSEARCH_COMPLETE", "source_bash")
    with pytest.raises(SystemExit, match="0"):
        main()
    assert "complete -o default -F _archsearch_completion archsearch" in capsys.readouterr().out.splitlines()


def test_a_completion_imports_nothing_heavy(folder: Path) -> None:
    code = (
        "import os, sys\n"
        "os.environ |= {'_ARCHSEARCH_COMPLETE': 'complete_bash', 'COMP_CWORD': '5',\n"
        "               'COMP_WORDS': 'archsearch retrain --study small --trial 1'}\n"
        "from archsearch.cli.main import main\n"
        "sys.argv = ['archsearch']\n"
        "try:\n    main()\n"
        "finally:\n    print(*({'torch', 'sqlalchemy', 'numpy', 'plotly', 'optuna'} & set(sys.modules)))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.stdout.split() == ["1"], ended.stderr
