"""Pictures that go by rows come out as those that are read whole."""

import multiprocessing
import resource
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from leansr import Upscaler
from leansr.errors import PictureError
from leansr.image import codecs
from leansr.image.alpha import REACH
from leansr.image.picture import MODES, Picture
from leansr.image.strips.open import can_write, reading, writing
from leansr.image.strips.rows import Whole, Window
from leansr.runtime import files
from leansr.runtime.choice import Upscalers
from leansr.runtime.files import Job, is_large, stream, upscale_file

EXIF = Image.Exif()
EXIF[0x010F] = "a camera"
EXIF.get_ifd(0x8769)[0xA002] = 90
DTYPES = {np.uint8: 1, np.uint16: 257}


@pytest.fixture(scope="module")
def upscalers():
    return Upscalers("sesr-m3", tile=24, threads=2)


def picture_of(photo, mode, dtype=np.uint8):
    """All modes with structure in all channels, alpha of 0 and 255 included."""
    channels = np.concatenate([photo[:70, :90], photo[100:170, :90, :1]], axis=2)
    channels[:20, :30, 3], channels[40:, 50:, 3] = 0, 255
    picks = {"L": [1], "LA": [1, 3], "RGB": [0, 1, 2], "RGBA": [0, 1, 2, 3]}
    pixels = channels[..., picks[mode]].astype(dtype) * dtype(DTYPES[dtype])
    exif = b"Exif\0\0" + EXIF.tobytes().removeprefix(b"Exif\0\0")
    return Picture(pixels, mode, exif=exif, dpi=(300.0, 300.0))


def assert_equal(first, second):
    """Two files hold one picture, and all that travels with it."""
    one, other = codecs.read(first), codecs.read(second)
    np.testing.assert_array_equal(one.pixels, other.pixels)
    stripped = [replace(p, pixels=np.zeros((1, 1, MODES[p.mode]), np.uint8)) for p in (one, other)]
    assert [vars(p) | {"pixels": 0} for p in stripped[:1]] == [
        vars(p) | {"pixels": 0} for p in stripped[1:]
    ]
    assert one.pixels.dtype == other.pixels.dtype


def both_ways(upscalers, source, suffix, tmp_path):
    """A file upscaled whole and by rows."""
    whole, rows = (Job(source, tmp_path / f"{name}{suffix}") for name in ("whole", "rows"))
    upscale_file(upscalers, whole)
    stream(upscalers, rows)
    return whole.target, rows.target


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_by_rows_is_as_whole(upscalers, photo, tmp_path, suffix, mode, dtype):
    pytest.importorskip("pyvips")
    source = tmp_path / f"photo{suffix}"
    codecs.write(picture_of(photo, mode, dtype), source)
    assert reading(source) is not None
    assert_equal(*both_ways(upscalers, source, suffix, tmp_path))


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "lzw"},
        {"compression": "none", "bigtiff": True},
        {"compression": "deflate", "predictor": "horizontal"},
        {"compression": "deflate", "tile": True, "tile_width": 32, "tile_height": 16},
        {"compression": "packbits"},
    ],
)
def test_tiffs_of_others(upscalers, photo, tmp_path, options):
    pyvips = pytest.importorskip("pyvips")
    source = tmp_path / "photo.tif"
    pyvips.Image.new_from_array(photo[:70, :90]).tiffsave(str(source), **options)
    assert reading(source) is not None
    assert_equal(*both_ways(upscalers, source, ".png", tmp_path))


@pytest.mark.parametrize(
    ("mode", "options"),
    [("1", {}), ("P", {}), ("P", {"transparency": 0}), ("RGB", {"transparency": (1, 2, 3)})],
)
def test_pngs_of_others(upscalers, photo, tmp_path, mode, options):
    """As they are or, where libvips and the codecs differ, whole."""
    source = tmp_path / "photo.png"
    Image.fromarray(photo[:70, :90]).convert(mode).save(source, **options)
    assert_equal(*both_ways(upscalers, source, ".png", tmp_path))


