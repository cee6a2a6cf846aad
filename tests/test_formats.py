"""Every kind of file, read and written again: against what was put into it."""

import io
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leansr.errors import PictureError
from leansr.image import codecs
from leansr.image.arrays import to_unit
from leansr.image.codecs import fitting
from leansr.image.codecs.formats import ALL
from leansr.image.picture import MODES, Picture

DOCS = Path(__file__).parents[1] / "docs"
# Its tables show what these tests hold.
formats, files = import_module("formats"), import_module("picture_files")

ROWS = {row.name: row for row in ALL}
NEEDS = {"HEIC": "pillow_heif", "JPEG XL": "imagecodecs"}
AT_HAND = [name for name in ROWS if name not in NEEDS or find_spec(NEEDS[name])]


def visible(pixels):
    """Pixels in [0, 1], without the colour of those that are clear."""
    unit = to_unit(pixels).astype(float)
    if pixels.shape[2] in (2, 4):
        unit[..., :-1] *= unit[..., -1:] > 0
    return unit


@pytest.mark.parametrize("format", AT_HAND)
def test_every_kind_is_read_as_what_it_is(format):
    kinds = list(files.kinds(format))
    assert kinds
    for kind in kinds:
        picture = codecs.decode(kind.content, kind.name)
        low, high = picture.levels
        pixels = picture.pixels
        if (low, high) != (0, 1):
            pixels = (pixels * (high - low) + low).astype(np.float32)
        assert (kind.name, pixels.shape, pixels.dtype) == (
            *(kind.name, kind.pixels.shape, kind.pixels.dtype),
        )
        difference = np.abs(visible(pixels) - visible(kind.pixels))
        if kind.is_exact:
            assert difference.max() == 0, kind.name
        else:
            # One colour of a palette, or a block of a JPEG, may be further off.
            assert difference.mean() < 0.03, kind.name


@pytest.mark.parametrize("format", AT_HAND)
def test_the_size_is_known_before_it_is_decoded(tmp_path, format):
    for kind in files.kinds(format):
        path = tmp_path / f"a{kind.suffix}"
        path.write_bytes(kind.content)
        size, picture = codecs.size_of(path), codecs.read(path)
        assert (size.height, size.width) == picture.pixels.shape[:2], kind.name
        assert size.frames == len(list(picture.frames))
        assert size.nbytes >= sum(frame.pixels.nbytes for frame in picture.frames), kind.name


@pytest.mark.parametrize("format", AT_HAND)
def test_every_kind_is_written_as_it_came(format):
    for kind in files.kinds(format):
        before = formats.enlarged(codecs.decode(kind.content, kind.name))
        after, lost = formats.there_and_back(before, kind.suffix)
        assert len(set(lost)) == len(lost)
        assert formats.called(after) == formats.called(before), kind.name
        assert np.abs(visible(after.pixels) - visible(before.pixels)).mean() < 0.03, kind.name
        assert [f.duration for f in after.frames] == [f.duration for f in before.frames]
        if kind.format != "AVIF":
            assert after.loops == before.loops


@pytest.mark.parametrize("format", AT_HAND)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_what_a_format_does_not_hold_is_said(format, mode, dtype):
    """Any picture to any format: it looks the same, or it is refused, and losses are named."""
    row = ROWS[format]
    source = files.photo(MODES[mode]) if dtype == "uint8" else files.deep(MODES[mode])
    pixels = (source / 65535).astype(np.float32) if dtype == "float32" else source
    picture = Picture(pixels, mode)
    if picture.has_alpha and format == "JPEG":
        with pytest.raises(PictureError, match="alpha"):
            formats.there_and_back(picture, ".jpg")
        return
    after, lost = formats.there_and_back(picture, row.suffixes[0])
    # AVIF of more than 8 bits has no grey as libvips writes it.
    is_deep_avif = format == "AVIF" and dtype != "uint8"
    assert after.mode[0] == mode[0] or mode not in row.modes or is_deep_avif
    assert after.has_alpha == picture.has_alpha
    is_kept = after.pixels.dtype == dtype and after.bits is None
    assert is_kept or any("bits a sample" in note for note in lost)
    assert is_kept == (dtype == row.dtypes[0] or (dtype in row.dtypes and format[0] in "PTJ"))
    wanted = visible(pixels)
    if mode[0] != after.mode[0]:
        wanted = np.concatenate([wanted[..., :1].repeat(3, 2), wanted[..., 1:]], axis=2)
    if format == "GIF" and picture.has_alpha:
        wanted[..., -1] = wanted[..., -1] >= 0.5
        wanted[..., :-1] *= wanted[..., -1:]
    assert np.abs(visible(after.pixels) - wanted).mean() < 0.03


