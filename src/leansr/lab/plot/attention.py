"""The branches of spatial attention as pictures (MDRN, Figures 2, 3 and 7)."""

from collections.abc import Mapping

import torch
from matplotlib.figure import Figure

from leansr import zoo
from leansr.errors import UsageError
from leansr.image.arrays import Pixels, to_unit
from leansr.lab.measure.attention import REFINEMENT, Attention, attentions, dispersed
from leansr.lab.plot.images import Image, draw_images, mean_map
from leansr.lab.plot.inputs import as_input, network_of
from leansr.lab.plot.methods import Method
from leansr.lab.plot.style import plain, styled


def chosen_gates(
    methods: Mapping[str, Method], lr: Pixels, scale: int, number: int | None = None
) -> dict[str, Attention]:
    """The gate `number` of each method, for `lr` `(H, W, 3)`, by a title for the figure.

    Gates are counted from 1 in the order of the network's modules; None is the last. UsageError
    for a network that has no such gate.
    """
    chosen = {}
    for told, (name, file) in methods.items():
        seen = as_input(lr, zoo.find(name, scale))
        found = attentions(network_of(name, scale, file), seen)
        place = number or len(found)
        if place > len(found):
            raise UsageError(f"{name}: has {len(found)} gates, and --block {place} is none of them")
        chosen[f"{told}, gate {place}"] = found[place - 1]
    return chosen


@styled
def draw_attention(gates: Mapping[str, Attention], lr: Pixels) -> Figure:
    """A row of maps for each gate, by its title: refinement, dispersion, both, and each branch.

    `lr` `(H, W, 3)` is what the networks saw. The dispersion together is MDRN's
    Figure 7.
    """
    rows = []
    for title, gate in gates.items():
        several = gate.dispersion if len(gate.dispersion) > 1 else []
        together = "all" if several else " + ".join(gate.dispersion)
        wanted = {
            "refinement": [name for name in gate.branches if name == REFINEMENT],
            f"dispersion {together}": gate.dispersion,
            "the gate's own": list(gate.branches),
            **{name: [name] for name in several},
        }
        wanted = {name: parts for name, parts in wanted.items() if parts}
        maps = [Image(name, mean_map(gate.map(parts))) for name, parts in wanted.items()]
        rows.append((plain(title), [Image("LR", lr), *maps]))
    return draw_images(
        rows,
        "Each map: these branches alone through the gate's last 1 x 1 and its sigmoid, mean over "
        "channels; colours from its least to its most.",
    )


@styled
def draw_dispersion(picture: Pixels) -> Figure:
    """`picture` `(H, W, 3)` as seen through D7, through D7 and D5, and through all three."""
    whole = torch.from_numpy(to_unit(picture)).permute(2, 0, 1)
    images = [Image("picture", picture)]
    for count in (1, 2, 3):
        names = ("D7", "D5", "D3")[:count]
        seen = dispersed(whole, names).permute(1, 2, 0).numpy()
        images.append(Image(" + ".join(names), seen))
    return draw_images(
        [("", images)],
        "DN: the picture by N x N max-pooling every 3 pixels, resized bilinearly; the mean of "
        "several.",
    )
