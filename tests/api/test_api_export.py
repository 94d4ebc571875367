from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from stored import store_study
from torch import Tensor, nn

import archsearch
from archsearch.api.export import _normalised, _Source, _top1, export
from archsearch.data.dataset import Dataset
from archsearch.data.images import Images
from archsearch.errors import ArchsearchError, ConfigError
from archsearch.export import ExportFormat
from archsearch.models.families import FAMILIES
from archsearch.models.model_info import ModelInfo
from archsearch.models.variants import find_variant
from archsearch.store.database import Database
from archsearch.store.schema import StudyRow

CLASSES = ("dark", "grey", "light")


def images_of(labels: Tensor) -> Images:
    """8x8 pixels of one brightness, 0, 85 or 170, which is the class."""
    return Images((85 * labels).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 8, 8).contiguous(), labels)


def source_of(model: nn.Module) -> _Source:
    """A network that takes pixels from 0 to 1 as they are."""
    info = ModelInfo(
        name="any",
        spec=FAMILIES["shufflenet_v2"].base,
        classes=CLASSES,
        input_size=8,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        test_top1_percent=(50.0,),
        archsearch_version="0.1.0",
    )
    return _Source(model=model, metadata=info, dataset=None, folder=Path())


class ByBrightness(nn.Module):
    """Gives each image the class of its brightness, and keeps how many it was given at once."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[int] = []

    def forward(self, inputs: Tensor) -> Tensor:
        self.given.append(len(inputs))
        return -(3 * inputs[:, :1, 0, 0] - torch.arange(3)).abs()


def test_network_and_file_are_scored_in_batches_however_many_test_images_there_are() -> None:
    network, in_file = ByBrightness(), ByBrightness()
    always_dark = ExportFormat(
        name="any",
        suffix=".any",
        summary="",
        write=lambda _model, _example, _info: b"",
        opened=lambda _content, _model: lambda inputs: in_file(torch.zeros_like(inputs)),
    )
    # 84 of 250 labels 0, 1, 2, 0, 1, ... are 0
    found = _top1(images_of(torch.arange(250) % 3), source_of(network), always_dark, b"")
    assert found == ((100.0, 33.6), 250)
    assert network.given == in_file.given == [100, 100, 50]


def test_a_file_that_cannot_be_written_is_told_before_anything_is_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archsearch.api.export._source", lambda *_, **__: source_of(nn.Identity()))
    (tmp_path / "file").touch()
    for out, said in ((tmp_path, "it is a folder"), (tmp_path / "file" / "model.onnx", "cannot be written")):
        with pytest.raises(ArchsearchError, match=said):
            archsearch.export(out=out, on_step=pytest.fail)


def test_a_recipe_that_is_not_known_is_told_before_anything_is_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("archsearch.api.export._source", lambda *_, **__: source_of(nn.Identity()))
    with pytest.raises(ConfigError, match="how its pictures were read is not known"):
        archsearch.export(out=tmp_path / "model.onnx", with_preprocessing=True, on_step=pytest.fail)


def test_calibration_images_are_of_every_class_of_an_ordered_set_that_has_few_more_than_are_taken() -> None:
    # 300 images, class by class; every 1.5th of them is 0, 1, 3, ... 99 (67), 100, ... 199 (67), 201, ... 298 (66)
    train = images_of(torch.repeat_interleave(torch.arange(3), 100))
    dataset = Dataset(
        name="any", classes=CLASSES, train=train, load_test=lambda: train, flip=False, fingerprint="0" * 12
    )
    taken = _normalised(dataset, source_of(nn.Identity()), 200)
    assert torch.bincount((3 * taken[:, 0, 0, 0]).round().long()).tolist() == [67, 67, 66]
    assert len(_normalised(dataset, source_of(nn.Identity()), 1000)) == 300


@pytest.mark.parametrize(("images", "said"), [("a" * 12, "damaged: "), ("b" * 12, "is of other images")])
def test_a_model_that_another_study_of_the_name_left_is_not_exported_for_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    store_study(url, [])
    database = Database(url)
    with database.writing() as session:
        (row,) = session.query(StudyRow)
        row.facts = {**row.facts, "data_fingerprint": "a" * 12}
    database.close()
    name = "shufflenet_v2_x0_5"
    folder = Path("runs/small/retrain") / find_variant(name).spec.normalised(32).arch_id
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text("{}")
    (folder / "summary.json").write_text(json.dumps({"dataset_fingerprint": images}))
    with pytest.raises(ArchsearchError, match=said):
        export(name, study="small", storage=url)
