from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

# torchvision's own documentation gives 2278604 parameters for shufflenet_v2_x1_0 (and the numbers of its siblings).
TORCHVISION_PARAMS = {
    "shufflenet_v2_x0_5": 1366792,
    "shufflenet_v2_x1_0": 2278604,
    "shufflenet_v2_x1_5": 3503624,
    "shufflenet_v2_x2_0": 7393996,
}


def described(cli: Callable[..., object], *arguments: str) -> dict[str, object]:
    ended = cli("describe", *arguments, "--json")
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


@pytest.mark.parametrize(("name", "params"), TORCHVISION_PARAMS.items())
def test_published_networks_have_torchvisions_parameters(name: str, params: int, cli: Callable[..., object]) -> None:
    found = described(cli, name)
    assert found["cost"]["params"] == params
    assert {"arch_id", "family", "choices", "layers"} <= set(found)
    assert {"params", "macs", "unsupported_ops"} <= set(found["cost"])
    assert found["family"] == "shufflenet_v2"
    assert found["choices"]["stage3.kernel"] == 3
    assert found["cost"]["num_classes"] == 1000
    assert found["cost"]["input_size"] == 224


def test_changes_give_the_parameters_of_shufflenetv2_s_as_counted(cli: Callable[..., object]) -> None:
    # x1.0 with 1000 outputs has 2278604, of which the classifier 1024 * 1000 + 1000 = 1025000. In its place:
    # stem 3 * 24 * (36 - 9) = 1944 more, 1024 * 1000 + 1000 hidden, 1000 * 100 + 100 outputs: 2380648.
    assert 2278604 - 1025000 + 1944 + 1025000 + 100100 == 2380648
    changes = ["stem.kernel=6", "head.type=gap_hidden", "head.hidden=1000", "head.activation=none"]
    arguments = [word for change in changes for word in ("--set", change)]
    found = described(cli, "shufflenet_v2_x1_0", *arguments, "--classes", "100")
    assert found["cost"]["params"] == 2380648
    assert found["choices"]["head.type"] == "gap_hidden"
    assert found["source"] == ""  # a changed network is no longer the published one


@pytest.mark.parametrize("name", ["shufflenet_v2_x1_0", "shufflenet_v2_s_described", "shufflenet_v2_x1_0_ldc2"])
def test_layers_add_up_to_the_whole_network(name: str, cli: Callable[..., object]) -> None:
    found = described(cli, name, "--input-size", "64")
    assert sum(layer["params"] for layer in found["layers"]) == found["cost"]["params"]
    assert sum(layer["macs"] for layer in found["layers"]) == found["cost"]["macs"]
    assert found["layers"][-1]["output_shape"] == [found["cost"]["num_classes"]]


def test_input_size_changes_macs_and_shapes_but_not_parameters(cli: Callable[..., object]) -> None:
    large = described(cli, "shufflenet_v2_x1_0")
    small = described(cli, "shufflenet_v2_x1_0", "--input-size", "32")
    assert small["cost"]["params"] == large["cost"]["params"]
    assert small["cost"]["macs"] < large["cost"]["macs"]
    assert small["cost"]["input_size"] == 32
    # 32 pixels: halved by the stem, by its pool and at stage 2: 16, 8, 4
    stage2 = next(layer for layer in small["layers"] if layer["name"].startswith("stage2"))
    assert stage2["output_shape"][1:] == [4, 4]


def test_a_macro_sets_every_stage(cli: Callable[..., object]) -> None:
    choices = described(cli, "shufflenet_v2_x1_0", "--set", "kernel=5")["choices"]
    assert [choices[f"stage{number}.kernel"] for number in (2, 3, 4)] == [5, 5, 5]


def test_the_same_choices_have_the_same_arch_id_however_they_are_given(
    cli: Callable[..., object], tmp_path: Path
) -> None:
    by_name = described(cli, "shufflenet_v2_x0_5")
    by_macro = described(cli, "shufflenet_v2_x1_0", "--set", "width=0.5")
    path = tmp_path / "net.yaml"
    path.write_text("family: shufflenet_v2\nchoices: {width: 0.5}\n")
    by_file = described(cli, str(path))
    assert by_name["arch_id"] == by_macro["arch_id"] == by_file["arch_id"]


def _canonical(found: dict[str, object]) -> dict[str, object]:
    from archsearch.models.families import FAMILIES

    spec = FAMILIES[str(found["family"])].base.with_choices(found["choices"])
    return json.loads(spec.canonical_json())


