import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageCms

from leansr.errors import PictureError
from leansr.image import codecs
from leansr.image.codecs.png import PngWriter
from leansr.image.codecs.tiff import TiffWriter
from leansr.image.picture import MODES, Picture

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION = 0x0112
MAKE = 0x010F


def pixels_of(photo, mode):
    channels = {"L": photo[..., 1:2], "RGB": photo}[mode.removesuffix("A").replace("LA", "L")]
    alpha = photo[..., 2:3]
    return np.concatenate([channels, alpha], axis=2) if mode.endswith("A") else channels


# Those whose losses are small, and that hold all of a photo's metadata.
PHOTOS = (".png", ".jpg", ".jpeg", ".webp", ".tif")
HELD = [(m, s) for m in MODES for s in PHOTOS if not (m.endswith("A") and "j" in s)]


@pytest.mark.parametrize(("mode", "suffix"), HELD)
def test_there_and_back(tmp_path, photo, mode, suffix):
    pixels = pixels_of(photo[:64, :48], mode)
    exif = Image.Exif()
    exif[MAKE] = "camera"
    path = tmp_path / f"picture{suffix}"
    codecs.write(Picture(pixels, mode, ICC if "RGB" in mode else None, exif.tobytes()), path)
    back = codecs.read(path)
    assert back.icc_profile == (ICC if "RGB" in mode else None)
    assert back.exif is not None
    assert b"camera" in back.exif
    if suffix in (".png", ".tif"):
        assert back.mode == mode
        np.testing.assert_array_equal(back.pixels, pixels)
    else:
        shown = back.pixels[..., :3].astype(float)
        wanted = np.broadcast_to(pixels[..., : 1 if "L" in mode else 3], shown.shape)
        if not mode.endswith("A"):
            assert np.abs(shown - wanted).mean() < 4
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_orientation_is_applied_once(tmp_path, photo, orientation, suffix):
    # What the sensor saw for an upright picture held in each of the eight ways.
    turned = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p, 1),
        7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
        8: lambda p: np.rot90(p, -1),
    }[orientation]
    upright = photo[64:96, 64:112]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[MAKE] = "camera"
    path = tmp_path / f"turned{suffix}"
    options = {"lossless": True} if suffix == ".webp" else {"quality": 100, "subsampling": 0}
    stored = np.ascontiguousarray(turned(upright))
    Image.fromarray(stored).save(path, exif=exif, **({} if suffix == ".png" else options))
    picture = codecs.read(path)
    assert picture.pixels.shape == upright.shape
    assert np.abs(picture.pixels.astype(int) - upright).max() <= (12 if suffix == ".jpg" else 0)
    kept = Image.Exif()
    kept.load(picture.exif)
    assert kept.get(ORIENTATION, 1) == 1
    assert kept[MAKE] == "camera"


def test_a_cameras_jpeg_with_a_preview_is_its_photo(tmp_path, photo):
    path = tmp_path / "camera.jpg"
    preview = Image.fromarray(photo[:8, :8])
    Image.fromarray(photo[:64, :48]).save(path, "MPO", save_all=True, append_images=[preview])
    with Image.open(path) as image:
        assert image.format == "MPO"
    assert codecs.read(path).pixels.shape == (64, 48, 3)


def test_what_a_picture_is_its_content_says(tmp_path, photo):
    path = tmp_path / "a.png"
    Image.fromarray(photo[:8, :8]).save(path, "JPEG")
    assert codecs.read(path).jpeg_quality == 75


def test_a_suffix_that_is_not_supported_is_named(tmp_path, photo):
    path = tmp_path / "a.ico"
    Image.fromarray(photo[:16, :16]).save(path)
    with pytest.raises(PictureError, match=r"\.ico is not supported; supported are .*\.png"):
        codecs.read(path)


def test_jpeg_refuses_alpha(tmp_path, photo):
    with pytest.raises(PictureError, match="alpha"):
        codecs.write(Picture(pixels_of(photo[:8, :8], "RGBA"), "RGBA"), tmp_path / "a.jpg")


