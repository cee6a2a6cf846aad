"""What files say at the edges: of entries, sizes, profiles, orientations, times and threads."""

import os
import struct
import threading
import warnings
import zlib
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image, ImageCms

from leansr.errors import PictureError
from leansr.image import codecs
from leansr.image.codecs import fitting, metadata, quiet, tags, vips
from leansr.image.codecs.formats import ALL
from leansr.image.picture import Picture

formats, files = import_module("formats"), import_module("picture_files")
ROWS = {row.name: row for row in ALL}
EXIF = b"Exif\0\0"


def exif_of(*entries):
    """EXIF of entries (tag, type, count, 4 bytes), little-endian."""
    packed = b"".join(struct.pack("<HHL4s", *entry) for entry in entries)
    return EXIF + b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + packed + bytes(4)


def orientation(value):
    return exif_of((274, 3, 1, struct.pack("<HH", value, 0)))


def xmp(value):
    return f'<x tiff:Orientation="{value}"/>'.encode()


def short(value):
    return struct.pack("<HH", value, 0)


@pytest.mark.parametrize("names", [[34665] * 3000, [34665, 34853, 40965] * 1000])
def test_directories_that_point_back_end(names):
    """Each entry of the file is read once in all: the cube of 3000 would take hours."""
    exif = exif_of(*((name, 4, 1, struct.pack("<L", 8)) for name in names))
    tags.parse(exif.removeprefix(EXIF))


def test_no_more_entries_are_read_than_a_file_has_room_for():
    count = 200
    entries = [(1000 + i, 3, 1, short(i)) for i in range(count)]
    (directory,) = tags.parse(exif_of(*entries).removeprefix(EXIF)).directories
    assert [tag.numbers for tag in directory.values()] == [[i] for i in range(count)]
    reader = tags._Reader(bytes(120), "<", is_big=False)
    assert reader._entries == 10


def test_of_tags_that_come_twice_the_first_counts():
    exif = exif_of((274, 3, 1, short(6)), (274, 3, 1, short(3)))
    assert metadata.orientation(exif) == 6


def test_a_gif_whose_later_frame_is_larger_is_refused():
    frame = files.photo()
    content = files.saved(
        Image.fromarray(frame), "GIF", save_all=True, append_images=[Image.fromarray(255 - frame)]
    )
    # The second image descriptor, made to be 60000 x 20000.
    place = content.rindex(b"," + struct.pack("<HHHH", 0, 0, 40, 30))
    assert place > content.index(b",")
    large = content[: place + 5] + struct.pack("<HH", 60000, 20000) + content[place + 9 :]
    with pytest.raises(PictureError) as raised:
        codecs.decode(large, "a.gif")
    message = str(raised.value)
    assert message.startswith("a.gif: ")
    assert "\n" not in message
    small = content[: place + 5] + struct.pack("<HH", 50, 30) + content[place + 9 :]
    with pytest.raises(PictureError, match="its frames differ in size"):
        codecs.decode(small, "a.gif")


def test_libvips_decodes_no_more_pixels_than_the_header_says():
    content = files.png(files.deep(3), 16, 2)
    assert vips.decoded(content, 1200)[0].shape == (30, 40, 3)
    with pytest.raises(ValueError, match="another size"):
        vips.decoded(content, 1199)


@pytest.mark.skipif(find_spec("imagecodecs") is None, reason="needs the extra formats")
def test_of_several_streams_of_a_jpeg_xl_the_first_is_measured(tmp_path):
    import imagecodecs

    from leansr.image.codecs import jxl

    large, small = (
        bytes(imagecodecs.jpegxl_encode(pixels))
        for pixels in (files.photo(), files.photo()[:8, :8])
    )
    both = jxl.with_boxes(large, {b"jxlc": small})
    assert jxl.size(both) == jxl.size(large) == (30, 40)


@pytest.mark.skipif(find_spec("imagecodecs") is None, reason="needs the extra formats")
def test_an_animated_jpeg_xl_says_that_a_frame_is_taken():
    import imagecodecs

    content = bytes(imagecodecs.jpegxl_encode(np.stack(files.moving(3)), lossless=True))
    picture = codecs.decode(content, "a.jxl")
    np.testing.assert_array_equal(picture.pixels, files.moving(3)[0])
    assert "the first frame of its animation is taken" in picture.notes
    still = codecs.decode(bytes(imagecodecs.jpegxl_encode(files.photo())), "a.jxl")
    assert not still.notes


