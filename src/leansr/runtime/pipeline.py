"""Work in three stages that overlap: while one picture is enlarged, the next is read.

The stages run in threads: decoders, encoders and networks let go of Python's lock while they work.
"""

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from leansr.errors import PictureError

T = TypeVar("T")
R = TypeVar("R")

# Megapixels in flight, of pictures and their larger copies together: as RGB of 8 bits, 300 MB.
ROOM = 100.0


class StoppedError(Exception):
    """The work was given up while a stage waited."""


class Room:
    """Megapixels that may be in flight at once, lent in the order in which they are asked for.

    What is larger than the whole room gets it when nobody else is in it.
    """

    def __init__(self, megapixels: float) -> None:
        self._size, self._used, self._is_closed = megapixels, 0.0, False
        self._changed, self._turn = threading.Condition(), threading.Lock()

    def enter(self, megapixels: float) -> None:
        """Waits until there is room; StoppedError if it is closed meanwhile."""
        # One waits at a time, so that small pictures do not pass a large one for ever.
        with self._turn, self._changed:
            self._changed.wait_for(
                lambda: self._is_closed or not self._used or self._used + megapixels <= self._size
            )
            if self._is_closed:
                raise StoppedError
            self._used += megapixels

    def leave(self, megapixels: float) -> None:
        """Gives back what was lent."""
        with self._changed:
            self._used = max(0.0, self._used - megapixels)
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody enters any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()


@dataclass(frozen=True)
class Done(Generic[R]):
    """What a stage returns that leaves nothing to the ones after it."""

    result: R


@dataclass(frozen=True)
class Stages(Generic[T, R]):
    """What is done with each item, by threads, and the room that it takes.

    `admit(item)` gives the megapixels that it will be, of itself and of what becomes of it;
    `load(item)` is called when there is room for them, then `enlarge(item, loaded)` and
    `save(item, enlarged)`, whose result is the item's. Each but the last may return Done.
    """

    admit: Callable[[T], "float | Done[R]"]
    load: Callable[[T], Any]
    enlarge: Callable[[T, Any], Any]
    save: Callable[[T, Any], R]


def run(
    items: Iterable[T], stages: Stages[T, R], workers: int = 1, room: float = ROOM
) -> Generator[R | PictureError]:
    """What became of each item, in their order: a result, or the PictureError that ended it.

    Every stage has `workers` threads. Any other exception ends the work and is raised here. If
    the caller goes away, what is being saved is finished and everything else is given up.
    """
    items = list(items)
    line = _Line(items, stages, min(workers, max(1, len(items))), room)
    line.start()
    through: dict[int, R | PictureError] = {}
    try:
        for index in range(len(items)):
            while index not in through:
                found, result = line.next()
                through[found] = result
            yield through.pop(index)
    finally:
        line.stop()


# Index of an item, what the stage before made of it, and the megapixels that it takes.
_Parcel = tuple[int, object, float]


class _Line(Generic[T, R]):
    """The threads of a run and what they hand on."""

    def __init__(self, items: list[T], stages: Stages[T, R], workers: int, room: float) -> None:
        self._items, self._stages, self._room = items, stages, Room(room)
        self._waiting = queue.SimpleQueue[int]()
        self._loaded = queue.SimpleQueue[_Parcel | None]()
        self._enlarged = queue.SimpleQueue[_Parcel | None]()
        self._results = queue.SimpleQueue[tuple[int, R | PictureError] | BaseException]()
        self._stopped = threading.Event()
        for index in range(len(items)):
            self._waiting.put(index)
        self._savers = [self._thread(self._save, self._enlarged) for _ in range(workers)]
        self._others = [self._thread(self._enlarge, self._loaded) for _ in range(workers)]
        self._others += [self._thread(self._load, self._waiting) for _ in range(workers)]

    def start(self) -> None:
        for thread in self._savers + self._others:
            thread.start()

    def next(self) -> tuple[int, R | PictureError]:
        """The next item that is through; raises what a thread died of."""
        while True:
            try:
                # With a limit: on Windows a wait without one cannot be interrupted.
                found = self._results.get(timeout=0.2)
            except queue.Empty:
                continue
            if isinstance(found, BaseException):
                raise found
            return found

    def stop(self) -> None:
        """Nothing new is begun; waits for what is being saved, and for that alone."""
        self._stopped.set()
        self._room.close()
        for _ in self._savers:
            self._loaded.put(None)
            self._enlarged.put(None)
        for thread in self._savers:
            thread.join()

    def _thread(
        self, stage: Callable[..., None], source: "queue.SimpleQueue[Any]"
    ) -> threading.Thread:
        def work() -> None:
            try:
                while True:
                    # Not kept in a name: a picture would stay in memory until the next came.
                    stage(*self._next_of(source))
            except StoppedError:
                pass
            except BaseException as error:  # to be raised where the results are awaited
                self._results.put(error)

        # Daemons: a network in the middle of a picture must not hold up the end of the program.
        return threading.Thread(target=work, daemon=True)

    def _next_of(self, source: "queue.SimpleQueue[Any]") -> Any:
        try:
            parcel = source.get(block=source is not self._waiting)
        except queue.Empty:
            raise StoppedError from None
        if self._stopped.is_set():
            raise StoppedError
        return (parcel,) if source is self._waiting else parcel

    def _load(self, index: int) -> None:
        item = self._items[index]
        try:
            megapixels = self._stages.admit(item)
        except PictureError as error:
            self._results.put((index, _bare(error)))
            return
        if isinstance(megapixels, Done):
            self._results.put((index, megapixels.result))
            return
        self._room.enter(megapixels)
        self._hand_on(self._loaded, index, lambda: self._stages.load(item), megapixels)

    def _enlarge(self, index: int, loaded: object, megapixels: float) -> None:
        item = self._items[index]
        self._hand_on(self._enlarged, index, lambda: self._stages.enlarge(item, loaded), megapixels)

    def _hand_on(
        self,
        to: "queue.SimpleQueue[_Parcel | None]",
        index: int,
        work: Callable[[], Any],
        megapixels: float,
    ) -> None:
        """Gives what a stage makes to the next one, or to the results if it is at its end."""
        made: Any
        try:
            made = work()
        except PictureError as error:
            made = Done(_bare(error))
        if isinstance(made, Done):
            self._room.leave(megapixels)
            self._results.put((index, made.result))
        else:
            to.put((index, made, megapixels))

    def _save(self, index: int, enlarged: object, megapixels: float) -> None:
        try:
            result: R | PictureError = self._stages.save(self._items[index], enlarged)
        except PictureError as error:
            result = _bare(error)
        self._room.leave(megapixels)
        self._results.put((index, result))


def _bare(error: PictureError) -> PictureError:
    """The error without its traceback, whose frames would hold a picture until it is read."""
    waiting: list[BaseException | None] = [error]
    seen = set[int]()
    while waiting:
        found = waiting.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        found.__traceback__ = None
        waiting += [found.__cause__, found.__context__]
    return error
