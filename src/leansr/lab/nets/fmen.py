"""FMEN: Fast and Memory-Efficient Network (Du et al., 2022)."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from leansr.lab.nets.collapse import Space
from leansr.lab.nets.fmen_blocks import HFAB, PLAIN, Block, conv3x3, erb
from leansr.lab.nets.network import Network, Published, from_byte_range


class Backbone(Network):
    """FMEN of any block.

    lr --3 x 3--+--3 x 3--HFAB--[block--HFAB] x 4--3 x 3--(+)--3 x 3--depth to space-- sr
                |__________________________________________|                     (Figure 3)

    The layers before the first block are the warm-up; the paper counts them as a pair.
    """

    def __init__(
        self,
        block: Block,
        *,
        channels: int,
        attention_channels: Sequence[int],
        attention_blocks: Sequence[int],
        scale: int,
    ) -> None:
        super().__init__()
        if len(attention_channels) != len(attention_blocks):
            sizes = f"{tuple(attention_channels)} and {tuple(attention_blocks)}"
            raise ValueError(f"each HFAB has channels and a number of blocks, not {sizes}")
        warmup, *others = [
            HFAB(channels, hidden, blocks, block)
            for hidden, blocks in zip(attention_channels, attention_blocks, strict=True)
        ]
        self.head = conv3x3(3, channels)
        self.warmup = nn.Sequential(conv3x3(channels, channels), warmup)
        self.blocks = nn.ModuleList(block(channels) for _ in others)
        self.attentions = nn.ModuleList(others)
        self.merge = conv3x3(channels, channels)
        self.tail = conv3x3(channels, 3 * scale**2)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, lr: Tensor) -> Tensor:
        shallow = self.head(lr)
        deep = self.warmup(shallow)
        for block, attention in zip(self.blocks, self.attentions, strict=True):
            deep = attention(block(deep))
        deep = self.merge(deep) + shallow
        return self.shuffle(self.tail(deep))


def _authors(blocks: str, attentions: str) -> Published:
    """The layout of the authors' files, which hold collapsed networks of [0, 255]."""
    return Published(
        renames=(
            (r"\.blocks\.", ".convs."),
            (r"^blocks\.", f"{blocks}."),
            (r"^attentions\.", f"{attentions}."),
            (r"\.first\.", ".conv1.rep_conv."),
            (r"\.second\.", ".conv2.rep_conv."),
            (r"\.excite\.", ".excitate."),
            (r"^merge\.", "lr_conv."),
            (r"^tail\.", "tail.0."),
        ),
        values=from_byte_range("head", "tail"),
        form="deploy",
    )


class FMEN(Backbone):
    """FMEN, RGB `(N, 3, H, W)` in [0, 1] to `(N, 3, scale * H, scale * W)`, not clipped.

    lr --3 x 3--+--3 x 3--HFAB--[ERB--HFAB] x 4--3 x 3--(+)--3 x 3--depth to space-- sr
                |________________________________________|                       (Figure 3)

    `attention_channels` and `attention_blocks` are those of each HFAB, the warm-up's first.
    `space` is where the RRRBs are trained: "expanded" as drawn, "collapsed" at every step with
    the same gradients, or "direct" on the collapsed kernels; BN stays in each of them, and is
    folded in the deploy form. Started by He et al. (2015) as PyTorch's default has it, which is
    all that the authors' code does: with the gain of ReLU, rows of ERBs would explode.
    """

    spaces = ("expanded", "collapsed", "direct")
    # The challenge's file, then that of the authors' repository.
    published = (_authors("basic_blocks", "hfabs"), _authors("ERBs", "HFABs"))

    def __init__(
        self,
        *,
        channels: int,
        attention_channels: Sequence[int],
        attention_blocks: Sequence[int],
        scale: int,
        space: Space = "expanded",
    ) -> None:
        super().__init__(
            erb(space),
            channels=channels,
            attention_channels=attention_channels,
            attention_blocks=attention_blocks,
            scale=scale,
        )


class PlainFMEN(Backbone):
    """FMEN with RB ("rb") or PB ("pb") in place of every ERB (FMEN, section 4.2).

    lr --3 x 3--+--3 x 3--HFAB--[RB--HFAB] x 4--3 x 3--(+)--3 x 3--depth to space-- sr
                |_______________________________________|

    Those in HFABs too; nothing but BN is left to fold, so there is no choice of a space.
    """

    def __init__(
        self,
        *,
        block: Literal["rb", "pb"],
        channels: int,
        attention_channels: Sequence[int],
        attention_blocks: Sequence[int],
        scale: int,
    ) -> None:
        super().__init__(
            PLAIN[block],
            channels=channels,
            attention_channels=attention_channels,
            attention_blocks=attention_blocks,
            scale=scale,
        )
