"""How a run is stopped from outside."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def stop_signals() -> Iterator[Callable[[], int]]:
    """The number of Ctrl-C's signal or SIGTERM once one has come, 0 before.

    They end a run between two steps, never within one.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda n, frame: received.append(n)) for number in numbers]
    try:
        yield lambda: received[0] if received else 0
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
