"""The runs of a ranking: every row with every seed, each an ordinary run in its own folder."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import torch

from leansr.errors import DataError, UsageError
from leansr.image.codecs import beside
from leansr.lab.measure.costs import cost
from leansr.lab.measure.machine import machine
from leansr.lab.train import packs, standing
from leansr.lab.train.log import read_rows
from leansr.lab.train.ranking import Ranking, Row, variant_of
from leansr.lab.train.recipe import Recipe, is_same_run
from leansr.lab.train.standing import Entry
from leansr.lab.train.trainer import Run
from leansr.zoo.costs import Cost

Report = Callable[[str], None]


def contest(
    ranking: Ranking,
    folder: Path,
    data: Path,
    validation: Path,
    *,
    seeds: int | None = None,
    threads: int | None = None,
    max_minutes: float | None = None,
    report: Report = print,
) -> tuple[dict[str, Any], int | None]:
    """Trains what is not trained yet: the ranking's JSON, and the number of a signal that came.

    The JSON is `ranking.json` in `folder`, the runs are in `folder/<row>/<seed>`, all rows with one
    seed before any with the next, so that after `max_minutes` or Ctrl-C equals are compared.
    UsageError if the folder's runs are of other recipes or pictures, or one that is over cannot be
    read.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--run: {folder} is not a folder")
    seeds = seeds or ranking.seeds
    pictures = {"training": _fingerprint(data), "validation": _fingerprint(validation)}
    _check_folder(folder, ranking, pictures)
    facts = _facts(ranking, data, seeds, threads) | {"pictures": pictures}
    costs = {
        row.name: cost(variant_of(recipe), recipe.scale)
        for row in ranking.rows
        for recipe in [ranking.recipe(row, 0)]
    }
    plan = [(seed, row) for seed in range(seeds) for row in ranking.rows]
    value = _write(folder, facts, entries(ranking, costs, folder, seeds))
    began, stopped_by = time.monotonic(), None
    for number, (seed, row) in enumerate(plan, start=1):
        if _result(folder, ranking, row, seed) is not None:
            continue
        left = None if max_minutes is None else max_minutes - (time.monotonic() - began) / 60
        if left is not None and left <= 0:
            break
        name = f"{row.name} seed {seed}"
        report(f"{name}: run {number} of {len(plan)}")
        # Each network is compiled anew; torch would give up after a few of them.
        torch.compiler.reset()
        run = Run(
            ranking.recipe(row, seed),
            _place(folder, row, seed),
            data,
            validation,
            report=partial(_named, report, name),
            threads=threads,
        )
        stopped_by = run.train(left)
        is_over = _result(folder, ranking, row, seed) is not None
        if run.fraction >= 1 and not is_over:
            place = _place(folder, row, seed)
            raise UsageError(f"{place}: the run is over, but not its log; remove {place}")
        if is_over:
            value = _write(folder, facts, entries(ranking, costs, folder, seeds))
        if stopped_by is not None or not is_over:
            break
    return value, stopped_by


def entries(ranking: Ranking, costs: Mapping[str, Cost], folder: Path, seeds: int) -> list[Entry]:
    """What the runs in `folder` gave as far as they are over; `costs` by the rows' names."""
    result = []
    for row in ranking.rows:
        found = {seed: _result(folder, ranking, row, seed) for seed in range(seeds)}
        over = {seed: one for seed, one in found.items() if one is not None}
        result.append(
            Entry(
                name=row.name,
                variant=ranking.recipe(row, 0).variant,
                cost=costs[row.name],
                printed=row.printed,
                place=row.place,
                psnr={seed: psnr for seed, (psnr, _) in over.items()},
                minutes={seed: minutes for seed, (_, minutes) in over.items()},
            )
        )
    return result


def _place(folder: Path, row: Row, seed: int) -> Path:
    return folder / row.name / str(seed)


def _result(folder: Path, ranking: Ranking, row: Row, seed: int) -> tuple[float, float] | None:
    """PSNR at the end of a run and its minutes; None while it is not over."""
    place = _place(folder, row, seed)
    recipe = ranking.recipe(row, seed)
    try:
        before = msgspec.json.decode((place / "recipe.json").read_bytes(), type=Recipe)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as cause:
        raise UsageError(f"{place}/recipe.json: is no recipe ({cause}); remove the run") from cause
    # More steps would go on from where the rate is zero, which is not the same budget.
    if not is_same_run(before, recipe):
        raise UsageError(f"{place}: is a run of another recipe; give the ranking a new folder")
    try:
        rows = read_rows(place / "log.csv")
    except DataError:
        # Missing or damaged: the run itself makes it again, from its checkpoint.
        return None
    # Of a run without validation pictures the trainer has something to say.
    if not rows or rows[-1].step < ranking.steps or rows[-1].val_psnr is None:
        return None
    return rows[-1].val_psnr, rows[-1].minutes


def _check_folder(folder: Path, ranking: Ranking, pictures: dict[str, str]) -> None:
    path = folder / "ranking.json"
    if not path.exists():
        return
    try:
        before = json.loads(path.read_bytes())
        title, known = before["title"], before["pictures"]
    except (ValueError, KeyError, TypeError) as cause:
        raise UsageError(f"{path}: is not what a ranking wrote ({cause}); remove it") from cause
    if title != ranking.title:
        raise UsageError(f'{folder}: is of the ranking "{title}"; give a new folder')
    for what, sha in pictures.items():
        if known.get(what) != sha:
            raise UsageError(f"{folder}: is a ranking on other {what} pictures; give a new folder")


def _fingerprint(data: Path) -> str:
    """A hash of the files of a folder or pack, and of their names."""
    files, digest = packs.Files(data), sha256()
    for name in files.names:
        digest.update(f"{name} {sha256(files.read(name)).hexdigest()}\n".encode())
    return digest.hexdigest()


def _facts(ranking: Ranking, data: Path, seeds: int, threads: int | None) -> dict[str, Any]:
    """What a ranking's JSON says beside its results."""
    recipe = ranking.recipe(ranking.rows[0], 0)
    origin, here = packs.provenance(data), machine()
    return {
        "schema": 1,
        "title": ranking.title,
        "source": ranking.source,
        "figure": ranking.figure,
        "scale": recipe.scale,
        "colour": variant_of(recipe).colour,
        "steps": ranking.steps,
        "seeds": seeds,
        "data": {"source": origin.source, "licence": origin.licence},
        "machine": asdict(here) | {"isa": list(here.isa), "threads": threads},
    }


def _write(folder: Path, facts: dict[str, Any], rows: list[Entry]) -> dict[str, Any]:
    """The ranking's JSON as it stands, written to the folder."""
    day = datetime.now(UTC).date().isoformat()
    value = facts | {"date": day} | standing.as_json(rows)
    folder.mkdir(parents=True, exist_ok=True)
    with beside(folder / "ranking.json") as part:
        part.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    return value


def _named(report: Report, name: str, line: str) -> None:
    report(f"{name}: {line}")
