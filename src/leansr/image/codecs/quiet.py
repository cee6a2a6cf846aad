"""Warnings of libraries kept back, in whatever threads."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class _Filters:
    """The filters of the whole process, set aside by the first that asks, put back by the last.

    Of overlapping `warnings.catch_warnings` in threads the one that ends last puts back what the
    other one set.
    """

    def __init__(self) -> None:
        self._lock, self._users = Lock(), 0
        self._caught = warnings.catch_warnings()

    def set_aside(self) -> None:
        with self._lock:
            if not self._users:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")
            self._users += 1

    def put_back(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._caught.__exit__(None, None, None)


_filters = _Filters()


@contextmanager
def no_warnings() -> Iterator[None]:
    """None are shown or raised meanwhile, of other threads neither."""
    _filters.set_aside()
    try:
        yield
    finally:
        _filters.put_back()
