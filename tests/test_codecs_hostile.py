"""Files that nobody means well with: one line each, soon, and without much memory."""

import os
import resource
import socket
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from test_formats import files

from leansr.errors import PictureError
from leansr.image import codecs
from leansr.image.picture import Picture

SIGNATURE = b"\x89PNG\r\n\x1a\n"
FLOATS = (files.deep(3) / 65535).astype(np.float32)


def header(width, height, bits=8, colour=2):
    return files.chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, bits, colour, 0, 0, 0))


def claims(width, height, bits=8, colour=2):
    """A small PNG that says it is large."""
    pixels = files.chunk(b"IDAT", zlib.compress(bytes(1000)))
    return SIGNATURE + header(width, height, bits, colour) + pixels + files.chunk(b"IEND", b"")


def with_chunk(name, data):
    return files.png(files.photo(), 8, 2, files.chunk(name, data))


def bomb(name, start):
    return with_chunk(name, start + zlib.compress(bytes(100_000_000)))


def tiff_of(width=40, height=30):
    content = files.tiff(files.photo(), 2)
    for tag, old, new in ((256, 40, width), (257, 30, height)):
        entry = struct.pack("<HHL", tag, 4, 1)
        content = content.replace(entry + struct.pack("<L", old), entry + struct.pack("<L", new))
    return content


def with_value(value):
    pixels = FLOATS.copy()
    pixels[3, 4, 1] = value
    return files.tiff(pixels, 2)


