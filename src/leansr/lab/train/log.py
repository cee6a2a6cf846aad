"""The log of a run: one CSV row at every validation."""

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from leansr.errors import DataError
from leansr.image.codecs import beside


@dataclass(frozen=True)
class Row:
    """What is known at a step: `loss`, `steps_per_s` and `waiting_pct` are since the row before.

    The first two are means; `waiting_pct` is how much of the steps' time went by waiting for data,
    None in the logs of versions that did not measure it.
    """

    step: int
    minutes: float
    lr: float
    loss: float
    steps_per_s: float
    val_psnr: float | None
    waiting_pct: float | None = None

    def told(self, minutes_left: float, skipped: int) -> str:
        """The row as a line, with what is left of the budget and the steps without a gradient."""
        lost = f"  {skipped} skipped" if skipped else ""
        shown = "" if self.val_psnr is None else f"  val {self.val_psnr:.3f} dB"
        return (
            f"step {self.step}  loss {self.loss:.5f}  lr {self.lr:.2e}  "
            f"{self.steps_per_s:.1f} steps/s  {self.waiting_pct or 0.0:.1f} % waiting  "
            f"{minutes_left:.1f} min left{lost}{shown}"
        )


class Log:
    """`log.csv` of a run's folder, with the rows up to `last_step`.

    Rows after the checkpoint that a run goes on from belong to steps that are made again, and a
    row that was cut off in the middle is none. Raises DataError if it cannot be written.
    """

    def __init__(self, path: Path, last_step: int) -> None:
        self._path = path
        self._rows = [row for row in _kept(path) if int(row["step"]) <= last_step]
        self._write()

    @property
    def last_step(self) -> int:
        """The step of the newest row, 0 without one."""
        return int(self._rows[-1]["step"]) if self._rows else 0

    def append(self, row: Row) -> None:
        """Adds a row; the file is whole at every moment."""
        told = {name: "" if value is None else str(value) for name, value in asdict(row).items()}
        self._rows.append(told)
        self._write()

    def _write(self) -> None:
        try:
            with beside(self._path) as part, part.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, [field.name for field in fields(Row)])
                writer.writeheader()
                writer.writerows(self._rows)
        except OSError as cause:
            raise DataError(
                f"{self._path}: cannot be written ({cause.strerror or cause}); what the last "
                f"checkpoint holds is not lost, and the same command goes on from it"
            ) from cause


def read_rows(path: Path) -> list[Row]:
    """The rows of a log, none if it has just begun; DataError if it is missing or damaged."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [_row(cells) for cells in csv.DictReader(file)]
    except OSError as cause:
        raise DataError(f"{path}: cannot be read ({cause.strerror}); is it a run?") from cause
    except (KeyError, TypeError, ValueError, csv.Error) as cause:
        raise DataError(f"{path}: is not the log of a run ({cause})") from cause


def has_rows(path: Path) -> bool:
    """Whether there is a log in which a row can be made out."""
    return bool(_kept(path))


def _optional(cell: str | None) -> float | None:
    return float(cell) if cell else None


def _kept(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    # A row that is cut off lacks cells, or has one that belongs to the row that followed.
    names = {field.name for field in fields(Row)}
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if row.keys() <= names and _is_row(row)]


def _row(cells: dict[str, str]) -> Row:
    return Row(
        step=int(cells["step"]),
        minutes=float(cells["minutes"]),
        lr=float(cells["lr"]),
        loss=float(cells["loss"]),
        steps_per_s=float(cells["steps_per_s"]),
        val_psnr=_optional(cells["val_psnr"]),
        waiting_pct=_optional(cells.get("waiting_pct")),
    )


def _is_row(cells: dict[str, str]) -> bool:
    try:
        _row(cells)
    except (KeyError, TypeError, ValueError):
        return False
    return None not in cells.values()
