"""The command line, called in the process of the tests."""

from click.testing import CliRunner

from leansr import cli
from leansr.errors import LeanSRError


def leansr(*arguments):
    """What a command did; all that it may raise are errors that a user can cause."""
    result = CliRunner().invoke(cli.cli, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        assert isinstance(result.exception, LeanSRError), result.exception
    return result
