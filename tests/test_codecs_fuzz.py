"""Damage at random: a picture or one line, whatever is done to a file.

`LEANSR_FUZZ_EXAMPLES=N` tries N files in place of a few; a thousand take about half a minute.
"""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_formats import AT_HAND, files

from leansr.errors import PictureError
from leansr.image import codecs
from leansr.image.arrays import WHITE
from leansr.image.picture import MODES

EXAMPLES = int(os.environ.get("LEANSR_FUZZ_EXAMPLES", "25"))
# Every kind of file, a few kilobytes each.
CORPUS = {format: [kind.content for kind in files.kinds(format)] for format in AT_HAND}


@st.composite
def damaged(draw, contents):
    """A file of the corpus with some bytes changed, left out, put in, moved or cut off."""
    content = bytearray(draw(st.sampled_from(contents)))
    for _ in range(draw(st.integers(1, 6))):
        # Most of what decides is at the beginning.
        end = draw(st.sampled_from([64, 256, len(content)]))
        place = draw(st.integers(0, max(0, min(end, len(content)) - 1)))
        length = draw(st.sampled_from([1, 1, 2, 4, 32]))
        kind = draw(
            st.sampled_from(["change", "change", "flip", "drop", "insert", "repeat", "cut"])
        )
        if kind == "change":
            content[place : place + length] = draw(st.binary(min_size=length, max_size=length))
        elif kind == "flip" and content:
            content[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "drop":
            del content[place : place + length]
        elif kind == "insert":
            content[place:place] = (
                draw(st.sampled_from([b"\0", b"\xff", b"\x7f\xff\xff\xff"])) * length
            )
        elif kind == "repeat":
            content[place:place] = content[place : place + 40 * length]
        else:
            del content[len(content) - place :]
    return bytes(content)


def attempted(call, path):
    """What `call` gives for a file; None if that is an error, which has to be a line."""
    try:
        return call(path)
    except PictureError as error:
        message = str(error)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return None


@pytest.mark.parametrize("format", AT_HAND)
def test_whatever_is_damaged_is_a_picture_or_one_line(tmp_path_factory, format):
    path = tmp_path_factory.mktemp("fuzz") / "a.png"

    @settings(
        max_examples=EXAMPLES,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=EXAMPLES <= 100,
    )
    @given(damaged(CORPUS[format]))
    def check(content):
        path.write_bytes(content)
        size, found = attempted(codecs.size_of, path), attempted(codecs.read, path)
        if found is None:
            return
        assert size is not None
        assert size.pixels >= found.pixels.shape[0] * found.pixels.shape[1]
        for frame in found.frames:
            assert frame.pixels.dtype.name in WHITE
            assert frame.pixels.shape[2] == MODES[frame.mode]
            assert frame.pixels.size
            if frame.pixels.dtype == np.float32:
                assert np.isfinite(frame.pixels).all()
                assert frame.pixels[..., : 3 if "RGB" in frame.mode else 1].max() <= 1
        written = path.with_suffix(".tif" if found.duration is None else ".png")
        codecs.write(found, written)
        assert codecs.read(written).pixels.shape == found.pixels.shape

    check()
