"""PSNR on compressed pictures: bicubic, the clean weights and the photo weights side by side.

python benchmarks/photos.py DIR [sesr-m11_x2 ...] [--clean NAME=FILE] [--photo NAME=FILE]
    [--quality N ...] [--json]
"""

import argparse
import hashlib
import json
import re
import statistics
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np

from leansr.errors import LeanSRError, UsageError
from leansr.image.arrays import Pixels
from leansr.image.quality import planes, psnr
from leansr.image.resize import resize
from leansr.lab.export.release import upscaler_of
from leansr.lab.train.degradation import CONDITIONS, jpeg
from leansr.runtime.benchmarks import open_folder
from leansr.runtime.choice import PHOTO_QUALITY
from leansr.runtime.evaluate import read_pair
from leansr.runtime.upscaler import Upscaler
from leansr.zoo.release import KINDS, Kind, release_of, releases, stem

# What photo weights are validated at, and where `--input auto` turns to them.
QUALITIES = sorted({PHOTO_QUALITY, *filter(None, CONDITIONS.values())}, reverse=True)

Method = Callable[[Pixels], Pixels]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help="Like sesr-m11_x2; those with photo weights.")
    for kind in KINDS:
        # Not the released weights: .onnx of `leansr export`, .safetensors of `leansr train`.
        parser.add_argument(f"--{kind}", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--quality", type=int, nargs="+", help="Of the JPEGs, beside clean ones.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    given = {kind: dict(each.split("=", 1) for each in vars(arguments)[kind]) for kind in KINDS}
    names = arguments.names or list(given["photo"]) or [stem(*key) for key in releases("photo")]
    qualities = [None, *(arguments.quality or QUALITIES)]
    rows = []
    try:
        for name in names:
            files = {kind: given[kind].get(name) for kind in KINDS}
            rows += list(measure(arguments.folder, name, files, qualities, arguments.threads))
    except LeanSRError as error:
        parser.error(str(error))
    if not arguments.json:
        click.echo(table(rows))
        return
    value = {
        "schema": 1,
        "date": datetime.now(UTC).date().isoformat(),
        "protocol": "BT.601 luma (16..235) of the 8-bit picture, border of the scale cut; "
        "LR by MATLAB's bicubic, then JPEG 4:2:0; mean over the pictures",
        "rows": rows,
    }
    click.echo(json.dumps(value, indent=1))


def measure(
    folder: Path,
    name: str,
    files: dict[Kind, str | None],
    qualities: list[int | None],
    threads: int,
) -> Iterator[dict[str, Any]]:
    """A row for each JPEG quality, None being no JPEG: mean luma PSNR in dB of each method.

    `best` is for how many of the pictures the photo weights are the best of the three.
    """
    found = re.fullmatch(r"(.+)_x(\d+)", name)
    if found is None:
        raise UsageError(f"{name}: is not a model and its scale, like sesr-m11_x2")
    model, scale = found[1], int(found[2])
    methods: dict[str, Method] = {"bicubic": lambda lr: resize(lr, scale)}
    for kind in KINDS:
        methods[kind] = _upscaler(model, scale, kind, files[kind], threads)
    photo_file = Path(files["photo"] or release_of(model, scale, "photo").onnx)
    pairs = [tuple(map(_rgb, read_pair(pair, scale))) for pair in open_folder(folder, scale).pairs]
    for quality in qualities:
        scores: dict[str, list[float]] = {method: [] for method in methods}
        for hr, clean in pairs:
            lr = clean if quality is None else jpeg(clean, quality)
            wanted = planes(hr, "y", scale)
            for method, upscale in methods.items():
                scores[method].append(psnr(planes(upscale(lr), "y", scale), wanted))
        columns = zip(*scores.values(), strict=True)
        yield {
            "model": model,
            "scale": scale,
            "quality": quality,
            **{method: round(statistics.mean(each), 3) for method, each in scores.items()},
            "best": sum(values[-1] == max(values) for values in columns),
            "pictures": len(pairs),
            "photo_sha256": hashlib.sha256(photo_file.read_bytes()).hexdigest(),
        }


def _upscaler(model: str, scale: int, kind: Kind, file: str | None, threads: int) -> Upscaler:
    if file is None:
        return Upscaler(model, scale, backend="onnxruntime", input=kind, threads=threads)
    if file.endswith(".safetensors"):
        return upscaler_of(Path(file), model, scale, threads)
    return Upscaler(model, scale, weights=file, threads=threads)


def _rgb(pixels: Pixels) -> Pixels:
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def measured(path: str) -> str:
    """What `--json` wrote, as Markdown: its table, and how it was measured."""
    value = json.loads(Path(path).read_text(encoding="utf-8"))
    if not value["rows"]:
        return "No photo weights are released yet.\n"
    return f"{table(value['rows'])}\n{value['protocol']}; {value['date']}.\n"


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| model | LR | bicubic | clean weights | photo weights | against clean | best of three |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [
            f"`{row['model']}` x{row['scale']}",
            "clean" if row["quality"] is None else f"JPEG {row['quality']}",
            *(f"{row[method]:.2f}" for method in ("bicubic", *KINDS)),
            f"{row['photo'] - row['clean']:+.2f}",
            f"{row['best']} of {row['pictures']}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