@pytest.mark.parametrize(("suffix", "side"), [(".jpg", 32751), (".webp", 8192), (".gif", 32768)])
def test_formats_with_a_largest_side(tmp_path, suffix, side):
    picture = Picture(np.zeros((1, side, 3), np.uint8), "RGB")
    with pytest.raises(PictureError, match="pixels a side"):
        codecs.check_format(picture, tmp_path / f"a{suffix}", scale=2)
    codecs.check_format(picture, tmp_path / f"a{suffix}")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_damaged_exif_does_not_lose_the_picture(tmp_path, photo, suffix):
    path = tmp_path / f"a{suffix}"
    exif = b"Exif\0\0MM\0*" + b"\xff" * 40
    Image.fromarray(photo[:16, :16]).save(path, exif=exif)
    assert codecs.read(path).pixels.shape == (16, 16, 3)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_a_full_disk_is_noticed(tmp_path, photo, suffix):
    """In a process of its own that may not write files of more than four kilobytes."""
    source, target = tmp_path / "in.png", tmp_path / f"out{suffix}"
    Image.fromarray(photo[:128, :128]).save(source)
    program = (
        "import resource, signal, sys, leansr.cli\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        f"leansr.cli.main(['upscale', {str(source)!r}, '-o', {str(target)!r}])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{target}: cannot be written" in done.stderr
    assert os.listdir(tmp_path) == ["in.png"]


def test_unknown_suffix_cannot_be_written(tmp_path, photo):
    with pytest.raises(PictureError, match=r"\.xyz cannot be written"):
        codecs.write(Picture(photo[:8, :8], "RGB"), tmp_path / "a.xyz")


def test_a_failed_write_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "huge.jpg"
    path.write_bytes(b"precious")
    nothing = np.zeros((0, 8, 3), np.uint8)
    with pytest.raises(PictureError, match="cannot be written"):
        codecs.write(Picture(nothing, "RGB"), path)
    assert path.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == [path.name]


def test_metadata_that_a_jpeg_has_no_room_for_is_left_out(tmp_path, photo):
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[MAKE] = "x" * 70_000
    lost = codecs.write(Picture(photo[:8, :8], "RGB", exif=exif.tobytes(), xmp=b"x" * 70_000), path)
    assert [note.split(",")[0] for note in lost] == [
        "JPEG holds 65533 bytes of EXIF",
        "JPEG holds 65504 bytes of XMP",
    ]
    back = codecs.read(path)
    assert (back.exif, back.xmp) == (None, None)


@pytest.mark.parametrize("level", range(10))
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_every_compression_is_lossless(tmp_path, photo, suffix, level):
    path = tmp_path / f"a{suffix}"
    deep = photo[:300].astype(np.uint16) * 200
    for pixels, mode in ((photo[:300], "RGB"), (photo[:300, :, :1], "L"), (deep, "RGB")):
        codecs.write(Picture(pixels, mode), path, compression=level)
        np.testing.assert_array_equal(codecs.read(path).pixels, pixels)


def test_more_compression_is_smaller(tmp_path, photo):
    sizes = []
    for level in (1, 6, 9):
        path = tmp_path / f"{level}.png"
        codecs.write(Picture(photo, "RGB"), path, compression=level)
        sizes.append(path.stat().st_size)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 1.04 * sizes[1]


def test_rows_of_a_png_may_come_in_any_portions(tmp_path, photo):
    """Also those of another decoder's: Pillow reads what our own encoder wrote."""
    for count in (1, 7, 576):
        path = tmp_path / "a.png"
        with path.open("wb") as file:
            writer = PngWriter(file, Picture(photo, "RGB"), *photo.shape[:2])
            for top in range(0, 576, count):
                writer.write(photo[top : top + count])
            writer.close()
        np.testing.assert_array_equal(np.asarray(Image.open(path)), photo)


def test_pages_of_a_tiff_may_come_in_any_portions(tmp_path, photo):
    """BigTIFF too, and by Pillow's libtiff, too."""
    for nbytes in (0, 5 << 30):
        path = tmp_path / "a.tif"
        with path.open("wb") as file:
            writer = TiffWriter(file, nbytes)
            for page in (photo, photo[:50, :33]):
                writer.page(Picture(page, "RGB"), *page.shape[:2])
                for top in range(0, len(page), 11):
                    writer.write(page[top : top + 11])
                writer.close_page()
        assert path.read_bytes()[2] == (43 if nbytes else 42)
        with Image.open(path) as image:
            np.testing.assert_array_equal(np.asarray(image), photo)
            image.seek(1)
            np.testing.assert_array_equal(np.asarray(image), photo[:50, :33])
        assert [p.pixels.shape for p in codecs.read(path).frames] == [photo.shape, (50, 33, 3)]


def test_an_interrupted_write_leaves_nothing(tmp_path):
    def interrupted():
        with codecs.beside(tmp_path / "a.png") as part:
            part.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert os.listdir(tmp_path) == []


def test_mode_and_channels_must_agree(photo):
    with pytest.raises(ValueError, match="not of shape"):
        Picture(photo, "RGBA")
    with pytest.raises(ValueError, match="mode is one of"):
        Picture(photo, "CMYK")
