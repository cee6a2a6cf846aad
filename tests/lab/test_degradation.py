"""Clean LR pictures made as photos reach us: same size, same for the same seed, not too strong."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from leansr.image import codecs, jpeg
from leansr.image.quality import psnr
from leansr.lab.train import degradation
from leansr.lab.train.degradation import CONDITIONS, degrade, under


def versions(picture, count):
    return [degrade(picture, np.random.default_rng((7, i))) for i in range(count)]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32))
def test_any_shape_keeps_its_shape(height, width, seed):
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    before = picture.copy()
    first, again = (degrade(picture, np.random.default_rng(seed)) for _ in range(2))
    assert (first.shape, first.dtype) == (picture.shape, np.uint8)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(picture, before)


def test_one_in_two_is_untouched_and_none_is_ruined(photo):
    picture = photo[:96, :96]
    made = versions(picture, 300)
    untouched = sum(np.array_equal(version, picture) for version in made)
    # Five standard deviations of a binomial, and the seed is fixed.
    assert abs(untouched - 150) < 44
    worst = min(psnr(v.astype(float), picture.astype(float)) for v in made)
    # The lowest quality does most of the harm; blur and noise add little to it.
    strongest = degradation.jpeg(picture, 30).astype(float)
    assert worst > psnr(strongest, picture.astype(float)) - 3
    assert len({version.tobytes() for version in made}) > 60


def test_blocks_begin_anywhere(photo):
    """Where differences across columns stand out, a grid of eight begins."""
    grids = set()
    smooth = np.asarray(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(4)))[:128, :128]
    for version in versions(smooth, 800):
        steps = np.abs(np.diff(version[..., 1].astype(int), axis=1)).mean(axis=0)
        by_place = [steps[at::8].mean() for at in range(8)]
        order = np.sort(by_place)
        if order[-1] > 1.3 * order[-2]:
            grids.add(int(np.argmax(by_place)))
    assert grids == set(range(8))


@pytest.mark.parametrize("sigma", [0.0, 0.2, 0.5])
def test_blur_is_a_gaussian(sigma):
    """Of one white pixel: the Gaussian itself, written out."""
    picture = np.zeros((9, 9, 3), np.uint8)
    picture[4, 4] = 255
    y, x = np.mgrid[-4:5, -4:5]
    expected = np.exp(-(y**2 + x**2) / (2 * sigma**2)) if sigma else (y == 0) & (x == 0)
    expected = 255 * expected / expected.sum()
    found = degradation._blurred(picture, sigma)
    np.testing.assert_allclose(found, np.stack([expected] * 3, axis=2), atol=0.3)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_conditions(photo, condition):
    picture = photo[:50, :61]
    stated = CONDITIONS[condition]
    result = under(picture, condition)
    if stated is None:
        np.testing.assert_array_equal(result, picture)
        return
    assert condition == f"jpeg-{stated}"
    # The same file by the command that a user would give, subsampling by Pillow's default.
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=stated)
    decoded = codecs.decode(file.getvalue(), "a.jpg")
    np.testing.assert_array_equal(result, decoded.pixels)
    assert decoded.jpeg_quality == stated == jpeg.quality(jpeg.scaled(stated))


def test_colour_keeps_its_place_without_subsampling():
    """Red and blue columns of one pixel each: 4:2:0 mixes them, 4:4:4 does not."""
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[:, ::2, 0], picture[:, 1::2, 2] = 255, 255
    halved = degradation.jpeg(picture, 95, "4:2:0").astype(int)
    whole = degradation.jpeg(picture, 95, "4:4:4").astype(int)
    assert np.abs(whole - picture).mean() < 10 < 50 < np.abs(halved - picture).mean()
