"""Tiled output equals the whole picture's, for every release with a finite receptive field."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leansr import Upscaler, zoo
from leansr.image.arrays import from_unit
from leansr.image.picture import MODES, Picture
from leansr.image.strips.rows import Whole
from leansr.runtime.tiling import spans, tiles
from leansr.zoo.release import releases

FINITE = [key for key in releases() if not zoo.VARIANTS[key[0]].is_global]


def picture(height, width, channels, seed):
    """Noise, with alpha that is mostly 0 or 1."""
    rng = np.random.default_rng(seed)
    pixels = rng.random((height, width, channels), np.float32)
    if channels in (2, 4):
        coarse = rng.random((-(-height // 13), -(-width // 13)))
        steps = np.kron(coarse, np.ones((13, 13)))[:height, :width]
        pixels[..., -1] = np.clip(3 * steps - 1, 0, 1)
    return pixels


@cache
def untiled(variant, scale):
    return Upscaler(variant, scale, backend="onnxruntime", tile="off", threads=1)


@pytest.mark.parametrize(("variant", "scale"), FINITE)
@settings(max_examples=25)
@given(
    draw=st.data(),
    tile=st.integers(1, 40),
    channels=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_tiled_equals_whole(variant, scale, draw, tile, channels, seed):
    halo = untiled(variant, scale)._halo
    # Beyond the halo there is more of the picture; where it is wide, that takes too long.
    sides = st.integers(1, max(60, min(4 * halo, 80)))
    height, width = draw.draw(sides), draw.draw(sides)
    pixels = picture(height, width, channels, seed)
    # Tiles of a pixel in small pictures alone: each runs the network on a halo of its own.
    tile = max(tile, max(height, width) // 3)
    whole = untiled(variant, scale)(pixels)
    tiled = Upscaler(variant, scale, backend="onnxruntime", tile=tile, threads=1)(pixels)
    assert whole.shape == (height * scale, width * scale, channels)
    np.testing.assert_allclose(tiled, whole, atol=1e-6)


@settings(max_examples=25)
@given(
    height=st.integers(1, 150),
    width=st.integers(1, 90),
    tile=st.integers(20, 60),
    mode=st.sampled_from(list(MODES)),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    threads=st.integers(1, 3),
)
def test_bands_are_the_picture(height, width, tile, mode, dtype, threads):
    pixels = from_unit(picture(height, width, MODES[mode], height), dtype)
    upscaler = Upscaler("sesr-m3", tile=tile, threads=threads)
    bands = list(upscaler.bands(Whole(Picture(pixels, mode))))
    np.testing.assert_array_equal(np.concatenate(bands), upscaler(pixels))


@given(
    length=st.integers(1, 300),
    tile=st.integers(1, 300),
    halo=st.integers(0, 40),
    smallest=st.integers(1, 40),
    grid=st.integers(1, 7),
)
def test_spans_cover_every_pixel_once(length, tile, halo, smallest, grid):
    parts = spans(length, tile, halo, smallest, grid)
    assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
    assert parts[-1].stop == length
    for part in parts:
        assert 1 <= part.stop - part.start <= tile
        assert 0 <= part.low <= max(0, part.start - halo)
        assert length >= part.high >= min(length, part.stop + halo)
        assert part.high - part.low >= min(length, smallest)
        assert part.low % grid == 0
        # No more than is asked for: a network's time is in what it sees.
        assert part.high - part.low <= max(tile + 2 * halo, smallest) + grid - 1


def test_tiles_are_rows_of_columns():
    rows, columns = spans(50, 20, 4), spans(70, 20, 4)
    places = list(tiles(rows, columns))
    assert len(places) == 3 * 4
    assert places[:5] == [*((rows[0], column) for column in columns), (rows[1], columns[0])]
