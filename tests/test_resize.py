from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from leansr.image.resize import enlarge, resize


@pytest.mark.shared_data
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_published_lr_of_set5_is_met(shared_data, scale):
    folder = shared_data / "benchmarks" / "Set5" / f"x{scale}"
    differences = []
    for path in sorted((folder / "HR").glob("*.png")):
        hr = np.asarray(Image.open(path).convert("RGB"))
        lr = np.asarray(Image.open(folder / "LR" / path.name).convert("RGB"))
        differences.append(np.abs(resize(hr, Fraction(1, scale)).astype(int) - lr).ravel())
    together = np.concatenate(differences)
    assert len(differences) == 5
    assert together.max() <= 1
    assert np.mean(together == 0) >= 0.999


@pytest.mark.parametrize("factor", [2, 3, 4, Fraction(1, 2), Fraction(1, 3), Fraction(3, 4)])
def test_interior_is_that_of_pillow(photo, factor):
    """Pillow has the same kernel and antialiasing; only what lies outside the picture differs."""
    grey = photo[:120, :96, 1].astype(np.float32)
    ours = resize(grey, factor)
    theirs = np.asarray(Image.fromarray(grey).resize(ours.shape[::-1], Image.Resampling.BICUBIC))
    margin = max(3, int(3 * factor))
    inner = (slice(margin, -margin),) * 2
    np.testing.assert_allclose(ours[inner], theirs[inner], atol=2e-3)


def test_border_is_mirrored_with_the_edge_repeated(photo):
    grey = photo[:40, :40, 0].astype(np.float64)
    padded = np.pad(grey, 8, mode="symmetric")
    np.testing.assert_allclose(resize(padded, 2)[16:-16, 16:-16], resize(grey, 2), atol=1e-9)


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    factor=st.fractions(Fraction(1, 6), 5, max_denominator=7),
    value=st.integers(0, 255),
)
def test_constant_stays_constant_and_sides_round_up(height, width, factor, value):
    for dtype in (np.uint8, np.float32):
        result = resize(np.full((height, width, 2), value, dtype), factor)
        assert result.shape == (-(-height * factor // 1), -(-width * factor // 1), 2)
        assert result.dtype == dtype
        np.testing.assert_allclose(result, value, rtol=1e-5)


def test_integers_are_clipped_and_rounded_once(photo):
    edge = np.zeros((8, 8), np.uint8)
    edge[:, 4:] = 255
    for dtype, white in ((np.uint8, 255), (np.uint16, 65535)):
        exact = resize((edge / 255.0) * white, 3)
        assert exact.min() < 0
        assert exact.max() > white
        rounded = resize((edge.astype(dtype) // 255) * dtype(white), 3)
        np.testing.assert_array_equal(rounded, np.floor(exact + 0.5).clip(0, white))


@pytest.mark.parametrize("factor", [0, -1])
def test_factor_must_be_positive(factor):
    with pytest.raises(ValueError, match="cannot be scaled"):
        resize(np.zeros((4, 4)), factor)


def test_empty_picture_is_refused():
    with pytest.raises(ValueError, match="no pixels"):
        resize(np.zeros((0, 4)), 2)


@given(
    height=st.integers(1, 13),
    width=st.integers(1, 13),
    factor=st.sampled_from([2, 3, 4]),
    seed=st.integers(0, 99),
)
def test_the_fast_way_up_gives_the_same(height, width, factor, seed):
    values = np.random.default_rng(seed).random((height, width, 2), np.float32)
    np.testing.assert_allclose(enlarge(values, factor), resize(values, factor), atol=2e-6)
