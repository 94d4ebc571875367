"""How a study reads its images, where there is a choice. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Background = Literal["white", "black"]
OnBadImage = Literal["refuse", "skip"]

RULES_FACT = "data_rules"
"""A study's stored fact that says by which rules its images are read; a study without it is older than they are."""
CURRENT_RULES = 2


@dataclass(frozen=True, kw_only=True)
class ImageRules:
    """What a study says about its images.

    Attributes:
        test_share: share of the images that is held out for testing, of every class; None: the dataset has a test split
            of its own; 0: it needs none.
        on_bad_image: refuse: files that are no readable images are listed, and nothing begins; skip: they are left out,
            with a count.
        background: what transparent pixels show.
        former: as studies did whose facts lack `RULES_FACT`: pictures are read at their own common size, at most 224
            pixels, and resized from there; an own validation split is not looked at; a small class may be missing in a
            split.
    """

    test_share: float | None = None
    on_bad_image: OnBadImage = "refuse"
    background: Background = "white"
    former: bool = False

    @classmethod
    def of_study(cls, config: Mapping[str, Any], facts: Mapping[str, Any]) -> ImageRules:
        """That of a stored study, from its protocol and its facts."""
        said = {key: config[key] for key in RULES_DEFAULTS if key in config}
        return cls(**said, former=RULES_FACT not in facts)


RULES_DEFAULTS: Mapping[str, Any] = {"test_share": None, "on_bad_image": "refuse", "background": "white"}
"""A study's keys of an ImageRules, each with what is done without it."""

BACKGROUNDS: Mapping[str, tuple[int, int, int]] = dict(
    zip(get_args(Background), ((255, 255, 255), (0, 0, 0)), strict=True)
)


# From a picture file to a network's input, as data: what every file that leaves archsearch says of it.

Interpolation = Literal["bicubic", "bilinear"]
_Channels = tuple[float, float, float]


class Preprocessing(BaseModel):
    """One step from the upright picture to the network's input; the keys are those of timm's `pretrained_cfg`.

    1. Turned upright as its EXIF orientation says; RGB of 8 bits (of 16 the upper eight), transparent pixels show
       `background`.
    2. The largest square in its middle (`crop_mode`, `crop_pct`) is scaled to `input_size` by Pillow's resize with this
       interpolation, which is antialiased and gives 8 bits.
    3. x / 255, less `mean`, over `std`, for each channel; channels first.

    Attributes:
        input_size: channels, height, width.
        mean, std: of each channel, on the scale of 0 to 1.
        classes: name of each output, in order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    input_size: tuple[Literal[3], int, int]
    interpolation: Interpolation = "bicubic"
    crop_mode: Literal["center"] = "center"
    crop_pct: float = Field(default=1.0, ge=1.0, le=1.0)
    color: Literal["RGB"] = "RGB"
    orientation: Literal["exif"] = "exif"
    background: Background = "white"
    mean: _Channels
    std: _Channels
    classes: tuple[str, ...]

    @model_validator(mode="after")
    def _is_square(self) -> Self:
        if self.input_size[1] != self.input_size[2] or self.input_size[1] < 1:
            raise ValueError(f"input_size: a square was expected, got {self.input_size}")
        return self


def interpolation_of(dataset: str, rules: ImageRules) -> Interpolation | None:
    """The filter that this dataset's images are resized by; None of pictures under former rules: not one step."""
    if not dataset.startswith("folder:"):
        return "bilinear"  # images of arrays are resized as tensors
    return None if rules.former else "bicubic"
