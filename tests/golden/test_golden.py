"""What every command says of one stored study, as files under tests/golden/outputs.

`pytest tests/golden --update-golden` writes them anew. A changed file is a decision: the commit says which, and why.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import runpy
import shutil
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from stored import unpack_golden

from archsearch import __version__
from archsearch.api.schema import schema
from archsearch.plots.catalog import PLOTS

HERE = Path(__file__).parent
OUTPUTS = HERE / "outputs"
LONGEST = 24  # numbers of a list that are written out; a longer one stands as its length, its ends and its hash
WIDTHS = (80, 120)

STUDY = ("--study", "cifar10_random")
SAME = ("--set", "dataset=npz:cifar10", "--set", "latency.backend=onnxruntime")
# As it was asked for when it was stored: made again with these, a design is the stored one, and nothing is trained.
ABLATE = ("ablate", *STUDY, "--choices", "stage2.kernel,head.type,residual", "--seeds", "3", "--workers", "1")
CONFIRM = ("confirm", *STUDY, "--seeds", "3", "--top", "3", "--workers", "1")
TRUST = ("trust", *STUDY, "--n", "12", "--epochs", "40", "--workers", "1")
LATER_TRUST = ("trust", *STUDY, "--n", "9", "--epochs", "80", "--seeds", "2", "--workers", "1")
RUN = ("run", *STUDY, *SAME, "--set", "constraints.params=3000000", "--trials", "99", "--workers", "1")

# What is printed in a terminal, at each of the widths.
PRINTED = {
    "pareto": ("pareto", *STUDY),
    "pareto-verbose": ("pareto", *STUDY, "--verbose"),
    "report-markdown": ("report", *STUDY, "--markdown"),
    "report-latex": ("report", *STUDY, "--latex"),
    "compare": ("compare", "cifar10_random", "cifar10_other"),
    "ablate": ABLATE,
    "confirm": CONFIRM,
    "trust": TRUST,
    "trust-later": LATER_TRUST,
    "run": RUN,
    "studies": ("studies",),
    "guidelines": ("guidelines",),
    "replay": ("replay", *STUDY, "--policy", "predicted"),
    "describe": ("describe", "cifar10_random:best"),
    "audit": ("audit", "cifar10_random:best", "shufflenet_v2_x0_5", "--units", "--classes", "10", "--input-size", "32"),
    "papers": ("papers", "--paper", "ldc"),
    "variants": ("variants", "--family", "resnet_cifar"),
    "plot": ("plot",),
}
AT_ONE_WIDTH = {
    "pareto-verbose",
    "report-markdown",
    "report-latex",
    "papers",
    "variants",
    "audit",
    "run",
    "trust-later",
}
AS_JSON = ("pareto", "compare", "ablate", "confirm", "trust", "trust-later", "studies", "guidelines", "replay",
           "describe", "audit", "papers", "variants")  # fmt: skip
# What is written into the folder `out`.
WRITTEN = {
    "pareto-files": ("pareto", *STUDY, "--plot", "--csv", "--out", "out"),
    "report-page": ("report", *STUDY, "--out", "out/report.html"),
    "compare-files": ("compare", "cifar10_random", "cifar10_other", "--plot", "--csv", "--out", "out"),
    "guidelines-page": ("guidelines", "--plot", "--out", "out"),
    "describe-page": ("describe", "cifar10_random:best", "--plot", "out/describe.html"),
    "papers-markdown": ("papers", "--paper", "ldc", "--markdown"),
    **{f"plot-{name}": ("plot", name, *STUDY, "--out", f"out/{name}.html") for name in PLOTS.names()},
    **{f"plot-{name}-data": ("plot", name, *STUDY, "--out", f"out/{name}.json") for name in PLOTS.names()},
}
# Pages that a command with a design writes below runs/.
DESIGNED = {
    "ablate-page": ((*ABLATE, "--plot"), "ablation.html"),
    "trust-page": ((*TRUST, "--plot"), "trust.html"),
    "trust-later-page": ((*LATER_TRUST, "--plot"), "trust.html"),
}

A_DECISION = "a golden file differs: a decision? --update-golden, and say why"

Run = Callable[..., str]
Golden = Callable[[Mapping[str, str]], dict[str, str]]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stored study below runs/, and its made-up images."""
    folder = tmp_path_factory.mktemp("golden")
    unpack_golden(folder)
    runpy.run_path(str(HERE / "make_study.py"))["write_images"](folder / "cifar10")
    return folder


