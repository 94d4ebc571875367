"""A picture of any size in: cropping, scaling and normalising as nodes of the ONNX graph.

Pillow's resize (Resample.c, 8 bits a channel) in double precision: weights in fixed point of 22 bits, the horizontal
pass rounded to 8 bits before the vertical one. Every product and sum is a whole number below 2^53, so the pixels are
Pillow's.
"""

from __future__ import annotations

import io
import warnings
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from archsearch.data.pictures import middle_square
from archsearch.export.onnx_file import run_onnx
from archsearch.models.onnx_export import INPUT_NAME
from archsearch.preprocessing import Interpolation, Preprocessing

IMAGE_NAME = "image"
_ONE = float(1 << 22)  # Resample.c: PRECISION_BITS = 32 - 8 - 2
_SUPPORT = {"bicubic": 2.0, "bilinear": 1.0}


class PictureInput(nn.Module):
    """uint8 (H, W, 3), upright RGB, to the network's input, float32 (1, 3, S, S)."""

    scale: Tensor
    shift: Tensor

    def __init__(self, recipe: Preprocessing) -> None:
        super().__init__()
        self._size = recipe.input_size[1]
        self._interpolation: Interpolation = recipe.interpolation
        mean, std = (torch.tensor(each, dtype=torch.float64).view(3, 1, 1) for each in (recipe.mean, recipe.std))
        self.register_buffer("scale", (1.0 / (255.0 * std)).float())  # as `data.batches` computes it
        self.register_buffer("shift", (-mean / std).float())

    def forward(self, image: Tensor) -> Tensor:
        """(H, W, 3) -> (1, 3, S, S)."""
        pixels = image.permute(2, 0, 1).double()
        # Positions by a running sum, so that the exported graph takes any size: 0, 1, 2, ...
        rows = torch.cumsum(torch.ones_like(pixels[0, :, 0]), 0) - 1.0
        columns = torch.cumsum(torch.ones_like(pixels[0, 0, :]), 0) - 1.0
        height, width = rows[-1] + 1.0, columns[-1] + 1.0
        side = torch.minimum(height, width)
        across = _rounded(torch.matmul(pixels, self._weights(columns, width, side).T))
        down = _rounded(torch.matmul(self._weights(rows, height, side), across))
        scaled: Tensor = down.float() * self.scale + self.shift
        return scaled.unsqueeze(0)

    def _weights(self, positions: Tensor, length: Tensor, side: Tensor) -> Tensor:
        """(S, length): what each position adds to each output, times 2^22, for the square in the middle."""
        scale = side / self._size
        stretch = torch.clamp(scale, min=1.0)
        support = _SUPPORT[self._interpolation] * stretch
        centres = ((length - side) / 2.0 + (torch.arange(self._size, dtype=torch.float64) + 0.5) * scale).unsqueeze(1)
        first = torch.clamp(torch.floor(centres - support + 0.5), min=0.0)
        last = torch.minimum(torch.floor(centres + support + 0.5), length)
        found = self._filter((positions - centres + 0.5) / stretch)
        found = torch.where((positions >= first) & (positions < last), found, torch.zeros_like(found))
        found = found / found.sum(1, keepdim=True) * _ONE
        return torch.sign(found) * torch.floor(found.abs() + 0.5)

    def _filter(self, distance: Tensor) -> Tensor:
        x = distance.abs()
        if self._interpolation == "bilinear":
            return torch.clamp(1.0 - x, min=0.0)
        a = -0.5
        near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
        far = (((x - 5.0) * x + 8.0) * x - 4.0) * a
        return torch.where(x < 1.0, near, torch.where(x < 2.0, far, torch.zeros_like(x)))


def _rounded(sums: Tensor) -> Tensor:
    return torch.clamp(torch.floor((sums + _ONE / 2.0) / _ONE), 0.0, 255.0)


def recipe_input(picture: NDArray[np.uint8], recipe: Preprocessing) -> Tensor:
    """The same by Pillow, as training reads pictures: (H, W, 3) -> (1, 3, S, S)."""
    resampling = Image.Resampling[recipe.interpolation.upper()]
    square = np.array(middle_square(Image.fromarray(picture), recipe.input_size[1], resampling))
    front = PictureInput(recipe)
    pixels = torch.from_numpy(square).permute(2, 0, 1).float()
    return (pixels * front.scale + front.shift).unsqueeze(0)


def run_picture(content: bytes, picture: NDArray[np.uint8]) -> Tensor:
    """What ONNX Runtime gives for an upright RGB picture (H, W, 3): logits (1, classes)."""
    return run_onnx(content, torch.from_numpy(picture), name=IMAGE_NAME)


def with_picture_input(content: bytes, recipe: Preprocessing) -> bytes:
    """An ONNX model of `export.onnx_file` that takes a picture: `image`, uint8 (H, W, 3), upright RGB of any size.

    Its metadata stay as they are.
    """
    import onnx
    from onnx import compose

    network = onnx.load_model_from_string(content)
    opset = next(each.version for each in network.opset_import if each.domain in ("", "ai.onnx"))
    front, example = io.BytesIO(), torch.zeros((8, 9, 3), dtype=torch.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            PictureInput(recipe).eval(), (example,), cast(Any, front), dynamo=False, opset_version=opset,
            input_names=[IMAGE_NAME], output_names=["pixels"], dynamic_axes={IMAGE_NAME: {0: "height", 1: "width"}},
        )  # fmt: skip
    first = compose.add_prefix(onnx.load_model_from_string(front.getvalue()), "picture/", rename_inputs=False)
    first.ir_version = network.ir_version
    merged = compose.merge_models(first, network, io_map=[("picture/pixels", INPUT_NAME)])
    onnx.helper.set_model_props(merged, {entry.key: entry.value for entry in network.metadata_props})
    return bytes(merged.SerializeToString())
