"""The parts of the docs that are written from what they describe; `make docs` puts them in."""

import click

from leansr import zoo
from leansr.cli import COMMANDS, cli
from leansr.lab import papers
from leansr.zoo.costs import costs
from leansr.zoo.release import Release, releases


def model_table() -> str:
    """A Markdown table of the released weights, from their cards."""
    lines = [
        "| model | scale | parameters | Multi-Adds | Set5 | Set14 | the paper's |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (name, scale), release in releases().items():
        printed = [
            f"{row['set5_psnr']} and {row['set14_psnr']}"
            for paper in papers.PAPERS
            for row in papers.rows(paper)
            if (row["variant"], row["scale"]) == (name, str(scale))
        ]
        cells = [
            f"`{name}`",
            f"x{scale}",
            _spaced(release.card["params"]),
            f"{release.card['multi_adds'] / 1e9:.2f} G",
            _quality(release, "Set5"),
            _quality(release, "Set14"),
            next(iter(printed), "not printed"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def variant_table() -> str:
    """Every row of the zoo with the cost of its deploy form at each scale."""
    lines = [
        "| variant | scales | parameters | Multi-Adds, G | where it is from |",
        "| --- | --- | --- | --- | --- |",
    ]
    for variant in zoo.VARIANTS.values():
        each = [costs()[variant.name, scale] for scale in variant.scales]
        cells = [
            f"`{variant.name}`",
            ", ".join(f"x{scale}" for scale in variant.scales),
            " / ".join(_spaced(cost.params) for cost in each),
            " / ".join(f"{cost.multi_adds / 1e9:.2f}" for cost in each),
            variant.source,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def command_reference() -> str:
    """The help of every command and subcommand, as Markdown."""
    parts = []
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        parts += _help(command, f"leansr {name}")
    return "\n".join(parts)


def _help(command: click.Command, name: str) -> list[str]:
    context = click.Context(command, info_name=name, max_content_width=96, terminal_width=96)
    parts = [f"## {name}\n", "```text", command.get_help(context), "```\n"]
    if isinstance(command, click.Group):
        for child in command.commands.values():
            parts += _help(child, f"{name} {child.name}")
    return parts


def _quality(release: Release, benchmark: str) -> str:
    (row,) = [row for row in release.card["quality"] if row["benchmark"] == benchmark]
    return f"{row['psnr_y']:.2f} / {row['ssim_y']:.4f}"


def _spaced(count: int) -> str:
    return f"{count:,}".replace(",", " ")
