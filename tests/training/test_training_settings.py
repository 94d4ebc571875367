from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from archsearch.training.settings import ProxySettings


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0),
        ("epochs", 2.5),
        ("epochs", True),
        ("batch_size", 1),
        ("learning_rate", 0.0),
        ("learning_rate", float("inf")),
        ("learning_rate", "0.1"),
        ("momentum", 1.0),
        ("label_smoothing", 1.0),
        ("warmup_fraction", 1.0),
        ("crop_padding", -1),
        ("train_images", 0),
        ("chunk_steps", 0),
        ("learningrate", 0.1),
    ],
)
def test_settings_refuse_what_cannot_be_meant(key: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=key):
        ProxySettings.model_validate({key: value})


def test_settings_take_whole_numbers_where_a_fraction_is_meant() -> None:
    assert ProxySettings.model_validate({"learning_rate": 1, "train_images": None}).learning_rate == 1.0


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ProxySettings().epochs = 3  # type: ignore[misc]
