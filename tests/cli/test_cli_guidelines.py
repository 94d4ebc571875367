"""`archsearch guidelines`: a tiny real run, a run that is stopped and continued, and what is printed and written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from makers import make_latency

from archsearch.analysis.guidelines import ExperimentColumn
from archsearch.latency.fingerprint import device_fingerprint
from archsearch.latency.settings import LatencySettings
from archsearch.records import Latency

TINY = {
    "bursts": 2,
    "runs_per_burst": 1,
    "visits": 1,
    "spread_seconds": 0.0,
    "warmup_runs": 1,
    "warmup_windows": 2,
    "untimed_runs": 0,
    "budget_seconds": 0.2,
    "remeasure": 0,
}
# time over the best row's, of table 3: two fragments clearly slower, the best row within 1 % of its copy
RATIOS = {"1 fragment": 1.0, "2 in series": 1.2, "4 in series": 1.4, "2 in parallel": 1.3, "4 in parallel": 1.6}
Measure = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Latencies by arithmetic in place of measured ones; the names of the groups that were asked for."""
    names: list[str] = []

    def measure(column: ExperimentColumn, here: Any, **_: object) -> dict[str, Any]:
        names.append(column.scale_text)
        settings, device = here.keywords["settings"], here.keywords.get("device", "cpu")
        return {"latencies": [asdict(_latency(RATIOS[row.label], settings, device)) for row in column.rows]}

    monkeypatch.setattr("archsearch.api.guideline_measure.measure_column", measure)
    yield names


def _latency(ratio: float, settings: LatencySettings, device: str) -> Latency:
    return make_latency(
        2.0 * ratio, median_ms=2.5 * ratio, p90_ms=3.0 * ratio, ratio_to_reference=ratio, ratio_low=ratio - 0.01,
        ratio_high=ratio + 0.01, n=60, bursts=6, device=device, backend=settings.backend, input_size=56,
    )  # fmt: skip


