"""From a picture file to a network's input, as data: what every file that leaves archsearch says of it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from archsearch.image_rules import Background, ImageRules

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
    """The filter that this dataset's images are resized by; None under former rules, whose recipe is not one step."""
    if rules.former:
        return None
    return "bicubic" if dataset.startswith("folder:") else "bilinear"  # images of arrays are resized as tensors
