"""The native engine among the contenders of `leansr bench`."""

import pytest

from leansr.errors import LeanSRError
from leansr.lab.measure.contender import Contender, contenders
from leansr.lab.measure.speed import bench
from leansr.runtime.backend import method_of
from leansr.runtime.native_library import is_built

pytestmark = pytest.mark.skipif(not is_built(), reason="the native engine was not built")


def test_the_native_engine_beside_others():
    names = ["native", "onnxruntime"] + ["native-bf16"] * (method_of("bfloat16") is not None)
    speed = bench(contenders(["sesr-m3"], 4, names, "float32"), (40, 50), 1, warmup=1, runs=2)
    assert [(row.backend, row.dtype) for row in speed.rows] == [
        ("native", "float32"),
        ("onnxruntime", "float32"),
        ("native-bf16", "bfloat16"),
    ][: len(names)]
    assert {row.weights for row in speed.rows} == {"released"}
    assert all(row.median_ms > 0 for row in speed.rows)
    if method_of("int8") is not None:
        (row,) = bench(contenders(["sesr-m5"], 2, ["native-int8"], "float32"), (9, 9), 1).rows
        assert (row.variant, row.dtype, row.weights) == ("sesr-m5", "int8", "released")


def test_what_the_engine_does_not_run():
    for row, words in (
        (("sesr-m5", 2, "deploy", "native", "bfloat16"), "native: takes no --dtype"),
        (("sesr-m3", 2, "deploy", "native-int8"), "sesr-m3: has no release of eight bits"),
        (("sesr-m5-int8", 2, "deploy", "native"), "is of eight bits; for --precision fp32"),
        (("fsrcnn", 2, "deploy", "native"), "no released weights"),
    ):
        with pytest.raises(LeanSRError, match=words):
            Contender(*row)