@pytest.mark.parametrize("format", AT_HAND)
def test_what_travels_with_a_picture(format):
    """All of it is kept, or a note says which is not."""
    row, before = ROWS[format], formats.everything()
    after, lost = formats.there_and_back(before, row.suffixes[0])
    said = " ".join(lost)
    assert (after.icc_profile == before.icc_profile) != ("sRGB" in said)
    assert (after.xmp == before.xmp) != ("XMP" in said)
    assert (after.dpi is not None) != ("resolution" in said)
    assert (after.text == before.text) != ("text" in said)
    assert (after.exif is not None) != ("EXIF" in said)
    if after.dpi is not None:
        np.testing.assert_allclose(after.dpi, before.dpi, atol=0.5)
    if after.exif is not None:
        exif = Image.Exif()
        exif.load(after.exif)
        assert exif[formats.EXIF_CAMERA] == "camera"


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WebP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_is_that_of_the_upright_larger_picture(tmp_path, format, orientation):
    exif = Image.Exif()
    exif[formats.EXIF_CAMERA] = "camera"
    exif[formats.EXIF_ORIENTATION] = orientation
    exif.get_ifd(0x8769)[formats.EXIF_ACROSS] = 40
    options = {"exif": exif.tobytes()} | ({} if format == "PNG" else {"quality": 100})
    content = files.saved(files.photo(), ROWS[format].name.upper(), **options)
    picture = codecs.decode(content, format)
    assert picture.pixels.shape == ((30, 40, 3) if orientation < 5 else (40, 30, 3))
    # The same by Pillow, which turns its own.
    with Image.open(io.BytesIO(content)) as image:
        from PIL import ImageOps

        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert np.abs(picture.pixels.astype(int) - upright).max() <= 4
    path = tmp_path / f"a{ROWS[format].suffixes[0]}"
    codecs.write(formats.enlarged(picture), path)
    with Image.open(path) as image:
        written = image.getexif()
        assert written.get(formats.EXIF_ORIENTATION, 1) == 1
        assert written.get_ifd(0x8769)[formats.EXIF_ACROSS] == image.size[0]


def test_xmp_is_that_of_the_upright_larger_picture():
    xmp = b'<x tiff:Orientation="6" tiff:ImageWidth="30" exif:PixelYDimension="40"/>'
    content = files.saved(files.photo(), "JPEG", xmp=xmp)
    picture = codecs.decode(content, "a.jpg")
    assert picture.pixels.shape == (40, 30, 3)
    after, _ = formats.there_and_back(formats.enlarged(picture), ".jpg")
    assert after.xmp == xmp.replace(b'"6"', b'"1"').replace(b'"30"', b'"60"').replace(b"40", b"80")


@pytest.mark.parametrize("format", [row.name for row in ALL if "animation" in row.frames])
def test_animations_keep_frames_and_times(format):
    frames = [
        Picture(p, "RGB", duration=d)
        for p, d in zip(files.moving(3), (33.3, 70, 5000), strict=True)
    ]
    animation = replace(frames[0], more=tuple(frames[1:]), loops=2)
    after, lost = formats.there_and_back(animation, ROWS[format].suffixes[0])
    assert len(after.more) == 2
    for frame, wanted in zip(after.frames, frames, strict=True):
        assert np.abs(frame.pixels.astype(int) - wanted.pixels).mean() < 8
        assert abs(frame.duration - wanted.duration) <= (6 if format == "GIF" else 1)
    assert after.loops == (0 if format == "AVIF" else 2)
    assert bool(lost) == (format == "AVIF")


