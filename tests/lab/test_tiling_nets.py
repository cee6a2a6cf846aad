"""Tiles of networks that are not released, one of each family with something of its own."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leansr import Upscaler, zoo
from leansr.lab.export.onnx_graph import to_onnx
from leansr.lab.nets import build, changed

# A smallest input of 2, transposed convolutions, groups.
FINITE = [("lapar-a", 3), ("lapsrn", 4), ("carn-m", 2)]
# Attention by a strided grid, and by statistics.
GLOBAL = [("bsrn-no-cca", 4), ("rcan-blm1-rb", 2)]
# One block after another sees no other pixels in another way, and takes as long to export.
SHALLOW = {
    "lapar-a": {"blocks": 1},
    "lapsrn": {"depth": 3},
    "bsrn-no-cca": {"blocks": 2},
    "rcan-blm1-rb": {"groups": 1, "blocks": 2},
}
_MADE = {}


@pytest.fixture
def upscaler(tmp_path_factory):
    """A drawn network of a variant, ready for tiles of a size."""

    def made(variant, scale, tile):
        if variant not in _MADE:
            torch.manual_seed(0)
            row = changed(zoo.find(variant, scale), SHALLOW.get(variant, {}))
            network = build(row, scale).deploy()
            path = tmp_path_factory.mktemp("weights") / f"{variant}.onnx"
            path.write_bytes(to_onnx(network, row, scale).SerializeToString())
            _MADE[variant] = path
        return Upscaler(variant, scale, tile=tile, threads=1, weights=_MADE[variant])

    return made


@pytest.mark.parametrize(("variant", "scale"), FINITE)
def test_tiled_equals_whole(upscaler, variant, scale):
    seen = set()

    @settings(max_examples=12)
    @given(
        height=st.integers(1, 60),
        width=st.integers(1, 60),
        tile=st.integers(1, 30),
        seed=st.integers(0, 99),
    )
    def check(height, width, tile, seed):
        pixels = np.random.default_rng(seed).random((height, width, 3), np.float32)
        whole = upscaler(variant, scale, "off")(pixels)
        tiled = upscaler(variant, scale, max(tile, max(height, width) // 3))(pixels)
        np.testing.assert_allclose(tiled, whole, atol=1e-6)
        seen.add(float(np.mean((whole > 0) & (whole < 1))))

    check()
    # What is clipped is equal in any case.
    assert max(seen) > 0.02


@pytest.mark.parametrize(("variant", "scale"), GLOBAL)
def test_tiles_of_a_network_that_looks_at_all(upscaler, photo, variant, scale):
    """Near to the whole picture's result, nearer than tiles that see nothing around them."""
    pixels = photo[:150, :180].astype(np.float32) / 255
    whole = upscaler(variant, scale, "off")(pixels)
    tiling = upscaler(variant, scale, 60)
    assert tiling.caution is not None
    error = np.square(tiling(pixels) - whole).mean()
    tiling._halo = 0
    assert error < 0.5 * np.square(tiling(pixels) - whole).mean()
    # Smaller than it takes, and so are tiles where there are pixels enough.
    small = pixels[:5, :9]
    np.testing.assert_array_equal(
        upscaler(variant, scale, 4)(small), upscaler(variant, scale, "off")(small)
    )


def test_a_halo_of_one_less_is_seen(tmp_path):
    """With equal weights the outermost pixels of the halo count as much as any other."""
    variant = zoo.find("sesr-m3", 2)
    network = build(variant, 2).deploy()
    for weight in network.parameters():
        if weight.ndim == 4:
            torch.nn.init.constant_(weight, 1 / weight[0].numel())
        else:
            torch.nn.init.zeros_(weight)
    path = tmp_path / "equal.onnx"
    path.write_bytes(to_onnx(network, variant, 2).SerializeToString())
    pixels = np.random.default_rng(0).random((40, 40), np.float32)
    whole = Upscaler("sesr-m3", tile="off", threads=1, weights=path)(pixels)
    tiled = Upscaler("sesr-m3", tile=20, threads=1, weights=path)
    np.testing.assert_allclose(tiled(pixels), whole, atol=1e-6)
    tiled._halo -= 1
    assert np.abs(tiled(pixels) - whole).max() > 1e-5
