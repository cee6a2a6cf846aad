from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from leansr import Upscaler
from leansr.errors import DataError
from leansr.image.quality import compare
from leansr.image.resize import resize
from leansr.runtime.evaluate import evaluate
from leansr.zoo.release import releases

# Luma PSNR on Set5 and Set14 that a release must have to be one.
TARGETS = {
    ("sesr-m5", 2): (37.2, 32.75),
    ("sesr-m5", 4): (30.9, 27.7),
    ("sesr-m11", 2): (37.35, 32.9),
}


def bicubic(scale):
    return lambda lr: resize(lr, scale)


@pytest.fixture
def benchmark_folder(tmp_path, photo):
    (tmp_path / "HR").mkdir()
    for name, crop in (("a", photo[:51, :60]), ("b", photo[90:150, 90:131, 0])):
        Image.fromarray(crop).save(tmp_path / "HR" / f"{name}.png")
    return tmp_path


def test_means_over_the_folder(benchmark_folder, photo):
    result = evaluate(bicubic(2), 2, benchmark_folder)
    rows = []
    for crop in (photo[:50, :60], photo[90:150, 90:130, 0]):
        rows.append(compare(resize(resize(crop, Fraction(1, 2)), 2), crop, border=2))
    for key in ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb"):
        assert result.as_json()[key] == pytest.approx(np.mean([row[key] for row in rows]))
    assert result.protocol.images == 2
    assert result.protocol.border == 2
    assert "bicubic" in str(result.protocol)


def test_given_lr_is_used(benchmark_folder, photo):
    made = evaluate(bicubic(2), 2, benchmark_folder)
    (benchmark_folder / "LR").mkdir()
    for name, lr in (("a", photo[:25, :30]), ("b", photo[:30, :20, 0])):
        Image.fromarray(lr).save(benchmark_folder / "LR" / f"{name}.png")
    result = evaluate(bicubic(2), 2, benchmark_folder)
    assert "as given" in str(result.protocol)
    assert result.psnr_y < made.psnr_y - 5
    (benchmark_folder / "LR" / "b.png").unlink()
    with pytest.raises(DataError, match=r"b\.png: has no LR"):
        evaluate(bicubic(2), 2, benchmark_folder)
    Image.fromarray(photo[:9, :9]).save(benchmark_folder / "LR" / "b.png")
    with pytest.raises(DataError, match="does not fit its HR"):
        evaluate(bicubic(2), 2, benchmark_folder)


def test_originals_too_small_for_ssim(tmp_path, photo):
    (tmp_path / "HR").mkdir()
    Image.fromarray(photo[:8, :8]).save(tmp_path / "HR" / "a.png")
    with pytest.raises(DataError, match=r"a\.png: cannot be measured"):
        evaluate(bicubic(2), 2, tmp_path)


def test_empty_folder(tmp_path):
    with pytest.raises(DataError, match="has no HR"):
        evaluate(bicubic(2), 2, tmp_path)


def test_alpha_is_no_benchmark(tmp_path):
    (tmp_path / "HR").mkdir()
    Image.fromarray(np.zeros((20, 20, 4), np.uint8)).save(tmp_path / "HR" / "a.png")
    with pytest.raises(DataError, match="alpha"):
        evaluate(bicubic(2), 2, tmp_path)


@pytest.mark.shared_data
@pytest.mark.parametrize(("variant", "scale"), releases())
@pytest.mark.parametrize("benchmark", ["Set5", "Set14"])
def test_released_quality_is_what_its_card_says(shared_data, variant, scale, benchmark):
    folder = shared_data / "benchmarks" / benchmark / f"x{scale}"
    result = evaluate(Upscaler(variant, scale), scale, folder)
    stated = releases()[variant, scale].psnr_y(benchmark)
    assert result.psnr_y == pytest.approx(stated, abs=2e-3)
    if (variant, scale) in TARGETS:
        assert result.psnr_y >= TARGETS[variant, scale][benchmark == "Set14"]
