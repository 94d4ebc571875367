"""The preprocessing in the ONNX graph against Pillow, and the recipe as data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from archsearch.data.pictures import middle_square
from archsearch.export import PictureInput, recipe_input, run_picture, with_picture_input, write_onnx
from archsearch.image_rules import ImageRules, Preprocessing, interpolation_of
from archsearch.models.families import FAMILIES
from archsearch.models.model_info import ModelInfo

SHAPES = [(32, 32), (1, 1), (1, 50), (50, 1), (31, 33), (97, 301), (301, 97), (7, 5), (200, 64), (48, 48), (333, 222)]


def recipe(interpolation: str, *, plain: bool) -> Preprocessing:
    mean, std = ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)) if plain else ((0.4, 0.5, 0.6), (0.2, 0.3, 0.25))
    return Preprocessing(input_size=(3, 32, 32), interpolation=interpolation, mean=mean, std=std, classes=("a", "b"))  # type: ignore[arg-type]


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_the_graphs_resize_is_pillows_pixel_for_pixel(interpolation: str) -> None:
    front, generator = PictureInput(recipe(interpolation, plain=True)), np.random.default_rng(0)
    for height, width in SHAPES:
        picture = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        expected = middle_square(Image.fromarray(picture), 32, Image.Resampling[interpolation.upper()])
        got = front(torch.from_numpy(picture))[0].permute(1, 2, 0).round().numpy()
        assert np.array_equal(got, np.asarray(expected)), (height, width)


def test_columns_come_first_whatever_the_version_of_pillow() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (300, 64, 3), dtype=np.uint8)
    narrow = Image.fromarray(picture).resize((32, 300), Image.Resampling.BICUBIC)
    by_hand = narrow.resize((32, 32), Image.Resampling.BICUBIC, box=(0, 118, 32, 182))
    assert np.array_equal(np.asarray(middle_square(Image.fromarray(picture), 32)), np.asarray(by_hand))


def test_a_network_with_its_preprocessing_gives_what_it_gives_for_the_recipes_input() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(3600, 2)
    )
    one = recipe("bicubic", plain=False)
    facts = ModelInfo(
        name="n", spec=FAMILIES["shufflenet_v2"].base, classes=("a", "b"), input_size=32, mean=one.mean, std=one.std,
        interpolation="bicubic", archsearch_version="0",
    )  # fmt: skip
    assert facts.preprocessing == one
    content = with_picture_input(write_onnx(network.eval(), torch.randn(2, 3, 32, 32), facts), one)
    for height, width in SHAPES[3:8]:
        picture = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
        with torch.inference_mode():
            expected = network(recipe_input(picture, one))
        torch.testing.assert_close(run_picture(content, picture), expected, atol=1e-5, rtol=1e-5)


def test_the_recipe_names_the_filter_of_its_dataset_also_in_studies_of_older_versions_and_survives_json() -> None:
    assert interpolation_of("folder:photos", ImageRules()) == "bicubic"
    assert interpolation_of("cifar10", ImageRules()) == "bilinear"
    assert interpolation_of("folder:photos", ImageRules(former=True)) is None
    for arrays in ("cifar100", "npz:photos", "digits"):  # which no version has read otherwise
        assert interpolation_of(arrays, ImageRules(former=True)) == "bilinear"
    photos = recipe("bicubic", plain=False)
    assert Preprocessing.model_validate_json(photos.model_dump_json()) == photos
    for wrong in ({"std": (float("nan"), 1.0, 1.0)}, {"crop_pct": 0.9}, {"unknown": 1}, {"input_size": (3, 32, 48)}):
        with pytest.raises(ValidationError):
            Preprocessing.model_validate(photos.model_dump() | wrong)
