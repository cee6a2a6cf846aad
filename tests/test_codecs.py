import os
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from leansr.errors import PictureError
from leansr.image import codecs
from leansr.image.picture import MODES, Picture

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION = 0x0112
MAKE = 0x010F


def pixels_of(photo, mode):
    channels = {"L": photo[..., 1:2], "RGB": photo}[mode.removesuffix("A").replace("LA", "L")]
    alpha = photo[..., 2:3]
    return np.concatenate([channels, alpha], axis=2) if mode.endswith("A") else channels


HELD = [(m, s) for m in MODES for s in codecs.FORMATS if not (m.endswith("A") and "j" in s)]


@pytest.mark.parametrize(("mode", "suffix"), HELD)
def test_there_and_back(tmp_path, photo, mode, suffix):
    pixels = pixels_of(photo[:64, :48], mode)
    exif = Image.Exif()
    exif[MAKE] = "camera"
    path = tmp_path / f"picture{suffix}"
    codecs.write(Picture(pixels, mode, ICC, exif.tobytes()), path)
    back = codecs.read(path)
    assert back.icc_profile == ICC
    assert back.exif is not None
    assert b"camera" in back.exif
    if suffix == ".png":
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


def save(path, array, **options):
    Image.fromarray(array).save(path, **options)


def png16(path, photo):
    Image.fromarray(photo[:8, :8, 0].astype(np.uint16) * 257).save(path)


def png16_rgb(path, photo):
    # Pillow cannot write one: an 8-bit file's header is changed, which is all that is looked at.
    save(path, photo[:8, :8])
    content = bytearray(path.read_bytes())
    content[24] = 16
    path.write_bytes(content)


def palette(path, photo):
    Image.fromarray(photo[:8, :8]).quantize(8).save(path)


def cmyk(path, photo):
    Image.fromarray(photo[:8, :8]).convert("CMYK").save(path, "JPEG")


def animation(path, photo):
    frames = [Image.fromarray(photo[:8, i : 8 + i]) for i in (0, 8)]
    Image.fromarray(photo[:8, :8]).save(
        path, "WEBP", save_all=True, append_images=[f.resize((8, 8)) for f in frames]
    )


def truncated(path, photo):
    save(path, photo[:64, :64])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path, photo):
    path.touch()


def text(path, photo):
    path.write_text("not a picture")


def gif_in_disguise(path, photo):
    Image.fromarray(photo[:8, :8]).save(path, "GIF")


def linear_light(path, photo):
    Image.fromarray(photo[:8, :8]).save(path, pnginfo=None)
    content = path.read_bytes()
    chunk = b"gAMA" + (100_000).to_bytes(4, "big")
    whole = len(chunk[4:]).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    path.write_bytes(content[:33] + whole + content[33:])


def chunk_before_ihdr(path, photo):
    save(path, photo[:8, :8])
    content = path.read_bytes()
    path.write_bytes(content[:8] + b"\0\0\0\0tEXt\0\0\0\0" + content[8:])


def pipe(path, photo):
    os.mkfifo(path)


def colour_key(path, photo):
    save(path, photo[:8, :8], transparency=(1, 2, 3))


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("a.png", png16, "16-bit PNG is not supported"),
        ("a.png", png16_rgb, "16-bit PNG is not supported"),
        ("a.png", palette, "not supported"),
        ("a.jpg", cmyk, "mode CMYK is not supported"),
        ("a.webp", animation, "animations are not supported"),
        ("a.png", truncated, "cannot be decoded"),
        ("a.jpg", truncated, "cannot be decoded"),
        ("a.png", empty, "is not a picture"),
        ("a.jpg", text, "is not a picture"),
        ("a.png", gif_in_disguise, "GIF is not supported"),
        ("a.png", linear_light, "a gamma of 1 is not supported"),
        ("a.png", chunk_before_ihdr, "does not begin with IHDR"),
        ("a.png", pipe, "is not a file"),
        ("a.png", colour_key, "transparent colour is not supported"),
        ("a.tif", text, ".tif is not supported"),
        ("a.png", lambda path, photo: None, "no such file"),
    ],
)
def test_what_is_not_supported_is_named(tmp_path, photo, name, make, words):
    path = tmp_path / name
    make(path, photo)
    with pytest.raises(PictureError) as raised:
        codecs.read(path)
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert "\n" not in message


def test_jpeg_refuses_alpha(tmp_path, photo):
    with pytest.raises(PictureError, match="alpha"):
        codecs.write(Picture(pixels_of(photo[:8, :8], "RGBA"), "RGBA"), tmp_path / "a.jpg")


@pytest.mark.parametrize(("suffix", "side"), [(".jpg", 32751), (".webp", 8192)])
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
    path = tmp_path / "long.jpg"
    path.write_bytes(b"precious")
    longer_than_jpeg_holds = b"Exif\0\0" + b"x" * 70_000
    with pytest.raises(PictureError, match="cannot be written"):
        codecs.write(
            Picture(np.zeros((8, 8, 3), np.uint8), "RGB", None, longer_than_jpeg_holds), path
        )
    assert path.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == [path.name]


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
