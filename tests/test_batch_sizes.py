"""Sizes that no network has: by the next one up and a resize, or by networks in a row."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import leansr
from leansr import Upscaler
from leansr.errors import PictureError, UsageError, WeightsError
from leansr.image import codecs
from leansr.image.picture import Picture
from leansr.image.resize import resize
from leansr.runtime import batch, files
from leansr.runtime.budget import RANKED_BY, Budget, candidates
from leansr.runtime.route import Route
from leansr.runtime.size import (
    LARGEST_SCALE,
    Exact,
    Factor,
    Fit,
    fitted,
    sides_of,
    steps_for,
    wanted,
)
from leansr.zoo.release import every_release, release_of, releases

SIDES = st.integers(1, 5000)
HALF = Fraction(1, 2)


@given(height=SIDES, width=SIDES, factor=st.fractions(Fraction(1001, 1000), 64))
def test_a_factor_is_met_to_half_a_pixel(height, width, factor):
    sides = Factor(factor).sides(height, width)
    assert all(abs(s - old * factor) <= HALF for s, old in zip(sides, (height, width), strict=True))


@given(height=SIDES, width=SIDES, wide=SIDES, high=SIDES)
def test_fit_fits_keeps_the_shape_and_touches_a_side(height, width, wide, high):
    sides = Fit(wide, high).sides(height, width)
    assert sides[0] <= high
    assert sides[1] <= wide
    assert sides[0] == high or sides[1] == wide
    factor = min(Fraction(wide, width), Fraction(high, height))
    assert abs(sides[0] - height * factor) <= max(HALF, 1 - height * factor)
    assert abs(sides[1] - width * factor) <= max(HALF, 1 - width * factor)


@given(height=SIDES, width=SIDES, factor=st.fractions(1, 20))
def test_exact_takes_what_a_factor_rounds_to(height, width, factor):
    high, wide = math.floor(height * factor + HALF), math.floor(width * factor + HALF)
    assert Exact(wide, high).sides(height, width) == (high, wide)


def test_exact_refuses_another_shape_and_stretches_what_nobody_sees():
    assert sides_of(Exact(3840, 2160), 768, 1366, "a.png") == (2160, 3840)
    with pytest.raises(PictureError, match=r"a\.png: is 1000x1000, .* --fit 3840x2160 keeps"):
        sides_of(Exact(3840, 2160), 1000, 1000, "a.png")
    with pytest.raises(PictureError, match=r"a\.png: is 10x10, and 900x900 is more than 64 times"):
        sides_of(Exact(900, 900), 10, 10, "a.png")


@given(
    factor=st.floats(1.001, LARGEST_SCALE),
    scales=st.sets(st.sampled_from([2, 3, 4]), min_size=1),
)
def test_steps_are_the_next_product_up(factor, scales):
    steps = steps_for(factor, scales)
    products = {
        math.prod(way)
        for count in range(1, 7)
        for way in itertools.combinations_with_replacement(scales, count)
    }
    assert math.prod(steps) == min(p for p in products if p >= factor)
    assert set(steps) <= scales
    assert list(steps) == sorted(steps)


def test_steps_of_what_is_released():
    known = [steps_for(factor, {2, 4}) for factor in (1, 1.5, 2, 2.1, 4, 5, 8, 16, 17)]
    assert known == [(), (2,), (2,), (4,), (4,), (2, 4), (2, 4), (4, 4), (2, 4, 4)]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("factor", [Fraction(7, 8), Fraction(1, 2), Fraction(9, 11)])
def test_the_resize_is_matlabs_away_from_the_border(photo, dtype, factor):
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    pixels = (photo[:176, :264] / 255 * white).astype(dtype)
    theirs = np.clip(resize(pixels.astype(np.float64), factor), 0, white)
    ours = fitted(pixels, *theirs.shape[:2], has_alpha=False)
    assert ours.dtype == dtype
    inside = (slice(8, -8), slice(8, -8))
    difference = np.abs(ours[inside].astype(np.float64) - theirs[inside]).max()
    assert difference <= (1e-5 if dtype == "float32" else 0.5 + 2e-5 * white)


def test_linear_light_keeps_the_light():
    """A fine pattern of black and white is half the light: 188 of 255, not 128."""
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[..., None]
    middle = (slice(8, 24), slice(8, 24))
    light = fitted(board, 32, 32, has_alpha=False, linear=True)[middle]
    encoded = fitted(board, 32, 32, has_alpha=False)[middle]
    assert (light.min(), light.max()) == (188, 188)
    assert (encoded.min(), encoded.max()) == (128, 128)


@pytest.mark.parametrize("linear", [False, True])
def test_hidden_colour_does_not_bleed(linear):
    """White beside transparent black stays white, and so does the alpha beside."""
    pixels = np.zeros((40, 40, 4), np.uint8)
    pixels[:, :20] = 255
    small = fitted(pixels, 30, 30, has_alpha=True, linear=linear)
    seen = small[..., 3] > 8
    assert (small[..., :3][seen] >= 254).all()
    alpha = fitted(pixels[..., 3:], 30, 30, has_alpha=False)
    np.testing.assert_array_equal(small[..., 3:], alpha)


def picture(pixels, **fields):
    return Picture(pixels, "RGB", **fields)


def enlarged(pixels, target, **options):
    return Route(target, **options).enlarge(picture(pixels), "a.png")


def test_routes(photo):
    small = photo[:24, :30]
    plain = enlarged(small, wanted(2))
    np.testing.assert_array_equal(plain.picture.pixels, Upscaler()(small))
    assert plain.steps == (2,)
    between = enlarged(small, wanted(3.5))
    assert (between.steps, between.picture.pixels.shape) == ((4,), (84, 105, 3))
    np.testing.assert_array_equal(
        between.picture.pixels, fitted(Upscaler(scale=4)(small), 84, 105, has_alpha=False)
    )
    assert between.choice.words.startswith("x4; resized to 105x84; clean weights, ")
    chained = enlarged(small, wanted(8))
    assert chained.steps == (2, 4)
    np.testing.assert_array_equal(chained.picture.pixels, Upscaler(scale=4)(Upscaler()(small)))
    shrunk = enlarged(photo, wanted(fit=(100, 50)))
    assert (shrunk.steps, shrunk.model) == ((), None)
    assert shrunk.picture.pixels.shape == (50, 50, 3)
    only_x4 = enlarged(small, wanted(2), model="fmen-s")
    assert (only_x4.steps, only_x4.picture.pixels.shape) == ((4,), (48, 60, 3))


def test_pages_each_have_their_size(photo):
    pages = picture(photo[:24, :30], more=(picture(photo[:10, :8]),))
    larger = Route(wanted(2.5)).enlarge(pages, "a.tif").picture
    assert [page.pixels.shape[:2] for page in larger.frames] == [(60, 75), (25, 20)]


def test_only_the_first_network_gets_photo_weights(photo):
    pixels = photo[:24, :30]
    route = Route(wanted(8), "sesr-m11")
    result = route.enlarge(picture(pixels, jpeg_quality=50), "a.jpg")
    assert result.choice.kind == "photo"
    assert result.picture.jpeg_quality == 50
    first = Upscaler("sesr-m11", 2, input="photo")(pixels)
    np.testing.assert_array_equal(result.picture.pixels, Upscaler("sesr-m11", 4)(first))


@pytest.mark.parametrize("kind", ["clean", "photo"])
def test_candidates_are_the_releases_best_first(kind):
    for scale in (2, 4):
        found = candidates(scale, kind, every_release())
        assert {name for name, _ in found} == {n for n, s in releases(kind) if s == scale}
        assert {steps for _, steps in found} == {(scale,)}
        ranked = [release_of(name, scale, kind).psnr_y(RANKED_BY) for name, _ in found]
        assert ranked == sorted(ranked, reverse=True)
        assert None not in ranked


@pytest.fixture
def budget():
    """A second, where a megapixel takes as many as the model has layers."""
    asked = []

    def cost(model, scale, kind):
        asked.append((model, scale, kind))
        layers = {"sesr-m3": 3, "sesr-m5": 5, "sesr-m7": 7, "sesr-m11": 11, "sesr-xl": 20}
        return layers.get(model, 30)

    made = Budget(1.0, cost, every_release())
    return made, asked


@pytest.mark.parametrize(
    ("pixels", "model", "is_within"),
    [
        (10_000, "sesr-xl", True),
        (60_000, "sesr-m11", True),
        (100_000, "sesr-m7", True),
        (150_000, "sesr-m5", True),
        (300_000, "sesr-m3", True),
        (400_000, "sesr-m3", False),
    ],
)
def test_the_best_within_the_budget(budget, pixels, model, is_within):
    chooser, asked = budget
    pick = chooser.pick(pixels, 2, "clean", is_photo=True)
    assert (pick.model, pick.steps, pick.is_within) == (model, (2,), is_within)
    chooser.pick(pixels, 2, "clean", is_photo=True)
    assert len(set(asked)) == len(asked)


def test_a_chain_costs_its_later_steps_too(budget):
    chooser, _ = budget
    pick = chooser.pick(12_000, 8, "auto", is_photo=False)
    # x2 of 0.012 megapixels, then x4 of 0.048: five times the cost of one step.
    assert (pick.model, pick.steps) == ("sesr-m11", (2, 4))
    assert pick.seconds == pytest.approx(11 * 0.06)


def test_compressed_photos_get_photo_weights_where_they_can(budget):
    chooser, asked = budget
    assert chooser.pick(60_000, 2, "auto", is_photo=True).model == "sesr-m11"
    assert ("sesr-m11", 2, "photo") in asked
    # No photo weights are that fast.
    assert chooser.pick(300_000, 2, "auto", is_photo=True).model == "sesr-m3"


def test_auto_chooses_by_what_is_measured_here(photo):
    for seconds, words in ((1000, "the best within 1000 s"), (1e-9, "the fastest, as none is")):
        result = enlarged(photo[:24, :30], wanted(2), model="auto", budget=seconds)
        assert words in result.choice.words
        assert any("no model is within 1e-09 s" in note for note in result.notes) == (seconds < 1)
        assert result.picture.pixels.shape == (48, 60, 3)
        assert (result.model, 2) in releases()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: wanted(1), UsageError, "more than 1 and at most 64, not 1"),
        (lambda: wanted(65), UsageError, "more than 1 and at most 64, not 65"),
        (lambda: wanted(math.inf), UsageError, "a scale is a number"),
        (lambda: wanted(2, (3, 4)), UsageError, "exclude each other"),
        (lambda: wanted(size=(0, 4)), UsageError, "0x4: a picture has one pixel"),
        (lambda: Route(wanted(2), "auto"), UsageError, "go together"),
        (lambda: Route(wanted(2), budget=1), UsageError, "go together"),
        (lambda: Route(wanted(2), "auto", budget=-1), UsageError, "more than 0 seconds"),
        (
            lambda: Route(wanted(2), "auto", budget=1, weights="w.onnx"),
            UsageError,
            "auto and --weights exclude each other",
        ),
        (lambda: Route(wanted(fit=(9, 9)), "sesr-m6"), UsageError, "sesr-m6: no such variant"),
        (lambda: Route(wanted(2), "bsrn"), WeightsError, "has no released weights"),
        (lambda: Route(wanted(2), input="raw"), UsageError, "raw: no such input"),
    ],
)
def test_what_cannot_be(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_the_same_from_python(tmp_path, photo):
    source = tmp_path / "a.png"
    Image.fromarray(photo[:20, :30]).save(source)
    made = {
        leansr.upscale(source).name: (60, 40),
        leansr.upscale(source, scale=3.5).name: (105, 70),
        leansr.upscale(source, size=(75, 50)).name: (75, 50),
        leansr.upscale(source, fit=(90, 90), linear_light=True).name: (90, 60),
        leansr.upscale(source, tmp_path / "b.png", model="auto", budget=100).name: (60, 40),
    }
    assert set(made) == {"a_x2.png", "a_x3.5.png", "a_75x50.png", "a_90x90.png", "b.png"}
    for name, (width, height) in made.items():
        assert codecs.read(tmp_path / name).pixels.shape == (height, width, 3)
    tight = leansr.upscale(source, compression=9, overwrite=True).stat().st_size
    assert tight < leansr.upscale(source, compression=0, overwrite=True).stat().st_size
    with pytest.raises(PictureError, match=r"\*\.png: no such file"):
        leansr.upscale(tmp_path / "*.png")


def test_all_frames_together_are_within_the_budget(photo, monkeypatch):
    """The frames count as one picture, those with alpha twice: all get the same model."""
    asked = []

    def cost(model, scale, kind):
        return {"sesr-m3": 3, "sesr-m5": 5, "sesr-m7": 7, "sesr-m11": 11}.get(model, 30)

    class Asked(Budget):
        def pick(self, pixels, factor, input, is_photo):
            asked.append((pixels, factor))
            return super().pick(pixels, factor, input, is_photo)

    route = Route(wanted(2), "auto", budget=0.1, threads=1)
    monkeypatch.setattr(route, "_budget", Asked(0.1, cost, every_release()))
    rgba = np.dstack([photo[:60, :80], photo[:60, :80, :1]])
    more = (picture(photo[:60, :80]), Picture(rgba, "RGBA"))
    alone = route.enlarge(picture(photo[:60, :80]), "a.png")
    together = route.enlarge(picture(photo[:60, :80], more=more), "a.png")
    assert asked == [(4800, 2), (4 * 4800, 2)]
    assert (alone.model, together.model) == ("sesr-m11", "sesr-m5")
    assert [f.pixels.shape for f in together.picture.frames] == [(120, 160, 3)] * 2 + [
        (120, 160, 4)
    ]


def test_a_format_is_asked_for_the_size_that_comes_out(tmp_path):
    """Not for that of the input, which is larger than WebP holds."""
    source = tmp_path / "a.png"
    Image.new("RGB", (17_000, 20)).save(source)
    made = leansr.upscale(source, tmp_path / "a.webp", fit=(1700, 1700))
    assert codecs.read(made).pixels.shape == (2, 1700, 3)
    with pytest.raises(PictureError, match=r"WebP holds 16383 pixels a side"):
        leansr.upscale(made, tmp_path / "b.webp", size=(17_000, 20))


@pytest.mark.parametrize(("target", "steps"), [(wanted(3), (4,)), (wanted(fit=(240, 240)), (4, 4))])
def test_weights_of_one_scale_for_other_sizes(photo, target, steps):
    given = Route(target, weights=release_of("sesr-m5", 4).onnx)
    result = given.enlarge(picture(photo[:24, :30]), "a.png")
    assert result.steps == steps


@pytest.mark.parametrize("large", [files.LARGE, 0], ids=["whole", "by rows"])
@pytest.mark.parametrize("scale", [2, 3, 8])
def test_a_caution_is_told_once(tmp_path, photo, monkeypatch, scale, large):
    monkeypatch.setattr(files, "LARGE", large)
    Image.fromarray(photo[:20, :20]).save(tmp_path / "a.png")
    route = Route(wanted(scale))
    for step in (2, 4):
        for kind in ("auto", "clean"):
            route._upscalers("sesr-m5", step, kind).of("clean").caution = "changes a little"
    job = batch.Job(tmp_path / "a.png", tmp_path / "b.png")
    (outcome,) = batch.run([job], route, "error")
    assert outcome.notes == ("changes a little",)
