"""The command line. Each command is a file, loaded when it is called."""

import signal
import sys
from pkgutil import resolve_name
from typing import Any

import click

import leansr
from leansr.cli.options import print_error
from leansr.errors import LeanSRError

# name: where the command is, and its line in the list, so that help loads none of them
COMMANDS = {
    "upscale": ("leansr.cli.upscale:command", "Upscale pictures."),
    "models": ("leansr.cli.models:command", "List every variant and what is known of it."),
    "evaluate": (
        "leansr.cli.evaluate:command",
        "Measure PSNR and SSIM on a benchmark or a folder of pictures.",
    ),
    "train": ("leansr.cli.train:command", "Train a network by a recipe, or go on with a run."),
    "runs": (
        "leansr.cli.runs:command",
        "Compare runs: where each stands, how good it is, what differs in its recipe.",
    ),
    "rank": (
        "leansr.cli.rank:command",
        "Train networks or recipes for the same steps, and compare them with a paper's order.",
    ),
    "import": (
        "leansr.cli.import_published:command",
        "Make weights of a checkpoint that the paper's authors published.",
    ),
    "collapse": (
        "leansr.cli.collapse:command",
        "Prove that a network and its collapsed form are equal, and show what is saved.",
    ),
    "profile": (
        "leansr.cli.profile:command",
        "Count parameters, Multi-Adds, activations and memory of a network in its two forms.",
    ),
    "bench": (
        "leansr.cli.bench:command",
        "Time networks side by side, and measure the memory of each.",
    ),
    "reproduce": (
        "leansr.cli.reproduce:command",
        "Print the tables of a paper beside what we compute and measure.",
    ),
    "plot": ("leansr.cli.plot:command", "Draw figures as the papers have them."),
    "estimate": (
        "leansr.cli.estimate:command",
        "Estimate how long networks take on given hardware, by what they compute and move.",
    ),
    "export": ("leansr.cli.export:command", "Make a release of trained weights."),
    "quantize": (
        "leansr.cli.quantize:command",
        "Make a network of eight bits, which runs in integers.",
    ),
    "data": ("leansr.cli.data:command", "Check benchmarks and prepare training pictures."),
}

# What a command can lack, and the extra that brings it.
EXTRAS = dict.fromkeys(("torch", "safetensors", "msgspec", "onnx", "onnxscript"), "train")
EXTRAS["matplotlib"] = "plot"


class Commands(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = resolve_name(COMMANDS[cmd_name][0])
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(leansr.__version__, prog_name="leansr")
def cli() -> None:
    """Upscale pictures fast on an ordinary CPU, and train the networks that do it."""


def main(arguments: list[str] | None = None) -> Any:
    """Runs the command line; errors that a user can cause become one line on stderr."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            # As an exception, so that what was being written is removed on the way out.
            signal.signal(getattr(signal, name), lambda number, frame: sys.exit(128 + number))
    try:
        return cli.main(arguments, prog_name="leansr", standalone_mode=True)
    except LeanSRError as error:
        print_error(error)
        sys.exit(error.exit_code)
    except OSError as error:
        # A full disk, a folder that may not be written: the system's own words name the file.
        print_error(error)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        extra = EXTRAS[error.name]
        print_error(f"this command needs {error.name}; pip install 'leansr[{extra}]'")
        sys.exit(2)
