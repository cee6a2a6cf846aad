"""Where the pictures of a command line go."""

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from leansr.errors import UsageError
from leansr.image.codecs import FORMATS, UNSUPPORTED
from leansr.runtime import inputs
from leansr.runtime.files import Job
from leansr.runtime.inputs import place
from leansr.runtime.size import Wanted, wanted


def plan(
    named: Sequence[Path],
    output: Path | None,
    target: Wanted | float | Fraction,
    suffix: str | None = None,
) -> list[Job]:
    """The jobs of a command line, or UsageError if it does not say where something goes.

    One file goes to the file `output`, or to `photo_x2.jpg` beside `photo.jpg`. Several files, or
    a folder, go to the folder `output` under the same names, subfolders too; so do the files that
    match a pattern, from the folder on that it begins with. An input that an earlier call made of
    another one is not taken for an input again. `suffix`, like ".png", is given to every output.
    """
    if output is not None:
        jobs = _into(named, output, suffix)
    else:
        label = wanted(target) if isinstance(target, int | float | Fraction) else target
        for path in named:
            if os.path.isdir(path):
                raise UsageError(f"{path}: is a folder; say where its pictures go with -o FOLDER")
        sources = [source for path in named for source, _ in inputs.pictures(path, None)]
        jobs = [Job(path, _beside(path, str(label), suffix)) for path in sources]
        # By their names: a link from there to the input is no larger copy.
        made = {place(job.target) for job in jobs}
        jobs = [job for job in jobs if place(job.source) not in made]
    return list(dict.fromkeys(jobs))


def check_suffix(output: Path, suffix: str | None) -> None:
    """UsageError if the name of an output says another format than `suffix`, if that is given."""
    found = FORMATS.get(output.suffix.lower())
    if suffix is not None and found is not None and found != FORMATS[suffix]:
        raise UsageError(f"{output}: its suffix says another format than --format")


def _into(named: Sequence[Path], output: Path, suffix: str | None) -> list[Job]:
    is_single = len(named) == 1 and not os.path.isdir(named[0]) and not inputs.is_pattern(named[0])
    is_folder = os.path.isdir(output)
    is_picture = output.suffix.lower() in FORMATS and not is_folder
    if is_single and is_picture:
        check_suffix(output, suffix)
        return [Job(named[0], output)]
    if is_single and output.suffix.lower() in UNSUPPORTED and not is_folder:
        raise UsageError(f"{output}: {output.suffix} cannot be written")
    if is_picture or os.path.isfile(output):
        raise UsageError(f"{output}: is a file; several pictures go to a folder")
    jobs = []
    for path in named:
        pictures = list(inputs.pictures(path, output))
        if not pictures and len(named) == 1:
            raise UsageError(f"{path}: holds no pictures")
        jobs += [Job(source, output / _renamed(name, suffix)) for source, name in pictures]
    return jobs


def _beside(path: Path, label: str, suffix: str | None) -> Path:
    # Not by with_stem, which would take the ".5" of x3.5 for a suffix where there is none.
    return path.with_name(f"{path.stem}_{label}{suffix or path.suffix}")


def _renamed(name: Path, suffix: str | None) -> Path:
    return name if suffix is None else name.with_suffix(suffix)
