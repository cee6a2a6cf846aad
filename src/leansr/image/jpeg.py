"""How strongly a JPEG was compressed, by the table that its luma was divided by."""

import math
from collections.abc import Sequence
from functools import cache

# Luma for the quality of 50, row by row from the mean to the finest detail (ITU-T T.81, table K.1).
STANDARD = (
    *(16, 11, 10, 16, 24, 40, 51, 61),
    *(12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77),
    *(24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101),
    *(72, 92, 95, 98, 112, 100, 103, 99),
)


def quality(table: Sequence[int]) -> int:
    """The quality, 1 to 100, whose table of the IJG's library is nearest to `table`.

    `table` has 64 entries, row by row. One that the library wrote gives its own quality; for that
    of another encoder it is the quality of about as strong a compression: the least squares of
    logarithms. Raises ValueError for another number of entries.
    """
    if len(table) != len(STANDARD):
        raise ValueError(f"a table has {len(STANDARD)} entries, not {len(table)}")
    # Zero is no divisor, but a file may hold one.
    given = [math.log(max(1, entry)) for entry in table]

    def distance(known: tuple[float, ...]) -> float:
        return sum((a - b) ** 2 for a, b in zip(given, known, strict=True))

    return min(range(100, 0, -1), key=lambda q: distance(_logarithms(q)))


def scaled(quality: int) -> tuple[int, ...]:
    """The luma table of the IJG's library (jcparam.c) for a quality of 1 to 100, in 8 bits."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return tuple(min(255, max(1, (entry * percent + 50) // 100)) for entry in STANDARD)


@cache
def _logarithms(quality: int) -> tuple[float, ...]:
    return tuple(map(math.log, scaled(quality)))