@pytest.fixture
def run(stored: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in the folder; gives what it printed, errors below. No network is tried, and none is trained."""
    from archsearch.cli.console import console, error_console
    from archsearch.cli.main import main

    made_up = runpy.run_path(str(HERE / "make_study.py"))["fingerprint"]
    monkeypatch.setattr("archsearch.search.plan.device_fingerprint", made_up)
    monkeypatch.setattr("archsearch.latency.fingerprint.device_fingerprint", made_up)
    monkeypatch.setattr("archsearch.search.plan._preflight", lambda *_, **__: None)
    monkeypatch.setattr("archsearch.search.run.start_worker", _no_worker)
    monkeypatch.setattr("archsearch.search.processes.add_idle", lambda *_, **__: None)
    monkeypatch.chdir(stored)
    shutil.rmtree("out", ignore_errors=True)
    Path("out").mkdir()

    def run(*arguments: str, width: int = 120) -> str:
        monkeypatch.setenv("COLUMNS", str(width))
        for made in (console, error_console):
            monkeypatch.setattr(made, "width", width)
            monkeypatch.setattr(made, "soft_wrap", False)
        monkeypatch.setattr("sys.argv", ["archsearch", *arguments])
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        captured = capsys.readouterr()
        errors = re.sub(r"^(reading|predictors|counting|estimating|listing) .*\n", "", captured.err, flags=re.MULTILINE)
        said = captured.out + (f"--- standard error ---\n{errors}" if errors else "")
        return _scrubbed(said + (f"--- exit code {code} ---\n" if code else ""))

    return run


def _no_worker(*_: Any, **__: Any) -> None:
    raise AssertionError("a worker was started: the design is not the stored one, or not complete")


def _scrubbed(text: str) -> str:
    """Text without what differs from day to day."""
    text = re.sub(r"\d+ s in this run", "0 s in this run", text).replace(__version__, "VERSION")
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """The texts of these names under `outputs`; with --update-golden the new ones, which are then written there."""

    def stored(texts: Mapping[str, str]) -> dict[str, str]:
        if request.config.getoption("--update-golden"):
            OUTPUTS.mkdir(exist_ok=True)
            for name, text in texts.items():
                (OUTPUTS / name).write_text(text, encoding="utf-8")
            return dict(texts)
        missing = [name for name in texts if not (OUTPUTS / name).is_file()]
        assert not missing, "not there: pytest tests/golden --update-golden"
        return {name: (OUTPUTS / name).read_text(encoding="utf-8") for name in texts}

    return stored


@pytest.mark.parametrize("name", PRINTED)
def test_what_is_printed_is_as_it_was(name: str, run: Run, golden: Golden) -> None:
    widths = WIDTHS[-1:] if name in AT_ONE_WIDTH else WIDTHS
    found = {f"{name}.{width}.txt": run(*PRINTED[name], width=width) for width in widths}
    assert found == golden(found), A_DECISION


@pytest.mark.parametrize("name", AS_JSON)
def test_json_is_as_it_was(name: str, run: Run, golden: Golden) -> None:
    printed = json.loads(run(*PRINTED[name], "--json").partition("--- standard error ---")[0])
    jsonschema.validate(printed, _closed(schema(PRINTED[name][0])), jsonschema.Draft202012Validator)
    found = {f"{name}.json": _plain_json(printed)}
    assert found == golden(found), A_DECISION


def _closed(part: Any) -> Any:
    """A schema that allows no key beside those that it names, unless it says so: what is printed has no other."""
    if isinstance(part, list):
        return [_closed(each) for each in part]
    if not isinstance(part, dict):
        return part
    made = {key: _closed(each) for key, each in part.items()}
    return {"additionalProperties": False} | made if isinstance(part.get("properties"), dict) else made


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_is_as_it_was(name: str, run: Run, golden: Golden) -> None:
    said = run(*WRITTEN[name])
    found: dict[str, str] = {}
    for path in sorted(Path("out").iterdir()):
        found |= _texts_of(name, path)
    if name == "papers-markdown" or not found:
        found[f"{name}.txt"] = said
    assert found == golden(found), A_DECISION


@pytest.mark.parametrize("name", DESIGNED)
def test_the_page_of_a_design_is_as_it_was(name: str, run: Run, golden: Golden) -> None:
    arguments, file = DESIGNED[name]
    for earlier in Path("runs").glob(f"*/{file}"):
        earlier.unlink()
    run(*arguments)
    (page,) = Path("runs").glob(f"*/{file}")
    found = _texts_of(name, page)
    assert found == golden(found), A_DECISION


def test_the_page_of_a_check_is_of_the_design_that_was_run_and_not_of_the_newest(run: Run) -> None:
    run(*TRUST, "--plot")
    assert "epochs against 40" in Path("runs/cifar10_random/trust.html").read_text(encoding="utf-8")
    run(*LATER_TRUST, "--plot")
    assert "epochs against 80" in Path("runs/cifar10_random/trust.html").read_text(encoding="utf-8")


def test_every_golden_file_is_of_a_test(request: pytest.FixtureRequest) -> None:
    names = {*PRINTED, *WRITTEN, *DESIGNED}
    orphans = [path.name for path in OUTPUTS.iterdir() if path.name.partition(".")[0] not in names]
    if request.config.getoption("--update-golden"):
        for orphan in orphans:
            (OUTPUTS / orphan).unlink()
    else:
        assert not orphans


def _texts_of(name: str, path: Path) -> dict[str, str]:
    """What is compared of a file that was written, by the names of the golden files."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".html":
        return {
            f"{name}.page.txt": _scrubbed(_page_text(text)),
            f"{name}.figures.json": _plain_json(_figures(text)),
        }
    return {f"{name}{path.suffix}": _plain_json(json.loads(text)) if path.suffix == ".json" else text}


def _plain_json(content: Any) -> str:
    return json.dumps(_short(content), indent=1, ensure_ascii=False) + "\n"


def _short(value: Any) -> Any:
    """Numbers of 6 significant digits; long lists of numbers or texts as length, ends and hash."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        if "bdata" in value:  # how plotly writes arrays
            array = np.frombuffer(base64.b64decode(value["bdata"]), dtype=value["dtype"])
            return _short(array.tolist())
        return {key: _short(each) for key, each in value.items() if key != "template"}
    if isinstance(value, list):
        found = [_short(each) for each in value]
        text = json.dumps(found)
        if len(found) > LONGEST and (len(text) > 2000 or not isinstance(found[0], dict | list)):
            return {"length": len(found), "first": found[:3], "last": found[-3:],
                    "sha256": hashlib.sha256(text.encode()).hexdigest()[:12]}  # fmt: skip
        return found
    return value


def _figures(page: str) -> list[Any]:
    """The figures of a page, in order: their traces and their layout."""
    stored = re.findall(r'<div class="drawing".*?</div><script type="application/json">(.*?)</script>', page)
    return [{"data": each["data"], "layout": each["layout"]} for each in map(json.loads, stored)]


class _Text(HTMLParser):
    """A page as lines: a line for each block, cells of a row apart by bars, data-value beside what is shown."""

    BLOCKS = ("p", "h1", "h2", "h3", "h4", "li", "dt", "dd", "tr", "summary", "title", "figcaption", "section", "div",
              "button", "nav", "ul", "table", "caption")  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "style"):
            self._silent += 1
        elif tag in ("td", "th"):
            self.parts.append(" | ")
        elif tag in self.BLOCKS:
            self.parts.append("\n" if tag == "button" else f"\n<{tag}> " if tag.startswith("h") else "\n")
        for name in ("data-value", "href", "open"):
            if name in given and tag in ("td", "a", "details"):
                value = given[name] or ""
                self.parts.append(f"[{float(value):.6g}] " if name == "data-value" else f"[{name} {value}] ")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(re.sub(r"\s+", " ", data))


def _page_text(page: str) -> str:
    """What a reader sees of a page, and the data that its scripts show."""
    parser = _Text()
    parser.feed(page)
    lines = [line.strip() for line in "".join(parser.parts).splitlines()]
    page = re.sub(r'(<div class="drawing"[^>]*></div>)<script.*?</script>', r"\1", page)  # these are _figures
    scripts = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, flags=re.DOTALL)
    data = [_plain_json(json.loads(html.unescape(script))) for script in scripts]
    return "\n".join([*(line for line in lines if line), *data]) + "\n"
