"""Pictures through the native engine are what its luma and numpy's colour make of them."""

import subprocess
import sys
from fractions import Fraction
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leansr.image.arrays import WHITE, from_unit, to_unit
from leansr.image.colour import grey_from_luma, grey_luma, rgb_from_ycbcr, ycbcr
from leansr.image.resize import resize
from leansr.runtime.native import NativeSession
from leansr.runtime.native_library import DEPTHS, instruction_sets, is_built, methods
from leansr.runtime.upscaler import Upscaler
from leansr.zoo.release import release_of

pytestmark = pytest.mark.skipif(not is_built(), reason="the native engine was not built")

ISAS = instruction_sets() if is_built() else []
EVERY = [(isa, method) for isa in ISAS for method in methods(isa)]
FASTEST = (None, "winograd")


@lru_cache
def session(scale, threads, way=FASTEST):
    isa, method = way
    model = "sesr-m5-int8" if method == "int8" else "sesr-m5"
    return NativeSession(release_of(model, scale).tensors, threads, isa=isa, method=method)


def unrounded(network, pixels):
    """What `picture` rounds: float64 wherever it is not the network's own luma."""
    unit = to_unit(pixels)
    if pixels.shape[2] == 1:
        return np.clip(grey_from_luma(network(grey_luma(unit)).astype(np.float64)), 0, 1)
    y, chroma = np.split(ycbcr(unit.astype(np.float64)), [1], axis=2)
    larger = [network(y.astype(np.float32)), resize(chroma, Fraction(network.scale))]
    return np.clip(rgb_from_ycbcr(np.concatenate(larger, axis=2)), 0, 1)


def assert_made(network, pixels, atol=1e-5):
    """Each level is the nearest one, to `atol` of the way from black to white."""
    sr, expected = network.picture(pixels), unrounded(network, pixels)
    height, width, channels = pixels.shape
    assert sr.shape == (height * network.scale, width * network.scale, channels)
    assert sr.dtype == pixels.dtype
    white = WHITE[sr.dtype.name]
    rounding = 0 if sr.dtype.kind == "f" else 0.5
    assert np.abs(sr - expected * white).max() <= rounding + atol * white


def random_pixels(seed, shape, dtype, saturated):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 2, shape) if saturated else rng.random(shape)
    return from_unit(values.astype(np.float32), dtype)


# One pixel, thin, odd, and wider than a strip.
sides = st.one_of(st.integers(1, 12), st.integers(1, 260))


@settings(max_examples=60)
@given(
    way=st.sampled_from(EVERY or [("", "")]),
    scale=st.sampled_from([2, 4]),
    threads=st.integers(1, 3),
    height=st.one_of(st.integers(1, 5), st.integers(1, 60)),
    width=sides,
    channels=st.sampled_from([1, 3]),
    dtype=st.sampled_from(DEPTHS),
    saturated=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_equals_luma_and_bicubic_chroma(
    way, scale, threads, height, width, channels, dtype, saturated, seed
):
    pixels = random_pixels(seed, (height, width, channels), dtype, saturated)
    # A rounding of luma becomes another number of 8 bits, in whichever form.
    assert_made(session(scale, threads, way), pixels, 5e-2 if way[1] in ("bf16", "int8") else 1e-5)


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("isa", ISAS)
def test_a_photo_equals_the_upscaler_of_onnx_runtime(photo, isa, scale, dtype):
    pixels = from_unit(photo[200:290, 100:223] / np.float32(255), dtype)
    sr = session(scale, 2, (isa, "winograd")).picture(pixels).astype(float)
    apart = np.abs(sr - Upscaler("sesr-m5", scale, backend="onnxruntime")(pixels))
    # 2e-5 is what the networks may differ by.
    assert apart.max() <= max(1, np.ceil(2e-5 * WHITE[dtype])) * (dtype != "float32") + 2e-5
    assert dtype != "uint8" or np.mean(apart > 0) <= 1e-3


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("channels", [1, 3])
def test_flat_pictures_stay_flat(channels, dtype):
    """Chroma's weights are 1 together at every border; black and white are clipped to."""
    white = WHITE[dtype]
    for level in (0, white / 5, white):
        pixels = np.full((23, 61, channels), level, dtype)
        pixels[..., channels // 2] = white / 2
        assert_made(session(2, 1), pixels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", DEPTHS)
def test_pixels_of_any_layout(channels, dtype):
    pixels = random_pixels(1, (40, 60, channels), dtype, saturated=False)
    network = session(2, 1)
    expected = network.picture(np.ascontiguousarray(pixels[4:20, 7:40]))
    wide = np.concatenate([pixels] * 2, axis=2)
    odd = np.frombuffer(b"?" + pixels.tobytes(), np.uint8)[1:].view(dtype).reshape(pixels.shape)
    swapped = pixels.astype(pixels.dtype.newbyteorder(">"))
    for same in (pixels, np.asfortranarray(pixels), wide[..., :channels], odd, swapped):
        sr = network.picture(same[4:20, 7:40])
        np.testing.assert_array_equal(sr, expected)
        assert sr.dtype == np.dtype(dtype)
    for turned in (pixels[::-1], pixels[:, ::-1], pixels[::2], pixels.transpose(1, 0, 2)):
        np.testing.assert_array_equal(network.picture(turned), network.picture(turned.copy()))


def test_pixels_that_are_refused():
    network = session(2, 1)
    for shape in ((0, 3, 3), (3, 0, 1), (3, 3), (3, 3, 2), (3, 3, 4)):
        with pytest.raises(ValueError, match=r"pixels are \(H, W, 1\) or \(H, W, 3\), not"):
            network.picture(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="pixels are uint8, uint16, float32, not float64"):
        network.picture(np.zeros((3, 3, 3)))


_MEMORY = """
from pathlib import Path
import numpy as np
from leansr.runtime.native import NativeSession
from leansr.zoo.release import release_of

def kibibytes(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])

network = NativeSession(release_of("sesr-m5", 2).tensors, 2)
pixels = np.full((1080, 1920, 3), 100, np.uint8)
before = kibibytes("VmRSS")
sr = network.picture(pixels)
print(kibibytes("VmHWM") - before - sr.nbytes // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_no_plane_of_a_picture_is_made():
    done = subprocess.run([sys.executable, "-c", _MEMORY], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Luma of 3840 x 2160 alone would be 32 MiB.
    assert int(done.stdout) < 16 * 1024