@pytest.mark.skipif(find_spec("imagecodecs") is None, reason="needs the extra formats")
@pytest.mark.parametrize("first", [5, 6, 7, 30])
def test_the_stream_of_a_jpeg_xl_may_lie_in_parts_behind_much_else(tmp_path, first):
    import imagecodecs

    from leansr.image.codecs import jxl

    stream = bytes(imagecodecs.jpegxl_encode(files.photo()))
    # A container that has nothing but its signature and type, then a large box of EXIF.
    head = jxl.with_boxes(b"", {})[:-8]
    content = jxl.with_boxes(
        head, {b"Exif": bytes(4) + exif_of((271, 2, 4, b"cam\0"))[6:] + bytes(200_000)}
    )
    parts = struct.pack(">L", 0) + stream[:first], struct.pack(">L", 1 << 31 | 1) + stream[first:]
    for part in parts:
        content += struct.pack(">L4s", 8 + len(part), b"jxlp") + part
    (tmp_path / "a.jxl").write_bytes(content)
    size = codecs.size_of(tmp_path / "a.jxl")
    assert (size.height, size.width) == (30, 40)
    whole = codecs.decode(stream, "a.jxl")
    np.testing.assert_array_equal(codecs.read(tmp_path / "a.jxl").pixels, whole.pixels)


@pytest.mark.parametrize(
    ("kinds", "mode"), [((0, 2), "RGBA"), ((2, 0), "RGBA"), ((0, 0), "RGB"), ((0, 1), "RGBA")]
)
def test_alpha_of_a_tiff_is_the_channel_that_is_said_to_be_alpha(kinds, mode):
    other = np.full((30, 40, 1), 77, np.uint8)
    opaque = np.full((30, 40, 1), 255, np.uint8)
    opaque[:9] = 255 if 1 in kinds else 100
    channels = [opaque if kind else other for kind in kinds]
    pixels = np.concatenate([files.photo(), *channels], axis=2)
    # Two values of 16 bits lie in the entry itself.
    content = files.tiff(pixels, 2, (338, 3, kinds[0] | kinds[1] << 16))
    entry = struct.pack("<HHL", 338, 3, 1)
    content = content.replace(entry, struct.pack("<HHL", 338, 3, 2))
    picture = codecs.decode(content, "a.tif")
    wanted = np.concatenate([files.photo(), opaque], axis=2)[..., : len(mode)]
    assert picture.mode == mode
    np.testing.assert_array_equal(picture.pixels, wanted)
    assert "channels that are neither colour nor alpha are left out" in picture.notes


def turned_file(format, exif, xmp_):
    options = {name: data for name, data in (("exif", exif), ("xmp", xmp_)) if data}
    if format == "TIFF":
        # Pillow takes no XMP for its TIFF but as a tag.
        image = Image.fromarray(files.photo())
        own = Image.Exif()
        if exif:
            own.load(exif)
        if xmp_:
            own[700] = xmp_
        return files.saved(image, "TIFF", exif=own)
    return files.saved(files.photo(), format, **options)


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("exif", "shape"),
    [
        (None, (40, 30, 3)),
        (exif_of((271, 2, 4, b"cam\0")), (40, 30, 3)),
        (orientation(1), (30, 40, 3)),
        (orientation(3), (30, 40, 3)),
        (orientation(8), (40, 30, 3)),
    ],
)
def test_xmp_turns_only_where_exif_tells_nothing(format, exif, shape):
    content = turned_file(format, exif, xmp(6))
    assert codecs.decode(content, "a").pixels.shape == shape


def test_xmp_does_not_turn_an_avif():
    content = files.saved(files.photo(), "AVIF", xmp=xmp(6))
    assert codecs.decode(content, "a.avif").pixels.shape == (30, 40, 3)
    turned = files.saved(files.photo(), "AVIF", xmp=xmp(3), exif=orientation(6))
    assert codecs.decode(turned, "a.avif").pixels.shape == (40, 30, 3)


