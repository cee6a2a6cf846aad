import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import leansr
from leansr import Upscaler
from leansr.errors import PictureError, UsageError, WeightsError
from leansr.image.arrays import WHITE, from_unit
from leansr.image.picture import Picture
from leansr.image.resize import resize
from leansr.image.strips.rows import Whole
from leansr.zoo.release import releases


@pytest.fixture(scope="module")
def upscaler():
    return Upscaler()


@pytest.mark.parametrize("dtype", WHITE)
@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4])
def test_dtype_and_shape_are_kept(upscaler, photo, dtype, channels):
    crop = photo[:20, :30, 0] if channels is None else np.tile(photo[:20, :30], 2)[..., :channels]
    pixels = from_unit(crop / 255.0, dtype)
    result = upscaler(pixels)
    assert result.dtype == pixels.dtype
    assert result.shape == (40, 60, *pixels.shape[2:])


def test_every_dtype_gives_the_same_picture(photo):
    upscaler = Upscaler(precision="fp32")
    crop = photo[100:140, 100:140]
    expected = upscaler(crop.astype(np.float32) / 255)
    np.testing.assert_allclose(upscaler(crop) / 255, expected, atol=0.501 / 255)
    np.testing.assert_allclose(upscaler(crop.astype(np.uint16) * 257) / 65535, expected, atol=1e-5)


def test_grey_is_rgb_with_equal_channels(upscaler, photo):
    grey = photo[:40, :40, 1].astype(np.float32) / 255
    as_rgb = upscaler(np.stack([grey] * 3, axis=2))
    np.testing.assert_allclose(as_rgb, np.stack([upscaler(grey)] * 3, axis=2), atol=1e-5)


def test_alpha_goes_through_the_network_beside_the_colour(upscaler, photo):
    rgba = np.concatenate([photo[:40, :40], photo[200:240, 200:240, :1]], axis=2)
    result = upscaler(rgba)
    np.testing.assert_array_equal(result[..., :3], upscaler(rgba[..., :3]))
    np.testing.assert_array_equal(result[..., 3], upscaler(rgba[..., 3]))


@pytest.mark.parametrize("alpha", [0, 77, 255])
def test_constant_alpha_stays_what_it_is(upscaler, photo, alpha):
    rgba = np.dstack([photo[:30, :30], np.full((30, 30), alpha, np.uint8)])
    result = upscaler(rgba)
    assert set(np.unique(result[..., 3])) == {alpha}
    np.testing.assert_array_equal(result[..., :3], upscaler(rgba[..., :3]))


@pytest.mark.parametrize("damage", ["halo", "scale", "variant"])
def test_damaged_metadata(tmp_path, damage):
    content = releases()["sesr-m5", 2].onnx.read_bytes()
    key = f"leansr.{damage}".encode()
    path = tmp_path / "damaged.onnx"
    path.write_bytes(content.replace(key, key[:-1] + b"_"))
    with pytest.raises(WeightsError, match=r"damaged\.onnx: its metadata is damaged"):
        Upscaler(weights=path)


@pytest.mark.parametrize(("variant", "scale"), releases())
def test_every_release_is_better_than_bicubic(photo, variant, scale):
    from fractions import Fraction

    from leansr.image.quality import compare

    original = photo[:480, :480]
    lr = resize(original, Fraction(1, scale))
    ours = compare(Upscaler(variant, scale)(lr), original, border=scale)
    bicubic = compare(resize(lr, scale), original, border=scale)
    assert ours["psnr_y"] > bicubic["psnr_y"] + 0.5
    assert ours["psnr_rgb"] > bicubic["psnr_rgb"]


@pytest.mark.parametrize("side", [1, 2, 3])
def test_tiny_pictures(upscaler, side):
    assert upscaler(np.full((side, 1, 3), 128, np.uint8)).shape == (2 * side, 2, 3)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((4,), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.int64),
        np.zeros((4, 4, 3), bool),
    ],
)
def test_other_arrays_are_refused(upscaler, pixels):
    with pytest.raises(ValueError, match="pixels"):
        upscaler(pixels)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"model": "sesr-m55"}, UsageError, "did you mean sesr-m5"),
        ({"scale": 3}, UsageError, "it has x2 and x4"),
        ({"backend": "cuda"}, UsageError, "no such backend"),
        ({"threads": 0}, UsageError, "threads"),
        ({"at_once": 0}, UsageError, "at_once"),
        ({"tile": 0}, UsageError, "tile"),
        ({"tile": 2.5}, UsageError, "tile"),
        ({"model": "sesr-m3-hw"}, WeightsError, "no released weights"),
        ({"weights": "missing.onnx"}, WeightsError, "missing.onnx: cannot be loaded"),
    ],
)
def test_wrong_arguments(arguments, error, words):
    with pytest.raises(error, match=words) as raised:
        Upscaler(**arguments)
    assert "\n" not in str(raised.value)


def test_weights_of_another_network_are_refused():
    path = releases()["sesr-m5", 2].onnx
    with pytest.raises(WeightsError, match="is sesr-m5 x2, not sesr-m3 x2"):
        Upscaler("sesr-m3", weights=path)


def test_file_to_file(tmp_path, photo):
    source = tmp_path / "photo.png"
    Image.fromarray(photo[:24, :32]).save(source)
    target = leansr.upscale(source)
    assert target == tmp_path / "photo_x2.png"
    np.testing.assert_array_equal(np.asarray(Image.open(target)), Upscaler()(photo[:24, :32]))
    with pytest.raises(PictureError, match="exists already"):
        leansr.upscale(source)
    assert leansr.upscale(str(source), str(tmp_path / "b.webp"), overwrite=True).exists()


def test_a_folder_is_not_one_picture(tmp_path):
    with pytest.raises(UsageError, match="folder"):
        leansr.upscale(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("by_rows", [False, True])
def test_after_an_error_nobody_waits_for_the_tiles_that_are_left(photo, monkeypatch, by_rows):
    """As after ^C, which comes where a tile is waited for."""
    upscaler = Upscaler(backend="onnxruntime", tile=32, threads=1)
    network, runs = upscaler._network, []

    def broken(lr):
        runs.append(1)
        if len(runs) == 3:
            raise KeyboardInterrupt
        return network(lr)

    monkeypatch.setattr(upscaler, "_network", broken)
    rows = Whole(Picture(photo, "RGB"))
    with pytest.raises(KeyboardInterrupt):
        list(upscaler.bands(rows) if by_rows else upscaler(photo))
    # Of 18 x 18 tiles; by rows two rows of them are handed out.
    assert len(runs) < 18


@pytest.mark.skipif(os.name == "nt", reason="by a signal of POSIX")
def test_interrupted_from_python():
    """The program is over long before all tiles of a large picture would be."""
    program = """
import concurrent.futures.thread as pool, os, signal, numpy
from leansr import Upscaler
# A suite that runs in the background of a shell has it ignored, and so would this.
signal.signal(signal.SIGINT, signal.default_int_handler)
upscaler = Upscaler(backend="onnxruntime", threads=1)
network, runs = upscaler._network, []
def counted(lr):
    runs.append(1)
    if len(runs) == 3:
        os.kill(os.getpid(), signal.SIGINT)
    return network(lr)
upscaler._network = counted
try:
    upscaler(numpy.zeros((3000, 3000), numpy.uint8))
except KeyboardInterrupt:
    print("interrupted")
pool._python_exit()
print(len(runs))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    said, runs = done.stdout.split()
    assert said == "interrupted"
    # Of 144.
    assert int(runs) < 10
