"""The report: typed as a command, and opened from a file by Chromium with the network cut off."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from archsearch.api.report import make_report, write_report
from archsearch.api.study import Study, open_study
from archsearch.models.variants import find_variant
from archsearch.records import Cost, Epoch, Latency, Score, TrialStatus
from archsearch.search.config import load_study
from archsearch.store.database import Database
from archsearch.store.rows import latency_to_row, score_to_row
from archsearch.store.schema import TrialRow
from archsearch.store.studies import enter_study, find_study, fix_reference_latency, fix_reference_point

STORED = Path(__file__).parents[2] / "benchmarks" / "data" / "cifar10_random.json.gz"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
REFERENCE_MS = 0.5
MARKUP = "</script><img src=x onerror='window.markupRan=1'>"


def _facts(trial: dict[str, Any]) -> tuple[Cost, Latency, Score]:
    """What the exported file has of a trial; the rest of a latency is made up, and no test looks at it."""
    ms, top1 = trial["latency_ms"], 100.0 - trial["curve"][-1]
    cost = Cost(params=trial["params"], macs=trial["macs"], input_size=32, num_classes=10)
    latency = Latency(
        p10_ms=ms, median_ms=1.1 * ms, p90_ms=1.5 * ms, ratio_to_reference=ms / REFERENCE_MS,
        reference="shufflenet_v2_x1_0", reference_p10_ms=REFERENCE_MS, n=200, bursts=20, half_split_difference=0.01,
        converged=True, contended=False, device="cpu", backend="onnxruntime", batch=1, threads=1, input_size=32,
        fingerprint="0123456789ab", measure_seconds=4.0, study_reference_ms=REFERENCE_MS,
        ratio_low=0.98 * ms / REFERENCE_MS, ratio_high=1.02 * ms / REFERENCE_MS,
    )  # fmt: skip
    curve = tuple(
        Epoch(epoch=epoch, train_loss=loss, top1_percent=100.0 - error, learning_rate=0.05, train_seconds=2.5)
        for epoch, (error, loss) in enumerate(zip(trial["curve"], trial["train_loss"], strict=True), start=1)
    )
    score = Score(
        top1_percent=top1, epochs=len(curve), seed=0, split="validation", train_images=1200, eval_images=1500,
        protocol="proxy", train_seconds=20.0, images_per_second=480.0, device="cpu", curve=curve,
    )  # fmt: skip
    return cost, latency, score


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with the study that was run on real CIFAR-10, from the file that it was exported to."""
    content = json.loads(gzip.decompress(STORED.read_bytes()))
    config = load_study(content["study"])
    space = config.search_space()
    url = f"sqlite:///{tmp_path_factory.mktemp('stored') / 'archsearch.db'}"
    database = Database(url, create=True)
    study = enter_study(
        database, name=content["study"], config=config.model_dump(mode="json"), space=space.to_dict(),
        space_fingerprint=space.fingerprint,
        facts={"input_size": 32, "num_classes": 10, "device": {"cpu": "two cores"}, "command": "archsearch run",
               "noise_floor": {"relative": content["noise_floor"]}},
    )  # fmt: skip
    fix_reference_latency(database, study.id, REFERENCE_MS)
    fix_reference_point(database, study.id, dict(zip(content["objectives"], content["reference_point"], strict=True)))
    with database.writing() as session:
        for trial in content["trials"]:
            named = trial["variant"]
            spec = find_variant(named).spec.at_scale(config.scale) if named else space.spec(trial["suggested"])
            spec = spec.normalised(32)
            cost, latency, score = _facts(trial)
            rows = latency_to_row(latency, spec.arch_id), score_to_row(score, study.id, spec.arch_id)
            session.add_all(rows)
            session.flush()
            session.add(
                TrialRow(
                    study_id=study.id,
                    number=trial["trial"],
                    status=TrialStatus.COMPLETE.value,
                    variant=named,
                    suggested=trial["suggested"],
                    family=spec.family,
                    arch_id=spec.arch_id,
                    choices=spec.choices(),
                    cost=asdict(cost),
                    told=True,
                    latency_id=rows[0].id,
                    training_id=rows[1].id,
                    seconds=30.0,
                )
            )
    database.close()
    return url


@pytest.fixture(scope="module")
def study(stored: str) -> Study:
    return open_study(storage=stored)