def large_profile(size):
    """sRGB with bytes behind it, that do not pack."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    noise = np.random.default_rng(0).integers(0, 256, size - len(profile)).astype(np.uint8)
    profile += noise.tobytes()
    return struct.pack(">L", len(profile)) + profile[4:]


@pytest.mark.parametrize("bits", [8, 16])
def test_a_png_with_a_large_profile_is_read(bits):
    profile = large_profile(3 << 20)
    chunk = files.chunk(b"iCCP", b"a\0\0" + zlib.compress(profile))
    pixels = files.photo() if bits == 8 else files.deep(3)
    picture = codecs.decode(files.png(pixels, bits, 2, chunk), "a.png")
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert picture.icc_profile == profile


def test_an_animated_png_keeps_its_profile():
    frames = [Image.fromarray(frame) for frame in files.moving(3)]
    content = files.saved(
        frames[0], "PNG", save_all=True, append_images=frames[1:], icc_profile=files.SRGB
    )
    picture = codecs.decode(content, "a.png")
    assert (len(picture.more), picture.icc_profile) == (2, files.SRGB)


def test_a_large_profile_is_converted_in_png():
    picture = Picture(files.photo(), "RGB", icc_profile=large_profile(2 << 20))
    after, lost = formats.there_and_back(picture, ".png")
    assert after.icc_profile is None
    assert any("converted to sRGB" in note for note in lost)
    # It is sRGB already.
    assert np.abs(after.pixels.astype(int) - picture.pixels).max() <= 2
    kept, lost = formats.there_and_back(replace(picture, icc_profile=files.SRGB), ".png")
    assert (kept.icc_profile, lost) == (files.SRGB, ())


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("sides", [(1, 1), (1, 5), (5, 1)])
def test_the_smallest_pictures_of_every_mode(suffix, mode, dtype, sides):
    height, width = sides
    pixels = files.deep(len(mode))[:height, :width]
    pixels = {
        "uint8": files.photo(len(mode))[:height, :width],
        "uint16": pixels,
        "float32": (pixels / 65535).astype(np.float32),
    }[dtype]
    after, _ = formats.there_and_back(Picture(pixels, mode), suffix)
    assert (after.mode, after.pixels.shape) == (mode, pixels.shape)
    if suffix == ".tif" or dtype != "float32":
        np.testing.assert_array_equal(after.pixels, pixels)


def test_temporary_files_get_what_the_mask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        with codecs.beside(tmp_path / "a.png") as part:
            assert part.stat().st_mode & 0o777 == 0o640
            assert (
                import_module("leansr.runtime.batch")._PART.fullmatch(part.name)["name"] == "a.png"
            )
    finally:
        os.umask(before)
    assert (tmp_path / "a.png").stat().st_mode & 0o777 == 0o640


def test_the_mask_of_the_process_is_never_changed(tmp_path, monkeypatch):
    """It is that of all threads."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("it was"))
    codecs.write(Picture(files.photo(), "RGB"), tmp_path / "a.png")


def test_the_filters_of_warnings_come_back_after_overlapping_readers():
    before = list(warnings.filters)
    first, second = threading.Event(), threading.Event()

    def reader():
        with quiet.no_warnings():
            first.set()
            second.wait(10)

    thread = threading.Thread(target=reader)
    with quiet.no_warnings():
        thread.start()
        assert first.wait(10)
    # The other one still reads.
    warnings.warn("not seen", stacklevel=1)
    second.set()
    thread.join()
    assert list(warnings.filters) == before
    with pytest.raises(UserWarning):
        warnings.warn("seen", stacklevel=1)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize("tag", [282, 283, 296])
def test_a_resolution_that_is_no_number_is_left_out(value, tag):
    entries = {282: (282, 3, 1, short(72)), 283: (283, 3, 1, short(72)), 296: (296, 3, 1, short(2))}
    entries[tag] = (tag, 11, 1, struct.pack("<f", value))
    picture = codecs.decode(
        files.saved(files.photo(), "WEBP", exif=exif_of(*entries.values())), "a"
    )
    assert picture.dpi is None


@pytest.mark.parametrize("text", ["\nexif\n4\nzz", "", "\n\n\n123"])
def test_a_raw_profile_that_is_none_is_left_out(text):
    chunk = files.chunk(b"tEXt", b"Raw profile type exif\0" + text.encode())
    picture = codecs.decode(files.png(files.photo(), 8, 2, chunk), "a.png")
    np.testing.assert_array_equal(picture.pixels, files.photo())
    assert picture.exif is None


