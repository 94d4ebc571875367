"""Classify pictures with an exported model: needs onnxruntime, numpy and Pillow, and not archsearch.

    python onnx_inference.py MODEL.onnx PICTURE ...    the class of each picture
    python onnx_inference.py MODEL.onnx FOLDER         and the accuracy, where it holds a folder for each class

As in training, folders within a class are of that class, and what is hidden, or not named as a picture, is left out.

How a picture becomes the network's input stands in the file (`archsearch.preprocessing`). A model that was exported
with --with-preprocessing does that by itself, and takes the upright picture.
"""

import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM"]  # that a training opens
ENDINGS = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm",
)  # fmt: skip
OF_THE_SYSTEM = ("__macosx", "@eadir", "$recycle.bin", "lost+found", "system volume information")
BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0  # of a TIFF

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
said = session.get_modelmeta().custom_metadata_map
if "archsearch.preprocessing" not in said:
    sys.exit(f"{sys.argv[1]}: how a picture becomes its input is not known: an older archsearch trained or exported it")
recipe = json.loads(said["archsearch.preprocessing"])
(given,) = session.get_inputs()
mean, std = (np.reshape(recipe[key], (3, 1, 1)) for key in ("mean", "std"))


def opened(path: Path) -> Image.Image:
    """Upright, RGB, 8 bits; transparent pixels show the recipe's background."""
    with Image.open(io.BytesIO(path.read_bytes()), formats=FORMATS) as file:
        image = ImageOps.exif_transpose(file)
        tags = getattr(file, "tag_v2", {})
    if image.mode in ("F", "LAB") or (image.mode == "I" and tags):
        raise ValueError(f"pixels of mode {image.mode} say not what is white")
    if image.mode.startswith("I"):  # 16 bits, or 12: the upper eight
        values, bits = np.asarray(image).astype(np.int64), 12 if tags.get(BITS_PER_SAMPLE) == (12,) else 16
        if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
            values = 2**bits - 1 - values
        grey = Image.fromarray((values >> bits - 8).astype(np.uint8)).convert("RGB")
        if isinstance(transparent := image.info.get("transparency"), int):
            grey.paste(recipe["background"], mask=Image.fromarray(values == transparent))
        return grey
    if "A" in image.mode or "transparency" in image.info:
        over = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", over.size, recipe["background"]), over)
    return image.convert("RGB")


def classified(path: Path) -> str:
    """The class of one picture."""
    picture = opened(path)
    if given.name == "image":
        network_input = np.asarray(picture)
    else:
        size, (width, height) = recipe["input_size"][1], picture.size
        side, how = min(width, height), Image.Resampling[recipe["interpolation"].upper()]
        left, top = (width - side) / 2, (height - side) / 2
        narrow = picture.resize((size, height), how, box=(left, 0, left + side, height))
        square = narrow.resize((size, size), how, box=(0, top, size, top + side))
        scaled = (np.asarray(square).transpose(2, 0, 1) / 255 - mean) / std
        network_input = scaled[np.newaxis].astype(np.float32)
    (scores,) = session.run(None, {given.name: network_input})
    return str(recipe["classes"][int(scores.argmax())])


def files_in(folder: Path) -> list[Path]:
    """Those that are not hidden, in folders that are not, links followed once."""
    found, been = [], set()
    for place, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(place)) in been:
            folders.clear()
            continue
        been.add(real)
        folders[:] = [name for name in folders if not name.startswith(".") and name.lower() not in OF_THE_SYSTEM]
        found += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(found)


right = counted = 0
for argument in map(Path, sys.argv[2:]):
    for path in files_in(argument) if argument.is_dir() else [argument]:
        within = path.relative_to(argument).parts
        try:
            if within and not path.name.lower().endswith(ENDINGS):
                raise ValueError("it is not named as a picture")
            found = classified(path)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # none, or damaged
            print(f"left out: {path}: {error}", file=sys.stderr)
            continue
        print(f"{found}\t{path}")
        label = next((part for part in (*within[:-1], argument.name) if part in recipe["classes"]), None)
        if argument.is_dir() and label is not None:
            counted += 1
            right += found == label
if counted:
    print(f"top-1 {100 * right / counted:.2f} % of {counted} pictures")
