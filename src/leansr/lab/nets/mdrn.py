"""MDRN: Multi-level Dispersion Residual Network (Mao et al., 2023)."""

import torch
from torch import Tensor, nn

from leansr.lab.nets.mdrn_attention import CHANNEL, SPATIAL, BSConvU, Residual
from leansr.lab.nets.network import Network, Published


class EADB(nn.Module):
    """An enhanced attention distillation block (MDRN, Figure 6 and equations 5 to 7).

    x--+--R1--+--R2--+--R3--+
       D1     D2     D3     D4
       |______|______|______|--concat--1 x 1, 2C -> C--spatial--channel--(+)--
       |__________________________________________________________________|  the block's input

    D1 to D3 are 1 x 1 to C/2 and GELU, D4 BSConvU to C/2 and GELU. R1 to R3 add their input before
    GELU.
    """

    def __init__(self, channels: int, spatial: str, channel: str) -> None:
        super().__init__()
        half = channels // 2
        self.distill = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, half, 1), nn.GELU()) for _ in range(3)
        )
        self.refine = nn.ModuleList(
            nn.Sequential(Residual(BSConvU(channels, channels)), nn.GELU()) for _ in range(3)
        )
        self.last = nn.Sequential(BSConvU(channels, half), nn.GELU())
        self.fuse = nn.Conv2d(4 * half, channels, 1)
        self.spatial = SPATIAL[spatial](channels)
        self.channel = CHANNEL[channel](channels)

    def forward(self, x: Tensor) -> Tensor:
        refined, distilled = x, []
        for distill, refine in zip(self.distill, self.refine, strict=True):
            distilled.append(distill(refined))
            refined = refine(refined)
        fused = self.fuse(torch.cat([*distilled, self.last(refined)], dim=1))
        return self.channel(self.spatial(fused)) + x


# Their blocks and layers have numbers, from 1.
_AUTHORS = Published(
    renames=(
        (r"^head\.", "fea_conv."),
        *((rf"^blocks\.{i}\.", f"B{i + 1}.") for i in range(8)),
        *((rf"\.distill\.{i}\.0\.", f".c{i + 1}_d.") for i in range(3)),
        *((rf"\.refine\.{i}\.0\.0\.", f".c{i + 1}_r.") for i in range(3)),
        (r"\.last\.0\.", ".c4."),
        (r"^(B\d)\.fuse\.", r"\1.c5."),
        (r"\.spatial\.0\.", ".esa.body.0."),
        (r"\.reduce\.", ".conv1."),
        (r"\.expand\.", ".conv4."),
        (r"\.branches\.3\.", ".conv_f."),
        (r"\.branches\.2\.squeezes\.1\.0\.", ".conv2_3."),
        *((rf"\.branches\.{i}\.squeezes\.0\.0\.", f".conv2_{i}.") for i in range(3)),
        *((rf"\.branches\.{i}\.group\.0\.", f".conv_max_{i}.") for i in range(3)),
        *((rf"\.branches\.{i}\.group\.2\.", f".conv3_{i}.") for i in range(3)),
        (r"\.channel\.", ".cca.body."),
        (r"\.squeeze\.", ".conv_du.0."),
        (r"\.excite\.", ".conv_du.2."),
        (r"^fuse\.0\.", "c1."),
        (r"^fuse\.2\.", "c2."),
        (r"^tail\.0\.", "upsampler.upsampleOneStep.0."),
        (r"\.pointwise\.", ".pw."),
        (r"\.depthwise\.", ".dw."),
    )
)


class MDRN(Network):
    """MDRN, RGB `(N, 3, H, W)` in [0, 1] to `(N, 3, scale * H, scale * W)`, not clipped.

    lr - mean--3 x 3--+--EADB--EADB-- ... --EADB                                    (Figure 1)
                      |   |_____|____________|__concat--1 x 1, GELU, BSConvU--(+)--tail--+ mean-- sr
                      |________________________________________________________|

    The tail is a 3 x 3 convolution and one pixel shuffle; the mean is that of RGB. `spatial` and
    `channel` are the attention of the blocks, MDSA and ECCA but for the ablations of Tables 1 to
    4. The plain head (equation 8 has BSConv) and the fusion's last convolution (equation 10 ends
    with GELU) are those of the authors' checkpoints.
    """

    published = (_AUTHORS,)
    mean: Tensor

    def __init__(
        self,
        *,
        channels: int,
        blocks: int,
        scale: int,
        spatial: str = "mdsa",
        channel: str = "ecca",
    ) -> None:
        super().__init__()
        mean = torch.tensor((0.4488, 0.4371, 0.4040)).view(1, 3, 1, 1)
        self.register_buffer("mean", mean, persistent=False)
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.ModuleList(EADB(channels, spatial, channel) for _ in range(blocks))
        self.fuse = nn.Sequential(
            nn.Conv2d(blocks * channels, channels, 1), nn.GELU(), BSConvU(channels, channels)
        )
        self.tail = nn.Sequential(
            nn.Conv2d(channels, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale)
        )

    def forward(self, lr: Tensor) -> Tensor:
        shallow = self.head(lr - self.mean)
        deep, features = shallow, []
        for block in self.blocks:
            deep = block(deep)
            features.append(deep)
        fused = self.fuse(torch.cat(features, dim=1)) + shallow
        return self.tail(fused) + self.mean
