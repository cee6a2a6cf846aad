"""Tiled output equals the whole picture's, for every release with a finite receptive field."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leansr import Upscaler, zoo
from leansr.runtime.tiling import spans, tiles
from leansr.zoo.release import releases

FINITE = [key for key in releases() if not zoo.VARIANTS[key[0]].is_global]


@pytest.mark.parametrize(("variant", "scale"), FINITE)
@settings(max_examples=25)
@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    tile=st.integers(1, 40),
    channels=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_tiled_equals_whole(variant, scale, height, width, tile, channels, seed):
    picture = np.random.default_rng(seed).random((height, width, channels), np.float32)
    # Tiles of a pixel in small pictures alone: each runs the network on a halo of its own.
    tile = max(tile, max(height, width) // 3)
    whole = Upscaler(variant, scale, tile="off", threads=1)(picture)
    tiled = Upscaler(variant, scale, tile=tile, threads=1)(picture)
    assert whole.shape == (height * scale, width * scale, channels)
    np.testing.assert_allclose(tiled, whole, atol=2e-6)


@given(length=st.integers(1, 300), tile=st.integers(1, 300), halo=st.integers(0, 40))
def test_spans_cover_every_pixel_once(length, tile, halo):
    parts = spans(length, tile, halo)
    assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
    assert parts[-1].stop == length
    for part in parts:
        assert 1 <= part.stop - part.start <= tile
        assert part.low == max(0, part.start - halo)
        assert part.high == min(length, part.stop + halo)


def test_tiles_are_rows_of_columns():
    assert len(list(tiles(50, 70, 20, 4))) == 3 * 4
