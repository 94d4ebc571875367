from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from onnx_files import read_metadata
from PIL import Image
from torch import Tensor, nn

from archsearch.data.folder import list_folder
from archsearch.data.pictures import picture_facts, square_pixels
from archsearch.errors import ConfigError
from archsearch.export import FORMATS, opened_onnx, parity, quantized
from archsearch.models.families import FAMILIES, build
from archsearch.models.model_info import ModelInfo
from archsearch.models.variants import find_variant

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "onnx_inference.py"
SIZE = 32
CLASSES = ("ant", "bee", "cat", "dog")


def network(name: str = "shufflenet_v2_x0_5", **choices: object) -> nn.Module:
    spec = find_variant(name).spec.with_choices({"width": 0.5, "units": 1, **choices}).normalised(SIZE)
    model = build(spec, num_classes=len(CLASSES), input_size=SIZE, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # statistics of batch norm as after a training, not the neutral ones of a new network
        for part in model.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.copy_(0.1 * torch.randn(part.num_features, generator=generator))
                part.running_var.copy_(0.5 + torch.rand(part.num_features, generator=generator))
    return model.eval()


def facts(**changes: object) -> ModelInfo:
    given = {
        "name": "any",
        "spec": FAMILIES["shufflenet_v2"].base,
        "classes": CLASSES,
        "input_size": SIZE,
        "mean": (0.5, 0.4, 0.3),
        "std": (0.2, 0.25, 0.3),
        "test_top1_percent": (61.25,),
        "archsearch_version": "0.1.0",
    }
    return ModelInfo(**(given | changes))


def images(count: int) -> Tensor:
    return torch.randn((count, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(2))


def logits(model: nn.Module, inputs: Tensor) -> Tensor:
    with torch.inference_mode():
        return model(inputs)


NETWORKS = {
    "plain": {},
    "deformable stem": {"stem.type": "ldc", "stem.stride": 2, "stem.pool": False},
    "flatten head and attention": {"head.type": "flatten", "attention": "se"},
}


@pytest.mark.parametrize("choices", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_computes_what_the_network_computes_for_one_image_and_for_many(
    name: str, choices: dict[str, object]
) -> None:
    model = network(**choices)
    opened = FORMATS[name].opened(FORMATS[name].write(model, images(2), facts()), model)
    for count in (1, 5):
        inputs = images(count)
        found = parity(logits(model, inputs), opened(inputs))
        assert found.largest_difference < 1e-5
        assert found.same_top1_percent == 100.0


def test_onnx_files_carry_size_classes_mean_and_std() -> None:
    content = FORMATS["onnx"].write(network(), images(2), facts())
    onnx.checker.check_model(onnx.load_model_from_string(content))
    found = read_metadata(content)
    assert found["input_size"] == "32"
    assert json.loads(found["classes"]) == list(CLASSES)
    assert json.loads(found["mean"]) == [0.5, 0.4, 0.3]
    assert json.loads(found["std"]) == [0.2, 0.25, 0.3]
    assert json.loads(found["trained"]) is True
    assert float(found["top1_percent"]) == 61.25


def test_the_inference_example_says_of_an_older_file_that_it_knows_no_way_from_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "older.onnx"
    path.write_bytes(FORMATS["onnx"].write(network(), images(2), facts()))
    assert "preprocessing" not in read_metadata(path.read_bytes())
    monkeypatch.setattr("sys.argv", [str(EXAMPLE), str(path), "photo.jpg"])
    with pytest.raises(SystemExit, match=r"older\.onnx: how a picture becomes its input is not known"):
        runpy.run_path(str(EXAMPLE))


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Runs the inference example on a model with these pictures or folders; gives what it defines."""
    model = tmp_path / "model.onnx"
    model.write_bytes(FORMATS["onnx"].write(network(), images(2), facts(interpolation="bicubic")))

    def run(*named: Path) -> dict[str, Any]:
        monkeypatch.setattr("sys.argv", [str(EXAMPLE), str(model), *map(str, named)])
        return runpy.run_path(str(EXAMPLE))

    return run


def test_the_inference_example_reads_the_pixels_that_a_training_reads(
    example: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    levels = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1024
    grey = Image.fromarray(levels)
    grey.save(tmp_path / "plain.png")
    grey.save(tmp_path / "transparent.png", transparency=1024)
    grey.save(tmp_path / "white is zero.tif", tiffinfo={262: 0})
    grey.save(tmp_path / "turned.tif", tiffinfo={274: 6})
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 4), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "alpha.png")
    Image.fromarray(colours, mode="CMYK").save(tmp_path / "print.jpg")
    opened = example()["opened"]
    for file in sorted({*tmp_path.iterdir()} - {tmp_path / "model.onnx"}):
        assert np.array_equal(np.asarray(opened(file)), square_pixels(file, size=8, background="white")), file.name
    assert np.asarray(opened(tmp_path / "white is zero.tif"))[0, 0].tolist() == [255] * 3
    for mode in ("F", "I"):
        file = tmp_path / f"{mode}.tif"
        grey.convert(mode).save(file)
        assert picture_facts(file, whole=False).problem is not None
        with pytest.raises(ValueError, match="say not what is white"):
            opened(file)


def test_the_inference_example_takes_the_files_of_a_folder_that_a_training_takes(
    example: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, elsewhere = tmp_path / "photos" / "train", tmp_path / "elsewhere"
    for place in (own / "ant", elsewhere):
        place.mkdir(parents=True)
        for name in ("one.JPG", "one.jpg~", "two.jpg_large"):
            Image.new("RGB", (8, 8)).save(place / name, format="JPEG")
    (own / "bee").symlink_to(elsewhere)
    (own / "bee" / "again").symlink_to(own / "bee")
    for name in ("__MACOSX", "lost+found", ".trash"):
        (own / "ant" / name).mkdir()
        Image.new("RGB", (8, 8)).save(own / "ant" / name / "three.png")
    listed = list_folder(tmp_path / "photos", name="photos", split=True).train.files
    example(own)
    ended = capsys.readouterr()
    assert [line.partition("\t")[2] for line in ended.out.splitlines()[:-1]] == [str(file) for file in listed]
    assert ended.out.endswith(f"% of {len(listed)} pictures\n") and len(listed) == 2
    assert ended.err.count("it is not named as a picture") == 4


def test_a_safetensors_file_carries_the_facts_in_its_header_and_every_weight() -> None:
    model = network()
    content = FORMATS["state-dict"].write(model, images(2), facts(test_top1_percent=()))
    assert safetensors.torch.load(content).keys() == model.state_dict().keys()
    length = int.from_bytes(content[:8], "little")  # the format's own header: its length, then JSON
    header = json.loads(content[8 : 8 + length])["__metadata__"]
    assert header["arch_id"] == FAMILIES["shufflenet_v2"].base.arch_id
    assert header["trained"] == "false"
    assert "top1_percent" not in header


def test_exporting_leaves_the_network_as_it_was() -> None:
    model = network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    FORMATS["onnx"].write(model, images(2), facts())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not model.training


def test_int8_is_smaller_close_to_the_network_and_keeps_the_facts() -> None:
    model = network()
    plain = FORMATS["onnx"].write(model, images(2), facts())
    small = quantized(plain, images(60))
    assert len(small) < 0.6 * len(plain)
    operators = {node.op_type for node in onnx.load_model_from_string(small).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators
    assert parity(logits(model, images(20)), opened_onnx(small)(images(20))).largest_difference < 0.2
    assert read_metadata(small) == read_metadata(plain)


def test_parity_is_a_share_of_the_largest_output() -> None:
    # largest absolute output 4; largest difference 0.2; the second row's top class changes
    expected = torch.tensor([[1.0, -4.0], [2.0, 2.1]])
    found = parity(expected, torch.tensor([[1.0, -4.0], [2.2, 2.1]]))
    assert found.largest_difference == pytest.approx(0.05)
    assert found.same_top1_percent == 50.0
    with pytest.raises(ValueError, match="logits"):
        parity(expected, expected[:1])


def test_a_network_that_gives_nothing_but_zeros_is_told_from_one_that_agrees() -> None:
    assert parity(torch.zeros(2, 3), torch.zeros(2, 3)).largest_output == 0.0
    assert parity(torch.tensor([[1.0, -2.5]]), torch.tensor([[1.0, -2.5]])).largest_output == 2.5


def test_an_unknown_format_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="onnx"):
        FORMATS["onx"]
