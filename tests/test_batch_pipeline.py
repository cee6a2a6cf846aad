"""Stages that overlap: every item once, in order, within the room, whatever fails."""

import gc
import threading
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leansr.errors import PictureError, WeightsError
from leansr.runtime.pipeline import Done, Room, Stages, StoppedError, run


def plain(**changes):
    stages = {
        "admit": lambda item: 1.0,
        "load": lambda item: item + 1,
        "enlarge": lambda item, loaded: loaded * 10,
        "save": lambda item, enlarged: (item, enlarged),
    }
    return Stages(**stages | changes)


@given(
    fates=st.lists(st.sampled_from(["done", "admit", "load", "enlarge", "save", "early"])),
    workers=st.integers(1, 4),
    room=st.floats(0.1, 5),
)
def test_every_item_has_its_fate_in_order(fates, workers, room):
    def fail(stage, item, value):
        if fates[item] == stage:
            raise PictureError(f"{item} in {stage}")
        return value

    stages = Stages(
        admit=lambda item: (
            Done((item, "early")) if fates[item] == "early" else fail("admit", item, 1.0)
        ),
        load=lambda item: fail("load", item, item),
        enlarge=lambda item, loaded: fail("enlarge", item, loaded),
        save=lambda item, enlarged: fail("save", item, (enlarged, "done")),
    )
    results = list(run(range(len(fates)), stages, workers, room))
    expected = [
        (item, fate) if fate in ("done", "early") else f"{item} in {fate}"
        for item, fate in enumerate(fates)
    ]
    assert [str(r) if isinstance(r, PictureError) else r for r in results] == expected


@pytest.mark.parametrize("stage", ["load", "enlarge"])
def test_a_stage_may_be_the_last(stage):
    early = {stage: lambda item, loaded=None: Done((item, stage))}
    assert list(run([1, 2], plain(**early))) == [(1, stage), (2, stage)]


def test_stages_overlap():
    """The second item is loaded, and the first saved, while another is enlarged."""
    loaded, saved = threading.Event(), threading.Event()

    def load(item):
        if item == 1:
            loaded.set()
        return item

    def enlarge(item, value):
        # Would wait for ever, were the stages one after the other.
        assert (loaded if item == 0 else saved).wait(30)
        return value

    def save(item, value):
        saved.set()
        return item

    stages = plain(load=load, enlarge=enlarge, save=save)
    assert list(run([0, 1], stages)) == [0, 1]


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_is_in_flight_than_there_is_room_for(workers):
    sizes = [3.0, 1.0, 2.0, 9.0, 1.0, 1.0, 4.0, 2.0] * 4
    lock, inside, seen = threading.Lock(), [], []

    def load(item):
        with lock:
            inside.append(sizes[item])
            seen.append((sum(inside), len(inside)))
        return item

    def save(item, value):
        with lock:
            inside.remove(sizes[item])
        return item

    stages = plain(admit=lambda item: sizes[item], load=load, save=save)
    assert list(run(range(len(sizes)), stages, workers, room=4.0)) == list(range(len(sizes)))
    # Nine is more than the room: it was alone.
    assert all(total <= 4 or count == 1 for total, count in seen)


@pytest.mark.parametrize("stage", ["admit", "load", "enlarge", "save"])
@pytest.mark.parametrize("error", [WeightsError("w.onnx: damaged"), ZeroDivisionError("a bug")])
def test_other_errors_end_the_work(stage, error):
    def fail(*arguments):
        raise error

    with pytest.raises(type(error), match=str(error)):
        list(run(range(20), plain(**{stage: fail}), workers=2))


def test_a_caller_that_goes_away_waits_for_what_is_being_saved():
    saving, go_on, finished = threading.Event(), threading.Event(), []

    def save(item, value):
        if item == 1:
            saving.set()
            assert go_on.wait(30)
        finished.append(item)
        return item

    results = run(range(50), plain(save=save))
    assert next(results) == 0
    assert saving.wait(30)
    threading.Timer(0.1, go_on.set).start()
    results.close()
    assert finished == [0, 1]


def test_nobody_enters_a_closed_room():
    room = Room(1)
    room.enter(5)
    waiting = threading.Timer(0.05, room.close)
    waiting.start()
    with pytest.raises(StoppedError):
        room.enter(0.5)


@pytest.mark.parametrize("stage", ["admit", "load", "enlarge", "save"])
def test_errors_that_wait_hold_no_picture(stage):
    class Large:
        pass

    held = []

    def fail(*arguments):
        large = Large()
        held.append(weakref.ref(large))
        try:
            raise OSError("cut off")
        except OSError as cause:
            raise PictureError("a.png: is damaged") from cause

    (error,) = run([0], plain(**{stage: fail}))
    gc.collect()
    assert str(error) == "a.png: is damaged"
    assert str(error.__cause__) == "cut off"
    assert held[0]() is None
