import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leansr.image.alpha import REACH, bled
from leansr.runtime.upscaler import Upscaler
from leansr.zoo.release import releases


def circle(photo, size=96, dtype=np.uint8):
    """A round part of the photo on what is transparent and green."""
    y, x = np.mgrid[:size, :size] - size / 2
    inside = (y * y + x * x < (size * 0.3) ** 2)[..., None]
    rgb = np.where(inside, photo[200 : 200 + size, 200 : 200 + size], [0, 255, 0])
    pixels = np.concatenate([rgb, inside * 255], axis=2)
    return (pixels / 255).astype(dtype) if dtype == np.float32 else pixels.astype(dtype)


def test_what_is_visible_stays_as_it_is(photo):
    pixels = circle(photo)
    result = bled(pixels)
    seen = pixels[..., 3] > 0
    np.testing.assert_array_equal(result[seen], pixels[seen])
    np.testing.assert_array_equal(result[..., 3], pixels[..., 3])
    assert result is not pixels


def test_one_colour_is_carried_on_as_far_as_it_reaches():
    pixels = np.zeros((3, 2 * REACH + 10, 2), np.uint8)
    pixels[1, 0] = 200, 9
    result = bled(pixels)
    assert (result[:, : REACH + 1, 0] == 200).all()
    assert (result[:, REACH + 1 :, 0] == 0).all()


def test_a_pixel_gets_the_mean_of_its_neighbours_with_colour():
    pixels = np.zeros((3, 3, 4), np.float32)
    pixels[0, 0], pixels[2, 2] = (0.2, 0.4, 0.6, 1), (0.6, 0.4, 0.1, 0.5)
    result = bled(pixels)
    np.testing.assert_allclose(result[1, 1, :3], [0.4, 0.4, 0.35], atol=1e-6)
    np.testing.assert_allclose(result[0, 1, :3], [0.2, 0.4, 0.6], atol=1e-6)


@pytest.mark.parametrize("alpha", [0, 255])
@pytest.mark.parametrize("channels", [2, 4])
def test_nothing_to_do_costs_nothing(alpha, channels):
    pixels = np.full((5, 6, channels), 7, np.uint8)
    pixels[..., -1] = alpha
    assert bled(pixels) is pixels


@pytest.mark.parametrize("channels", [1, 3])
def test_without_alpha_there_is_nothing_to_do(channels):
    pixels = np.zeros((5, 6, channels), np.uint16)
    assert bled(pixels) is pixels


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 40), st.floats(0, 1))
def test_a_part_with_its_surroundings_is_as_the_whole(seed, height, width, share):
    """What strips rely on: nothing depends on what is further away than REACH."""
    random = np.random.default_rng(seed)
    whole = random.integers(0, 256, (height + 2 * REACH, width, 2), dtype=np.uint8)
    whole[..., 1] *= random.random(whole.shape[:2]) < share * 0.02
    whole = np.concatenate([whole, whole, whole])
    low = len(whole) // 3
    part = bled(whole[low - REACH : low + height + REACH])[REACH:-REACH]
    np.testing.assert_array_equal(part, bled(whole)[low : low + height])


def test_the_reach_is_that_of_the_networks():
    """A released network that looks further would see the hidden colour."""
    from leansr.runtime.onnx_session import OnnxSession

    halos = [OnnxSession(release.onnx, 1).halo for release in releases().values()]
    assert max(halo for halo in halos if halo is not None) <= REACH


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_no_fringes(photo, dtype):
    """No visible pixel has of the green that was hidden; upscaled without care some have."""
    pixels = circle(photo, dtype=dtype)
    white = 255 if dtype == np.uint8 else 1
    upscaler = Upscaler("sesr-m5", 2, threads=1)

    def greenest(result):
        unit = result.astype(float) / white
        green = unit[..., 1] - np.maximum(unit[..., 0], unit[..., 2])
        return green[unit[..., 3] > 0.25].max()

    own = pixels.astype(float) / white
    seen = (own[..., 1] - np.maximum(own[..., 0], own[..., 2]))[own[..., 3] > 0].max()
    assert greenest(upscaler(bled(pixels))) < seen + 0.1
    alpha = upscaler(pixels)[..., 3:]
    as_they_are = np.concatenate([upscaler(pixels[..., :3].copy()), alpha], axis=2)
    assert greenest(as_they_are) > seen + 0.3