def test_xmp_is_measured_as_large_as_it_is_written():
    head, tail = b'<x tiff:ImageWidth="9" a="', b'"/>'
    fits = head + b"a" * (65504 - len(head) - len(tail) - 1) + tail
    picture = Picture(files.photo(), "RGB", xmp=fits)
    after, lost = formats.there_and_back(picture, ".jpg")
    assert (len(after.xmp), lost) == (65504, ())
    after, lost = formats.there_and_back(replace(picture, xmp=fits[:30] + b"a" + fits[30:]), ".jpg")
    assert after.xmp is None
    assert any("XMP" in note for note in lost)


def test_text_of_exif_3_is_kept():
    exif = exif_of((271, 129, 4, "ü☃"[:1].encode() + b"a\0"))
    picture = codecs.decode(files.saved(files.photo(), "JPEG", exif=exif), "a.jpg")
    after, _ = formats.there_and_back(picture, ".webp")
    tree = tags.parse(after.exif.removeprefix(EXIF))
    assert tags.text(tree.directories[0], 271) == "üa"


def test_a_frame_of_a_gif_is_cut_to_its_longest():
    frames = [
        Picture(p, "RGB", duration=d)
        for p, d in zip(files.moving(3), (1e6, 70.0, 50.0), strict=True)
    ]
    after, lost = formats.there_and_back(replace(frames[0], more=tuple(frames[1:])), ".gif")
    assert [frame.duration for frame in after.frames] == [655350.0, 70.0, 50.0]
    assert lost == ("GIF shows a frame for 655.35 seconds at most",)


def test_a_palette_of_greys_with_a_profile_for_colour_stays_colour():
    image = Image.fromarray(files.photo(1)[..., 0]).convert("P")
    plain = codecs.decode(files.saved(image, "PNG"), "a.png")
    profiled = codecs.decode(files.saved(image, "PNG", icc_profile=files.SRGB), "a.png")
    assert (plain.mode, profiled.mode) == ("L", "RGB")
    np.testing.assert_array_equal(profiled.pixels, plain.pixels.repeat(3, 2))


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
@pytest.mark.parametrize("turn", [3, 6])
def test_each_frame_of_an_animation_is_turned(tmp_path, format, turn):
    frames = [Image.fromarray(frame) for frame in files.moving(3)]
    options = {"lossless": True} if format == "WEBP" else {}
    content = files.saved(
        *(frames[0], format),
        **{"save_all": True, "append_images": frames[1:], "exif": orientation(turn)},
        **{"duration": 40, **options},
    )
    (tmp_path / "a").write_bytes(content)
    picture = codecs.read(tmp_path / "a")
    method = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270}[turn]
    for frame, upright in zip(picture.frames, frames, strict=True):
        np.testing.assert_array_equal(frame.pixels, np.asarray(upright.transpose(method)))
    size = codecs.size_of(tmp_path / "a")
    assert (size.height, size.width) == picture.pixels.shape[:2]


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_the_same_frames_are_joined_for_the_time_of_both(suffix):
    one, other = files.moving(3)[:2]
    frames = [
        Picture(p, "RGB", duration=d)
        for p, d in zip((one, one, other), (40.0, 50.0, 60.0), strict=True)
    ]
    after, _ = formats.there_and_back(replace(frames[0], more=tuple(frames[1:])), suffix)
    assert [frame.duration for frame in after.frames] == [90.0, 60.0]


@pytest.mark.parametrize("is_animated", [False, True])
def test_a_lossless_webp_says_that_it_comes_out_lossy(is_animated):
    frames = [Image.fromarray(frame) for frame in files.moving(3)]
    more = {"save_all": True, "append_images": frames[1:]} if is_animated else {}
    lossless, lossy = (
        codecs.decode(
            files.saved(frames[0], "WEBP", lossless=flag, exif=orientation(1), **more), "a"
        )
        for flag in (True, False)
    )
    note = "the WebP was encoded without loss and is written with loss"
    assert fitting.fitted(lossless, ROWS["WebP"])[1] == (note,)
    assert fitting.fitted(lossless, ROWS["PNG"])[1] == ()
    assert fitting.fitted(lossy, ROWS["WebP"])[1] == ()


def test_a_deep_grey_avif_says_that_it_is_written_in_colour():
    grey = Picture(files.deep(1), "L", bits=12)
    assert fitting.fitted(grey, ROWS["AVIF"])[1] == (
        "AVIF of more than 8 bits is written in RGB, of grey",
    )
    assert fitting.fitted(Picture(files.photo(1), "L"), ROWS["AVIF"])[1] == ()
    assert fitting.fitted(Picture(files.deep(3), "RGB", bits=12), ROWS["AVIF"])[1] == ()
