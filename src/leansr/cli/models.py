"""`leansr models`"""

from typing import Any

import click

from leansr import zoo
from leansr.cli import options
from leansr.zoo.costs import costs
from leansr.zoo.release import KINDS, releases


@click.command()
@options.as_json
def command(as_json: bool) -> None:
    """List every variant and what is known of it."""
    rows = _rows()
    if as_json:
        options.print_json({"schema": 1, "models": rows})
        return
    click.echo("variant                  scale     params  Multi-Adds  Set5 dB  Set14 dB  weights")
    for row in rows:
        cells = [
            f"{row['variant']:24}",
            f"x{row['scale']:<4}",
            f"{row['params']:>9}",
            f"{row['multi_adds'] / 1e9:9.2f}G",
            *(f"{row[f'{name}_psnr_y'] or '-':>8}" for name in ("set5", "set14")),
            ", ".join(row["inputs"]) or "no",
        ]
        click.echo("  ".join(cells))
    click.echo(
        "Multi-Adds for a 1280 x 720 output; luma PSNR of the released file for clean pictures, "
        "see the cards."
    )


def _rows() -> list[dict[str, Any]]:
    known = {kind: releases(kind) for kind in KINDS}
    rows = []
    for variant in zoo.VARIANTS.values():
        for scale in variant.scales:
            key = variant.name, scale
            release = known["clean"].get(key)
            cost = costs()[key]
            rows.append(
                {
                    "variant": variant.name,
                    "scale": scale,
                    "params": cost.params,
                    "multi_adds": cost.multi_adds,
                    "set5_psnr_y": release.psnr_y("Set5") if release else None,
                    "set14_psnr_y": release.psnr_y("Set14") if release else None,
                    "has_weights": release is not None,
                    "inputs": [kind for kind in KINDS if key in known[kind]],
                    "source": variant.source,
                }
            )
    return rows