@pytest.fixture(scope="module")
def page_file(stored: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    report = make_report(open_study(storage=stored), command="archsearch report")
    return write_report(report, tmp_path_factory.mktemp("page") / "report.html")


@contextmanager
def opened(path: Path, profile: Path, *, width: int, **context_options: Any) -> Iterator[Any]:
    """The page in Chromium, offline; anything but the file itself, or a word on the console, fails the test."""
    from playwright.sync_api import sync_playwright

    wrong: list[str] = []
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(profile), executable_path=CHROMIUM, args=FLAGS, viewport={"width": width, "height": 900},
            accept_downloads=True, **context_options,
        )  # fmt: skip
        try:
            context.set_offline(True)
            context.set_default_timeout(120_000)  # a busy machine takes its time over five megabytes of script
            page = context.pages[0]

            def check(route: Any) -> None:
                if route.request.url.startswith(("file:", "data:", "blob:")):
                    route.continue_()
                else:
                    wrong.append(route.request.url)
                    route.abort()

            page.route("**/*", check)
            page.on("request", lambda request: None if request.url.startswith(("file:", "data:", "blob:"))
                    else wrong.append(request.url))  # fmt: skip
            page.on(
                "console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else 0
            )
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.goto(path.as_uri())
            page.wait_for_selector("#network h3")
            yield page
        finally:
            context.close()
    assert wrong == []


needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome on PATH")


