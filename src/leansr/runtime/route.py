"""The way of a picture to its size: networks one after the other, then a resize."""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from leansr import zoo
from leansr.errors import PictureError, UsageError
from leansr.image.picture import Picture
from leansr.runtime import files, memory
from leansr.runtime.backend import Runner, engine_of, is_had, of_precision, onnx_of, runner
from leansr.runtime.budget import Budget, Pick, cost_here
from leansr.runtime.choice import INPUTS, Choice, Input, Upscalers, is_photo
from leansr.runtime.manifest import sha256
from leansr.runtime.onnx_session import OnnxSession
from leansr.runtime.size import Factor, Wanted, fitted, sides_of, steps_for
from leansr.zoo.release import Kind, every_release, release_of, releases

AUTO = "auto"


@dataclass(frozen=True)
class Enlarged:
    """A picture of the size that was asked for, and how it came to it.

    `model` and the kind of weights in `choice` are those of the first network, None and "clean"
    where there was none to take; `steps` are the networks' scales, `notes` what is to be told
    beside the picture's own.
    """

    picture: Picture
    model: str | None
    steps: tuple[int, ...]
    choice: Choice
    notes: tuple[str, ...] = ()


class Way(Protocol):
    """What a batch asks of whatever enlarges its pictures; `name` is what errors call one."""

    def only(self) -> Upscalers | None:
        """The network that does it all, None if there is more to it or it depends."""

    def area(self, height: int, width: int) -> int:
        """Pixels that a picture comes out with, at most, whichever way up it is."""

    def sides(self, height: int, width: int, name: str) -> tuple[int, int]:
        """Height and width that a picture comes out with; PictureError if it cannot."""

    def enlarge(self, picture: Picture, name: str) -> Enlarged:
        """The picture in that size; PictureError if it cannot be."""


class Single:
    """The way through one network."""

    def __init__(self, upscalers: Upscalers) -> None:
        self.upscalers = upscalers

    def only(self) -> Upscalers:
        return self.upscalers

    def area(self, height: int, width: int) -> int:
        return height * width * self.upscalers.scale**2

    def sides(self, height: int, width: int, name: str) -> tuple[int, int]:
        return height * self.upscalers.scale, width * self.upscalers.scale

    def enlarge(self, picture: Picture, name: str) -> Enlarged:
        upscalers, choice = self.upscalers, self.upscalers.choose(picture)
        larger = files.enlarge(upscalers, picture, name)
        return Enlarged(larger, upscalers.model, (upscalers.scale,), choice)