def cut(format, name):
    (kind,) = [kind for kind in files.kinds(format) if kind.name == name]
    return kind.content[: len(kind.content) * 2 // 3]


DAMAGED = {
    "empty": (b"", "is not a picture"),
    "text": (b"not a picture", "is not a picture"),
    "PNG of 3600 megapixels": (claims(60000, 60000), "more than the 178 megapixels"),
    "PNG of 16 bits and 3600 megapixels": (claims(60000, 60000, 16, 6), "178 megapixels"),
    "PNG of 169 megapixels without pixels": (claims(13000, 13000), "cannot be decoded"),
    "PNG of no columns": (claims(0, 9), "is 0 x 9 pixels"),
    "PNG of no rows": (claims(9, 0), "is 9 x 0 pixels"),
    "PNG of 7 bits": (claims(9, 9, 7), "is not a picture"),
    "PNG without IHDR": (SIGNATURE + files.chunk(b"tEXt", b"a\0b") * 9, "not begin with IHDR"),
    "PNG with a bomb of text": (bomb(b"iTXt", b"a\0\1\0\0\0"), "too large"),
    "PNG with a bomb of compressed text": (bomb(b"zTXt", b"a\0\0"), "too large"),
    "PNG with a bomb of a profile": (bomb(b"iCCP", b"a\0\0"), "too large"),
    "PNG with a short tRNS": (with_chunk(b"tRNS", b"\0\1"), "cannot be decoded"),
    "PNG with an empty tRNS": (with_chunk(b"tRNS", b""), "cannot be decoded"),
    "PNG with a short gAMA": (with_chunk(b"gAMA", b"\1"), "cannot be decoded"),
    "PNG of 2^31 frames": (with_chunk(b"acTL", struct.pack(">LL", 2**31, 0)), "frames of 40 x 30"),
    "PNG of frames that are not there": (
        with_chunk(b"acTL", struct.pack(">LL", 5, 0)),
        "cannot be decoded",
    ),
    "PNG cut": (cut("PNG", "8-bit RGB"), "cannot be decoded"),
    "PNG of 16 bits cut": (cut("PNG", "16-bit RGB"), "cannot be decoded"),
    "animated PNG cut": (cut("PNG", "animation, RGB"), "cannot be decoded"),
    "JPEG cut": (cut("JPEG", "YCbCr"), "cannot be decoded"),
    "WebP cut": (cut("WebP", "RGB"), "cannot be decoded"),
    "GIF cut": (cut("GIF", "palette"), "cannot be decoded"),
    "AVIF cut": (cut("AVIF", "8-bit RGB"), "is not a picture"),
    "AVIF of 10 bits cut": (cut("AVIF", "10-bit RGB"), "is not a picture"),
    "TIFF cut": (files.tiff(files.photo(), 2)[:900], "it has no picture"),
    "TIFF without a directory": (b"II*\0" + bytes(4), "it has no picture"),
    "TIFF with its directory outside": (b"II*\0" + b"\xff" * 4, "it has no picture"),
    "TIFF of no columns": (tiff_of(width=0), "is 0 x 30 pixels"),
    "TIFF of 2^31 columns": (tiff_of(width=2**31), "178 megapixels"),
    "TIFF of 169 megapixels without pixels": (tiff_of(13000, 13000), "cannot be decoded"),
    "TIFF with NaN": (with_value(np.nan), "not finite"),
    "TIFF with infinity": (with_value(np.inf), "not finite"),
    "TIFF from -3e38 to 3e38": (
        files.tiff(np.where(FLOATS > 0.5, 3e38, -3e38).astype(np.float32), 2),
        "too far apart",
    ),
    "TIFF of 32-bit integers": (files.tiff(files.photo(1).astype(np.uint32), 1), "uint32"),
    "TIFF of 64-bit floats": (files.tiff(FLOATS.astype(np.float64), 2), "samples out of range"),
    "TIFF of another colour": (files.tiff(files.photo(), 99), "save it as RGB"),
    "BMP of 2^31 by 2^31": (
        b"BM"
        + struct.pack("<LHHLLllHHLLllLL", 0, 0, 0, 54, 40, 2**31 - 1, 2**31 - 1, 1, 24, *[0] * 6),
        "178 megapixels",
    ),
    "GIF of a screen of 65535": (
        b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b",".ljust(30, b"\xff"),
        "178 megapixels",
    ),
    "WebP of 2^24 by 2^24": (
        b"RIFF\x64\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff" * 6 + bytes(70),
        "178 megapixels",
    ),
    "AVIF's head": (b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", "is not a picture"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_one_line(tmp_path, name):
    content, words = DAMAGED[name]
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(PictureError) as raised:
        codecs.read(path)
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert "\n" not in message
    # Whether the size can be told or not.
    with suppress(PictureError):
        assert codecs.size_of(path).pixels >= 0


ODD = {
    "1 x 1": files.png(files.photo()[:1, :1], 8, 2),
    "65535 x 1": files.png(np.zeros((1, 65535, 3), np.uint8), 8, 2),
    "1 x 65535 of 16 bits": files.png(np.zeros((65535, 1, 3), np.uint16), 16, 2),
    "a profile that is none": with_chunk(b"iCCP", b"a\0\0" + zlib.compress(b"junk" * 50)),
    "5 MB of damaged EXIF": with_chunk(b"eXIf", b"MM\0*" + b"\xff" * 5_000_000),
    "a long tRNS": with_chunk(b"tRNS", bytes(99)),
    "a palette that is missing": files.png(files.few(2), 8, 3),
    "a gamma of 0": with_chunk(b"gAMA", bytes(4)),
    "primaries of 0": files.png(
        files.photo(), 8, 2, files.chunk(b"gAMA", b"\0\1\x86\xa0"), files.chunk(b"cHRM", bytes(32))
    ),
    "a resolution of 0": with_chunk(b"pHYs", bytes(9)),
    "a TIFF whose second page is its first": files.tiff(files.photo(), 2)[:-4]
    + files.tiff(files.photo(), 2)[4:8],
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".gif"])
def test_what_is_odd_is_a_picture_all_the_same(tmp_path, name, suffix):
    path = tmp_path / "a.png"
    path.write_bytes(ODD[name])
    picture = codecs.read(path)
    assert len(list(picture.frames)) == 1
    if max(picture.pixels.shape) > 60_000 and suffix == ".webp":
        with pytest.raises(PictureError, match="16383 pixels a side"):
            codecs.write(picture, tmp_path / f"b{suffix}")
        return
    codecs.write(picture, tmp_path / f"b{suffix}")
    assert codecs.read(tmp_path / f"b{suffix}").pixels.shape[:2] == picture.pixels.shape[:2]


def test_bombs_take_no_memory(tmp_path):
    """In a process of its own, whose peak is looked at."""
    for index, (content, _) in enumerate(DAMAGED.values()):
        (tmp_path / f"{index}.png").write_bytes(content)
    program = (
        "import pathlib, resource, sys\n"
        "from leansr.errors import PictureError\n"
        "from leansr.image import codecs\n"
        "from leansr.image.codecs import vips\n"
        "vips.library()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in pathlib.Path(sys.argv[1]).iterdir():\n"
        "    try:\n"
        "        codecs.read(path)\n"
        "    except PictureError:\n"
        "        pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100 * 1024


def a_pipe(path):
    os.mkfifo(path)


def a_socket(path):
    here = os.getcwd()
    # A socket's name may not be long.
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


def a_loop(path):
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (a_pipe, "is not a file"),
        (a_socket, "is not a file"),
        (Path.mkdir, "is not a file"),
        (a_loop, "cannot be read"),
        (lambda path: None, "no such file"),
        (lambda path: path.symlink_to("nowhere"), "no such file"),
    ],
)
def test_what_is_no_file_is_named(tmp_path, make, words):
    path = tmp_path / "a.png"
    make(path)
    for call in (codecs.read, codecs.size_of):
        with pytest.raises(PictureError) as raised:
            call(path)
        assert str(raised.value).startswith(f"{path}: {words}")


def test_a_source_that_may_not_be_read_is_named(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(PictureError, match="cannot be read"):
        codecs.read(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".gif"])
def test_a_target_that_cannot_be_written_is_named(tmp_path, suffix):
    (tmp_path / "file").touch()
    (tmp_path / f"folder{suffix}").mkdir()
    picture = Picture(files.photo(), "RGB")
    for target in (tmp_path / "file" / f"a{suffix}", tmp_path / f"folder{suffix}"):
        with pytest.raises(PictureError) as raised:
            codecs.write(picture, target)
        assert str(raised.value).startswith(f"{target}: cannot be written")
    assert sorted(os.listdir(tmp_path)) == ["file", f"folder{suffix}"]


@pytest.mark.parametrize("name", ["with space.png", "-leading.png", "ünï ☃.png", "new\nline.png"])
def test_any_name_will_do(tmp_path, name):
    path = tmp_path / name
    codecs.write(Picture(files.photo(), "RGB"), path)
    np.testing.assert_array_equal(codecs.read(path).pixels, files.photo())


def test_a_large_picture_may_be_asked_for_its_size(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(claims(30000, 20000, 16, 6))
    size = codecs.size_of(path)
    assert (size.height, size.width, size.nbytes) == (20000, 30000, 30000 * 20000 * 8)
    # BigTIFF of which only the head is there.
    path.write_bytes(tiff_of(30000, 20000))
    assert codecs.size_of(path).pixels == 600_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4 << 20
