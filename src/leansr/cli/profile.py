"""`leansr profile`"""

from typing import TYPE_CHECKING, Any

import click

from leansr import zoo
from leansr.cli import options

if TYPE_CHECKING:
    from leansr.lab.measure.profile import Form, Profile

_ROWS = {
    "parameters": "params",
    "of them kernels": "conv_weights",
    "stored, bytes": "stored",
    "Multi-Adds": "multi_adds",
    "  multiplications": "multiplications",
    "  additions": "additions",
    "activations": "activations",
    "convolutions": "convs",
    "peak memory, bytes": "peak_memory",
    "  acts in place": "peak_memory_in_place",
}
# What Multi-Adds are made of: told where it is not one of each.
_PARTS = ("multiplications", "additions")


@click.command()
@click.argument("variant")
@options.scale
@click.option(
    "--size",
    type=options.Size(),
    help="Of the output; 1280x720 if not given, or 256x256 in for the challenge.",
)
@click.option(
    "--convention",
    type=click.Choice(["pure", "thop", "challenge"]),
    default="pure",
    show_default=True,
    help="What is counted (docs/measure.md).",
)
@click.option("--layers", is_flag=True, help="List every layer of the deploy form by its cost.")
@options.as_json
def command(
    variant: str,
    scale: int,
    size: tuple[int, int] | None,
    convention: Any,
    layers: bool,
    as_json: bool,
) -> None:
    """Count parameters, Multi-Adds, activations and memory of a network in its two forms."""
    from leansr.lab.measure.profile import profile

    result = profile(zoo.find(variant, scale), scale, convention, size)
    if as_json:
        options.print_json(
            {
                "schema": 1,
                "variant": variant,
                "scale": scale,
                "convention": convention,
                "lr_size": list(result.lr),
                "training": result.training.as_json(),
                "deploy": result.deploy.as_json(),
            }
        )
        return
    _print(variant, scale, result)
    if layers:
        _print_layers(result.deploy)


def _print(variant: str, scale: int, result: "Profile") -> None:
    height, width = result.lr
    click.echo(
        f"{variant} x{scale}, {width} x {height} in, {width * scale} x {height * scale} out, "
        f"convention {result.convention}"
    )
    click.echo(f"{'':20}{'training form':>20}{'deploy form':>20}")
    forms = result.training.as_json(), result.deploy.as_json()
    for label, key in _ROWS.items():
        if key in _PARTS and all(form[key] == form["multi_adds"] for form in forms):
            continue
        click.echo(f"{label:20}" + "".join(f"{_spaced(form[key]):>20}" for form in forms))
    peak = result.deploy.peak
    click.echo(f"\nthe deploy form's peak is at {peak.module} ({peak.operation}), where live:")
    for feature in peak.alive:
        shape = " x ".join(map(str, feature.shape[1:]))
        click.echo(f"{_spaced(feature.size):>16}  {shape:18} of {feature.module}")
    click.echo(f"{_spaced(peak.picture):>16}  the picture")
    click.echo(f"{_spaced(peak.parameters):>16}  the parameters")


def _print_layers(form: "Form") -> None:
    click.echo(f"\n{'Multi-Adds':>18}{'share':>8}{'parameters':>14}{'activations':>16}  layer")
    total = form.complexity.multi_adds or 1
    layers = (layer for layer in form.complexity.layers if layer.params or layer.multi_adds)
    for layer in sorted(layers, key=lambda layer: -layer.multi_adds):
        click.echo(
            f"{_spaced(layer.multi_adds):>18}{layer.multi_adds / total:8.1%}"
            f"{_spaced(layer.params):>14}{_spaced(layer.activations):>16}"
            f"  {layer.module} ({layer.kind})"
        )


def _spaced(count: int) -> str:
    return f"{count:,}".replace(",", " ")
