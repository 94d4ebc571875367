from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

import archsearch
import archsearch.latency.network
import archsearch.targets.board
from archsearch.errors import MeasurementError

SMALL = ("--input-size", "32", "--classes", "10", "--device", "cpu", "--budget", "0.3", "--backend", "torch-eager")


@pytest.fixture(autouse=True)
def own_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease and a folder of this test alone, so that it waits for nobody else on this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def row_of(out: str, name: str) -> list[str]:
    (row,) = [line.split() for line in out.splitlines() if line.strip().startswith(f"{name} ")]
    return row


def test_a_table_has_a_line_for_each_network_and_the_conditions_below(cli: Callable[..., object]) -> None:
    ended = cli("measure", "shufflenet_v2_x0_5", "shufflenet_v2_x1_5", *SMALL)
    assert ended.code == 0, ended.err
    for name in ("shufflenet_v2_x0_5", "shufflenet_v2_x1_5"):
        _, p10, median, p90, ratio, interval, runs, images = row_of(ended.out, name)
        assert 0 < float(p10) <= float(median) <= float(p90)
        assert float(ratio.rstrip("?!")) > 0
        low, high = interval.split("-")
        assert float(low) <= float(high)
        assert int(runs.split("/")[0]) >= int(runs.split("/")[1])
        assert float(images.replace(",", "")) > 0
    assert "cpu, torch-eager " in ended.out
    for text in (
        "1 thread, batch 1, fp32, 32x32, 10 outputs, reference shufflenet_v2_x1_0, fingerprint ",
        "95 % interval",
    ):
        assert text in ended.out
    assert "measuring 2 networks and the reference with torch-eager on cpu, batch 1" in ended.err


def test_json_has_every_number_with_its_unit_and_progress_stays_out_of_it(cli: Callable[..., object]) -> None:
    ended = cli("measure", "shufflenet_v2_x0_5", *SMALL, "--batch", "2", "--batch", "1", "--json")
    assert ended.code == 0, ended.err
    printed = json.loads(ended.out)
    jsonschema.validate(printed, archsearch.schema("measure"))
    assert [one["latency"]["batch"] for one in printed["networks"]] == [2, 1]
    for network in printed["networks"]:
        one = network["latency"]
        assert 0 < one["p10_ms"] <= one["median_ms"] <= one["p90_ms"]
        assert one["ratio_low"] <= one["ratio_high"]
        assert network["images_per_second"] == pytest.approx(1000 * one["batch"] / one["median_ms"])
        assert one["n"] >= one["bursts"] >= 2
        assert {"converged", "contended", "fingerprint", "state", "measure_seconds"} <= set(one)
    assert "measuring" in ended.err


def test_conditions_that_differ_have_a_column(cli: Callable[..., object]) -> None:
    plain = cli("measure", "shufflenet_v2_x0_5", *SMALL)
    assert "images/s" in plain.out
    head = next(line for line in plain.out.splitlines() if "images/s" in line)
    assert head.split()[:2] == ["network", "p10"]
    both = cli("measure", "shufflenet_v2_x0_5", *SMALL, "--backend", "torch", "--batch", "1", "--batch", "2")
    head = next(line for line in both.out.splitlines() if "images/s" in line)
    assert head.split()[:3] == ["network", "backend", "batch"]
    rows = [line.split()[:3] for line in both.out.splitlines() if line.strip().startswith("shufflenet_v2_x0_5")]
    assert rows == [["shufflenet_v2_x0_5", name, batch] for name in ("torch-eager", "torch") for batch in ("1", "2")]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("shufflenet_v2_x0_6",), 2, "did you mean 'shufflenet_v2_x0_5'?"),
        (("shufflenet_v2_x0_5", "absent.json"), 2, "absent.json"),
        (("shufflenet_v2_x0_5", "--backend", "onnxruntim"), 2, "did you mean 'onnxruntime'?"),
        (("shufflenet_v2_x0_5", "--backend", "cuda-graph", "--device", "cpu"), 2, "it runs on cuda"),
        (("shufflenet_v2_x0_5", "--device", "tpu"), 2, "--device tpu"),
        (("shufflenet_v2_x0_5", "--reference", "nothing"), 2, "unknown network 'nothing'"),
        (("shufflenet_v2_x0_5", "--budget", "0"), 2, "--budget 0: must be above 0"),
        (("shufflenet_v2_x0_5", "--input-size", "4"), 1, "the smallest input_size is 8"),
        (("quickstart:best",), 1, "there is no database"),
    ],
)
def test_what_cannot_be_measured_is_one_error_and_no_number(
    arguments: tuple[str, ...], code: int, said: str, cli: Callable[..., object]
) -> None:
    ended = cli("measure", *arguments)
    assert ended.code == code, ended.err
    assert said in ended.err
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert sum(line.startswith("error: ") for line in ended.err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [(), ("shufflenet_v2_x0_5", "--batch", "0"), ("x", "--threads", "many")])
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...], cli: Callable[..., object]) -> None:
    ended = cli("measure", *arguments)
    assert ended.code == 2
    assert ended.err.startswith("error: ")


@pytest.mark.parametrize(
    ("raised", "last"),
    [
        (KeyboardInterrupt(), "stopped; a measurement that was not finished has no numbers"),
        (MeasurementError("a run took 0 ns by the host clock"), "error: a run took 0 ns by the host clock"),
    ],
)
@pytest.mark.parametrize("form", ["table", "json"])
def test_what_was_measured_before_the_end_is_shown_but_never_as_whole_json(
    raised: BaseException, last: str, form: str, cli: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = archsearch.latency.network.measure_networks

    def ending_at_batch_2(*arguments: object, **named: object) -> object:
        if named["settings"].batch == 2:
            raise raised
        return real(*arguments, **named)

    monkeypatch.setattr(archsearch.targets.board, "measure_networks", ending_at_batch_2)
    asked = ("measure", "shufflenet_v2_x0_5", *SMALL, "--batch", "1", "--batch", "2")
    ended = cli(*asked, *(["--json"] if form == "json" else []))
    assert ended.code == 1
    assert ended.err.splitlines()[-1] == last
    assert "Traceback" not in ended.err
    if form == "json":
        assert ended.out == ""
    else:
        assert row_of(ended.out, "shufflenet_v2_x0_5")
        assert "batch 1," in ended.out


def test_the_help_says_that_weights_do_not_matter(cli: Callable[..., object]) -> None:
    out = " ".join(cli("measure", "--help").out.replace("│", " ").split())
    assert "Weights do not matter for latency" in out
    assert "this may be typed while a study runs" in out


def test_precisions_that_differ_have_a_column_and_those_that_do_not_run_are_named(cli: Callable[..., object]) -> None:
    ended = cli("measure", "shufflenet_v2_x0_5", *SMALL, "--precision", "fp32", "--precision", "bf16")
    assert ended.code == 0, ended.err
    for precision in ("fp32", "bf16"):
        assert any(line.split()[:2] == ["shufflenet_v2_x0_5", precision] for line in ended.out.splitlines())
    refused = cli("measure", "shufflenet_v2_x0_5", *SMALL, "--precision", "fp16")
    assert refused.code == 2
    assert "'torch-eager' does not run in fp16 on 'cpu'" in " ".join(refused.err.split())
    unknown = cli("measure", "shufflenet_v2_x0_5", *SMALL, "--precision", "fp23")
    assert "fp32" in unknown.err
