"""Colours before and after, by LittleCMS."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms
from test_formats import AT_HAND, ROWS, files, formats

from leansr.image import codecs
from leansr.image.codecs import profiles, vips
from leansr.image.picture import Picture

DISPLAY_P3 = profiles.of_codes(12, 13)
ADOBE_RGB = formats.adobe_rgb()


@pytest.mark.parametrize("profile", [DISPLAY_P3, ADOBE_RGB], ids=["Display P3", "Adobe RGB"])
@pytest.mark.parametrize("format", AT_HAND)
def test_wide_gamut_has_the_same_colours(format, profile):
    """By LittleCMS, to a space that holds all of them, or to sRGB where there is no profile."""
    patches = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    picture = Picture(patches.repeat(16, 0).repeat(16, 1), "RGB", profile)
    after, lost = formats.there_and_back(picture, ROWS[format].suffixes[0])
    srgb = ImageCms.createProfile("sRGB")
    into = ImageCms.createProfile("LAB") if after.icc_profile else srgb
    # In the middle of each patch, where no neighbour's colour is mixed in.
    before, now, lost_profile = (
        colours(pixels[8::16, 8::16].copy(), profile_, into)
        for pixels, profile_ in (
            (picture.pixels, picture.icc_profile),
            (after.pixels, after.icc_profile),
            (picture.pixels, None),
        )
    )
    assert np.abs(before - now).mean() <= (0 if format in ("PNG", "TIFF") else 2)
    # It would be seen if the profile were lost.
    assert np.abs(before - lost_profile).mean() > 3
    assert (after.icc_profile is None) == any("sRGB" in note for note in lost)


def colours(pixels, profile, into):
    """8-bit RGB by its profile, sRGB without one, in another space, by LittleCMS."""
    own = (
        ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else ImageCms.createProfile("sRGB")
    )
    mode = "LAB" if into.profile_description.startswith("Lab") else "RGB"
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    transform = ImageCms.buildTransform(own, into, "RGB", mode, 1, flags)
    converted = ImageCms.applyTransform(Image.fromarray(pixels), transform)
    values = np.asarray(converted).astype(int)
    if mode == "LAB":
        # a and b are signed bytes.
        values[..., 1:] = (values[..., 1:] + 128) % 256 - 128
    return values


def test_our_profiles_are_those_of_littlecms():
    """sRGB by its numbers against sRGB as LittleCMS makes it, on all greys and many colours."""
    rgb = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    lab = ImageCms.createProfile("LAB")
    ours = colours(rgb, profiles.rgb(profiles.SRGB_PRIMARIES), lab)
    assert np.abs(ours - colours(rgb, files.SRGB, lab)).max() <= 1
    # Published: the green of Adobe RGB (1998), section 4.3.1.1, is at x 0.21, y 0.71.
    green = ImageCms.ImageCmsProfile(io.BytesIO(ADOBE_RGB)).profile.green_primary
    adapted = np.array(green[1][:2])
    np.testing.assert_allclose(adapted, [0.2302, 0.7016], atol=2e-3)


@pytest.mark.parametrize("suffix", [".tif", ".jpg", ".webp"])
def test_a_gamma_of_png_becomes_a_profile(suffix):
    (kind,) = [k for k in files.kinds("PNG") if "gamma of 1" in k.name]
    picture = codecs.decode(kind.content, kind.name)
    assert dict(picture.png_colour) == {b"gAMA": (100_000).to_bytes(4, "big")}
    assert formats.there_and_back(picture, ".png")[0].png_colour == picture.png_colour
    after, _ = formats.there_and_back(picture, suffix)
    # Light is what the samples say: half of them is 188 of sRGB (IEC 61966-2-1).
    half = np.full((1, 1, 3), 128, np.uint8)
    srgb = colours(half, after.icc_profile, ImageCms.createProfile("sRGB"))
    assert np.abs(srgb - 188).max() <= 1


def test_cmyk_goes_by_its_profile():
    """Against LittleCMS by way of Pillow, on a JPEG; the profile is libvips's own."""
    profile = ink_profile()
    inks = np.random.default_rng(0).integers(0, 256, (4, 4, 4), dtype=np.uint8)
    image = Image.fromarray(inks.repeat(16, 0).repeat(16, 1), "CMYK")
    content = files.saved(image, "JPEG", quality=100, subsampling=0, icc_profile=profile)
    picture = codecs.decode(content, "a.jpg")
    own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    srgb = ImageCms.createProfile("sRGB")
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    transform = ImageCms.buildTransform(own, srgb, "CMYK", "RGB", 1, flags)
    wanted = np.asarray(ImageCms.applyTransform(image, transform)).astype(int)
    assert np.abs(picture.pixels - wanted)[8::16, 8::16].max() <= 4
    assert (picture.mode, picture.icc_profile) == ("RGB", None)
    assert picture.notes == (codecs.decoding.pillow.CMYK_BY_PROFILE,)


