"""How others upscale a picture from file to file, written as their own examples have it."""

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

from leansr.image.arrays import Pixels
from leansr.zoo.release import release_of

SCALE = 2
# Of Real-ESRGAN's script: a tile's side, and the pixels around it that are thrown away.
TILE, PADDING = 512, 10


class UnavailableError(Exception):
    """A peer that is not there, and why."""


@dataclass(frozen=True)
class Peer:
    """The three steps of a script; pictures are whatever the script has between them."""

    read: Callable[[Path], Any]
    enlarge: Callable[[Any], Any]
    write: Callable[[Any, Path], Any]


def every_peer(threads: int, opencv: Path | None) -> dict[str, Callable[[], Peer]]:
    """Each by its name, to be made; making one that is not there raises UnavailableError."""
    return {
        "onnxruntime + Pillow": lambda: _pillow(_onnx(threads)),
        "the same in tiles": lambda: _pillow(_tiled(_onnx(threads))),
        "OpenCV FSRCNN": lambda: _opencv(threads, opencv),
        "ncnn + Pillow": lambda: _pillow(_ncnn(threads)),
    }


def _pillow(luma: Callable[[np.ndarray], np.ndarray]) -> Peer:
    """Luma through a network and chroma by Pillow's bicubic, all at Pillow's defaults."""

    def enlarge(image: Image.Image) -> Image.Image:
        y, *chroma = image.convert("YCbCr").split()
        # The network's luma is 16..235, a JPEG's 0..255.
        unit = (np.asarray(y, np.float32) * (219 / 255) + 16) / 255
        sr = (luma(unit[None, None])[0, 0] * 255 - 16) * (255 / 219)
        large = Image.fromarray((sr + 0.5).clip(0, 255).astype(np.uint8))
        size = large.size
        others = [plane.resize(size, Image.Resampling.BICUBIC) for plane in chroma]
        return Image.merge("YCbCr", [large, *others]).convert("RGB")

    def read(path: Path) -> Image.Image:
        with Image.open(path) as image:
            return image.convert("RGB")

    return Peer(read, enlarge, lambda image, path: image.save(path, **_options(path)))


def _options(path: Path) -> dict[str, Any]:
    # JPEG at our quality, so that the same is written; PNG at Pillow's own level.
    is_jpeg = path.suffix in (".jpg", ".jpeg")
    return {"quality": 95, "subsampling": "4:4:4"} if is_jpeg else {}


def _onnx(threads: int) -> Callable[[np.ndarray], np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        release_of("sesr-m5", SCALE).onnx, options, providers=["CPUExecutionProvider"]
    )

    def run(lr: np.ndarray) -> np.ndarray:
        (sr,) = session.run(["sr"], {"lr": np.ascontiguousarray(lr)})
        return np.asarray(sr)

    return run


def _tiled(network: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    def run(lr: np.ndarray) -> np.ndarray:
        height, width = lr.shape[2:]
        sr = np.empty((1, 1, height * SCALE, width * SCALE), np.float32)
        for top, bottom in _spans(height):
            for left, right in _spans(width):
                high, low = max(0, top - PADDING), min(height, bottom + PADDING)
                first, last = max(0, left - PADDING), min(width, right + PADDING)
                part = network(lr[..., high:low, first:last])
                down, across = (top - high) * SCALE, (left - first) * SCALE
                tall, wide = (bottom - top) * SCALE, (right - left) * SCALE
                sr[..., top * SCALE : bottom * SCALE, left * SCALE : right * SCALE] = part[
                    ..., down : down + tall, across : across + wide
                ]
        return sr

    return run


def _spans(length: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + TILE, length)) for start in range(0, length, TILE))


def opencv_network(threads: int, model: Path | None) -> Any:
    """OpenCV's FSRCNN: its `upsample` takes and gives uint8, three channels."""
    if model is None:
        raise UnavailableError("--opencv says where FSRCNN_x2.pb is")
    try:
        import cv2

        network = cv2.dnn_superres.DnnSuperResImpl_create()
    except (ImportError, AttributeError) as cause:
        raise UnavailableError("needs opencv-contrib-python-headless") from cause
    cv2.setNumThreads(threads)
    try:
        network.readModel(str(model))
        network.setModel("fsrcnn", SCALE)
        network.upsample(np.zeros((16, 16, 3), np.uint8))
    except cv2.error as cause:
        raise UnavailableError(f"{model}: {str(cause).strip().splitlines()[0]}") from cause
    return network


def _opencv(threads: int, model: Path | None) -> Peer:
    network = opencv_network(threads, model)
    import cv2

    jpeg = [cv2.IMWRITE_JPEG_QUALITY, 95]

    def write(pixels: Pixels, path: Path) -> Any:
        return cv2.imwrite(str(path), pixels, jpeg if path.suffix == ".jpg" else [])

    return Peer(lambda path: cv2.imread(str(path)), network.upsample, write)


def _ncnn(threads: int) -> Callable[[np.ndarray], np.ndarray]:
    try:
        import ncnn
        import pnnx
    except ImportError as cause:
        raise UnavailableError(f"needs {cause.name}") from cause
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m5.onnx")
        path.write_bytes(release_of("sesr-m5", SCALE).onnx.read_bytes())
        sizes = "inputshape=[1,1,64,80]", "inputshape2=[1,1,101,77]", "fp16=0"
        _call(Path(pnnx.EXEC_PATH), str(path), *sizes)
        net = ncnn.Net()
        net.opt.num_threads = threads
        stem = str(path.with_suffix(""))
        if net.load_param(f"{stem}.ncnn.param") or net.load_model(f"{stem}.ncnn.bin"):
            raise UnavailableError("pnnx made no network of sesr-m5 that ncnn loads")

    def run(lr: np.ndarray) -> np.ndarray:
        with net.create_extractor() as extractor:
            extractor.input("in0", ncnn.Mat(np.ascontiguousarray(lr[0])).clone())
            _, sr = extractor.extract("out0")
            return np.array(sr)[None]

    return run


def _call(*command: Any) -> None:
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise UnavailableError(f"pnnx ended with {done.returncode}")
