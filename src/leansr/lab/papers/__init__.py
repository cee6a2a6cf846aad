"""What the papers print, as they print it: one table of cells a paper."""

import csv
from importlib import resources


def rows(paper: str) -> list[dict[str, str]]:
    """The rows of a paper's tables: params_k in thousands, macs_g for a 1280 x 720 output, PSNR in
    dB and SSIM by benchmark; `variant` is the zoo's name for the network, where it has one."""
    text = (resources.files("leansr.lab.papers") / f"{paper}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