def test_what_has_to_be_read_whole(upscalers, photo, tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    image = Image.fromarray(photo[:70, :90])
    image.save(tmp_path / "a.jpg")
    image.save(tmp_path / "turned.png", exif=turned)
    image.save(tmp_path / "turned.tif", tiffinfo={0x0112: 6})
    image.save(tmp_path / "pages.tif", save_all=True, append_images=[image])
    for orientation in range(2, 9):
        turned[0x0112] = orientation
        for mode in ("1", "L", "P", "RGBA"):
            image.convert(mode).save(tmp_path / "t.png", exif=turned)
            assert reading(tmp_path / "t.png") is None
    for name in ("a.jpg", "turned.png", "turned.tif", "pages.tif"):
        assert reading(tmp_path / name) is None
    for name in ("a.jpg", "turned.png"):
        assert_equal(*both_ways(upscalers, tmp_path / name, ".png", tmp_path))


def test_colours_go_where_there_is_no_room_for_a_profile(upscalers, photo, tmp_path):
    """Nothing of a grey with alpha, or of 16 bits, is lost between the two formats."""
    source = tmp_path / "a.png"
    codecs.write(picture_of(photo, "LA", np.uint16), source)
    assert_equal(*both_ways(upscalers, source, ".tif", tmp_path))


def test_only_what_is_large_goes_by_rows(upscalers, photo, tmp_path, monkeypatch):
    source = tmp_path / "a.png"
    Image.fromarray(photo).save(source)
    # Of a PNG it is not known before it is decoded whether it has 8 bits.
    size = codecs.size_of(source).nbytes * 5
    for large, target, expected in (
        (size, "b.png", False),
        (size - 1, "b.png", True),
        (size - 1, "b.tiff", True),
        (size - 1, "b.jpg", False),
    ):
        monkeypatch.setattr(files, "LARGE", large)
        assert is_large(Job(source, tmp_path / target), 2) == expected
    streamed = upscale_file(upscalers, Job(source, tmp_path / "b.png"))
    assert streamed == upscalers.choose(codecs.read(source))
    assert can_write(tmp_path / "b.png")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_what_is_cut_off_leaves_nothing(upscalers, photo, tmp_path, suffix):
    pytest.importorskip("pyvips")
    source = tmp_path / f"a{suffix}"
    codecs.write(picture_of(photo, "RGB"), source)
    content = source.read_bytes()
    for length in (0, 7, 20, len(content) // 2, len(content) - 30):
        source.write_bytes(content[:length])
        with pytest.raises(PictureError, match=r"cannot be decoded|is not a picture|is none"):
            stream(upscalers, Job(source, tmp_path / "out.png"))
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


def test_a_target_that_cannot_be(upscalers, photo, tmp_path):
    source = tmp_path / "a.png"
    codecs.write(picture_of(photo, "RGB"), source)
    (tmp_path / "file").touch()
    with pytest.raises(PictureError, match=r"file/b\.png: cannot be written"):
        stream(upscalers, Job(source, tmp_path / "file" / "b.png"))


def test_an_error_between_rows_leaves_nothing(photo, tmp_path):
    class OurError(Exception):
        pass

    def write():
        with writing(tmp_path / "a.png", picture_of(photo, "RGB"), 99, 90) as rows:
            rows(photo[:30, :90])
            raise OurError

    with pytest.raises(OurError):
        write()
    assert not list(tmp_path.iterdir())


class Counting(Whole):
    """Knows how many rows were read."""

    rows_read = 0

    def read(self, count):
        self.rows_read += count
        return super().read(count)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_few_rows_are_in_memory(photo, mode, threads):
    upscaler = Upscaler("sesr-m3", tile=16, threads=threads)
    pixels = np.tile(picture_of(photo, mode).pixels, (8, 1, 1))
    source = Counting(Picture(pixels, mode))
    done, furthest = 0, 0
    parts = []
    for rows in upscaler.bands(source):
        furthest = max(furthest, source.rows_read - done)
        done += len(rows) // 2
        parts.append(rows)
    np.testing.assert_array_equal(np.concatenate(parts), upscaler(pixels))
    assert furthest == 2 * 16 + upscaler._row_halo + (REACH if mode == "RGBA" else 0)


def test_a_window_reads_each_row_once(photo):
    source = Counting(Picture(photo[:50], "RGB"))
    window = Window(source)
    for low, high in ((0, 10), (5, 20), (5, 20), (19, 50), (50, 50)):
        np.testing.assert_array_equal(window.rows(low, high), photo[low:high])
        assert source.rows_read == high


def peak_of(source, target):
    """MiB that a process of its own takes more for a picture than for its network."""
    upscalers = Upscalers("sesr-m3", threads=2)
    upscalers.of("clean")(np.zeros((600, 600, 3), np.uint8))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stream(upscalers, Job(source, target))
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


@pytest.mark.slow
def test_the_memory_of_a_tall_picture(photo, tmp_path):
    """18 megapixels, and 72 of the copy, 257 MiB in all, take less than 200."""
    pytest.importorskip("pyvips")
    source = tmp_path / "tall.png"
    band = np.tile(photo[:500], (1, 4, 1))[:, :2000]
    with writing(source, Picture(photo, "RGB"), 9000, 2000) as write:
        for _ in range(18):
            write(band)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(peak_of, (source, tmp_path / "out.png")) < 200
    size = codecs.size_of(tmp_path / "out.png")
    assert (size.width, size.height) == (4000, 18_000)