def test_a_tiny_run_really_measures_and_a_second_one_does_not(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archsearch.api.guidelines.QUICK", TINY)
    ended = cli("guidelines", "--table", "4", "--quick", "--device", "cpu", "--backend", "torch-eager", "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert (found["backend"], found["batch"], found["printed_column"], found["quick"]) == (
        "torch-eager", 1, "arm", True,
    )  # fmt: skip
    assert found["sample"] is None
    (table,) = found["experiments"]
    assert table["guideline"] == "G4"
    assert [column["scale"] for column in table["columns"]] == ["c=32", "c=64", "c=128"]
    for column in table["columns"]:
        assert len(column["rows"]) == 4
        for row in column["rows"]:
            assert row["latency"]["n"] >= 2
            assert 0 < row["latency"]["ratio_low"] <= row["latency"]["ratio_high"]
    assert ended.err.count(" of 3: table 4, c=") == 3

    def never(*_: object, **__: object) -> dict[str, Any]:
        raise AssertionError("measured again")

    monkeypatch.setattr("archsearch.api.guideline_measure.measure_column", never)
    again = cli("guidelines", "--table", "4", "--quick", "--device", "cpu", "--backend", "torch-eager", "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out) == found
    assert " of 3: " not in again.err


def test_the_sample_is_explained(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, measured: list[str]) -> None:
    monkeypatch.setattr("archsearch.api.guidelines.QUICK", TINY)
    monkeypatch.setattr("archsearch.api.guidelines.TABLES", ("3",))
    ended = cli("guidelines", "--quick", "--device", "cpu", "--backend", "torch-eager", "--json")
    assert ended.code == 0, ended.err
    sample = json.loads(ended.out)["sample"]
    assert len(sample["networks"]) == 8
    assert {each["names"][0] for each in sample["regression"]["alone"]} == {
        "MACs",
        "memory access",
        "operators",
        "parameters",
    }
    for network in sample["networks"]:
        assert min(network[name] for name in ("macs", "params", "operators", "memory_bytes", "latency_ms")) > 0


def test_a_run_that_is_stopped_continues_with_the_same_command(
    cli: Callable[..., Any], measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import archsearch.api.guideline_measure as module

    measure = module.measure_column
    calls = 0

    def stopped(*args: Any, **kwargs: Any) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return measure(*args, **kwargs)

    monkeypatch.setattr(module, "measure_column", stopped)
    ended = cli("guidelines", "--table", "3", "--device", "cpu")
    assert ended.code != 0
    assert measured == ["c=64", "c=128"]
    (file,) = Path("runs/guidelines").glob("*.json")
    assert len(json.loads(file.read_text())["groups"]) == 2
    monkeypatch.setattr(module, "measure_column", measure)
    assert cli("guidelines", "--table", "3", "--device", "cpu").code == 0
    assert measured == ["c=64", "c=128", "c=256"]
    assert cli("guidelines", "--table", "3", "--device", "cpu", "--quick").code == 0  # other settings, other groups
    assert len(measured) == 6
    assert cli("guidelines", "--table", "3", "--device", "cpu", "--again").code == 0
    assert len(measured) == 9


def test_a_study_of_more_threads_finds_the_guidelines_of_as_many(
    cli: Callable[..., Any], measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archsearch.search.devices.usable_cores", lambda: 4)
    found = {}
    for threads in (1, 3):
        ended = cli("guidelines", "--table", "3", "--device", "cpu", "--threads", str(threads), "--json")
        assert ended.code == 0, ended.err
        found[threads] = json.loads(ended.out)
    assert [each["threads"] for each in found.values()] == [1, 3]
    assert found[3]["fingerprint"] == device_fingerprint("cpu", found[3]["backend"], 3, "fp32").id
    assert len(measured) == 2 * 3
    assert cli("guidelines", "--table", "3", "--device", "cpu", "--precision", "fp32").code == 0
    assert len(measured) == 2 * 3  # the usual precision, said aloud


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--threads", "5"), "threads 5: 1 to 4 CPU cores may be used here"),
        (("--cores", "big"), "cores big: only a target's are chosen"),
        (("--precision", "fp8"), "unknown precision 'fp8'"),
        (("--target", "command:python3", "--precision", "fp16"), "'onnxruntime' does not run in fp16 on 'cpu'"),
    ],
)
def test_conditions_that_do_not_go_together_are_refused(
    options: tuple[str, ...], said: str, cli: Callable[..., Any], measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archsearch.search.devices.usable_cores", lambda: 4)
    ended = cli("guidelines", "--table", "3", *options)
    assert ended.code == 2
    assert said in " ".join(ended.err.split())
    assert not measured


def test_the_verdict_stands_below_the_table_with_the_papers_numbers(
    cli: Callable[..., Any], measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from archsearch.cli.console import console

    monkeypatch.setattr(console, "width", 200)
    ended = cli("guidelines", "--table", "3", "--device", "cpu")
    assert ended.code == 0, ended.err
    assert "G3: Network fragmentation reduces degree of parallelism: 1 fragment is the fastest" in ended.out
    assert "G3 holds on this device: c=64 holds (noise floor 1.0 %)" in ended.out
    (line,) = [line for line in ended.out.splitlines() if line.split()[:4] == ["c=64", "4", "in", "series"]]
    # 32 channels, 4 x 32^2 = 64^2, so time for a multiply-add is the ratio; 1000 / (2.5 x 1.4) = 285.7 images/s;
    # printed 752 batches/s (2446 / 752 = 3.25) and 38.4 images/s (40.2 / 38.4 = 1.05)
    for text in ("128.5", "2.800", "285.7", "1.400", "(1.390 to 1.410)", "slower", "752.0  ", "3.25", "38.4", "1.05"):
        assert text in line
    assert "along fragments in series, time for a multiply-add: c=64 rises with every row" in ended.out
    # the same p10 at every width: 16 times the multiply-adds in the same time
    assert "launch-bound: 16 times the multiply-adds took only 1.00 times as long" in ended.out


def test_the_page_holds_every_row_and_loads_nothing(cli: Callable[..., Any], measured: list[str]) -> None:
    ended = cli("guidelines", "--table", "3", "--device", "cpu", "--plot", "--out", "pages")
    assert ended.code == 0, ended.err
    assert "wrote pages/guidelines.html" in ended.out
    page = Path("pages/guidelines.html").read_text(encoding="utf-8")
    assert page.count('<td class="text">best</td>') == 3
    for text in ("G3: Network fragmentation", "752", "archsearch guidelines --table 3"):
        assert text in page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--table", "5"], "'5' is not one of"),
        (["--backend", "onnx"], "unknown latency backend 'onnx'"),
        (["--device", "cpu", "--backend", "cuda-graph"], "does not run on 'cpu'"),
        (["--device", "tpu"], "unknown device"),
        (["--batch", "0"], "--batch"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], said: str, cli: Callable[..., Any]) -> None:
    ended = cli("guidelines", *arguments)
    assert ended.code == 2
    assert said in ended.err
