"""What libvips decodes: TIFF, and PNG and AVIF of more than 8 bits, which Pillow cuts to 8."""

import io
from typing import Any

import numpy as np
from PIL import ImageCms

from leansr.errors import PictureError
from leansr.image.arrays import Pixels

# Channels of colour by libvips's name for them; what is more is alpha.
COLOURS = {"b-w": 1, "grey16": 1, "srgb": 3, "rgb16": 3, "scrgb": 3, "cmyk": 4}
DTYPES = ("uint8", "uint16", "float32")

_NAMES = {1: "b-w", 3: "srgb", 4: "cmyk"}
# As a profile's header calls them.
_SPACES = {1: "GRAY", 3: "RGB", 4: "CMYK"}


def library() -> Any:
    """pyvips, told to take no risks and to keep nothing. PictureError if it is not installed."""
    try:
        import pyvips
    except (ImportError, OSError) as cause:
        raise PictureError(
            "16 bits and TIFF need libvips, which is missing; pip install 'pyvips[binary]'"
        ) from cause
    pyvips.cache_set_max(0)
    pyvips.block_untrusted_set(True)
    return pyvips


def decoded(content: bytes, most: int, **options: Any) -> tuple[Pixels, str]:
    """Pixels `(H, W, C)`, `most` of them, as they are and the name of their colour space.

    Raises pyvips.Error for what is damaged, ValueError for what no picture of ours can hold.
    """
    image = library().Image.new_from_buffer(content, "", fail_on="error", **options)
    if image.interpretation not in COLOURS:
        raise ValueError(f"its colour is {image.interpretation}; save it as RGB")
    if image.width * image.height > most:
        raise ValueError("its header says another size")
    found = pixels_of(image)
    if found.dtype.name not in DTYPES:
        raise ValueError(f"its samples are {found.dtype}; save it with 8 or 16 bits")
    return found, image.interpretation


def pixels_of(image: Any) -> Pixels:
    """All of a pyvips image, `(H, W, C)`: its own way to numpy drops sides and channels of 1."""
    found: Pixels = np.reshape(image.numpy(), (image.height, image.width, image.bands))
    return found


def srgb(pixels: Pixels, icc_profile: bytes) -> Pixels:
    """Grey, RGB or CMYK `(H, W, 1, 3 or 4)` of a profile as RGB `(H, W, 3)` in sRGB.

    uint8 or uint16, relative colorimetric with black point compensation. Raises ValueError if
    the profile is damaged or of other channels.
    """
    pyvips = library()
    # Asked of LittleCMS itself, as libvips would take a profile of its own in silence.
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile)).profile
    except OSError as cause:
        raise ValueError("the colour profile is damaged") from cause
    if profile.xcolor_space.strip() != _SPACES[pixels.shape[2]]:
        raise ValueError(f"the colour profile is for {profile.xcolor_space.strip()}")
    depth = 8 * pixels.dtype.itemsize
    name = _NAMES[pixels.shape[2]]
    if depth == 16:
        name = {"b-w": "grey16", "srgb": "rgb16"}.get(name, name)
    image = pyvips.Image.new_from_array(np.ascontiguousarray(pixels), interpretation=name)
    image = image.copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc_profile)
    try:
        done = image.icc_transform(
            "srgb", embedded=True, depth=depth, intent="relative", black_point_compensation=True
        )
        return pixels_of(done)
    except pyvips.Error as cause:
        raise ValueError("the colour profile is damaged") from cause


def avif(pixels: Pixels, bits: int, quality: int, attachments: dict[str, bytes]) -> bytes:
    """AVIF of 10 or 12 bits from uint16 `(H, W, 3 or 4)` over the whole of 0..65535."""
    pyvips = library()
    image = pyvips.Image.new_from_array(upper_bits(pixels, bits), interpretation="rgb16").copy()
    for name, data in attachments.items():
        image.set_type(pyvips.GValue.blob_type, name, data)
    encoded: bytes = image.heifsave_buffer(
        compression="av1", bitdepth=bits, Q=quality, subsample_mode="off", effort=4
    )
    return encoded


def upper_bits(pixels: Pixels, bits: int) -> Pixels:
    """uint16 over the whole of 0..65535 rounded to their upper `bits`, which libheif takes."""
    white = 2**bits - 1
    levels = (pixels.astype(np.uint32) * white + 32767) // 65535
    upper: Pixels = (levels << (16 - bits)).astype(np.uint16)
    return upper


def whole_range(pixels: Pixels, bits: int) -> Pixels:
    """Inverse of `upper_bits`."""
    levels = pixels.astype(np.uint32) >> (16 - bits)
    white = 2**bits - 1
    stretched: Pixels = ((levels * 65535 + white // 2) // white).astype(np.uint16)
    return stretched
