import math
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from leansr.image.colour import grey_from_luma, grey_luma, luma, rgb_from_ycbcr, ycbcr
from leansr.image.quality import compare, planes, psnr, ssim
from leansr.image.resize import resize

# Bicubic down and up by an independent implementation of the protocol: PSNR and SSIM on luma.
BICUBIC = {
    ("Set5", 2): (33.68, 0.9305),
    ("Set5", 3): (30.41, 0.8690),
    ("Set5", 4): (28.43, 0.8113),
    ("Set14", 2): (30.33, 0.8700),
    ("Set14", 3): (27.63, 0.7760),
    ("Set14", 4): (26.09, 0.7050),
}


@pytest.mark.shared_data
@pytest.mark.parametrize(("benchmark", "scale"), BICUBIC)
def test_bicubic_has_the_known_quality(shared_data, benchmark, scale):
    figures = []
    for path in sorted((shared_data / "benchmarks" / benchmark / f"x{scale}" / "HR").glob("*.png")):
        with Image.open(path) as picture:
            hr = np.asarray(picture)
        lr = resize(hr, Fraction(1, scale))
        figures.append(compare(resize(lr, scale), hr, border=scale))
    expected_psnr, expected_ssim = BICUBIC[benchmark, scale]
    assert np.mean([row["psnr_y"] for row in figures]) == pytest.approx(expected_psnr, abs=0.01)
    assert np.mean([row["ssim_y"] for row in figures]) == pytest.approx(expected_ssim, abs=0.0003)


def test_psnr_by_hand():
    assert psnr(np.zeros((4, 4, 1)), np.full((4, 4, 1), 255.0)) == 0
    assert psnr(np.zeros((4, 4, 1)), np.full((4, 4, 1), 25.5)) == pytest.approx(20)
    assert psnr(np.ones((4, 4, 1)), np.ones((4, 4, 1))) == math.inf


def test_ssim_is_the_formula_window_by_window(photo):
    random = np.random.default_rng(0)
    first = photo[:20, :24].astype(float)
    second = np.clip(first + random.normal(0, 12, first.shape), 0, 255)
    x = np.arange(11) - 5
    window = np.exp(-(x[:, None] ** 2 + x**2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for channel in range(3):
        for top in range(20 - 10):
            for left in range(24 - 10):
                a, b = (p[top : top + 11, left : left + 11, channel] for p in (first, second))
                mean_a, mean_b = (a * window).sum(), (b * window).sum()
                var_a = (window * (a - mean_a) ** 2).sum()
                var_b = (window * (b - mean_b) ** 2).sum()
                cov = (window * (a - mean_a) * (b - mean_b)).sum()
                c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
                values.append(
                    (2 * mean_a * mean_b + c1)
                    * (2 * cov + c2)
                    / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
                )
    assert ssim(first, second) == pytest.approx(np.mean(values), abs=1e-9)


@pytest.mark.parametrize("height", [11, 26, 27, 75])
def test_ssim_in_bands_is_ssim_at_once(photo, height):
    """Against the whole picture's sliding windows, at heights around a whole number of bands."""
    random = np.random.default_rng(0)
    first = photo[:height, :40].astype(float)
    second = np.clip(first + random.normal(0, 9, first.shape), 0, 255)
    window = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def blur(values):
        for axis in (0, 1):
            view = np.lib.stride_tricks.sliding_window_view(values, 11, axis=axis)
            values = view @ window
        return values

    mean_a, mean_b = blur(first), blur(second)
    var_a, var_b = blur(first**2) - mean_a**2, blur(second**2) - mean_b**2
    cov = blur(first * second) - mean_a * mean_b
    c1, c2 = 2.55**2, 7.65**2
    likeness = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    likeness /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    assert ssim(first, second) == pytest.approx(likeness.mean(), abs=1e-12)
    assert ssim(first, first) == 1


@pytest.mark.parametrize("colour", ["y", "rgb"])
def test_floats_are_neither_clipped_nor_rounded(photo, colour):
    unit = photo[:20, :20] / 255
    np.testing.assert_allclose(planes(unit, colour, 2), planes(photo[:20, :20], colour, 2))
    np.testing.assert_allclose(planes(np.full((5, 5), 1.1), "rgb", 1), 280.5)
    difference = planes(unit + 0.1 / 255, "rgb", 2) - planes(unit, "rgb", 2)
    np.testing.assert_allclose(difference, 0.1)


def test_luma_is_studio_range_bt601(photo):
    """The full-range luma that Pillow knows, brought to 16..235."""
    full = np.asarray(Image.fromarray(photo).convert("YCbCr"))[..., 0].astype(float)
    ours = luma(photo / 255.0) * 255
    # Pillow cuts what follows the point: half a level is missing on average.
    np.testing.assert_allclose(ours, 16 + (full + 0.5) * 219 / 255, atol=0.5)
    np.testing.assert_allclose(luma(np.array([[0.0] * 3, [1.0] * 3])) * 255, [16, 235])


def test_colour_there_and_back(photo):
    unit = photo.astype(np.float32) / 255
    np.testing.assert_allclose(rgb_from_ycbcr(ycbcr(unit)), unit, atol=2e-6)
    np.testing.assert_allclose(ycbcr(unit)[..., 0], luma(unit), atol=1e-6)
    grey = unit[..., 0]
    np.testing.assert_allclose(grey_luma(grey), luma(np.stack([grey] * 3, axis=2)), atol=1e-6)
    np.testing.assert_allclose(grey_from_luma(grey_luma(grey)), grey, atol=1e-6)


def test_grey_counts_as_rgb(photo):
    grey = photo[..., 1]
    rgb = np.stack([grey] * 3, axis=2)
    for colour in ("y", "rgb"):
        np.testing.assert_allclose(planes(grey, colour, 2), planes(rgb, colour, 2))


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.zeros((9, 9, 3), np.uint16), "8-bit"),
        (np.zeros((9, 9, 4), np.uint8), "grey or RGB"),
        (np.zeros((4, 9, 3), np.uint8), "leaves nothing"),
    ],
)
def test_what_cannot_be_measured_is_refused(picture, words):
    with pytest.raises(ValueError, match=words):
        planes(picture, "y", 2)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="cannot be compared"):
        psnr(np.zeros((4, 4, 1)), np.zeros((4, 5, 1)))


def test_ssim_needs_its_window():
    with pytest.raises(ValueError, match="11 x 11"):
        ssim(np.zeros((10, 20, 1)), np.zeros((10, 20, 1)))
