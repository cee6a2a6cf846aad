"""A released network in ONNX Runtime."""

from pathlib import Path

import numpy as np
import onnxruntime

from leansr.errors import WeightsError
from leansr.image.arrays import Floats

SCHEMA = "1"


class OnnxSession:
    """A network `(H, W, C)` float32 in [0, 1] to `(scale * H, scale * W, C)`, not clipped.

    `halo` is how many LR pixels around an output pixel's own it depends on, None if that is the
    whole picture. Raises WeightsError for a file that is not an ONNX export of ours.
    """

    def __init__(self, path: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as cause:  # onnxruntime's errors have no public base
            reason = str(cause).partition("\n")[0]
            raise WeightsError(f"{path}: cannot be loaded by ONNX Runtime ({reason})") from cause
        facts = self._session.get_modelmeta().custom_metadata_map
        if facts.get("leansr.schema") != SCHEMA:
            raise WeightsError(f"{path}: is not a network written by `leansr export`")
        try:
            self.variant = facts["leansr.variant"]
            self.scale = int(facts["leansr.scale"])
            halo = facts["leansr.halo"]
            self.halo = None if halo == "whole" else int(halo)
        except (KeyError, ValueError) as cause:
            raise WeightsError(f"{path}: its metadata is damaged ({cause})") from cause
        if (self.halo or 0) < 0 or self.scale < 1:
            raise WeightsError(f"{path}: its metadata is damaged (halo {self.halo})")

    def __call__(self, lr: Floats) -> Floats:
        planes = np.ascontiguousarray(lr.transpose(2, 0, 1)[None])
        try:
            (sr,) = self._session.run(["sr"], {"lr": planes})
        except onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException as cause:
            raise MemoryError(str(cause)) from cause
        result: Floats = sr[0].transpose(1, 2, 0)
        return result
