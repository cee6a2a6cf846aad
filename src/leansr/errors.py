"""Everything LeanSR raises for what a user can cause.

LeanSRError
├── UsageError      a name, option or combination that does not exist (exit code 2)
├── PictureError    a picture cannot be read, understood or written
├── DataError       a folder, pack or benchmark is not what it should be
├── WeightsError    a weights file or release is missing, damaged or of another network
├── ExportError     a network cannot be exported, or its export is not equal to it
└── MeasureError    a network cannot be measured: what it does is not known, or it fails

Messages are one line: what failed, on which file, what to do.
"""


class LeanSRError(Exception):
    """Base of all errors that a user can cause; the command line prints it as one line."""

    exit_code = 1


class UsageError(LeanSRError):
    """A name, option or combination of options that does not exist."""

    exit_code = 2


class PictureError(LeanSRError):
    """A picture cannot be read, understood or written."""


class DataError(LeanSRError):
    """A folder, pack or benchmark is not what it should be."""


class WeightsError(LeanSRError):
    """A weights file or release is missing, damaged or of another network."""


class ExportError(LeanSRError):
    """A network cannot be exported, or its export is not equal to it."""


class MeasureError(LeanSRError):
    """A network cannot be measured: what it does is not known, or running it fails."""