class Route:
    """The way to the size `target`: the next networks up of `model`, then a resize.

    With the model "auto" each picture gets the best one that takes no more than `budget` seconds
    for it. `linear` is whether the resize works on light (`leansr.runtime.size.fitted`). `options`
    are those of `Upscaler`. Raises UsageError and WeightsError for what cannot be, as far as it
    can be told before a picture is seen.
    """

    def __init__(
        self,
        target: Wanted,
        model: str = "sesr-m5",
        input: Input = "auto",
        *,
        budget: float | None = None,
        linear: bool = False,
        **options: Any,
    ) -> None:
        if (model == AUTO) != (budget is not None):
            raise UsageError("--model auto and --budget SECONDS go together")
        if model == AUTO and options.get("weights") is not None:
            raise UsageError("--model auto and --weights exclude each other")
        if input not in INPUTS:
            raise UsageError(f"{input}: no such input; one of {', '.join(INPUTS)}")
        model = of_precision(model, options.get("precision", "auto"), options.get("weights"))
        self.target, self.model, self.input, self.linear = target, model, input, linear
        self._options = options
        self._made: dict[tuple[str, int, Input], Upscalers] = {}
        self._lock = threading.Lock()
        self._known = [r for r in every_release() if is_had(r, **engine_of(options))]
        if model == AUTO and options.get("precision") != "int8":
            # Eight bits cost quality, and are never chosen by themselves.
            self._known = [r for r in self._known if zoo.find(r.variant, r.scale).dtype != "int8"]
        self._budget = None
        if budget is not None:
            self._budget = Budget(budget, cost_here(options), self._known)
        self._scales: tuple[int, ...] = ()
        if budget is None:
            self._scales = self._scales_of(model)
            if isinstance(target, Factor):
                # What is wrong with it is said before any picture is read.
                self._upscalers(model, steps_for(target.value, self._scales)[0], input)

    def settings(self) -> dict[str, Any]:
        """Whatever changes the pixels of what comes out, weights by their SHA-256."""
        weights = self._options.get("weights")
        if weights is not None:
            hashes = {"given": sha256(Path(weights))}
            engines = {"given": self._runner(self.model, self._scales[0], "clean")}
        else:
            used = [r for r in self._known if self.model in (AUTO, r.variant)]
            hashes = {r.onnx.name: r.card["onnx"]["sha256"] for r in used}
            engines = {r.onnx.stem: self._runner(r.variant, r.scale, r.kind) for r in used}
        return {
            "model": self.model,
            "weights": hashes,
            "input": self.input,
            "target": [type(self.target).__name__, str(self.target)],
            "budget": None if self._budget is None else self._budget.seconds,
            "linear": self.linear,
            "engines": {k: [e.backend, e.coarse, e.fine] for k, e in engines.items()},
            # Tiles change what a network makes that looks at the whole picture, and only that.
            "tile": self._options.get("tile") if self._is_global() else None,
        }

    def only(self) -> Upscalers | None:
        if self._budget is not None or not isinstance(self.target, Factor):
            return None
        steps = steps_for(self.target.value, self._scales)
        is_plain = len(steps) == 1 and self.target.value == steps[0]
        return self._upscalers(self.model, steps[0], self.input) if is_plain else None

    def area(self, height: int, width: int) -> int:
        return self.target.area(height, width)

    def sides(self, height: int, width: int, name: str) -> tuple[int, int]:
        return sides_of(self.target, height, width, name)

    def enlarge(self, picture: Picture, name: str) -> Enlarged:
        # Pages of a document need not have one size.
        try:
            if picture.more:
                memory.check(self._bytes(picture), "all of its frames")
            pick = self._within_budget(picture, name)
            frames = [
                self._enlarge(replace(frame, more=()), name, pick) for frame in picture.frames
            ]
        except MemoryError as cause:
            what = f"{name}: {self.target} of it does not fit into memory"
            raise PictureError(f"{what}; ask for a smaller size") from cause
        more = tuple(frame.picture for frame in frames[1:])
        return replace(frames[0], picture=replace(frames[0].picture, more=more))

    def _enlarge(self, picture: Picture, name: str, pick: Pick | None) -> Enlarged:
        height, width = picture.pixels.shape[:2]
        high, wide = self.sides(height, width, name)
        factor = self._factor(picture, name)
        if factor <= 1:
            words = "no network, as it is that large already"
            larger = self._fit(picture, high, wide)
            return Enlarged(larger, None, (), Choice("clean", words))
        model, steps, told, warned = self._networks(factor, pick)
        first = self._upscalers(model, steps[0], self.input)
        choice = first.choose(picture)
        larger = files.enlarge(first, picture, name)
        for scale in steps[1:]:
            # Whatever the picture came in, what a network gave is clean.
            larger = replace(larger, jpeg_quality=None)
            larger = files.enlarge(self._upscalers(model, scale, "clean"), larger, name)
        if larger.pixels.shape[:2] != (high, wide):
            told.append(f"resized to {wide}x{high}")
        larger = replace(self._fit(larger, high, wide), jpeg_quality=picture.jpeg_quality)
        words = "; ".join([*told, choice.words])
        return Enlarged(larger, model, steps, replace(choice, words=words), tuple(warned))

    def _fit(self, picture: Picture, height: int, width: int) -> Picture:
        pixels = fitted(
            picture.pixels, height, width, has_alpha=picture.has_alpha, linear=self.linear
        )
        return picture.with_pixels(pixels)

    def _bytes(self, picture: Picture) -> int:
        """What all frames take at their new size, at most."""
        return sum(
            self.area(frame.pixels.shape[0], frame.pixels.shape[1]) * frame.pixels[0, 0].nbytes
            for frame in picture.frames
        )

    def _factor(self, picture: Picture, name: str) -> Fraction:
        """How many times as long its sides become, at most."""
        height, width = picture.pixels.shape[:2]
        high, wide = self.sides(height, width, name)
        return max(Fraction(high, height), Fraction(wide, width))

    def _within_budget(self, picture: Picture, name: str) -> Pick | None:
        """The model for all frames of a picture together, None if there is none to pick."""
        if self._budget is None:
            return None
        factors = [self._factor(frame, name) for frame in picture.frames]
        # Alpha goes through the network beside the colour. What has its size already does not.
        shapes = [
            (*frame.pixels.shape[:2], 1 + frame.has_alpha)
            for frame, factor in zip(picture.frames, factors, strict=True)
            if factor > 1
        ]
        if not shapes:
            return None
        pixels = sum(math.prod(shape) for shape in shapes)
        return self._budget.pick(pixels, max(factors), self.input, is_photo(picture))

    def _networks(
        self, factor: Fraction, pick: Pick | None
    ) -> tuple[str, tuple[int, ...], list[str], list[str]]:
        """The model, the scales of its networks, what is to be told of them, and warned of."""
        if self._budget is None or pick is None:
            steps = steps_for(factor, self._scales)
            is_plain = len(steps) == 1 and factor == steps[0]
            return self.model, steps, [] if is_plain else [_listed(steps)], []
        within = f"within {self._budget.seconds:g} s"
        rank = "the best" if pick.is_within else "the fastest, as none is"
        told = (
            f"{pick.model} {_listed(pick.steps)}, {rank} {within} ({pick.seconds:.2g} s expected)"
        )
        warned = [] if pick.is_within else [f"no model is {within}: {pick.model} is the fastest"]
        return pick.model, pick.steps, [told], warned

    def _scales_of(self, model: str) -> tuple[int, ...]:
        """The scales that there are networks for."""
        kind: Kind = "photo" if self.input == "photo" else "clean"
        every = zoo.VARIANTS[model].scales if model in zoo.VARIANTS else zoo.find(model, 2).scales
        wanted = self.target.value if isinstance(self.target, Factor) else 1
        next_up = min((s for s in every if s >= wanted), default=max(every))
        weights = self._options.get("weights")
        if weights is not None:
            # One file has one scale; Upscaler says what else there is to be wrong with it.
            scale = OnnxSession(onnx_of(model, next_up, kind, weights), 1).scale
            zoo.find(model, scale)
            return (scale,)
        scales = tuple(scale for name, scale in releases(kind) if name == model)
        # Where there are none, that is what the error says.
        return scales or (release_of(model, next_up, kind).scale,)

    def _runner(self, model: str, scale: int, kind: Kind) -> Runner:
        return runner(model, scale, kind, **engine_of(self._options))

    def _is_global(self) -> bool:
        return self.model in zoo.VARIANTS and zoo.VARIANTS[self.model].is_global

    def _upscalers(self, model: str, scale: int, input: Input) -> Upscalers:
        key = model, scale, input
        with self._lock:
            if key not in self._made:
                self._made[key] = Upscalers(model, scale, input, **self._options)
            return self._made[key]


def _listed(steps: Sequence[int]) -> str:
    return " then ".join(f"x{step}" for step in steps)
