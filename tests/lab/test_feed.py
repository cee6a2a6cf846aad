import time

import pytest
import torch

from leansr.lab.train import crops, pictures
from leansr.lab.train.feed import Feed
from leansr.lab.train.processes import ALONE, Processes
from leansr.lab.train.recipe import Data

CPU = torch.device("cpu")
DATA = Data(lr_crop=8, batch=4)


@pytest.mark.parametrize("room_mib", [None, 0.002])
def test_each_step_gets_its_crops(pictures_folder, room_mib):
    """Whether they are brought ahead or not, in order or not, and when the data change."""
    loaded = pictures.load(pictures_folder, 2, "y", room_mib=room_mib)
    shelves = crops.Shelves(loaded, 2, CPU)
    feed = Feed(shelves, 7, CPU, ALONE)
    larger = Data(lr_crop=10, batch=2)
    for step, data in ((0, DATA), (1, DATA), (5, DATA), (6, larger), (7, larger), (6, larger)):
        for one, other in zip(feed(step, data), crops.batch(shelves, data, 7, step), strict=True):
            assert one.equal(other)


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
