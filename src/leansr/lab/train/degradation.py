"""What happens to photos between the lens and us, done to clean LR pictures: mostly JPEG."""

import io
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np
from PIL import Image

from leansr.image.arrays import Floats, Pixels

Subsampling = Literal["4:2:0", "4:4:4"]

# What photo weights are validated at: the quality of a 4:2:0 JPEG, None where there is none.
CONDITIONS: Mapping[str, int | None] = MappingProxyType(
    {"clean": None, "jpeg-95": 95, "jpeg-80": 80, "jpeg-60": 60, "jpeg-40": 40}
)

# Of the pictures that are not left as they are, the shares that each thing happens to.
_BLURRED, _NOISY, _COMPRESSED = 1 / 8, 1 / 8, 19 / 20
# Of the compressed ones: 4:2:0, as phones and the web have it, and cut after an earlier encoding.
_SUBSAMPLED, _CUT = 3 / 4, 1 / 2
# Largest blur in pixels and largest noise in levels, as standard deviations.
_BLUR, _NOISE = 0.5, 1.5
_QUALITY = range(30, 96)
# Side of JPEG's blocks.
_BLOCK = 8


def degrade(rgb: Pixels, random: np.random.Generator, untouched: float = 0.5) -> Pixels:
    """A version of the uint8 picture `(H, W, 3)` as a photo may reach us, of the same size.

    The share `untouched` is the picture itself. The others are blurred by a Gaussian of sigma 0 to
    0.5 (one in eight), get Gaussian noise of sigma 0 to 1.5 levels (one in eight) and then JPEG of
    quality 30 to 95 (19 in 20), three of four times as 4:2:0 and else as 4:4:4, its grid of blocks
    anywhere in one of two. The same state of `random` gives the same version.
    """
    if random.random() < untouched:
        return rgb
    if random.random() < _BLURRED:
        rgb = _rounded(_blurred(rgb, random.uniform(0, _BLUR)))
    if random.random() < _NOISY:
        sigma = np.float32(random.uniform(0, _NOISE))
        rgb = _rounded(rgb + sigma * random.standard_normal(rgb.shape, np.float32))
    if random.random() < _COMPRESSED:
        quality = int(random.integers(_QUALITY.start, _QUALITY.stop))
        subsampling: Subsampling = "4:2:0" if random.random() < _SUBSAMPLED else "4:4:4"
        top, left = random.integers(_BLOCK, size=2) if random.random() < _CUT else (0, 0)
        padded = np.pad(rgb, ((top, 0), (left, 0), (0, 0)), mode="edge")
        rgb = jpeg(padded, quality, subsampling)[top:, left:]
    return rgb


def jpeg(rgb: Pixels, quality: int, subsampling: Subsampling = "4:2:0") -> Pixels:
    """The uint8 picture `(H, W, 3)` after JPEG of `quality` on the IJG scale (1 to 100)."""
    encoded = io.BytesIO()
    Image.fromarray(rgb).save(encoded, "JPEG", quality=quality, subsampling=subsampling)
    with Image.open(encoded) as image:
        return np.asarray(image)


def under(rgb: Pixels, condition: str) -> Pixels:
    """The uint8 picture `(H, W, 3)` under one of CONDITIONS, its blocks from the corner on."""
    quality = CONDITIONS[condition]
    return rgb if quality is None else jpeg(rgb, quality)


def _blurred(rgb: Pixels, sigma: float) -> Floats:
    """A Gaussian of `sigma` at most 0.5: two pixels each way hold all of it."""
    offsets = np.arange(-2, 3)
    # At sigma 0 a centre alone; the least keeps the division defined.
    kernel = np.exp(-((offsets / max(sigma, 1e-3)) ** 2) / 2).astype(np.float32)
    kernel /= kernel.sum()
    height, width = rgb.shape[:2]
    padded = np.pad(rgb, ((2, 2), (2, 2), (0, 0)), mode="edge").astype(np.float32)
    rows = sum(weight * padded[y : y + height] for y, weight in enumerate(kernel))
    blurred: Floats = sum(weight * rows[:, x : x + width] for x, weight in enumerate(kernel))
    return blurred


def _rounded(values: Floats) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
