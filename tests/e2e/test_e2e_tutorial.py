"""The commands of docs/tutorial.md, in its order and as they stand there, but of a study that is run already."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

TUTORIAL = (Path(__file__).resolve().parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
TYPED = [shlex.split(line)[1:] for line in re.findall(r"^    (archsearch .+)$", TUTORIAL, re.MULTILINE)]
(PYTHON,) = re.findall(r"^```python\n(.*?)^```", TUTORIAL, re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.usefixtures("in_the_folder")


def smaller(words: list[str]) -> list[str]:
    """The command for the small study in place of `quickstart`, which tests/test_examples.py runs; one epoch."""
    study = "./tiny.yaml" if words[0] == "run" else "tiny"
    words = [re.sub(r"^quickstart\b", study, word) for word in words]
    return ["1" if before == "--epochs" else word for before, word in zip(["", *words], words, strict=False)]


@pytest.fixture(scope="module")
def before(shared_finished: object) -> tuple[object, bytes]:
    """The study and its worker's log as the run left them."""
    log = shared_finished.folder / "runs" / "tiny" / "workers" / "worker-0.log"
    return shared_finished.study().records, log.read_bytes()


@pytest.fixture(scope="module")
def typed(shared_finished: object, before: object) -> list[subprocess.CompletedProcess[str]]:
    return [shared_finished.type(*smaller(words)) for words in TYPED]


def test_every_command_of_the_tutorial_succeeds(typed: list[subprocess.CompletedProcess[str]]) -> None:
    assert {words[0] for words in TYPED} >= {"run", "pareto", "report", "describe", "ablate", "retrain", "export"}
    for ended in typed:
        assert ended.returncode == 0, (ended.args, ended.stderr)
    assert "nothing was stored" in typed[0].stdout


def test_a_dry_run_and_the_same_command_again_do_nothing(
    before: tuple[object, bytes], typed: list[subprocess.CompletedProcess[str]], shared_finished: object
) -> None:
    assert "3 of 3 trials are done" in typed[1].stderr
    log = shared_finished.folder / "runs" / "tiny" / "workers" / "worker-0.log"
    assert (shared_finished.study().records, log.read_bytes()) == before  # no worker was started


def test_the_tutorial_names_the_files_that_are_written(
    typed: list[subprocess.CompletedProcess[str]], shared_finished: object
) -> None:
    arch_id = shared_finished.study().best.arch_id
    named = set(re.findall(r"`runs/quickstart/([\w./]+?)/?`", TUTORIAL))
    assert named == {"pareto.html", "report.html", "retrain/ARCH_ID"}
    for name in named:
        assert (Path("runs/tiny") / name.replace("ARCH_ID", arch_id)).exists()
    exported = typed[[words[0] for words in TYPED].index("export")].stdout
    for line in ("parity    largest difference", "test      top-1", "latency   onnx: p10"):
        assert line in exported
        assert line in TUTORIAL


def test_a_limit_chooses_the_network_to_retrain_as_the_page_on_fast_networks_shows(
    typed: list[subprocess.CompletedProcess[str]], shared_finished: object
) -> None:
    chosen = shared_finished.study().choose("best", rule="latency<=5")
    ended = shared_finished.type(
        "retrain", "--trial", "best", "--select", "latency<=5", "--protocol", "modern", "--epochs", "1"
    )
    assert ended.returncode == 0, ended.stderr
    assert f"runs/tiny/retrain/{chosen.record.arch_id}" in ended.stdout


def test_the_python_of_the_tutorial_prints_the_recommendation_and_the_front(
    typed: list[subprocess.CompletedProcess[str]], shared_finished: object, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(compile(PYTHON.replace('"quickstart"', '"tiny"'), "docs/tutorial.md", "exec"), {})
    said = capsys.readouterr().out
    study = shared_finished.study()
    assert f"Take {study.best.label}" in said or study.best.label in said
    assert len(said.splitlines()) >= len(study.front.members) + 1
