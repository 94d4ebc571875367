"""What a picture file becomes: the values of pictures as people have them."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from archsearch.data.pictures import ENDINGS, FORMATS, picture_facts, square_pixels

GREY_16 = np.tile(np.linspace(0, 65535, 40).astype(np.uint16), (40, 1))


def pixels(file: Path, size: int, background: str = "white") -> np.ndarray:
    return square_pixels(file, size=size, background=background)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.pgm"])
def test_16_bit_grey_keeps_its_upper_eight_bits(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    Image.fromarray(GREY_16).save(file)
    # v >> 8 of 0, 13443, 26886, 40329, 53772
    assert pixels(file, 40)[0, ::8].tolist() == [[v] * 3 for v in (0, 52, 105, 157, 210)]


def test_16_bit_colour_keeps_its_upper_eight_bits(tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    row = b"\0" + struct.pack(">3H", 0x1234, 0xABCD, 0xFFFF) * 8  # filter 0, then 8 pixels
    file.write_bytes(_png(width=8, height=8, bits=16, colour=2, rows=row * 8))
    assert pixels(file, 8)[3, 3].tolist() == [0x12, 0xAB, 0xFF]


def test_16_bit_grey_with_a_transparent_level_shows_the_background_there(tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    row = b"\0" + struct.pack(">2H", 0x1234, 0x8000) * 4
    file.write_bytes(_png(width=8, height=8, bits=16, colour=0, rows=row * 8, chunks=[(b"tRNS", b"\x12\x34")]))
    assert pixels(file, 8, "black")[0, :2, 0].tolist() == [0, 0x80]
    assert pixels(file, 8, "white")[0, :2, 0].tolist() == [255, 0x80]


def test_a_16_bit_tiff_whose_zero_is_white_is_not_read_as_its_negative(tmp_path: Path) -> None:
    file = tmp_path / "x.tif"
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0
    Image.fromarray(np.full((8, 8), 0x1234, dtype=np.uint16)).save(file, tiffinfo=tags)
    content = file.read_bytes()
    with Image.open(file) as image:
        if image.tag_v2[262] != 0:  # Pillow writes its own: turn the tag's value in the file
            at = content.index(struct.pack("<HHI", 262, 3, 1)) + 8
            file.write_bytes(content[:at] + b"\0\0" + content[at + 2 :])
    assert pixels(file, 8)[0, 0].tolist() == [(0xFFFF - 0x1234) >> 8] * 3


# what must be done to the stored picture so that it stands upright (EXIF 2.32, table of tag 274), as its inverse
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_orientation_stands_upright(tmp_path: Path, orientation: int, format_name: str) -> None:
    upright = np.zeros((32, 48, 3), dtype=np.uint8)
    upright[:16, :, 0] = 255  # red above
    upright[:, :24, 1] = 255  # green on the left
    file = tmp_path / f"x{FORMATS[format_name][0]}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100, "subsampling": 0} if format_name == "JPEG" else {}
    options |= {"lossless": True} if format_name == "WEBP" else {}
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    stored.save(file, format=format_name, exif=exif, **options)
    facts = picture_facts(file, whole=True)
    assert (facts.width, facts.height, facts.problem) == (48, 32, None)
    found = pixels(file, 32).astype(int)  # columns 8 to 39
    corners = [found[4, 4], found[4, 28], found[28, 4], found[28, 28]]
    expected = [(255, 255, 0), (255, 0, 0), (0, 255, 0), (0, 0, 0)]
    assert np.abs(np.array(corners) - expected).max() <= 8


def test_white_above_stays_above_in_a_picture_that_lies_on_its_side(tmp_path: Path) -> None:
    upright = np.zeros((40, 40), dtype=np.uint8)
    upright[:20] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(upright, 1).copy()).save(tmp_path / "x.jpg", exif=exif, quality=100)
    found = pixels(tmp_path / "x.jpg", 40)
    assert found[2, 20, 0] > 250 and found[37, 20, 0] < 5


@pytest.mark.parametrize(("background", "level"), [("white", 255), ("black", 0)])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_show_the_background(tmp_path: Path, background: str, level: int, mode: str) -> None:
    picture = Image.new("RGBA", (16, 16), (255, 255, 255, 0))
    picture.paste((120, 120, 120, 255), (0, 0, 8, 16))
    picture.convert(mode).save(tmp_path / "x.png", **({"transparency": 1} if mode == "P" else {}))
    if mode == "P":
        paletted = Image.new("P", (16, 16), 1)
        paletted.putpalette([120, 120, 120, 255, 255, 255])
        paletted.paste(0, (0, 0, 8, 16))
        paletted.save(tmp_path / "x.png", transparency=1)
    found = pixels(tmp_path / "x.png", 16, background)
    assert found[8, 2].tolist() == [120] * 3 and found[8, 13].tolist() == [level] * 3


def test_half_transparent_is_half_background(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (200, 100, 0, 51)).save(tmp_path / "x.png")  # alpha 51 / 255 = 0.2
    assert pixels(tmp_path / "x.png", 8, "black")[0, 0].tolist() == [40, 20, 0]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_every_eight_bit_mode_keeps_its_colour(tmp_path: Path, mode: str) -> None:
    name = "x.tif" if mode == "CMYK" else "x.jpg" if mode == "YCbCr" else "x.png"
    Image.new("RGB", (8, 8), (255, 255, 255)).convert(mode).save(tmp_path / name)
    assert pixels(tmp_path / name, 8)[4, 4].tolist() == [255, 255, 255]
    assert picture_facts(tmp_path / name, whole=False).problem is None


@pytest.mark.parametrize(("values", "kind"), [(np.float32, "floating-point"), (np.int32, "32-bit or signed")])
def test_pixels_that_do_not_say_what_white_is_are_refused(tmp_path: Path, values: type, kind: str) -> None:
    Image.fromarray(np.full((8, 8), 7, dtype=values)).save(tmp_path / "x.tif")
    problem = picture_facts(tmp_path / "x.tif", whole=False).problem
    assert problem is not None and kind in problem
    with pytest.raises(ValueError, match=kind):
        pixels(tmp_path / "x.tif", 8)


@pytest.mark.parametrize("content", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"GIMP", b"<svg/>"])
def test_only_the_named_formats_are_opened_whatever_the_ending(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.png"
    file.write_bytes(content)
    assert "it is none of JPEG, PNG" in str(picture_facts(file, whole=True).problem)


def test_postscript_never_reaches_its_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*_: object, **__: object) -> None:
        raise AssertionError("PostScript was interpreted")

    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", reached)
    file = tmp_path / "x.png"
    file.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    assert picture_facts(file, whole=True).problem is not None


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_cut_file_is_found_without_asking_for_it(tmp_path: Path, format_name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, format=format_name)
    whole, cut = tmp_path / "whole.png", tmp_path / "cut.png"
    whole.write_bytes(buffer.getvalue())
    cut.write_bytes(buffer.getvalue()[: -len(buffer.getvalue()) // 3])
    assert picture_facts(whole, whole=False).problem is None
    assert picture_facts(cut, whole=False).problem is not None


def test_what_follows_the_end_of_a_jpeg_does_not_make_it_broken(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(buffer, format="JPEG")
    (tmp_path / "x.jpg").write_bytes(buffer.getvalue() + b"a camera's own bytes")
    assert picture_facts(tmp_path / "x.jpg", whole=False).problem is None


def test_an_empty_file_and_a_link_to_nothing_have_reasons_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.png").mkdir()
    said = [picture_facts(tmp_path / f"{name}.png", whole=False).problem for name in ("empty", "link", "folder")]
    assert said == ["it is empty", "it is a link to nothing", "it is no regular file"]


def test_an_animation_shows_its_first_picture(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert pixels(tmp_path / "x.gif", 8)[0, 0].tolist() == [255, 0, 0]


def test_the_endings_are_lower_case_and_belong_to_one_format_each() -> None:
    assert len(set(ENDINGS)) == len(ENDINGS) and all(ending == ending.lower() for ending in ENDINGS)


def _png(
    *, width: int, height: int, bits: int, colour: int, rows: bytes, chunks: list[tuple[bytes, bytes]] | None = None
) -> bytes:
    """A PNG by the specification, section 5: Pillow writes no 16-bit colour."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    between = b"".join(chunk(*one) for one in chunks or [])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + between
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
