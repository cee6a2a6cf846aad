"""A folder of photos through SESR-M5 x2, file to file, and the same job by others in one run.

python benchmarks/pipeline.py DIR [--pictures N] [--suffix .png] [--threads N] [--jobs N]
    [--compression 0..9] [--runs N] [--opencv FSRCNN_x2.pb] [--json]

DIR holds originals: their halves, by MATLAB's bicubic, are what is upscaled, so that each method's
PSNR is known too. Reading and writing are in every figure, starting a program is not.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
from peers import Peer, UnavailableError, every_peer

from leansr.errors import LeanSRError
from leansr.image import codecs
from leansr.image.arrays import Pixels
from leansr.image.quality import planes, psnr
from leansr.image.resize import resize
from leansr.lab.measure.machine import describe
from leansr.runtime import batch, files
from leansr.runtime.benchmarks import open_folder
from leansr.runtime.files import Job
from leansr.runtime.route import Route
from leansr.runtime.size import wanted

SCALE = 2
MODEL = "sesr-m5"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", type=int, help="Only the first.")
    parser.add_argument("--suffix", default=".png", help="Of what is read and written.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--compression", type=int)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--opencv", type=Path, help="OpenCV's FSRCNN_x2.pb.")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            value = measure(arguments, Path(folder))
        except LeanSRError as error:
            parser.error(str(error))
    click.echo(json.dumps(value, indent=1) if arguments.json else table(value))


def measure(arguments: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Every figure; the methods take turns, so that what else the machine does hits all alike."""
    originals = _prepare(arguments.folder, work / "in", arguments.suffix, arguments.pictures)
    jobs = batch.plan([work / "in"], work / "out", wanted(SCALE))
    pixels = sum(hr.size // 3 for hr in originals.values()) / 1e6
    ours = _Ours(arguments, jobs)
    ways: dict[str, Callable[[], Any]] = {"leansr": ours.end_to_end}
    ways |= {f"{stage} alone": getattr(ours, stage) for stage in ("read", "upscale", "write")}
    skipped = {}
    for name, make in every_peer(arguments.threads, arguments.opencv).items():
        try:
            ways[name] = _Sequence(make(), jobs, work / "theirs").end_to_end
        except UnavailableError as why:
            skipped[name] = str(why)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    quality, sizes = {}, {}
    for turn in range(arguments.runs):
        for name, way in ways.items():
            began = time.perf_counter()
            outputs = way()
            seconds[name].append(time.perf_counter() - began)
            if turn == 0 and outputs is not None:
                quality[name] = _psnr(originals, outputs)
                sizes[name] = sum(path.stat().st_size for path in outputs.values())
    rows = [
        {
            "method": name,
            "median_s": statistics.median(values),
            "min_s": min(values),
            "megapixels_per_s": pixels / min(values),
            "psnr_y": quality.get(name),
            "bytes": sizes.get(name),
        }
        for name, values in seconds.items()
    ]
    best = {row["method"]: row["min_s"] for row in rows}
    slowest = max(best[f"{stage} alone"] for stage in ("read", "upscale", "write"))
    return {
        "schema": 1,
        "machine": describe(),
        "job": f"{len(jobs)} pictures, {pixels:.1f} megapixels out, {arguments.suffix}, "
        f"{arguments.threads} threads, {arguments.jobs} at once",
        "rows": rows,
        "over_slowest_stage": best["leansr"] / slowest,
        "shares": ours.shares(),
        "skipped": skipped,
    }


class _Ours:
    def __init__(self, arguments: argparse.Namespace, jobs: list[Job]) -> None:
        threads, jobs_at_once = arguments.threads, arguments.jobs
        self._way = Route(wanted(SCALE), MODEL, "clean", threads=threads, at_once=jobs_at_once)
        self._alone = Route(wanted(SCALE), MODEL, "clean", threads=threads)
        self._jobs, self._workers = jobs, arguments.jobs
        self._compression = arguments.compression
        self._loaded = [files.load(job) for job in jobs]
        self._larger = [self._enlarged(picture) for picture in self._loaded]
        self._seconds: list[dict[str, float]] = []

    def end_to_end(self) -> dict[str, Path]:
        self._seconds = []
        for outcome in batch.run(
            self._jobs,
            self._way,
            "overwrite",
            workers=self._workers,
            compression=self._compression,
        ):
            if outcome.made is None:
                raise outcome.error or AssertionError(outcome.status)
            made = outcome.made
            self._seconds.append({k: getattr(made, k) for k in ("read", "upscale", "write")})
        return {job.source.stem: job.target for job in self._jobs}

    def shares(self) -> dict[str, float]:
        """Of the seconds that the stages worked, in the last run end to end."""
        total = sum(sum(row.values()) for row in self._seconds)
        names = self._seconds[0]
        return {name: sum(row[name] for row in self._seconds) / total for name in names}

    def read(self) -> None:
        for job in self._jobs:
            files.load(job)

    def upscale(self) -> None:
        for picture in self._loaded:
            self._enlarged(picture)

    def write(self) -> None:
        for job, picture in zip(self._jobs, self._larger, strict=True):
            files.save(picture, job, self._compression)

    def _enlarged(self, picture: Any) -> Any:
        return self._alone.enlarge(picture, "a picture").picture


class _Sequence:
    """One picture after the other, as a script does it."""

    def __init__(self, peer: Peer, jobs: list[Job], folder: Path) -> None:
        self._peer, self._jobs, self._folder = peer, jobs, folder
        folder.mkdir(exist_ok=True)
        peer.enlarge(peer.read(jobs[0].source))

    def end_to_end(self) -> dict[str, Path]:
        made = {}
        for job in self._jobs:
            target = made[job.source.stem] = self._folder / job.target.name
            self._peer.write(self._peer.enlarge(self._peer.read(job.source)), target)
        return made


def _prepare(folder: Path, work: Path, suffix: str, count: int | None) -> dict[str, Pixels]:
    """The originals by name; their halves lie in `work`."""
    originals = {}
    for pair in open_folder(folder, SCALE).pairs[:count]:
        picture = codecs.read(pair.hr)
        height, width = (side - side % SCALE for side in picture.pixels.shape[:2])
        hr = picture.pixels[:height, :width, :3]
        originals[pair.name] = hr
        small = picture.with_pixels(resize(hr, Fraction(1, SCALE)))
        codecs.write(small, work / f"{pair.name}{suffix}")
    return originals


def _psnr(originals: dict[str, Pixels], outputs: dict[str, Path]) -> float:
    values = []
    for name, path in outputs.items():
        pair = codecs.read(path).pixels, originals[name]
        values.append(psnr(*(planes(pixels, "y", SCALE) for pixels in pair)))
    return statistics.mean(values)


def table(value: dict[str, Any]) -> str:
    """The rows as Markdown, and what goes with them."""
    lines = [
        f"{value['job']}; {value['machine']}",
        "",
        "| method | s, best | s, median | megapixels/s out | PSNR | bytes |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in value["rows"]:
        quality = "" if row["psnr_y"] is None else f"{row['psnr_y']:.2f}"
        size = "" if row["bytes"] is None else f"{row['bytes'] / 1e6:.1f} M"
        lines.append(
            f"| {row['method']} | {row['min_s']:.2f} | {row['median_s']:.2f} | "
            f"{row['megapixels_per_s']:.2f} | {quality} | {size} |"
        )
    shares = ", ".join(f"{name} {share:.0%}" for name, share in value["shares"].items())
    lines += ["", f"leansr over its slowest stage alone: {value['over_slowest_stage']:.2f}"]
    lines += [f"leansr's stages: {shares}"]
    lines += [f"skipped: {name}: {why}" for name, why in value["skipped"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
