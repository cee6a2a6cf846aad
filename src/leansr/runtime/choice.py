"""Which released weights a picture gets: those for clean pictures, or those for photos."""

import threading
from dataclasses import dataclass, replace
from typing import Any, Literal

from leansr import zoo
from leansr.errors import UsageError
from leansr.image.picture import Picture
from leansr.runtime.backend import Runner, engine_of, of_precision, runner
from leansr.runtime.upscaler import Upscaler
from leansr.zoo.release import KINDS, Kind, releases

Input = Literal["auto", "clean", "photo"]
INPUTS: tuple[Input, ...] = ("auto", *KINDS)

# The JPEG quality up to which photo weights are better than clean ones (docs/photos.md).
PHOTO_QUALITY = 90


@dataclass(frozen=True)
class Choice:
    """The kind of weights for a picture, and the same with the reason in words.

    `engine` says what runs them, and in which numbers; None where nothing is run.
    """

    kind: Kind
    words: str
    engine: str | None = None


def is_photo(picture: Picture) -> bool:
    """Whether photo weights are better for it than clean ones, by its compression."""
    return picture.jpeg_quality is not None and picture.jpeg_quality <= PHOTO_QUALITY


class Upscalers:
    """The upscalers of a model, one for each kind of weights, made once and when first needed.

    `input` is the kind for every picture. With "auto" it is "photo" for pictures that came in a
    JPEG of PHOTO_QUALITY or less, where the model has photo weights, else "clean". `options` are
    those of `Upscaler`; with `weights` there is nothing to choose. Raises UsageError for an
    unknown model or input, and for "photo" with `weights`; WeightsError for "photo" without photo
    weights.
    """

    def __init__(
        self, model: str = "sesr-m5", scale: int = 2, input: Input = "auto", **options: Any
    ) -> None:
        weights = options.get("weights")
        model = of_precision(model, options.get("precision", "auto"), weights)
        zoo.find(model, scale)
        if input not in INPUTS:
            raise UsageError(f"{input}: no such input; one of {', '.join(INPUTS)}")
        self.model, self.scale = model, scale
        self._input, self._options, self._is_given = input, options, weights is not None
        self._has_photo = (model, scale) in releases("photo")
        self._made: dict[Kind, Upscaler] = {}
        self._runners: dict[Kind, Runner] = {}
        self._lock = threading.Lock()
        # What cannot be is said before any picture is read, and not when the first one needs it.
        self._runner("photo" if input == "photo" else "clean")

    def choose(self, picture: Picture) -> Choice:
        """The weights for `picture`, and what runs them."""
        choice = self._choose(picture)
        engine = self._runner(choice.kind).words(picture.pixels.dtype)
        return replace(choice, engine=engine)

    def _choose(self, picture: Picture) -> Choice:
        if self._is_given:
            return Choice("clean", "weights as given")
        if self._input != "auto":
            return Choice(self._input, f"{self._input} weights, as asked for")
        if picture.jpeg_quality is None:
            return Choice("clean", "clean weights, as it is no JPEG that tells its quality")
        seen = f"a JPEG of quality {picture.jpeg_quality}"
        if not is_photo(picture):
            return Choice("clean", f"clean weights, as it is {seen}, above {PHOTO_QUALITY}")
        if not self._has_photo:
            lack = f"{self.model} x{self.scale} has no photo weights"
            return Choice("clean", f"clean weights, though it is {seen}: {lack}")
        return Choice("photo", f"photo weights, as it is {seen}, not above {PHOTO_QUALITY}")

    def of(self, kind: Kind) -> Upscaler:
        """The upscaler with the weights of a kind."""
        with self._lock:
            if kind not in self._made:
                self._made[kind] = Upscaler(self.model, self.scale, input=kind, **self._options)
            return self._made[kind]

    def _runner(self, kind: Kind) -> Runner:
        if kind not in self._runners:
            self._runners[kind] = runner(self.model, self.scale, kind, **engine_of(self._options))
        return self._runners[kind]
