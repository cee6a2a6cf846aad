"""How strongly a JPEG was compressed is read off its tables, whoever wrote them."""

import io
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, JpegPresets

from leansr.errors import PictureError
from leansr.image import codecs, jpeg

QUANTISATION, FRAME, SCAN = 0xDB, 0xC0, 0xDA


def encoded(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return file.getvalue()


def quality(content):
    return codecs.decode(content, "a.jpg").jpeg_quality


def segments(content):
    """Marker and payload of every segment up to the scan, and the rest of the file."""
    found, at = [], 2
    while not found or found[-1][0] != SCAN:
        (length,) = struct.unpack_from(">H", content, at + 2)
        found.append((content[at + 1], content[at + 4 : at + 2 + length]))
        at += 2 + length
    return found, content[at:]


def rebuilt(found, rest):
    parts = [struct.pack(">BBH", 255, marker, len(body) + 2) + body for marker, body in found]
    return b"\xff\xd8" + b"".join(parts) + rest


@pytest.mark.parametrize("wanted", range(1, 101))
def test_every_quality_of_the_ijg(photo, wanted):
    assert jpeg.quality(jpeg.scaled(wanted)) == wanted
    assert quality(encoded(photo[:16, :16], quality=wanted)) == wanted


@pytest.mark.parametrize("wanted", range(30, 96, 5))
def test_whatever_else_the_encoder_does(photo, wanted):
    crop = photo[:37, :50]
    for options in (
        {"subsampling": "4:4:4"},
        {"subsampling": "4:2:0", "progressive": True},
        {"optimize": True, "restart_marker_rows": 1},
    ):
        assert quality(encoded(crop, quality=wanted, **options)) == wanted
    assert quality(encoded(crop[..., 0], quality=wanted)) == wanted
    turned = Image.Exif()
    turned[0x0112] = 6
    assert quality(encoded(crop, quality=wanted, exif=turned)) == wanted


def test_tables_of_16_bits(photo):
    content = encoded(photo[:32, :40], quality=43)
    found, rest = segments(content)
    wide = [
        (marker, bytes([16 | body[0], *(b for v in body[1:] for b in (0, v))]))
        if marker == QUANTISATION
        else (marker, body)
        for marker, body in found
    ]
    assert len(rebuilt(wide, rest)) == len(content) + 2 * 64
    assert quality(rebuilt(wide, rest)) == 43
    assert jpeg.quality([60_000] * 64) == 1


def test_luma_is_the_first_component_whatever_its_table_is_called(photo):
    """Tables 0 and 1 change names: in the tables, and in the frame that refers to them."""
    content = encoded(photo[:32, :40], quality=43)
    found, rest = segments(content)
    swapped = []
    for marker, body in found:
        if marker == QUANTISATION:
            body = bytes([1 - body[0]]) + body[1:]
        elif marker == FRAME:
            # Six bytes of size, then three a component, of which the last is its table's name.
            body = bytes(1 - b if i in (8, 11, 14) else b for i, b in enumerate(body))
        swapped.append((marker, body))
    changed = rebuilt(swapped, rest)
    assert changed != content
    assert quality(changed) == 43
    before, after = (codecs.decode(c, "a.jpg").pixels for c in (content, changed))
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("name", JpegPresets.presets)
def test_other_tables_are_as_strong_as_they_do_damage(photo, name):
    """Photoshop's tables have another shape: beside them the quality that loses as much."""
    half = photo[::2, ::2, 1]

    def loss(**options):
        decoded = codecs.decode(encoded(half, **options), "a.jpg").pixels[..., 0]
        return math.log(np.square(decoded.astype(float) - half).mean())

    table = JpegPresets.presets[name]["quantization"][0]
    lost = loss(qtables=[table])
    as_bad = min(range(20, 101), key=lambda q: abs(loss(quality=q) - lost))
    assert jpeg.quality(table) == pytest.approx(as_bad, abs=12)


@given(st.lists(st.integers(0, 255), min_size=64, max_size=64), st.integers(1, 255))
def test_a_stronger_table_is_never_of_a_better_quality(table, factor):
    assert 1 <= jpeg.quality([entry * factor for entry in table]) <= jpeg.quality(table) <= 100


def test_a_table_is_of_64():
    with pytest.raises(ValueError, match="64 entries, not 63"):
        jpeg.quality([1] * 63)


@pytest.mark.parametrize(("image_format", "options"), [("PNG", {}), ("WEBP", {"quality": 40})])
def test_other_formats_have_none(photo, image_format, options):
    file = io.BytesIO()
    Image.fromarray(photo[:16, :16]).save(file, image_format, **options)
    assert quality(file.getvalue()) is None


def test_a_camera_file_of_several_pictures(tmp_path, photo):
    path = tmp_path / "a.jpg"
    preview = Image.fromarray(photo[:8, :8])
    Image.fromarray(photo[:64, :48]).save(
        path, "MPO", quality=71, save_all=True, append_images=[preview]
    )
    assert codecs.read(path).jpeg_quality == 71


def test_cut_anywhere_in_its_header(photo):
    content = encoded(photo[:16, :16], quality=50)
    _, rest = segments(content)
    for length in range(len(content) - len(rest)):
        with pytest.raises(PictureError, match=r"^a\.jpg: "):
            codecs.decode(content[:length], "a.jpg")
