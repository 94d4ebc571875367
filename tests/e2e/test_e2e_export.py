"""From a retrained network to a file that another runtime runs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx_files import read_metadata
from PIL import Image

import archsearch
from archsearch.data.catalog import load_dataset
from archsearch.errors import ConfigError, DataError

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE, DEPLOY = ROOT / "examples" / "onnx_inference.py", ROOT / "docs" / "deploy.md"


pytestmark = pytest.mark.usefixtures("in_the_folder")


@pytest.fixture(scope="module")
def folder(shared_finished: object) -> Path:
    done = shared_finished.type("retrain", "--trial", "best", "--epochs", "1", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    record = shared_finished.study().best
    return shared_finished.folder / "runs" / "tiny" / "retrain" / record.arch_id


@pytest.fixture(scope="module")
def exported(folder: Path, shared_finished: object) -> object:
    return shared_finished.type("export", "--trial", "best", "--out", "model.onnx", "--quantize", "int8")


def test_export_prints_parity_accuracy_and_latency_before_and_after(exported: object) -> None:
    assert exported.returncode == 0, exported.stderr
    text = " ".join(exported.stdout.split())
    assert "file model.onnx (onnx," in text
    assert "parity largest difference" in text
    assert "int8 largest difference" in text
    assert "% before," in text
    assert "(n = 48 images)" in text
    assert "latency onnx: p10" in text
    assert "latency onnx int8: p10" in text


@pytest.mark.parametrize("option", [(), ("--with-preprocessing",)], ids=["plain", "with preprocessing"])
def test_the_inference_example_reaches_the_cards_accuracy_on_picture_files_without_archsearch(
    option: tuple[str, ...],
    folder: Path,
    tiny_images: Path,
    tmp_path: Path,
    shared_finished: object,
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = shared_finished.type("export", "--trial", str(folder), "--out", "plain.onnx", "--no-measure", *option)
    assert done.returncode == 0, done.stderr
    test, classes = np.load(tiny_images / "test.npz"), archsearch.load(folder).archsearch.classes
    for number, (pixels, label) in enumerate(zip(test["images"], test["labels"], strict=True)):
        within = ("", classes[0], "more/of it")[number % 3]  # a class's folders are of that class, whatever their names
        place = tmp_path / "pictures" / classes[int(label)] / within
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number:03}.png")
    first = tmp_path / "pictures" / classes[0]
    (first / ".ipynb_checkpoints").mkdir()
    Image.fromarray(test["images"][0]).save(first / ".ipynb_checkpoints" / "000-checkpoint.png")
    (first / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    Image.new("RGB", (16, 16)).save(first / "icon.ico")
    Image.effect_noise((400, 400), 100).save(first / "damaged.png")  # its pixels fill several chunks
    content = (first / "damaged.png").read_bytes()
    assert content.count(b"IDAT") > 1
    (first / "damaged.png").write_bytes(b"????".join(content.rsplit(b"IDAT", 1)))
    blocked = "import sys\nfor name in ('torch', 'archsearch', 'onnx'):\n    sys.modules[name] = None\n"
    code = f"{blocked}import runpy\nsys.argv = {['x', 'plain.onnx', str(tmp_path / 'pictures')]!r}\n"
    code += f"runpy.run_path({str(EXAMPLE)!r})\n"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stderr
    (score,) = json.loads((folder / "summary.json").read_text())["scores"]
    said = ended.stdout.splitlines()
    assert said[-1] == f"top-1 {score['top1_percent']:.2f} % of {score['eval_images']} pictures"
    assert len(said) == score["eval_images"] + 1
    assert all(f"{name}: " in ended.stderr for name in ("cut.jpg", "damaged.png", "icon.ico"))
    if option:  # docs/deploy.md: the same class, for one picture
        (page,) = re.findall(r"^```python\n(.*?)^```", DEPLOY.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        picture = said[0].partition("\t")[2]
        page = page.replace("MODEL.onnx", "plain.onnx").replace("photo.jpg", picture)
        exec(compile(page, str(DEPLOY), "exec"), {})
        assert classes[int(capsys.readouterr().out)] == said[0].partition("\t")[0]


def test_the_file_says_that_its_weights_are_trained_and_how_accurate(folder: Path, exported: object) -> None:
    facts = read_metadata(Path("model.onnx").read_bytes())
    reported = json.loads((folder / "summary.json").read_text())["scores"][0]["top1_percent"]
    assert facts["trained"] == "true"
    assert float(facts["top1_percent"]) == reported


def test_a_network_that_was_not_retrained_is_refused_and_says_what_to_do(shared_finished: object) -> None:
    refused = shared_finished.type("export", "--trial", "shufflenet_v2_x1_0")
    assert refused.returncode == 1 or refused.returncode == 2
    assert "archsearch retrain --study tiny --trial shufflenet_v2_x1_0" in " ".join(refused.stderr.split())


def test_initial_weights_are_exported_only_when_asked_for_and_are_marked(shared_finished: object) -> None:
    done = shared_finished.type(
        "export", "--trial", "shufflenet_v2_x1_0", "--untrained", "--no-measure", "--out", "new.onnx"
    )
    assert done.returncode == 0, done.stderr
    assert "not trained" in done.stdout
    assert read_metadata(Path("new.onnx").read_bytes())["trained"] == "false"


def test_a_network_of_a_study_is_exported_where_its_images_are_no_longer(
    folder: Path, shared_finished: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise DataError("there is no folder photos")

    monkeypatch.setattr("archsearch.api.export.load_dataset", gone)
    done = archsearch.export("best", study="tiny", measure=False, out="moved.onnx")
    assert (done.top1_percent, done.path.is_file()) == (None, True)
    with pytest.raises(DataError, match="no folder photos"):  # asked for by name it is needed
        archsearch.export("best", study="tiny", measure=False, dataset="folder:photos")


@pytest.mark.parametrize("changed", ["classes", "test split"])
def test_a_network_of_a_study_is_exported_where_its_images_fit_no_longer(
    changed: str, folder: Path, shared_finished: object, tiny_images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent() -> None:
        raise DataError("there is no test split")

    now = load_dataset("digits") if changed == "classes" else load_dataset(f"npz:{tiny_images}")
    now = replace(now, check_test=absent)
    monkeypatch.setattr("archsearch.api.export.load_dataset", lambda *_, **__: now)
    done = archsearch.export("best", study="tiny", measure=False, out="grown.onnx")
    assert (done.top1_percent, done.path.is_file()) == (None, True)
    if changed == "classes":  # asked for by name they are needed
        with pytest.raises(ConfigError, match="has other classes than the network"):
            archsearch.export("best", study="tiny", measure=False, dataset="digits")


@pytest.mark.parametrize("same", [True, False])
def test_what_test_share_holds_out_of_other_images_than_it_was_trained_on_scores_no_network(
    same: bool, folder: Path, tiny_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = shutil.copytree(folder, tmp_path / "shared")
    facts = json.loads((copied / "spec.json").read_text())
    facts["image_rules"]["test_share"] = 0.15
    (copied / "spec.json").write_text(json.dumps(facts))
    now = load_dataset(f"npz:{tiny_images}")
    now = now if same else replace(now, fingerprint="0" * 12)
    monkeypatch.setattr("archsearch.api.export.load_dataset", lambda *_, **__: now)
    done = archsearch.export(copied, dataset="npz:any", measure=False)
    assert (done.test_images, done.top1_percent is not None) == ((48, True) if same else (0, False))


def test_weights_alone_are_exported_without_looking_for_images(
    folder: Path, shared_finished: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archsearch.api.export.load_dataset", lambda *_, **__: pytest.fail("images are looked for"))
    made = archsearch.export("best", study="tiny", format_name="state-dict", out=tmp_path / "weights.safetensors")
    assert made.top1_percent is None and made.path == tmp_path / "weights.safetensors"


def test_an_export_does_not_take_the_place_of_the_networks_own_weights(folder: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(folder, tmp_path / "weights")
    before = (copied / "weights.safetensors").read_bytes()
    with pytest.raises(ConfigError, match="holds the weights that the network itself is loaded from"):
        archsearch.export(copied, format_name="state-dict")
    assert (copied / "weights.safetensors").read_bytes() == before
    assert archsearch.export(copied, format_name="state-dict", out=tmp_path / "other.safetensors").path.is_file()


def test_a_folder_that_one_stands_in_is_named_as_it_is_called(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shutil.copytree(folder, tmp_path / "mine"))
    made = archsearch.export(".", format_name="state-dict")
    assert (made.path.name, made.metadata.name) == ("mine.safetensors", "mine")
    assert made.path.is_file()
    assert archsearch.load("one-cycle-1-epochs/..").archsearch.name == "mine"


def test_int8_in_another_format_is_refused(shared_finished: object, folder: Path) -> None:
    refused = shared_finished.type("export", "--trial", str(folder), "--format", "state-dict", "--quantize", "int8")
    assert refused.returncode == 2
    assert "int8" in refused.stderr
