"""`leansr collapse`"""

import sys
from dataclasses import asdict
from pathlib import Path

import click

from leansr import zoo
from leansr.cli import options


@click.command()
@click.argument("variant")
@options.scale
@click.option(
    "--weights",
    type=options.ANY_PATH,
    metavar="FILE.safetensors",
    help="Training-form weights; random ones if not given.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of what is random.")
@options.as_json
def command(variant: str, scale: int, weights: Path | None, seed: int, as_json: bool) -> None:
    """Prove that a network and its collapsed form are equal, and show what is saved."""
    from leansr.lab.measure.certificate import TOLERANCE, certificate, with_nothing_zero
    from leansr.lab.nets import as_drawn
    from leansr.lab.weights import load_network

    row = zoo.find(variant, scale)
    if weights is None:
        network = with_nothing_zero(as_drawn(row, scale), seed)
    else:
        network, _ = load_network(weights, variant, scale)
    proof = certificate(network, row, scale, seed=seed)
    if as_json:
        told = asdict(proof)
        for form in ("training", "deploy"):
            told[form].pop("layers")
        options.print_json(
            {"schema": 1, "variant": variant, "scale": scale, "holds": proof.holds, **told}
        )
    else:
        before, after = proof.training, proof.deploy
        click.echo(f"{variant} x{scale}")
        click.echo(f"layers       {proof.layers[0]} to {proof.layers[1]}")
        click.echo(f"convolutions {before.convs} to {after.convs}")
        click.echo(f"parameters   {before.params} to {after.params}")
        click.echo(
            f"Multi-Adds   {before.multi_adds / 1e9:.2f} G to {after.multi_adds / 1e9:.2f} G "
            f"for a 1280 x 720 output"
        )
        click.echo(
            f"largest difference {proof.difference:.1e} of the largest output, "
            f"{TOLERANCE:.0e} allowed, border included"
        )
        click.echo(f"on pictures of {', '.join(f'{h} x {w}' for h, w in proof.shapes)}")
    if not proof.holds:
        options.print_error(f"{variant} x{scale}: the two forms are not equal")
        sys.exit(1)
