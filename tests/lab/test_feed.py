import os
import time

import numpy as np
import pytest
import torch

from leansr.lab.train import crops, pictures
from leansr.lab.train.feed import Feed, is_brought
from leansr.lab.train.processes import ALONE, Processes
from leansr.lab.train.recipe import Data
from leansr.runtime.upscaler import available_cores

CPU = torch.device("cpu")
DATA = Data(lr_crop=8, batch=4)


@pytest.fixture
def one_core():
    """What this process may use, until the test is over."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("no way to bind a process to a core")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.parametrize("room_mib", [None, 0.002])
def test_each_step_gets_its_crops(pictures_folder, room_mib):
    """In order or not, and when the data change."""
    loaded = pictures.load(pictures_folder, 2, "y", room_mib=room_mib)
    shelves = crops.Shelves(loaded, 2, CPU)
    assert is_brought(shelves, CPU) == (available_cores() > 1 or room_mib is not None)
    assert_right(Feed(shelves, 7, CPU, ALONE), shelves)


def test_on_one_core_crops_are_made_on_the_way(pictures_folder, one_core):
    shelves = crops.Shelves(pictures.load(pictures_folder, 2, "y"), 2, CPU)
    assert not is_brought(shelves, CPU)
    assert_right(Feed(shelves, 7, CPU, ALONE), shelves)


def assert_right(feed, shelves):
    larger = Data(lr_crop=10, batch=2)
    for step, data in ((0, DATA), (1, DATA), (5, DATA), (6, larger), (7, larger), (6, larger)):
        for one, other in zip(feed(step, data), crops.batch(shelves, data, 7, step), strict=True):
            assert one.equal(other)


@pytest.mark.parametrize("colour", ["y", "rgb"])
@pytest.mark.parametrize("candidates", [1, 3])
def test_a_device_gives_the_crops_that_memory_gives(pictures_folder, colour, candidates):
    """Bit for bit, laid out alike: here the device is this one."""
    loaded = pictures.load(pictures_folder, 2, colour)
    in_memory, on_device = (crops.Shelves(loaded, 2, CPU) for _ in range(2))
    signed = np.int16 if colour == "y" else np.uint8
    on_device.lr, on_device.hr = (torch.from_numpy(p.view(signed)) for p in (loaded.lr, loaded.hr))
    data = Data(lr_crop=9, batch=16, candidates=candidates)
    for step in range(4):
        ours, its = (crops.batch(shelves, data, 7, step) for shelves in (in_memory, on_device))
        for one, other in zip(ours, its, strict=True):
            assert one.equal(other)
            assert one.stride() == other.stride()


def test_the_share_of_a_process(pictures_folder):
    shelves = crops.Shelves(pictures.load(pictures_folder, 2, "y"), 2, CPU)
    whole, _ = Feed(shelves, 7, CPU, ALONE)(3, DATA)
    second, _ = Feed(shelves, 7, CPU, Processes(1, 2))(3, DATA)
    assert second.equal(whole[2:])


def test_waiting_is_added_up(pictures_folder):
    shelves = crops.Shelves(pictures.load(pictures_folder, 2, "y"), 2, CPU)
    feed = Feed(shelves, 7, CPU, ALONE)
    began = time.monotonic()
    feed(0, DATA)
    first = feed.seconds_waited
    feed(1, DATA)
    assert 0 < first < feed.seconds_waited <= time.monotonic() - began
