"""What the papers print, as they print it: one table of cells a paper."""

import csv
from importlib import resources

# The papers by the names of their files; "challenge" is what three of them print by its rules.
PAPERS = ("bsrn", "fmen", "mdrn", "study", "sesr")


def rows(name: str) -> list[dict[str, str]]:
    """The rows of a paper's tables, every cell as printed; `variant` is the zoo's name, if any.

    Of a paper: params_k in thousands, macs_g for a 1280 x 720 output, PSNR in dB and SSIM by
    benchmark. Of "challenge": params_m in millions, flops_g_256 and acts_m_256 for a 256 x 256
    input. Of "misfits": why a printed cell is not ours.
    """
    text = (resources.files("leansr.lab.papers") / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
