import json
import math
import os
import sys
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from leansr import Upscaler
from leansr.errors import DataError, PictureError, UsageError
from leansr.image.colour import luma
from leansr.image.quality import compare
from leansr.image.resize import resize
from leansr.runtime.benchmarks import find, open_folder
from leansr.runtime.evaluate import KEYS, evaluate
from leansr.runtime.perceptual import METRICS, metric
from leansr.runtime.protocol import PRESETS
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
def folder(tmp_path, photo):
    """Two originals, one of them grey, whose sides are no multiple of 2."""
    (tmp_path / "HR").mkdir()
    for name, crop in (("a", photo[:51, :60]), ("b", photo[90:150, 90:131, 0])):
        Image.fromarray(crop).save(tmp_path / "HR" / f"{name}.png")
    return tmp_path


def test_means_over_the_pictures(folder, photo):
    result = evaluate(bicubic(2), 2, open_folder(folder, 2))
    rows = []
    for crop in (photo[:50, :60], photo[90:150, 90:130, 0]):
        rows.append(compare(resize(resize(crop, Fraction(1, 2)), 2), crop, border=2))
    value = result.as_json()
    for key in KEYS:
        assert value[key] == pytest.approx(np.mean([row[key] for row in rows]))
    assert value["pictures"] == [
        {"name": name, **row} for name, row in zip("ab", rows, strict=True)
    ]
    assert (value["images"], value["failed"]) == (2, [])
    assert json.loads(json.dumps(value)) == value


def test_the_protocol_travels_with_the_figures(folder):
    result = evaluate(bicubic(2), 2, open_folder(folder, 2))
    assert result.as_json()["protocol"] == {
        "name": "paper",
        "colour": "y",
        "border": 2,
        "rounding": "8-bit",
        "resizer": "by MATLAB's bicubic",
        "images": 2,
    }
    assert str(result.protocol) == (
        "paper, BT.601 luma (16..235) of the 8-bit picture, border of 2 pixels cut; "
        "LR by MATLAB's bicubic; 2 images"
    )


def test_ntire_cuts_four_pixels_whatever_the_scale(folder, photo):
    result = evaluate(bicubic(2), 2, open_folder(folder, 2), "ntire")
    crop = photo[:50, :60]
    expected = compare(resize(resize(crop, Fraction(1, 2)), 2), crop, border=4)
    assert {key: getattr(result.pictures[0], key) for key in KEYS} == expected
    assert (result.protocol.colour, result.protocol.border) == ("rgb", 4)


def test_sesr_rounds_nothing(folder, photo):
    """By hand: bicubic of floats, luma, the border, the mean."""
    seen = []

    def upscale(lr):
        seen.append(lr)
        return resize(lr, 2)

    result = evaluate(upscale, 2, open_folder(folder, 2), "sesr")
    crop = photo[:50, :60]
    lr = resize(crop, Fraction(1, 2)).astype(np.float32) / 255
    assert {pixels.dtype.name for pixels in seen} == {"float32"}
    np.testing.assert_allclose(seen[0], lr, atol=1e-7)
    difference = 255 * (luma(resize(lr, 2).astype(float)) - luma(crop / 255))[2:-2, 2:-2]
    expected = 20 * math.log10(255) - 10 * math.log10(np.mean(difference**2))
    assert result.pictures[0].psnr_y == pytest.approx(expected, abs=1e-4)
    assert result.protocol.rounding == "none"
    rounded = evaluate(bicubic(2), 2, open_folder(folder, 2)).psnr_y
    assert 0 < abs(result.psnr_y - rounded) < 0.02


@pytest.mark.shared_data
@pytest.mark.parametrize(("scale", "psnr", "ssim"), [(2, 33.68, 0.9307), (4, 28.43, 0.8113)])
def test_sesr_protocol_meets_the_paper_s_bicubic_row(shared_data, scale, psnr, ssim):
    """SESR's Tables 1 and 2, Set5; of the 8-bit picture, SSIM at x2 is 0.9305."""
    result = evaluate(bicubic(scale), scale, find(shared_data, "Set5", scale), "sesr")
    assert result.psnr_y == pytest.approx(psnr, abs=0.01)
    assert result.ssim_y == pytest.approx(ssim, abs=0.00005)