def point_of(page: Any, top1: float, ms: float) -> tuple[float, float]:
    """Where a network's point is on the screen."""
    x, y = page.evaluate(
        """([top1, ms]) => {
            const figure = document.querySelector(".picks-networks .js-plotly-plot");
            figure.scrollIntoView({block: "center"});
            const {xaxis, yaxis} = figure._fullLayout, box = figure.getBoundingClientRect();
            return [box.left + xaxis._offset + xaxis.d2p(ms), box.top + yaxis._offset + yaxis.d2p(top1)];
        }""",
        [top1, ms],
    )
    return float(x), float(y)


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("width", [400, 1600])
def test_a_point_can_be_hovered_and_clicked(width: int, page_file: Path, study: Study, tmp_path: Path) -> None:
    pytest.importorskip("playwright")
    fastest = study.front.members[0].record
    assert fastest.score is not None
    assert fastest.latency is not None
    with opened(page_file, tmp_path, width=width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.inner_text("#network h3").startswith(study.best.label)
        where = point_of(page, fastest.score.top1_percent, fastest.latency.corrected_ms)
        page.mouse.move(*where)
        page.wait_for_selector(".picks-networks .hoverlayer .hovertext")
        assert fastest.label in page.text_content(".picks-networks .hoverlayer")
        page.mouse.click(*where)
        page.wait_for_function(f"document.querySelector('#network h3').textContent.startsWith('{fastest.label}')")
        shown = page.inner_text("#network")
        assert f"{fastest.score.top1_percent:.2f} %" in shown
        assert f"{fastest.cost.params:,}" in shown if fastest.cost is not None else False
        assert f"--trial {fastest.trial}" in shown
        assert fastest.arch_id in shown
        assert page.locator("#network .drawing .main-svg").count() > 0
        assert page.locator("#built .block").count() == 5  # stem, three stages, head
        assert page.locator("#built .op.differs").count() > 0
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
@needs_chromium
def test_the_page_is_used_with_the_keyboard_alone(page_file: Path, study: Study, tmp_path: Path) -> None:
    pytest.importorskip("playwright")
    by_latency = [row.record for row in study.front.rows]
    with opened(page_file, tmp_path, width=1600) as page:
        page.focus("#which")
        page.select_option("#which", str(by_latency[0].trial))
        assert page.inner_text("#network h3").startswith(by_latency[0].label)
        page.focus(".picks-networks")
        page.keyboard.press("ArrowRight")
        assert page.inner_text("#network h3").startswith(by_latency[1].label)
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        assert page.inner_text("#network h3").startswith(by_latency[0].label)
        button = page.locator("#front td.trial button").last
        button.focus()
        page.keyboard.press("Enter")
        assert page.inner_text("#network h3").startswith(f"trial {button.inner_text()}")


@pytest.mark.slow
@needs_chromium
def test_the_page_is_dark_where_the_browser_is_and_every_text_is_read(page_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("playwright")
    with opened(page_file, tmp_path, width=1600, color_scheme="dark") as page:
        # The contrast of every text with what it stands on, as WCAG 2.2 reckons it; letters on heat maps are
        # plotly's own choice.
        low = page.evaluate(
            """() => {
                const rgb = (color) => color.match(/[0-9.]+/g).map(Number);
                const luminance = (color) => rgb(color).slice(0, 3).map((part) => part / 255)
                    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
                    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
                const contrast = (a, b) => {
                    const [dim, bright] = [luminance(a), luminance(b)].sort((x, y) => x - y);
                    return (bright + 0.05) / (dim + 0.05);
                };
                const ground = (element) => {
                    for (let each = element; each; each = each.parentElement) {
                        const color = getComputedStyle(each).backgroundColor;
                        if (!(rgb(color)[3] === 0)) return color;
                    }
                    return "rgb(255, 255, 255)";
                };
                const found = [];
                const texts = "p, h1, h2, h3, h4, li, td, th, dt, dd, a, code, summary";
                for (const element of document.querySelectorAll(texts)) {
                    const ratio = contrast(getComputedStyle(element).color, ground(element));
                    if (ratio < 4.5) found.push([element.tagName, element.textContent.slice(0, 40), ratio]);
                }
                const paper = getComputedStyle(document.body).backgroundColor;
                for (const element of document.querySelectorAll(".drawing text")) {
                    if (!element.textContent.trim() || element.closest(".heatmap-label, .heatmaplayer")) continue;
                    const ratio = contrast(getComputedStyle(element).fill, paper);
                    if (ratio < 4.5) found.push(["figure", element.textContent.slice(0, 40), ratio]);
                }
                return found;
            }"""
        )
        assert low == []
        assert page.locator(".drawing text").count() > 100
        ground = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(ground) != "rgb(255, 255, 255)"
        page.emulate_media(color_scheme="light")
        page.wait_for_function("() => document.querySelector('#plot-front').layout.paper_bgcolor === 'white'")
        assert page.evaluate(ground) == "rgb(255, 255, 255)"


@pytest.mark.slow
@needs_chromium
def test_printed_on_a4_nothing_is_wider_than_the_page_nor_cut(page_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("playwright")
    width = 695  # 210 mm less two margins of 13 mm, at 96 pixels an inch
    with opened(page_file, tmp_path, width=width, color_scheme="dark") as page:
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        page.emulate_media(media="print")
        wider = page.evaluate(
            """(width) => [...document.querySelectorAll("main *:not(caption)")]
                .filter((each) => each.getClientRects().length && !each.closest("caption, .drawing svg, .drawing")
                    && each.getBoundingClientRect().right > width + 1)
                .map((each) => [each.tagName, each.className, each.textContent.slice(0, 40)])""",
            width,
        )
        assert wider == []
        # Every figure is whole in its frame, and light; nothing scrolls, and no tool of the screen is left.
        for figure in page.locator(".figure").all():
            frame, drawn = figure.bounding_box(), figure.locator(".drawing .main-svg").first.bounding_box()
            assert frame is not None and drawn is not None
            assert drawn["width"] <= frame["width"] + 1 and drawn["height"] <= frame["height"] + 1
            assert drawn["height"] < 1000  # a page has 267 mm, 1009 pixels
        papers = page.evaluate("[...document.querySelectorAll('.drawing')].map((each) => each.layout.paper_bgcolor)")
        assert set(papers) == {"white"}
        rooms = page.locator(".scroll").evaluate_all("each => each.map((one) => [one.scrollWidth, one.clientWidth])")
        assert all(inside <= room + 1 for inside, room in rooms)
        for gone in (".modebar-container", "nav", ".csv", "details.data"):
            assert page.locator(f"{gone} >> visible=true").count() == 0
        page.emulate_media(media="screen")
        page.evaluate("window.dispatchEvent(new Event('afterprint'))")
        page.wait_for_function("() => document.querySelector('#plot-front').layout.paper_bgcolor !== 'white'")


@pytest.mark.slow
@needs_chromium
def test_on_a_phone_every_panel_of_a_figure_is_in_sight(page_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("playwright")
    with opened(page_file, tmp_path, width=400) as page:
        beyond = page.evaluate(
            """() => [...document.querySelectorAll(".figure:not(.moves)")].flatMap((figure) =>
                [...figure.querySelectorAll(".bglayer .bg, .draglayer .nsewdrag")]
                    .map((panel) => panel.getBoundingClientRect())
                    .filter((box) => box.width && (box.right > innerWidth || box.left < 0))
                    .map(() => figure.firstChild.id))"""
        )
        assert beyond == []
        moved = page.locator(".figure.moves").first  # parallel coordinates: the axes do not fit, and it says so
        assert "wider than the window" in moved.evaluate("each => getComputedStyle(each, '::before').content")
        moved.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("() => document.querySelector('.figure.moves').scrollLeft > 0")


@pytest.mark.slow
@needs_chromium
def test_tables_sort_and_save_as_csv(page_file: Path, study: Study, tmp_path: Path) -> None:
    pytest.importorskip("playwright")
    with opened(page_file, tmp_path, width=1600) as page:
        data = page.locator("#front details.data").first
        data.locator("summary").click()
        header = data.locator("th", has_text=re.compile(r"^Params")).first
        column = header.evaluate("cell => cell.cellIndex")
        cells = f"#front details.data >> nth=0 >> tbody tr td:nth-child({column + 1})"
        wanted = sorted(row.record.cost.params for row in study.front.rows if row.record.cost is not None)
        for order in (wanted, wanted[::-1]):
            header.locator("button").click()
            found = page.locator(cells).evaluate_all("cells => cells.map((cell) => Number(cell.dataset.value))")
            assert found == order
        with page.expect_download() as download:
            data.locator(".csv").click()
        assert download.value.suggested_filename.endswith(".csv")
        rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"))))
        assert len(rows) == len(study.front.rows)
        assert [float(row[next(name for name in row if name.startswith("Params"))]) for row in rows] == wanted[::-1]
        # a table that was never opened is saved as well
        folded = page.locator("#progress details.data").first
        folded.locator("summary").click()
        folded.locator("summary").click()
        verdicts = page.locator("#variants section")
        with page.expect_download() as download:
            verdicts.locator(".csv").click()
        rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8"))))
        assert [row["Network"] for row in rows] == [verdict.variant for verdict in study.verdicts]
        assert [float(row["Slower by (ms)"]) for row in rows] == [verdict.faster_ms for verdict in study.verdicts]


@pytest.mark.slow
@needs_chromium
def test_a_name_with_markup_stays_text_in_the_browser(stored: str, tmp_path: Path) -> None:
    pytest.importorskip("playwright")
    copy = tmp_path / "copy.db"
    shutil.copy(stored.removeprefix("sqlite:///"), copy)
    database = Database(f"sqlite:///{copy}", create=False)
    with database.writing() as session:
        session.execute(
            update(TrialRow).where(TrialRow.variant == "shufflenet_v2_x1_0").values(variant=MARKUP, checksums=None)
        )
    study = open_study(storage=f"sqlite:///{copy}")
    trial = next(record.trial for record in study.records if record.variant == MARKUP)
    assert find_study(database, "cifar10_random").name == "cifar10_random"
    database.close()
    path = write_report(make_report(study), tmp_path / "report.html")
    with opened(path, tmp_path / "profile", width=1600) as page:
        page.select_option("#which", str(trial))
        assert MARKUP in page.inner_text("#network h3")
        assert MARKUP in page.inner_text("#variants")
        assert page.evaluate("window.markupRan") is None
        assert page.locator("img[src='x']").count() == 0


def test_the_command_writes_a_page_without_torch(stored: str, study: Study, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['archsearch', 'report', '--storage', {stored!r}, '--out', 'page.html']\n"
        "from archsearch.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code, ended.code\n"
        "print('TORCH', 'torch' in sys.modules)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "TORCH False" in ended.stdout
    assert "wrote page.html" in ended.stdout
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(text.encode()) < 8_000_000
    for member in study.front.members:
        assert f"--trial {member.record.trial}" in text


@pytest.mark.parametrize(("form", "part"), [("--markdown", "## The published networks"), ("--latex", r"\toprule")])
def test_the_command_prints_text(form: str, part: str, stored: str, capsys: pytest.CaptureFixture[str]) -> None:
    from archsearch.cli.studies import report

    report(storage=stored, markdown=form == "--markdown", latex=form == "--latex", study=None, out=None)
    printed = capsys.readouterr().out
    assert part in printed
    assert "210" in printed
    assert "<html" not in printed