def test_a_specification_file_is_read(cli: Callable[..., object], tmp_path: Path) -> None:
    by_name = described(cli, "shufflenet_v2_x1_0_se")
    canonical = _canonical(by_name)
    alone, inside = tmp_path / "alone.json", tmp_path / "spec.json"
    alone.write_text(json.dumps(canonical))
    inside.write_text(json.dumps({"spec": canonical, "num_classes": 7, "input_size": 32}))
    assert described(cli, str(alone))["arch_id"] == by_name["arch_id"]
    found = described(cli, str(tmp_path))  # a model folder is known by its spec.json
    assert (found["cost"]["num_classes"], found["cost"]["input_size"]) == (7, 32)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("net.yaml", "choices: {width: 0.5}\n", "family"),
        ("net.yaml", "family: shufflenet_v2\nchoice: {}\n", "choice"),
        ("net.yaml", "family: shufflenet\n", "did you mean 'shufflenet_v2'?"),
        ("net.yaml", "family: shufflenet_v2\nchoices: {widht: 0.5}\n", "did you mean 'width'?"),
        ("net.yaml", "family: shufflenet_v2\nchoices: [width]\n", "choices"),
        ("net.yaml", "family: shufflenet_v2\ninput_size: big\n", "input_size"),
        ("net.json", "{", "net.json:1:2"),
        ("net.json", "[]", "an object was expected"),
        ("net.json", "{}", "family"),
        ("net.json", '{"spec": 3}', "net.json"),
    ],
)
def test_a_wrong_file_is_exit_code_2(
    name: str, text: str, said: str, cli: Callable[..., object], tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    ended = cli("describe", str(tmp_path / name))
    assert ended.code == 2, ended.err
    assert said in ended.err
    assert "Traceback" not in ended.err


def test_the_page_for_people_names_source_cost_choices_and_layers(cli: Callable[..., object]) -> None:
    ended = cli("describe", "shufflenet_v2_x1_0", "--set", "stage3.kernel=5")
    assert ended.code == 0
    for text in ("stage3.kernel", "arch_id", "MACs", "whole network", "Choices", "Layers"):
        assert text in ended.out
    (row,) = [line for line in ended.out.splitlines() if line.strip().startswith("stage3.kernel")]
    assert row.split() == ["stage3.kernel", "5", "3"]  # its value, and the base's


def test_every_operator_is_counted_or_named(cli: Callable[..., object]) -> None:
    plain = described(cli, "shufflenet_v2_x1_0", "--input-size", "32")
    assert plain["cost"]["unsupported_ops"] == {}
    # a mean, a variance and a sigmoid are neither convolution nor linear: SimAM adds no multiply-add that is counted
    simam = described(cli, "shufflenet_v2_x1_0", "--set", "attention=simam", "--input-size", "32")
    assert simam["cost"]["params"] == plain["cost"]["params"]
    assert simam["cost"]["macs"] == plain["cost"]["macs"]


def test_text_in_brackets_is_printed_as_it_is(cli: Callable[..., object], tmp_path: Path) -> None:
    path = tmp_path / "[bold]net.yaml"
    path.write_text("family: shufflenet_v2\n")
    ended = cli("describe", str(path), "--input-size", "32")
    assert ended.code == 0
    assert "[bold]net.yaml" in ended.out


def test_multiply_adds_are_given_in_every_convention_and_memory_in_bytes(cli: Callable[..., object]) -> None:
    found = described(cli, "shufflenet_v2_x2_0")
    by_convention = found["cost"]["macs_by_convention"]
    assert list(by_convention) == ["conv", "conv_linear", "thop_0_0_31", "thop_0_1_1", "fvcore"]
    assert by_convention["conv_linear"] == found["cost"]["macs"]
    assert by_convention["conv_linear"] - by_convention["conv"] == 2048 * 1000  # the classifier
    assert f"{by_convention['thop_0_0_31'] / 1e6:.1f}" == "590.7"  # what thop 0.0.31 prints
    # 0.1.1 counts 4 for each value in batch norm where 0.0.31 counts 2, fvcore 2; no convolution has a bias
    normalised = by_convention["thop_0_0_31"] - by_convention["conv_linear"]
    assert by_convention["thop_0_1_1"] - by_convention["conv_linear"] == 2 * normalised
    assert by_convention["fvcore"] == by_convention["thop_0_0_31"]
    assert found["cost"]["memory_read_bytes"] > 4 * found["cost"]["params"]  # every weight is read once


def test_the_page_for_people_says_what_each_convention_counts(cli: Callable[..., object]) -> None:
    out = cli("describe", "mobilenet_v3_small_mb0").out
    (row,) = [line for line in out.splitlines() if line.strip().startswith("thop_0_0_31")]
    assert row.split()[1] == "63,418,108"  # LDC paper, table 4: 63.4M
    assert "MACs by convention" in out
    assert "MiB read" in out


def test_plot_draws_the_network_beside_another(cli: Callable[..., object], tmp_path: Path) -> None:
    page = tmp_path / "network.html"
    ended = cli(
        "describe",
        "shufflenet_v2_x0_5",
        *("--set", "stage3.kernel=5", "--input-size", "32"),
        *("--plot", str(page), "--against", "shufflenet_v2_x0_5"),
    )
    assert ended.code == 0, ended.err
    text = page.read_text(encoding="utf-8")
    assert "Architecture: shufflenet_v2_x0_5 stage3.kernel=5" in text
    assert "Baseline shufflenet_v2_x0_5: 1 choice differs" in text
    assert "stage3.kernel 5 (baseline 3)" in text


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(["--plot", "network.pdf"], ".html, .png"), (["--against", "shufflenet_v2_x0_5"], "--plot")],
)
def test_a_drawing_that_cannot_be_made_is_refused_at_once(
    arguments: list[str], named: str, cli: Callable[..., object], tmp_path: Path
) -> None:
    ended = cli("describe", "shufflenet_v2_x1_0", *arguments)
    assert ended.code != 0
    assert named in ended.err
    assert not list(tmp_path.glob("*.pdf"))