def test_given_lr_is_used(folder, photo):
    made = evaluate(bicubic(2), 2, open_folder(folder, 2))
    (folder / "LR").mkdir()
    for name, lr in (("a", photo[:25, :30]), ("b", photo[:30, :20, 0])):
        Image.fromarray(lr).save(folder / "LR" / f"{name}.png")
    result = evaluate(bicubic(2), 2, open_folder(folder, 2))
    assert result.protocol.resizer == "as given"
    assert result.psnr_y < made.psnr_y - 5


def spoil_alpha(folder, photo):
    Image.fromarray(np.zeros((60, 40, 4), np.uint8)).save(folder / "HR" / "b.png")


def spoil_file(folder, photo):
    (folder / "HR" / "b.png").write_bytes((folder / "HR" / "b.png").read_bytes()[:300])


def spoil_size(folder, photo):
    Image.fromarray(photo[:12, :50]).save(folder / "HR" / "b.png")


def spoil_to_nothing(folder, photo):
    Image.fromarray(photo[:1, :50]).save(folder / "HR" / "b.png")


def give_lr(folder, photo, **others):
    (folder / "LR").mkdir()
    for name, lr in {"a": photo[:25, :30], **others}.items():
        Image.fromarray(lr).save(folder / "LR" / f"{name}.png")


def spoil_to_colour(folder, photo):
    Image.fromarray(photo[:60, :41]).save(folder / "HR" / "b.png")
    give_lr(folder, photo, b=photo[:30, :20, 0])


def spoil_lr_format(folder, photo):
    give_lr(folder, photo)
    Image.fromarray(photo[:30, :20, 0]).save(folder / "LR" / "b.ico")


