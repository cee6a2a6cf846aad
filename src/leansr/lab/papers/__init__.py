"""What the papers print, as they print it: one table of cells a paper."""

import csv
from importlib import resources

# The papers by the names of their files, and what they are called in the rows.
TITLES = {
    "bsrn": "BSRN",
    "fmen": "FMEN",
    "mdrn": "MDRN",
    "study": "Efficiency study",
    "sesr": "SESR",
}
PAPERS = tuple(TITLES)
# Where each paper compares whole networks, letter by letter; in its other tables stand ablations,
# often of networks that were trained for less.
WHOLE_TABLES = {"bsrn": "5", "fmen": "3", "mdrn": "5", "study": "123", "sesr": "12"}


def rows(name: str) -> list[dict[str, str]]:
    """The rows of a paper's tables, every cell as printed; `variant` is the zoo's name, if any.

    Of a paper: params_k in thousands, macs_g for a 1280 x 720 output, PSNR in dB and SSIM by
    benchmark; of the study also what is saved for each 0.01 dB (macs_saved_g, params_saved_k) and
    what a ternary network of `rank` times c_out saves. Of "challenge", which three papers print by
    its rules: params_m in millions, flops_g_256 and acts_m_256 for a 256 x 256 input. Of "claims":
    what the texts say of the tables. Of "times": printed run times, and what each is compared with.
    Of "sesr_hardware": SESR's Table 3. Of "otherwise": cells that are counted by another convention
    than the rest of their table. Of "misfits": why a printed cell is not ours.
    """
    text = (resources.files("leansr.lab.papers") / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def rows_of(name: str, paper: str) -> list[dict[str, str]]:
    """The rows of a file that several papers share which are of `paper`, one of `PAPERS`."""
    return [row for row in rows(name) if row["paper"] == TITLES[paper]]
