"""The log of a run: one CSV row at every validation."""

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from leansr.image.codecs import beside


@dataclass(frozen=True)
class Row:
    """What is known at a step: `loss` and `steps_per_s` are means since the row before."""

    step: int
    minutes: float
    lr: float
    loss: float
    steps_per_s: float
    val_psnr: float | None


class Log:
    """`log.csv` of a run's folder, with the rows up to `last_step`.

    Rows after the checkpoint that a run goes on from belong to steps that are made again, and a
    row that was cut off in the middle is none.
    """

    def __init__(self, path: Path, last_step: int) -> None:
        self._path = path
        self._rows = [row for row in _kept(path) if int(row["step"]) <= last_step]
        self._write()

    def append(self, row: Row) -> None:
        """Adds a row; the file is whole at every moment."""
        told = {name: "" if value is None else str(value) for name, value in asdict(row).items()}
        self._rows.append(told)
        self._write()

    def _write(self) -> None:
        with beside(self._path) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Row)])
            writer.writeheader()
            writer.writerows(self._rows)


def _kept(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if None not in row.values() and row["step"].isdecimal()]
