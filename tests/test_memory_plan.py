"""What memory there is, and plans that fit into it."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leansr import Upscaler
from leansr.errors import PictureError
from leansr.image import codecs
from leansr.image.picture import Picture
from leansr.runtime import files, memory
from leansr.runtime.choice import Upscalers
from leansr.runtime.files import Job, stream, upscale_file
from leansr.runtime.route import Route
from leansr.runtime.size import wanted
from leansr.zoo.costs import costs
from leansr.zoo.release import releases

MEMINFO = "MemTotal: 8000000 kB\nMemAvailable:  1000 kB\n"


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A Linux that says what a test writes, by path below its root."""

    def say(**files):
        for name, content in files.items():
            path = tmp_path / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return memory.available()

    monkeypatch.setattr(memory.sys, "platform", "linux")
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "groups")
    return say


def test_there_is_some_memory():
    assert memory.available() is None or memory.available() > 2**20


def test_what_linux_says(system):
    assert system() is None
    assert system(proc__meminfo=MEMINFO) == 1000 * 1024
    # In a group of the first version, which the container sees as the whole.
    group = {
        "proc__self__cgroup": "4:memory:/outside\n0::/\n",
        "groups__memory__memory_dot_limit_in_bytes": "900000",
        "groups__memory__memory_dot_usage_in_bytes": "500000",
        "groups__memory__memory_dot_stat": "cache 7\ntotal_inactive_file 100000\n",
    }
    assert system(**group) == 900000 - 500000 + 100000


def test_groups_of_groups(system):
    files = {"proc__meminfo": MEMINFO, "proc__self__cgroup": "0::/outer/inner\n"}
    files |= {"groups__outer__inner__memory_dot_max": "max\n"}
    files |= {"groups__outer__inner__memory_dot_current": "5\n"}
    assert system(**files) == 1000 * 1024
    files = {"groups__outer__memory_dot_max": "50\n", "groups__outer__memory_dot_current": "20\n"}
    assert system(**files) == 30
    # More in use than is allowed by now.
    assert system(groups__outer__memory_dot_current="60") == 0


def test_other_systems_say_what_they_have(monkeypatch):
    monkeypatch.setattr(memory.sys, "platform", "other")
    monkeypatch.setattr(memory.os, "sysconf", lambda name: 4096, raising=False)
    assert memory.available() == 4096 * 4096 // 2
    monkeypatch.delattr(memory.os, "sysconf")
    assert memory.available() is None


@given(
    halo=st.integers(0, 60),
    pixel_bytes=st.integers(100, 50_000),
    threads=st.integers(1, 64),
    free=st.integers(2**28, 2**36),
    wanted=st.integers(256, 1024),
)
def test_tiles_fit(halo, pixel_bytes, threads, free, wanted):
    side = memory.tile_side(wanted, halo, pixel_bytes, threads, free)
    assert memory._SMALLEST <= side <= wanted
    if side > memory._SMALLEST:
        assert (side + 2 * halo) ** 2 * pixel_bytes * threads <= free // 2


@pytest.mark.parametrize(("variant", "scale"), releases())
def test_released_networks_get_good_tiles(variant, scale):
    """As large as is fastest where there is memory enough."""
    halo = Upscaler(variant, scale, threads=1)._halo
    one = memory.tile_bytes(costs()[variant, scale].features, scale)
    side = memory.tile_side(max(256, 16 * halo), halo, one, 2, None)
    assert side >= 6 * halo


def test_what_does_not_fit_is_said_before_it_is_begun(tmp_path, photo, system):
    source, target = tmp_path / "pictures" / "a.png", tmp_path / "pictures" / "b.png"
    codecs.write(Picture(photo, "RGB"), source)
    system(proc__meminfo=MEMINFO)
    job = Job(source, target)
    for tile, words in (("off", "use --tile N"), ("auto", "use fewer --threads")):
        with pytest.raises(PictureError, match=f"a.png: does not fit into memory: .*{words}"):
            upscale_file(Upscalers(backend="onnxruntime", tile=tile, threads=2), job)
    with pytest.raises(PictureError, match="use a smaller --tile"):
        stream(Upscalers(tile=300, threads=1), job)
    with pytest.raises(MemoryError, match="MiB"):
        Upscaler(threads=1)(np.zeros((500, 500), np.uint8))
    assert [path.name for path in source.parent.iterdir()] == ["a.png"]
    system(proc__meminfo="MemAvailable: 1000000 kB\n")
    upscale_file(Upscalers(threads=2), job)


@pytest.mark.parametrize(
    ("count", "words"), [(2**20, "1 MiB"), (2**29, "0.5 GiB"), (3 * 2**30 // 2, "1.5 GiB")]
)
def test_bytes_in_words(count, words):
    assert memory.in_words(count) == words


def test_groups_with_names_that_are_not_ascii(system, tmp_path):
    files = {"proc__meminfo": MEMINFO, "groups__tåst__memory_dot_max": "50\n"}
    files |= {"groups__tåst__memory_dot_current": "20\n"}
    files |= {"proc__self__cgroup": "0::/tåst\n"}
    assert system(**files) == 30


def test_tiles_of_calls_at_once_fit_together(system):
    system(proc__meminfo="MemAvailable: 400000 kB\n")
    alone, shared = (
        Upscaler("sesr-xl", backend="onnxruntime", threads=1, at_once=count) for count in (1, 8)
    )
    assert memory._SMALLEST < shared._tile < alone._tile
    side = shared._tile + 2 * shared._halo
    assert 8 * side**2 * shared._pixel_bytes <= 400_000 * 1024 // 2


@pytest.mark.parametrize("way", [Upscalers(threads=1), Route(wanted(1.5), threads=1)])
def test_all_frames_together_fit(system, photo, way):
    enlarge = way.enlarge if isinstance(way, Route) else partial(files.enlarge, way)
    system(proc__meminfo="MemAvailable: 100000 kB\n")
    frame = Picture(photo[:300, :300], "RGB")
    enlarge(frame, "a.gif")
    many = replace(frame, more=(frame,) * 200)
    with pytest.raises(PictureError, match=r"a\.gif: .*does not fit into memory"):
        enlarge(many, "a.gif")
