"""Quality and time at hand: of released weights, of weights given, of a bench that was run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from leansr import zoo
from leansr.errors import DataError, LeanSRError, UsageError
from leansr.image.resize import resize
from leansr.lab import papers
from leansr.lab.export.release import upscaler_of
from leansr.lab.reproduce.times import Place, Timing, read_timings
from leansr.lab.weights import Imported, read_facts
from leansr.runtime.benchmarks import AbsentError, find
from leansr.runtime.evaluate import Evaluation, Upscale, evaluate
from leansr.runtime.upscaler import Upscaler
from leansr.zoo.release import releases

# How a column of quality begins, and the benchmark that it is of.
BENCHMARKS = {
    "set5": "Set5",
    "set14": "Set14",
    "b100": "B100",
    "urban100": "Urban100",
    "manga109": "Manga109",
    "div2k_val": "DIV2K",
}


@dataclass(frozen=True)
class Figure:
    """What was measured, and in words by what, and of which weights."""

    value: float
    protocol: str


# variant, scale, column
Key = tuple[str, int, str]


@dataclass(frozen=True)
class Measured:
    """What there is for one paper; `failures` are what could not be measured, and why."""

    quality: Mapping[Key, Figure] = field(default_factory=dict)
    timings: Mapping[Place, Timing] = field(default_factory=dict)
    failures: tuple[LeanSRError, ...] = ()


def released() -> dict[Key, Figure]:
    """What the cards of the released weights state."""
    found: dict[Key, Figure] = {}
    starts = {title: start for start, title in BENCHMARKS.items()}
    for (name, scale), release in releases().items():
        for stated in release.card["quality"]:
            start = starts.get(stated["benchmark"])
            if start is None:  # pictures of our own, which no paper prints
                continue
            protocol = f"the released weights' card: {_told(stated['protocol'])}"
            for metric in ("psnr", "ssim"):
                value = stated[f"{metric}_y"]
                found[name, scale, f"{start}_{metric}"] = Figure(value, protocol)
    return found


def measure(
    paper: str, wanted: set[tuple[str, int]], weights: Path | None, root: Path | None
) -> Measured:
    """The quality of all `wanted` (variant, scale) whose weights are at hand.

    At hand are `bicubic`, the released weights, and every .safetensors of `leansr train` or
    `leansr import` below the folder `weights`, which come before them. They are measured on the
    benchmarks that are found below `root`; for others, released weights have their cards. Raises
    WeightsError or UsageError for a folder that holds something else, or two of a kind.
    """
    if root is None:
        if weights is not None:
            raise UsageError(
                f"{weights}: weights are measured on benchmarks; say where these are with "
                f"--data-root or LEANSR_DATA"
            )
        return Measured(released())
    own = given(weights) if weights is not None else {}
    # Figures of two networks would stand in one row if given weights were joined by a card.
    quality = {key: figure for key, figure in released().items() if key[:2] not in own}
    failures: list[LeanSRError] = []
    for (name, scale), (label, upscaler) in _at_hand(own, wanted).items():
        upscale = upscaler()
        for start, title in BENCHMARKS.items():
            try:
                benchmark = find(root, title, scale)
                if not benchmark.is_whole:
                    count = f"{len(benchmark.pairs)} of {benchmark.expected}"
                    raise DataError(f"{root}: {title} x{scale} has {count} pictures")
                result = evaluate(upscale, scale, benchmark, _protocol(paper, start))
            except AbsentError:
                continue
            except LeanSRError as error:
                failures.append(error)
                continue
            if result.failures:
                # A mean over a part of a benchmark is not its figure.
                failures += [failure.error for failure in result.failures]
                continue
            for metric, value in _headline(result):
                figure = Figure(value, f"{label}: {result.protocol}")
                quality[name, scale, f"{start}_{metric}"] = figure
    return Measured(quality, failures=tuple({str(error): error for error in failures}.values()))


def _at_hand(
    own: Mapping[tuple[str, int], Path], wanted: set[tuple[str, int]]
) -> dict[tuple[str, int], tuple[str, Callable[[], Upscale]]]:
    """How each of `wanted` that can be had is made, and what it is called in a protocol."""
    found: dict[tuple[str, int], tuple[str, Callable[[], Upscale]]] = {}
    for scale in {scale for name, scale in wanted if name == "bicubic"}:
        found["bicubic", scale] = "bicubic", partial(_bicubic, scale)
    for key in releases().keys() & wanted:
        found[key] = "released weights", partial(Upscaler, *key, backend="onnxruntime")
    for key in own.keys() & wanted:
        found[key] = _label(own[key]), partial(upscaler_of, own[key], *key)
    return found


def _label(path: Path) -> str:
    """What weights are called in a protocol."""
    facts = read_facts(path)
    return f"{facts.file}, imported" if isinstance(facts, Imported) else f"{path.name}, trained"


def given(folder: Path) -> dict[tuple[str, int], Path]:
    """The weights below `folder` by variant and scale; see `measure` for what it raises."""
    files = sorted(folder.rglob("*.safetensors"))
    if not files:
        raise UsageError(f"{folder}: holds no .safetensors of `leansr train` or `leansr import`")
    found: dict[tuple[str, int], Path] = {}
    for path in files:
        facts = read_facts(path)
        zoo.find(facts.variant, facts.scale)
        key = facts.variant, facts.scale
        if key in found:
            names = f"{found[key]} and {path}"
            raise UsageError(f"{names}: are both {key[0]} x{key[1]}; give a folder with one")
        found[key] = path
    return found


def _bicubic(scale: int) -> Upscale:
    return lambda lr: resize(lr, scale)


def _protocol(paper: str, benchmark: str) -> str:
    if paper == "sesr":
        return "sesr"
    return "ntire" if benchmark == "div2k_val" else "paper"


def _headline(result: Evaluation) -> Iterator[tuple[str, float]]:
    """PSNR and SSIM of the colour that the protocol reports."""
    for metric in ("psnr", "ssim"):
        yield metric, getattr(result, f"{metric}_{result.protocol.colour}")


def _told(protocol: dict[str, Any]) -> str:
    return f"luma of the 8-bit picture, border of {protocol['border']} pixels cut"


def measured_for(
    paper: str, weights: Path | None, root: Path | None, times: Sequence[Path]
) -> Measured:
    """What is at hand for the tables of `paper`: see `measure`, and `read_timings` for `times`."""
    timings = read_timings(times, paper)
    wanted = {
        (row["variant"], int(row["scale"]))
        for name in (paper, "challenge")
        for row in papers.rows_of(name, paper)
    }
    return replace(measure(paper, wanted, weights, root), timings=timings)