def ink_profile():
    """The CMYK profile that libvips carries, taken out of what it attaches."""
    pyvips = vips.library()
    image = pyvips.Image.black(8, 8, bands=3).copy(interpretation="srgb")
    inks = image.icc_transform("cmyk", input_profile="srgb")
    return bytes(inks.get("icc-profile-data"))


def test_a_damaged_profile_of_inks_is_left_out():
    inks = np.random.default_rng(0).integers(0, 256, (8, 8, 4), dtype=np.uint8)
    for profile in (b"no profile" * 20, files.SRGB):
        notes = []
        rgb = codecs.decoding.pillow.from_inks(inks, profile, notes)
        plain = np.asarray(Image.fromarray(inks, "CMYK").convert("RGB"))
        assert np.abs(rgb.astype(int) - plain).max() <= 1
        assert len(notes) == 2
        assert "damaged" in notes[0]


@pytest.mark.parametrize("channels", [1, 3])
def test_conversion_to_srgb_is_that_of_littlecms(channels):
    rgb = np.random.default_rng(2).integers(0, 256, (32, 32, channels), dtype=np.uint8)
    profile = ADOBE_RGB if channels == 3 else profiles.grey(1.8)
    deep = vips.srgb(rgb.astype(np.uint16) * 257, profile)
    plain = vips.srgb(rgb, profile)
    # LittleCMS converts 16 bits by a grid, which is coarser at the very edge of the gamut.
    assert np.abs(deep / 257 - plain).mean() <= 0.5
    if channels == 3:
        theirs = colours(rgb, profile, ImageCms.createProfile("sRGB"))
        assert np.abs(plain.astype(int) - theirs).max() <= 2


@pytest.mark.skipif("JPEG XL" not in AT_HAND, reason="imagecodecs is not installed")
@pytest.mark.parametrize(("code", "primaries"), [(9, 9), (11, 12)])
def test_wide_gamut_of_a_jpeg_xl_is_told_by_codes(code, primaries):
    """A file of libjxl's in sRGB's primaries, its header written again with others.

    libjxl has to decode it, which it does only if each bit is where it looks for it.
    """
    import imagecodecs

    samples = np.ascontiguousarray(files.deep(3))
    stream = imagecodecs.jpegxl_encode(samples, lossless=True, usecontainer=False)
    bits = "".join(f"{byte:08b}"[::-1] for byte in stream)
    # Not all default, no profile, RGB, D65, primaries 1, no gamma, transfer 2 + 6.
    told = "0" + "0" + "00" + "10" + "10" + "0" + "010110"
    place = bits.index(told, 30)
    # Intent of 2 bits, no extensions (2), default transform (1), then up to the next byte.
    end = place + len(told) + 5
    other = told[:6] + "01" + f"{code - 2:04b}"[::-1] + told[8:]
    header = bits[:place] + other + bits[end - 5 : end]
    header += "0" * (-len(header) % 8)
    rest = bits[end + (-end % 8) :]
    changed = header + rest
    content = bytes(int(changed[i : i + 8][::-1], 2) for i in range(0, len(changed), 8))
    np.testing.assert_array_equal(imagecodecs.jpegxl_decode(content), samples)
    picture = codecs.decode(content, "a.jxl")
    assert picture.icc_profile == profiles.of_codes(primaries, 13)
    assert picture.notes == ()
