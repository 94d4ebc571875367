"""One picture file: what it is, whether it is whole, and its pixels as 8-bit colour, upright and square."""

from __future__ import annotations

import hashlib
import io
import stat
import struct
import warnings
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from archsearch.image_rules import BACKGROUNDS, Background

FORMATS: Mapping[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}
"""The formats of Pillow that are opened, and no other whatever a file's name says, with the endings looked for."""
ENDINGS = tuple(ending for endings in FORMATS.values() for ending in endings)

_LARGEST_FILE = 2**30  # bytes; a photograph of 100 megapixels has a tenth of it
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
_EIGHT_BITS = ("1", "L", "RGB", "RGBX", "CMYK", "YCbCr", "HSV")  # nothing is clipped on the way to RGB
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # tags of TIFF 6.0, section 8

BROKEN_PICTURE = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, EOFError, MemoryError,
    NotImplementedError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow raises on a damaged file."""


@dataclass(frozen=True, kw_only=True)
class PictureFacts:
    """What is known of a file without its pixels.

    Attributes:
        digest: first 32 hex digits of the SHA-256 of its content; "" if it could not be read.
        format, mode: as Pillow names them.
        width, height: of the upright picture (pixels).
        problem: why it is no picture that can be used; None if it is one.
    """

    digest: str = ""
    format: str = ""
    mode: str = ""
    width: int = 0
    height: int = 0
    problem: str | None = None


def picture_facts(file: Path, *, whole: bool) -> PictureFacts:
    """Look at a file: its content's digest, its header, and whether it ends as its format does.

    A file that does not end so is decoded, to tell a broken one from one with something behind its end; `whole`
    decodes every file, which finds damage within, too.
    """
    digest = ""
    try:
        content = _content(file)
        digest = digest_of(content)
        with _opened(content) as image:
            width, height = _upright_size(image)
            facts = PictureFacts(digest=digest, format=str(image.format), mode=image.mode, width=width, height=height)
            problem = _unusable(image)
            ends = _ENDS.get(facts.format)
            if problem is None and (whole or ends is None or not ends(content)):
                image.load()
    except BROKEN_PICTURE as error:
        return PictureFacts(digest=digest, problem=_reason(error))
    return PictureFacts(**{**facts.__dict__, "problem": problem})


def square_pixels(file: Path, *, size: int, background: Background, digest: str | None = None) -> NDArray[np.uint8]:
    """The picture as training sees it: uint8 of shape (size, size, 3).

    1. Turned upright as its EXIF orientation says, all eight.
    2. Eight bits: of 16 the upper eight (v >> 8), of TIFF's 12 the upper eight (v >> 4). Of an animation the first
       picture.
    3. RGB; transparent pixels show `background`.
    4. Scaled (Pillow's bicubic, antialiased) until the shorter side is `size`, the longer one cut evenly at both ends.

    Raises one of `BROKEN_PICTURE`; ValueError also if the content is not that of `digest`.
    """
    content = _content(file)
    if digest is not None and digest_of(content) != digest:
        raise ValueError("it was changed while it was read")
    with _opened(content) as image:
        if problem := _unusable(image):
            raise ValueError(problem)
        image.load()
        upright = ImageOps.exif_transpose(_coloured(image, BACKGROUNDS[background]))
    return np.asarray(middle_square(upright, size))


def middle_square(
    image: Image.Image, size: int, resampling: Image.Resampling = Image.Resampling.BICUBIC
) -> Image.Image:
    """The square in the middle at this size: columns first, then rows, each rounded to 8 bits.

    Pillow 13 takes rows first where that is less work, and older ones do not: one order gives one picture everywhere.
    """
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    narrow = image.resize((size, height), resampling, box=(left, 0, left + side, height))
    return narrow.resize((size, size), resampling, box=(0, top, size, top + side))


def digest_of(content: bytes) -> str:
    """First 32 hex digits of the SHA-256."""
    return hashlib.sha256(content).hexdigest()[:32]


def _content(file: Path) -> bytes:
    found = file.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no regular file")
    if found.st_size > _LARGEST_FILE:
        raise ValueError(f"it has {found.st_size:,} bytes, more than {_LARGEST_FILE:,}")
    if found.st_size == 0:
        raise ValueError("it is empty")
    return file.read_bytes()


def _opened(content: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata, and of sizes below the limit that Pillow refuses
        return Image.open(io.BytesIO(content), formats=list(FORMATS))


def _upright_size(image: Image.Image) -> tuple[int, int]:
    if isinstance(image, TiffImageFile):  # Pillow turns these itself, and says their upright size
        return image.size
    return image.size[::-1] if image.getexif().get(0x0112) in (5, 6, 7, 8) else image.size


def _unusable(image: Image.Image) -> str | None:
    """Why a picture that Pillow opens has no 8-bit colours; None if it has."""
    if image.mode in (*_EIGHT_BITS, *_ALPHA, *_SIXTEEN_BITS, "P"):
        return None
    if image.mode == "I" and image.format in ("PNG", "PPM"):  # 16 bits, in these formats
        return None
    kinds = {"F": "floating-point pixels", "I": "32-bit or signed pixels"}
    kind = kinds.get(image.mode, f"pixels of mode {image.mode}")
    return f"it has {kind}, which say not what is white: save it with 8 or 16 bits"


def _coloured(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """RGB of 8 bits with the same EXIF orientation, if there is one."""
    orientation = image.getexif().get(0x0112)
    if image.mode in _SIXTEEN_BITS or image.mode == "I":
        rgb = Image.fromarray(_eight_bits(image)).convert("RGB")
        if isinstance(transparent := image.info.get("transparency"), int):
            rgb.paste(background, mask=Image.fromarray(np.asarray(image) == transparent))
    elif image.mode in _ALPHA or "transparency" in image.info:
        over = image.convert("RGBA")
        under = Image.new("RGBA", over.size, (*background, 255))
        rgb = Image.alpha_composite(under, over).convert("RGB")
    else:
        rgb = image.convert("RGB")
    rgb.info.pop("exif", None)
    rgb.getexif().clear()
    if orientation is not None:
        rgb.getexif()[0x0112] = orientation
    return rgb


def _eight_bits(image: Image.Image) -> NDArray[np.uint8]:
    values = np.asarray(image).astype(np.int64)
    shift = 8
    if isinstance(image, TiffImageFile):
        if image.tag_v2.get(_BITS_PER_SAMPLE) == (12,):
            shift = 4
        if image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
            values = (256 << shift) - 1 - values
    return (values >> shift).astype(np.uint8)


def _webp_ends(content: bytes) -> bool:
    return len(content) >= int.from_bytes(content[4:8], "little") + 8


_ENDS: Mapping[str, Callable[[bytes], bool]] = {
    "JPEG": lambda content: content.rstrip(b"\0").endswith(b"\xff\xd9"),
    "PNG": lambda content: content.endswith(b"\0\0\0\0IEND\xaeB\x60\x82"),
    "GIF": lambda content: content.endswith(b";"),
    "WEBP": _webp_ends,
}
"""Whether a content ends as its format does; formats that do not tell are decoded."""


def _reason(error: BaseException) -> str:
    """One line, without the object that Pillow names."""
    if isinstance(error, FileNotFoundError):
        return "it is a link to nothing"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, UnidentifiedImageError):
        return "it is none of " + ", ".join(FORMATS)
    said = " ".join(str(error).split())
    return said[:200] or type(error).__name__