SPOILT = {
    spoil_alpha: (DataError, r"HR/b\.png: a benchmark picture has no alpha"),
    spoil_file: (PictureError, r"HR/b\.png: cannot be decoded"),
    spoil_size: (DataError, r"HR/b\.png: cannot be measured \(SSIM needs"),
    spoil_to_nothing: (DataError, r"HR/b\.png: is smaller than one pixel of x2"),
    give_lr: (DataError, r"HR/b\.png: has no LR picture .*LR/b\.png"),
    lambda folder, photo: give_lr(folder, photo, b=photo[:9, :9]): (
        DataError,
        r"LR/b\.png: does not fit its HR .*b\.png at x2 \(9 x 9 and 40 x 60\)",
    ),
    lambda folder, photo: give_lr(folder, photo, b=photo[:30, :20]): (
        DataError,
        r"LR/b\.png: does not fit its HR .*HR/b\.png \(colour and grey\)",
    ),
    spoil_to_colour: (DataError, r"LR/b\.png: does not fit its HR .*HR/b\.png \(grey and colour\)"),
    spoil_lr_format: (PictureError, r"LR/b\.ico: \.ico is not supported; supported are"),
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_picture_that_fails_does_not_stop_the_rest(folder, photo, spoil):
    spoil(folder, photo)
    result = evaluate(bicubic(2), 2, open_folder(folder, 2))
    kind, words = SPOILT[spoil]
    (failure,) = result.failures
    assert failure.name == "b"
    with pytest.raises(kind, match=words):
        raise failure.error
    assert [picture.name for picture in result.pictures] == ["a"]
    assert result.protocol.images == 1
    assert result.psnr_y == result.pictures[0].psnr_y
    assert result.as_json()["failed"] == [{"name": "b", "reason": str(failure.error)}]
    (folder / "HR" / "a.png").unlink()
    with pytest.raises(DataError, match=rf"none of its pictures can be measured.*{words}"):
        evaluate(bicubic(2), 2, open_folder(folder, 2))


def test_grey_may_be_rgb_with_equal_channels(folder, photo):
    as_rgb = np.repeat(photo[:52, :60, :1], 3, axis=2)
    Image.fromarray(as_rgb).save(folder / "HR" / "a.png")
    give_lr(folder, photo, a=as_rgb[::2, ::2, 0], b=np.repeat(photo[90:150:2, 90:130:2, :1], 3, 2))
    result = evaluate(bicubic(2), 2, open_folder(folder, 2))
    assert (len(result.pictures), result.failures) == (2, ())


def test_lr_that_may_not_be_looked_at(folder, photo):
    give_lr(folder, photo, b=photo[:30, :20, 0])
    (folder / "LR").chmod(0o444)
    try:
        if os.access(folder / "LR", os.X_OK):
            pytest.skip("this user may read every folder")
        with pytest.raises(DataError, match=r"LR/a\.png: cannot be read \(Permission"):
            evaluate(bicubic(2), 2, open_folder(folder, 2))
    finally:
        (folder / "LR").chmod(0o755)


def test_memory_that_runs_out_fails_the_picture(folder):
    def upscale(lr):
        if lr.shape[2] == 3:
            raise MemoryError
        return resize(lr, 2)

    (failure,) = evaluate(upscale, 2, open_folder(folder, 2)).failures
    assert "a.png: does not fit into memory" in str(failure.error)


def test_what_does_not_exist(folder):
    benchmark = open_folder(folder, 2)
    with pytest.raises(UsageError, match="best: no such protocol; one of paper, ntire, sesr"):
        evaluate(bicubic(2), 2, benchmark, "best")
    with pytest.raises(UsageError, match="vmaf: no such metric; one of flip"):
        evaluate(bicubic(2), 2, benchmark, metrics=["vmaf"])
    with pytest.raises(ValueError, match="is of x2, not x4"):
        evaluate(bicubic(4), 4, benchmark)


@pytest.mark.parametrize("name", METRICS)
def test_metric_that_is_not_installed(name, monkeypatch):
    monkeypatch.setitem(sys.modules, METRICS[name].package, None)
    with pytest.raises(UsageError, match=rf"{name}: needs {METRICS[name].package}; pip install"):
        metric(name, 2)


@pytest.mark.parametrize("protocol", PRESETS)
def test_flip_is_its_authors_on_the_cut_picture(folder, photo, protocol):
    flip = pytest.importorskip("flip_evaluator")
    result = evaluate(bicubic(2), 2, open_folder(folder, 2), protocol, ["flip"])
    crop = photo[:50, :60]
    lr = resize(crop, Fraction(1, 2))
    sr = resize(lr, 2) / 255 if protocol != "sesr" else resize(lr / 255, 2)
    border = 4 if protocol == "ntire" else 2
    pair = (p[border:-border, border:-border].astype(np.float32) for p in (crop / 255, sr))
    _, expected, _ = flip.evaluate(*(np.ascontiguousarray(p) for p in pair), "LDR")
    assert result.pictures[0].metrics["flip"] == pytest.approx(expected, abs=1e-5)
    mean = np.mean([picture.metrics["flip"] for picture in result.pictures])
    assert result.as_json()["metrics"] == {"flip": pytest.approx(mean)}


def test_flip_of_equal_pictures_is_nothing(photo):
    pytest.importorskip("flip_evaluator")
    measure = metric("flip", 0)
    assert measure(photo[:40, :40], photo[:40, :40]) == 0
    assert measure(photo[:40, :40, 0], photo[:40, 40:80, 0]) > 0.05


@pytest.mark.shared_data
@pytest.mark.parametrize(("variant", "scale"), releases())
@pytest.mark.parametrize("benchmark", ["Set5", "Set14"])
def test_released_quality_is_what_its_card_says(shared_data, variant, scale, benchmark):
    result = evaluate(
        Upscaler(variant, scale, backend="onnxruntime"), scale, find(shared_data, benchmark, scale)
    )
    stated = releases()[variant, scale].psnr_y(benchmark)
    assert result.psnr_y == pytest.approx(stated, abs=2e-3)
    if (variant, scale) in TARGETS:
        assert result.psnr_y >= TARGETS[variant, scale][benchmark == "Set14"]
