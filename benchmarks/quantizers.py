"""Our eight bits beside ONNX Runtime's static quantiser: PSNR and file size, the same crops.

python benchmarks/quantizers.py --data DIR|PACK --benchmark DIR [--variant sesr-m5] [--scale 2]
    [--threads 1] [--json]
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantType,
    quantize_static,
)

from leansr.lab.measure.machine import describe
from leansr.lab.quantize import post_training
from leansr.lab.quantize.post_training import Crops, Source
from leansr.runtime.benchmarks import open_folder
from leansr.runtime.evaluate import evaluate
from leansr.runtime.upscaler import Upscaler
from leansr.zoo.release import release_of

MINMAX, PERCENTILE = CalibrationMethod.MinMax, CalibrationMethod.Percentile
# Floats between the convolutions: their outputs are not rounded.
INPUTS_ONLY = {"OpTypesToExcludeOutputQuantization": ["Conv"]}


@dataclass(frozen=True)
class Row:
    """A file: luma PSNR in dB on the benchmark, and its size."""

    quantiser: str
    psnr_y: float
    bytes: int


class _Reader(CalibrationDataReader):
    """Each crop by itself, as the graph takes them."""

    def __init__(self, crops: Crops) -> None:
        self._crops: Iterator[Any] = (lr for batch in crops.lr for lr in batch.split(1))

    def get_next(self) -> dict[str, Any] | None:
        lr = next(self._crops, None)
        return None if lr is None else {"lr": lr.numpy()}


def compare(variant: str, scale: int, data: Path, benchmark: Path, threads: int) -> list[Row]:
    """A released network in floats and as each quantiser makes it, with crops of `data`."""
    source = post_training.source_of(variant, scale)
    crops = post_training.crops_of(data, source.variant, scale)
    pictures = open_folder(benchmark, scale)
    in_floats = release_of(variant, scale).onnx
    named = f"{variant}-int8"
    makers: dict[str, tuple[str, Callable[[Path], None]]] = {
        "none: floats": (variant, lambda path: _copied(in_floats, path)),
        "ours, sesr": (named, lambda path: _ours(source, crops, "sesr", data, path)),
        "ours, study": (named, lambda path: _ours(source, crops, "study", data, path)),
        "ONNX Runtime, all, minmax": (
            variant,
            lambda path: _theirs(in_floats, crops, MINMAX, path),
        ),
        "ONNX Runtime, all, percentile": (
            variant,
            lambda path: _theirs(in_floats, crops, PERCENTILE, path),
        ),
        "ONNX Runtime, inputs of convolutions, percentile": (
            variant,
            lambda path: _theirs(in_floats, crops, PERCENTILE, path, ["Conv"], INPUTS_ONLY),
        ),
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (model, make) in makers.items():
            path = Path(folder) / "file.onnx"
            make(path)
            upscaler = Upscaler(model, scale, weights=path, threads=threads)
            found = evaluate(upscaler, scale, pictures)
            rows.append(Row(name, found.psnr_y, path.stat().st_size))
    return rows


def _copied(file: Path, path: Path) -> None:
    path.write_bytes(file.read_bytes())


def _ours(source: Source, crops: Crops, scheme: Any, data: Path, path: Path) -> None:
    row = post_training.eight_bit_row(source.variant, scheme)
    network = post_training.calibrated(source, row, crops, "mse")
    post_training.release(source, network, row, "mse", data, path, {}, "none")


def _theirs(
    file: Path,
    crops: Crops,
    method: CalibrationMethod,
    path: Path,
    operations: list[str] | None = None,
    extra: dict[str, Any] | None = None,
) -> None:
    """Weights symmetric by output channel, activations uint8, as QDQ."""
    # It tells on stdout where it stands.
    with redirect_stdout(sys.stderr):
        quantize_static(
            str(file),
            str(path),
            _Reader(crops),
            op_types_to_quantize=operations,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=method,
            extra_options=extra,
        )
    # What the network is, which the quantiser may leave out.
    model = onnx.load(path)
    known = onnx.load(file).metadata_props
    onnx.helper.set_model_props(model, {each.key: each.value for each in known})
    onnx.save(model, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--benchmark", type=Path, required=True)
    parser.add_argument("--variant", default="sesr-m5")
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = compare(given.variant, given.scale, given.data, given.benchmark, given.threads)
    about = {"variant": given.variant, "scale": given.scale, "machine": describe()}
    if given.json:
        click.echo(json.dumps({"schema": 1, **about, "rows": [asdict(row) for row in rows]}))
        return
    click.echo(f"{given.variant} x{given.scale}, {given.benchmark}, {about['machine']}")
    for row in rows:
        click.echo(f"{row.psnr_y:9.3f} dB  {row.bytes:8} bytes  {row.quantiser}")


if __name__ == "__main__":
    main()