@pytest.mark.parametrize("suffix", [".jpg", ".bmp", ".tif"])
def test_an_animation_is_not_cut_to_a_picture(tmp_path, suffix):
    frames = [Picture(p, "RGB", duration=40.0) for p in files.moving(3)]
    animation = replace(frames[0], more=tuple(frames[1:]))
    with pytest.raises(PictureError, match="an animation of 3 frames; write"):
        codecs.check_format(animation, tmp_path / f"a{suffix}")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif"])
def test_pages_are_not_taken_for_frames(tmp_path, suffix):
    page = Picture(files.photo(), "RGB")
    with pytest.raises(PictureError, match="2 pages; write"):
        codecs.check_format(replace(page, more=(page,)), tmp_path / f"a{suffix}")


def test_pages_have_each_their_own(tmp_path):
    pages = [
        replace(formats.everything(), dpi=(72.0, 72.0)),
        Picture(files.deep(2), "LA", xmp=b"<second/>"),
        Picture((files.photo(1) / 64 - 1).astype(np.float32), "L"),
    ]
    after, lost = formats.there_and_back(replace(pages[0], more=tuple(pages[1:])), ".tif")
    for page, wanted in zip(after.frames, pages, strict=True):
        assert (page.mode, page.icc_profile, page.xmp) == (
            wanted.mode,
            wanted.icc_profile,
            wanted.xmp,
        )
        low, high = page.levels
        np.testing.assert_allclose(page.pixels * (high - low) + low, wanted.pixels, atol=1e-6)
    assert lost == ("TIFF holds no text, which is left out",)


def test_each_loss_is_named_once():
    frames = [replace(formats.everything(), duration=40.0) for _ in range(3)]
    animation = replace(frames[0], more=tuple(frames[1:]))
    _, lost = fitting.fitted(animation, ROWS["GIF"])
    assert len(lost) == len(set(lost))
    assert len(lost) == 5


@pytest.mark.parametrize("format", [n for n in AT_HAND if ROWS[n].largest < 70_000])
def test_the_largest_side_is_what_the_libraries_take(tmp_path, format):
    row = ROWS[format]
    path = tmp_path / f"a{row.suffixes[0]}"
    # x265 takes no strip as long as this that is narrower.
    for shape in ((64, row.largest, 3), (row.largest, 64, 3)):
        codecs.write(Picture(np.full(shape, 200, np.uint8), "RGB"), path)
        assert codecs.read(path).pixels.shape[:2] == shape[:2]


@pytest.mark.parametrize("format", ["HEIC", "JPEG XL"])
def test_a_missing_library_is_named_with_the_extra(tmp_path, monkeypatch, format):
    monkeypatch.setitem(sys.modules, NEEDS[format], None)
    path = tmp_path / f"a{ROWS[format].suffixes[0]}"
    head = {"HEIC": b"\0\0\0\x18ftypheic\0\0\0\0heicmif1", "JPEG XL": b"\xff\x0a" + b"\0" * 50}[
        format
    ]
    path.write_bytes(head)
    for call in (
        lambda: codecs.read(path),
        lambda: codecs.write(Picture(files.photo(), "RGB"), path),
    ):
        with pytest.raises(PictureError) as raised:
            call()
        assert str(raised.value).startswith(f"{path}: {format} needs {NEEDS[format]}")
        assert "leansr[formats]" in str(raised.value)


def test_the_page_is_up_to_date():
    if find_spec("cogapp") is None or set(AT_HAND) != set(ROWS):
        pytest.skip("needs cogapp and the libraries of all formats")
    command = [sys.executable, "-m", "cogapp", "--check", "-I", str(DOCS), str(DOCS / "formats.md")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
